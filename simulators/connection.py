"""One device's MQTT connection: a paho client without a thread, driven by the event loop.

paho connects with blocking calls, so that one step runs in an executor; from the moment the socket is attached,
everything happens on the loop. Reconnecting is the caller's decision: paho has no jitter, and a fleet needs it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from simulators.broker import Broker
from simulators.dialect import Outgoing

log = logging.getLogger(__name__)

KEEPALIVE_S = 60
MQTT5 = MQTTProtocolVersion.MQTTv5
MQTT311 = MQTTProtocolVersion.MQTTv311
# Answers to CONNECT that are about us and not about the protocol version: asking again in 3.1.1 would not help.
# Client id, credentials, authorization, banned, server busy, quota.
_ABOUT_US = frozenset({0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x97})


class ConnectFailed(Exception):
    """`answered`: something is there. `other_version`: it may be worth asking in another version of MQTT."""

    def __init__(self, reason: str, answered: bool, other_version: bool = False) -> None:
        self.reason = reason
        self.answered = answered
        self.other_version = other_version
        super().__init__(reason, answered, other_version)


class Connection:
    """The connection of one device. All methods belong to the event loop."""

    __slots__ = (
        "_broker",
        "_client",
        "_client_id",
        "_command_topic",
        "_connack",
        "_executor",
        "_loop",
        "_lost",
        "_on_payload",
        "_puback",
        "_sock",
        "_will",
        "protocol",
        "up",
        "was_up",
    )

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        will: Outgoing,
        command_topic: str,
        on_payload: Callable[[bytes], None],
        executor: Executor,
    ) -> None:
        self._broker = broker
        self._client_id = client_id
        self._will = will
        self._command_topic = command_topic
        self._on_payload = on_payload  # called with every live message on the command topic
        self._executor = executor
        self._loop = asyncio.get_running_loop()
        self._client: Client | None = None
        self._sock: Any = None  # set while the loop watches the client's socket
        self._connack: asyncio.Future[ConnectFailed | None] | None = None
        self._lost: asyncio.Future[str] | None = None
        self._puback: tuple[int, asyncio.Future[None]] | None = None  # the farewell we wait for
        self.protocol = MQTT5
        self.up = False  # between CONNACK and the loss of the connection
        self.was_up = False  # at least once

    async def connect(self, protocol: MQTTProtocolVersion, timeout_s: float) -> None:
        """Connect and subscribe. Raises `ConnectFailed`."""
        if self._client is None or protocol != self.protocol:
            self._client = self._make_client(protocol, timeout_s)
            self.protocol = protocol
        client = self._client
        connack = self._connack = self._loop.create_future()
        self._lost = self._loop.create_future()
        try:
            async with asyncio.timeout(timeout_s):
                await self._loop.run_in_executor(
                    self._executor, client.connect, self._broker.host, self._broker.port, KEEPALIVE_S
                )
                self._attach(client)
                failure = await connack
        except TimeoutError:
            # Without the client: a connect that is still under way in the executor must not come back to life here.
            self.close()
            self._client = None
            raise ConnectFailed("no answer", answered=False) from None
        except (OSError, ValueError) as error:
            self.close()
            raise ConnectFailed(_plain(error), answered=False) from None
        if failure is not None:
            self.close()
            raise failure
        self.up = self.was_up = True
        self._subscribe(client)

    async def lost(self) -> str:
        """Wait until the connection is gone; returns why."""
        return "never connected" if self._lost is None else await self._lost

    def publish(self, message: Outgoing) -> None:
        """Hand a message to the client. Only while `up`."""
        if self._client is not None:
            self._client.publish(message.topic, message.payload, message.qos, message.retain)

    def tend(self) -> None:
        """Keep-alive; to be called every few seconds."""
        if self._client is not None and self._sock is not None:
            self._client.loop_misc()

    async def leave(self, farewell: Outgoing, timeout_s: float) -> bool:
        """Say goodbye: publish, wait for the acknowledgement, disconnect. Whether the broker acknowledged it."""
        client, acknowledged = self._client, False
        if self.up and client is not None and self._lost is not None:
            client.on_publish = self._on_publish
            mid = client.publish(farewell.topic, farewell.payload, 1, farewell.retain).mid
            puback: asyncio.Future[None] = self._loop.create_future()
            self._puback = (mid, puback)
            await asyncio.wait((puback, self._lost), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            acknowledged = puback.done()
            client.disconnect()
            await asyncio.wait((self._lost,), timeout=1.0)
        self.close()
        return acknowledged

    def close(self) -> None:
        """Drop the connection without a word. The broker then publishes the last will."""
        self.up = False
        sock: Any = None if self._client is None else self._client.socket()
        self._detach()
        if sock is not None:
            sock.close()

    def _make_client(self, protocol: MQTTProtocolVersion, timeout_s: float) -> Client:
        # reconnect_on_failure=False: with it, paho reconnects by itself, blocking the loop.
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=self._client_id, protocol=protocol, reconnect_on_failure=False
        )
        client.connect_timeout = timeout_s
        client.max_queued_messages_set(1000)
        if self._broker.tls:
            client.tls_set()
        if self._broker.username is not None:
            client.username_pw_set(self._broker.username, self._broker.password)
        client.will_set(self._will.topic, self._will.payload, self._will.qos, self._will.retain)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = self._on_unregister_write
        return client

    def _attach(self, client: Client) -> None:
        self._sock = client.socket()
        if self._sock is not None:
            self._loop.add_reader(self._sock, self._readable)
            self._flush()

    def _detach(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)

    def _readable(self) -> None:
        if self._client is not None:
            self._client.loop_read()
            # TLS may hold decrypted bytes that the selector knows nothing of.
            while self._broker.tls and self._sock is not None and self._sock.pending():
                self._client.loop_read()

    def _flush(self) -> None:
        if self._client is None or self._sock is None:
            return
        self._client.loop_write()
        # Only a socket that is full is worth watching: watching for every message costs two system calls more.
        if self._sock is not None and self._client.want_write():
            self._loop.add_writer(self._sock, self._flush)

    def _subscribe(self, client: Client) -> None:
        if self.protocol == MQTT5:
            # Retained commands are not even sent to us; 3.1.1 cannot say so, hence the check in _on_message.
            options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
            client.subscribe(self._command_topic, options=options)
        else:
            client.subscribe(self._command_topic, qos=1)

    # ----- called by paho ----------------------------------------------------------------------------------

    def _on_connect(self, _client: Client, _userdata: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        failure = None
        if reason.is_failure:
            failure = ConnectFailed(str(reason), answered=True, other_version=reason.value not in _ABOUT_US)
        if self._connack is not None and not self._connack.done():
            self._connack.set_result(failure)

    def _on_disconnect(self, client: Client, _userdata: Any, _flags: Any, reason: ReasonCode, _p: Any) -> None:
        if client is not self._client:
            return
        self.up = False
        if self._connack is not None and not self._connack.done():
            # A broker that does not know the version may just hang up.
            self._connack.set_result(ConnectFailed("it closed the connection", answered=True, other_version=True))
        if self._lost is not None and not self._lost.done():
            # paho's word for a socket that was closed without a DISCONNECT is "Unspecified error".
            self._lost.set_result("closed by the other side" if reason.value == 0x80 else str(reason))

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        if message.retain:
            return
        try:
            self._on_payload(bytes(message.payload))
        except Exception:
            # paho would lose its place in the stream; one message must not take the device down.
            log.exception("a message on %s could not be handled", self._command_topic)

    def _on_subscribe(self, _client: Client, _userdata: Any, _mid: int, reasons: list[ReasonCode], _p: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            log.warning("the broker refused the subscription to %s: no commands", self._command_topic)

    def _on_publish(self, _client: Client, _userdata: Any, mid: int, _reason: Any, _properties: Any) -> None:
        if self._puback is not None and self._puback[0] == mid and not self._puback[1].done():
            self._puback[1].set_result(None)

    def _on_socket_close(self, _client: Client, _userdata: Any, sock: Any) -> None:
        if sock is self._sock:
            self._detach()

    def _on_register_write(self, _client: Client, _userdata: Any, sock: Any) -> None:
        # While connecting this is called in the executor, before the socket is attached: _attach flushes.
        if self._sock is not None:
            self._loop.call_soon(self._flush)

    def _on_unregister_write(self, _client: Client, _userdata: Any, sock: Any) -> None:
        if sock is self._sock:
            self._loop.remove_writer(sock)


def _plain(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "the name is unknown"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
