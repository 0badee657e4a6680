"""One connection to a broker, from CONNECT to its end: a paho client that lives on the event loop.

Every connection gets a paho client of its own, which ends with it. So nothing of an earlier connection can come
back: no half-read packet, no message id, and no command that waited too long. paho makes and reads all packets
except the two that are hot (see mqtt_stream); no thread is involved.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from bridge.core.model import Publish
from bridge.errors import ConnectFailed, PublishFailed
from bridge.settings import MqttSettings
from bridge.sources.mqtt_open import open_socket
from bridge.sources.mqtt_publish import PublishWindow
from bridge.sources.mqtt_reader import Reader
from bridge.sources.mqtt_stream import OnPublish, PacketStream
from bridge.sources.mqtt_subscribe import (
    Limits,
    Version,
    judge,
    make_connect_properties,
    make_dropped_subscription,
    make_properties,
    make_subscriptions,
)
from bridge.sources.mqtt_url import BrokerUrl
from bridge.sources.mqtt_watch import Watch
from bridge.sources.mqtt_writer import Writer

CLOSE_TIMEOUT_S = 1.0
"""How long leaving may take: the rest is written, then the broker closes, which needs one round trip."""

PUBLISH_OVERHEAD_BYTES = 32
"""Room around topic and payload: fixed header, lengths, message id and the one property that we send."""

DISCONNECT = b"\xe0\x00"  # in MQTT 5 too: normal disconnection, the session stays
PUBACK = struct.Struct("!BBH")

UNSUPPORTED_VERSION = 0x84
SESSION_TAKEN_OVER = 0x8E


class VersionRefused(ConnectFailed):
    """The broker answered CONNECT with 'unsupported protocol version', or hung up instead of answering."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Why a connection ended."""

    reason: str
    taken_over: bool = False  # the broker said so (MQTT 5)
    hung_up: bool = False  # the broker closed without a word


class _StreamClient(paho.Client):
    """paho on a stream that is connected already.

    `_create_socket` is not public, but it is the one place where paho makes its socket, and everything around it
    (reset of state, CONNECT) stays as it is. A test holds that paho still calls it.
    """

    stream: PacketStream

    def _create_socket(self) -> Any:
        return self.stream


class MqttConnection:
    """Use: `await open()`, then `publish` and `acknowledge`; `ended` tells why it is over; `await close()` leaves."""

    def __init__(
        self,
        url: BrokerUrl,
        version: Version,
        client_id: str,
        settings: MqttSettings,
        *,
        retained_again: bool,
        dropped_wanted: bool,
        on_connected: Callable[[], None],
        on_message: OnPublish,
        on_shed: Callable[[int], None],
    ) -> None:
        """
        Args:
            retained_again: ask for retained messages even if the broker still has our subscriptions.
            on_connected: called once, when the broker has confirmed our subscriptions. Messages that the session
                kept for us may come before.
            dropped_wanted: ask the broker for the count of its own losses (DROPPED_TOPIC); it comes as a message.
            on_message: called for every message; must not raise.
            on_shed: called with a number of QoS 0 messages that were dropped here; must not raise.
        """
        self.url = url
        self.version = version
        self.notices: list[str] = []
        self.session_present = False  # set with the CONNACK
        self.connected = False  # between CONNACK and the end
        self._settings = settings
        self._retained_again = retained_again
        self._on_connected = on_connected
        self._on_message = on_message
        self._on_shed = on_shed
        self._dropped_wanted = dropped_wanted
        self.dropped_pending = False  # from asking for the count to the broker's answer
        self._loop = asyncio.get_running_loop()
        self._client = self._make_client(client_id)
        self._stream: PacketStream | None = None  # from TCP/TLS connect to the end
        self._fd = -1
        # As long as the stream; the watch from CONNACK on.
        self._reader: Reader | None = None
        self._writer: Writer | None = None
        self._watch: Watch | None = None
        self._answer: asyncio.Future[None] = self._loop.create_future()
        self.ended: asyncio.Future[Lost] = self._loop.create_future()
        self._window = PublishWindow(self._send)
        self._max_packet_bytes = 0  # what the broker takes; 0 = it did not say

    def _make_client(self, client_id: str) -> _StreamClient:
        version_5 = self.version == "5"
        client = _StreamClient(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if version_5 else False,
            protocol=MQTTProtocolVersion.MQTTv5 if version_5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,  # otherwise paho itself goes down to MQTT 3.1 inside its CONNACK handler
            manual_ack=True,
        )
        if self.url.username:
            client.username_pw_set(self.url.username, self.url.password or None)
        client.max_inflight_messages = 0  # unlimited there, because the window is kept here
        client.on_connect = self._on_connack
        client.on_disconnect = self._on_paho_disconnect
        client.on_subscribe = self._on_suback
        client.on_publish = self._on_puback
        client.on_socket_register_write = self._schedule_flush
        client.on_socket_close = self._detach
        return client

    # ----- beginning ------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect, subscribe, and wait until the broker has confirmed both.

        Raises:
            VersionRefused: try again with MQTT 3.1.1.
            ConnectFailed: for any other reason.
        """
        timeout_s = self._settings.connect_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                sock = await open_socket(self.url, self._settings)
                stream = self._stream = PacketStream(
                    sock, has_properties=self.version == "5", backlog_bytes=self._settings.backlog_bytes
                )
                self._client.stream = stream
                self._reader = Reader(
                    stream,
                    on_message=self._on_message,
                    on_other=self._client.loop_read,
                    on_shed=self._on_shed,
                    on_end=self._end,
                )
                self._writer = Writer(stream, self._client, self._end)
                self._fd = sock.fileno()
                self._loop.add_reader(self._fd, self._reader.on_readable)
                self._say_connect()
                await self._answer
        except TimeoutError:
            self._end("no answer")
            raise ConnectFailed(self.url.address, f"no answer within {timeout_s:g} s") from None
        except BaseException:
            self._end("not connected")
            raise

    def _say_connect(self) -> None:
        settings = self._settings
        if self.version == "5":
            properties = make_connect_properties(settings)
            self._client.connect(
                self.url.host, self.url.port, settings.keepalive_s, clean_start=False, properties=properties
            )
        else:
            self._client.connect(self.url.host, self.url.port, settings.keepalive_s)

    def _on_connack(self, _client: Any, _data: Any, flags: Any, reason: ReasonCode, properties: Any) -> None:
        if self._answer.done():
            return
        if reason.is_failure:
            kind = VersionRefused if reason.value == UNSUPPORTED_VERSION else ConnectFailed
            self._answer.set_exception(kind(self.url.address, f"the broker refused us: {reason}"))
            return
        self.connected = True
        self.session_present = flags.session_present
        keepalive_s = self._settings.keepalive_s
        if self.version == "5":
            limits = Limits(properties, self._settings)
            self._window.limit, self._max_packet_bytes = limits.in_flight, limits.max_packet_bytes
            keepalive_s = limits.keepalive_s
            self.notices += limits.notices
        self._client.subscribe(
            make_subscriptions(self._settings.topics, self.version, retained_again=self._retained_again)
        )
        assert self._stream is not None
        self._watch = Watch(self._stream, keepalive_s, self._schedule_flush, self._end)

    def _on_suback(self, _client: Any, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Any) -> None:
        if self._answer.done():
            # The broker's answer to the second question. A refusal is an answer too, and nobody's trouble.
            self.dropped_pending = False
            return
        self.notices += judge(self._settings.topics, reasons)
        # Only now: whoever reads "connected" may count on getting what is published from here on.
        self._answer.set_result(None)
        self._on_connected()
        if self._dropped_wanted:
            # Apart from the others and after them: there are brokers that hang up on this one.
            self.dropped_pending = True
            self._client.subscribe(make_dropped_subscription(self.version))

    # ----- reading and writing --------------------------------------------------------------------------------

    def _schedule_flush(self, *_ignored: Any) -> None:
        if self._writer is not None:
            self._writer.schedule()

    def acknowledge(self, mids: Iterable[int]) -> None:
        """Send a PUBACK for each message id."""
        if self._stream is not None and self.connected:
            self._stream.queue(b"".join([PUBACK.pack(0x40, 2, mid) for mid in mids]))
            self._schedule_flush()

    # ----- publishing -----------------------------------------------------------------------------------------

    def publish(self, publish: Publish, done: asyncio.Future[None]) -> None:
        """Send, and set `done` when the broker has acknowledged, or when it is certain that it will not."""
        if self.connected:
            self._window.publish(publish, done)
        else:
            done.set_exception(PublishFailed(publish.topic, "the broker is not connected"))

    def _send(self, publish: Publish) -> int:
        properties = None
        if self.version == "5" and publish.expires_s is not None:
            properties = make_properties(PacketTypes.PUBLISH)
            properties.MessageExpiryInterval = max(publish.expires_s, 0)
        # The broker would hang up on a packet that is larger than it takes.
        size = len(publish.payload) + len(publish.topic.encode()) + PUBLISH_OVERHEAD_BYTES
        if 0 < self._max_packet_bytes < size:
            raise PublishFailed(publish.topic, f"the broker takes {self._max_packet_bytes} bytes at most")
        try:
            # QoS 2 would promise more than paho keeps: its state is in memory only.
            info = self._client.publish(publish.topic, publish.payload, min(publish.qos, 1), publish.retain, properties)
        except ValueError as error:  # a wildcard in the topic, an empty topic
            raise PublishFailed(publish.topic, str(error)) from None
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise PublishFailed(publish.topic, paho.error_string(info.rc))
        return info.mid

    def _on_puback(self, _client: Any, _data: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        # "No matching subscribers" (0x10) is no failure: the broker took it, whoever listens.
        self._window.acknowledged(mid, str(reason) if reason.is_failure else "")

    # ----- end ------------------------------------------------------------------------------------------------

    def _on_paho_disconnect(self, _client: Any, _data: Any, flags: Any, reason: ReasonCode, _properties: Any) -> None:
        # paho has closed the stream: the broker said DISCONNECT, refused our CONNECT, or broke the standard.
        if flags.is_disconnect_packet_from_server:
            self._end(f"the broker disconnected us: {reason}", taken_over=reason.value == SESSION_TAKEN_OVER)
        else:
            self._end(f"the broker broke the MQTT standard: {reason}")

    def _end(self, reason: str, *, taken_over: bool = False, hung_up: bool = False) -> None:
        """Over, for this reason. Everything is released before anybody is told. Safe to call twice."""
        was_connected, self.connected = self.connected, False
        self._stop_reading()
        stream, self._stream = self._stream, None
        if stream is not None:
            self._detach()
            stream.close()
        if not self._answer.done():
            # Old brokers hang up on a version they do not know; after a CONNACK it cannot be that.
            kind = ConnectFailed if was_connected else VersionRefused
            self._answer.set_exception(kind(self.url.address, reason))
        if not self._answer.cancelled():
            self._answer.exception()  # looked at, so that nobody warns when `open` was left before the answer
        self._window.fail_all()
        if not self.ended.done():
            self.ended.set_result(Lost(reason, taken_over, hung_up))

    def _stop_reading(self) -> None:
        for part in (self._reader, self._watch):
            if part is not None:
                part.stop()

    def _detach(self, *_ignored: Any) -> None:
        """Forget the descriptor while it is still open: the system gives its number to the next socket."""
        if self._writer is not None:
            self._writer.stop()
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._fd = -1

    async def close(self) -> None:
        """Leave: send the rest and DISCONNECT, then wait until the broker has closed. Safe to call twice."""
        stream = self._stream
        if stream is None or not self.connected:
            self._end("closed")
            return
        self.connected = False  # nothing may be written after DISCONNECT
        self._stop_reading()
        self._detach()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                self._client.loop_write()
                stream.queue(DISCONNECT)
                # Polled, for at most a second of a whole connection's life; the callbacks are gone already.
                while not stream.flush():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                stream.end_writing()
                while not stream.ended:
                    await asyncio.sleep(0.005)
                    stream.discard_input()
        except (OSError, TimeoutError):
            pass  # gone is gone; the session stays with the broker either way
        finally:
            self._end("closed")
