"""One connection to a broker for recording and replaying: asyncio, no reconnecting, back-pressure by the socket.

Made by `mqtt_dial.open_link`. Everything belongs to the event loop.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

from simulators import mqtt_packets as mqtt
from simulators.broker import Broker
from simulators.mqtt_decode import MalformedPacket
from simulators.mqtt_encode import MQTT5, PINGREQ, encode_connect, encode_disconnect, encode_publish
from simulators.mqtt_packets import Publish
from simulators.mqtt_reasons import ConnectFailed, describe, refusal
from simulators.mqtt_window import MAX_PACKET_ID, PublishWindow
from simulators.os_reasons import plain_reason

SUBSCRIBE_S = 10.0
# After so long without a byte from the broker, although we asked for one, the connection counts as dead.
SILENCE_S = mqtt.KEEPALIVE_S * 1.5
TEND_EVERY_S = 10.0
# What may wait in our own memory for a broker that reads slowly.
WRITE_BUFFER_BYTES = 1024 * 1024


class SubscriptionRefused(Exception):
    """The broker does not let us read this; the text names the filter."""


class MqttLink(asyncio.Protocol):
    """An open connection, once `handshake` has returned."""

    def __init__(self, broker: Broker, version: int, client_id: str, on_publish: Callable[[Publish], None]) -> None:
        loop = asyncio.get_running_loop()
        self.version = version
        self.lost: asyncio.Future[str] = loop.create_future()  # the reason, once the connection is gone
        self.window = PublishWindow()
        self.max_qos = 2
        self.may_retain = True
        self.max_packet = 0  # 0: the broker names no limit
        self._broker = broker
        self._client_id = client_id
        self._on_publish = on_publish
        self._buffer = mqtt.PacketBuffer()
        self._connack: asyncio.Future[ConnectFailed | None] = loop.create_future()
        self._subacks: dict[int, asyncio.Future[int]] = {}
        self._may_identify = True  # the broker knows subscription identifiers
        self._pong: asyncio.Future[None] | None = None
        self._can_write = asyncio.Event()  # the socket takes more, and the window is open
        self._paused = False
        self._out: list[bytes] = []
        self._heard_s = time.monotonic()
        self._transport: asyncio.Transport | None = None

    @property
    def protocol(self) -> str:
        return "MQTT 5" if self.version == MQTT5 else "MQTT 3.1.1"

    async def handshake(self) -> None:
        """Wait for the broker's word. Raises `ConnectFailed`."""
        failure = await self._connack
        if failure is not None:
            self.abort()
            raise failure

    async def subscribe(self, filters: Sequence[str]) -> None:
        """Subscribe to all of them. Raises `SubscriptionRefused`; `ConnectionError` when the connection breaks.

        In MQTT 5, live messages keep their retain flag, so that they look like the retained ones that the broker had.
        Therefore each filter is subscribed to twice in one go, the second time without those and in place of the first:
        the subscription's identifier tells which message is which. It also tells through which filter a message came
        (`origins_of`): one that fits two filters comes twice. Both ask for the same options but for the stored
        messages, because mosquitto takes only some of them over from a second subscription.
        """
        loop = asyncio.get_running_loop()
        for number, topic_filter in enumerate(filters):
            asked: list[tuple[int, int]] = [(mqtt.QOS_2, 0)]
            if self.version == MQTT5:
                live = mqtt.QOS_2 | mqtt.RETAIN_AS_PUBLISHED
                asked = [(live, 0)]
                if self._may_identify:
                    asked = [(live, 2 * number + 1), (live | mqtt.NO_STORED, 2 * number + 2)]
            answers: list[asyncio.Future[int]] = []
            for options, identifier in asked:
                answers.append(loop.create_future())
                packet_id = self.window.next_id()
                self._subacks[packet_id] = answers[-1]
                self._out.append(mqtt.subscribe_packet(packet_id, topic_filter, options, self.version, identifier))
            self._write_out()
            for answer in answers:
                await self._wait_for(answer, SUBSCRIBE_S)
                if answer.result() >= 0x80:
                    raise SubscriptionRefused(f"the broker does not let us subscribe to {topic_filter}")

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        """Take a message; `drain` sends it, and must be called often."""
        packet_id = 0
        if qos:
            packet_id = self.window.add()
            if self.window.is_full:
                self._can_write.clear()
        self._out.append(encode_publish(topic, payload, qos, retain, packet_id, self.version))

    @property
    def must_drain(self) -> bool:
        """The window of unacknowledged messages is full, or the socket is."""
        return not self._can_write.is_set()

    async def drain(self, stop: asyncio.Event | None = None) -> None:
        """Send what was taken, and wait while the broker cannot keep up, but not once `stop` is set.

        Raises `ConnectionError` when the connection is gone.
        """
        self._write_out()
        if not self._can_write.is_set():
            waiting: list[asyncio.Future[Any]] = [
                asyncio.ensure_future(event.wait()) for event in (self._can_write, stop) if event
            ]
            await asyncio.wait((*waiting, self.lost), return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
        if self.lost.done():
            raise ConnectionError(self.lost.result())

    async def settle(self, timeout_s: float) -> None:
        """Wait until the broker has handled all that was sent: confirmed QoS 1 and 2, read QoS 0.

        Raises `ConnectionError` when it does not.
        """
        self._write_out()
        self._pong = asyncio.get_running_loop().create_future()
        self._write(PINGREQ)
        await self._wait_for(self._pong, timeout_s)
        await self._wait_for(self.window.emptied(), timeout_s)

    async def close(self) -> None:
        """Say goodbye and wait until the connection is gone."""
        if self._transport is not None and not self.lost.done():
            self._write_out()
            self._write(encode_disconnect())
            self._transport.close()
            await asyncio.wait((self.lost,), timeout=1.0)
        self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def tend(self) -> None:
        """Keeps the connection alive, and ends it when the broker has fallen silent. Runs until cancelled."""
        while not self.lost.done():
            await asyncio.sleep(TEND_EVERY_S)
            if time.monotonic() - self._heard_s > SILENCE_S:
                self._lose("no answer any more")
                self.abort()
            else:
                self._write(PINGREQ)

    # ----- called by asyncio ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._can_write.set()
        broker = self._broker
        who = (broker.username, broker.password)
        self._write(encode_connect(self._client_id, self.version, mqtt.KEEPALIVE_S, None, *who))

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose("closed by the other side" if exc is None else plain_reason(exc))

    def pause_writing(self) -> None:
        self._paused = True
        self._can_write.clear()

    def resume_writing(self) -> None:
        self._paused = False
        self._open_window()

    def data_received(self, data: bytes) -> None:
        self._heard_s = time.monotonic()
        try:
            for first, body in self._buffer.feed(data):
                if first >> 4 == mqtt.PUBLISH:
                    self._receive(mqtt.parse_publish(self.version, first, body))
                else:
                    self._handle(first >> 4, body)
        except (MalformedPacket, IndexError, struct.error) as problem:
            self._lose(f"what it sent is not MQTT: {problem}")
            self.abort()
        self._write_out()

    # ----- the protocol --------------------------------------------------------------------------------------

    def _receive(self, message: Publish) -> None:
        self._on_publish(message)
        if message.qos:
            self._out.append(mqtt.answer_packet(mqtt.PUBACK if message.qos == 1 else mqtt.PUBREC, message.packet_id))

    def _handle(self, kind: int, body: bytes) -> None:
        if kind in (mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBCOMP):
            answer = self.window.confirm(kind, body)
            if answer is not None:
                self._out.append(answer)
            self._open_window()
        elif kind == mqtt.PUBREL:
            self._out.append(mqtt.answer_packet(mqtt.PUBCOMP, body[0] << 8 | body[1]))
        elif kind == mqtt.CONNACK:
            self._accept(body)
        elif kind == mqtt.SUBACK:
            suback = self._subacks.pop(body[0] << 8 | body[1], None)
            if suback is not None and not suback.done():
                suback.set_result(body[-1])
        elif kind == mqtt.PINGRESP and self._pong is not None and not self._pong.done():
            self._pong.set_result(None)
        elif kind == mqtt.DISCONNECT:
            self._lose(f"the broker ended it: {describe(body[0], self.version)}" if body else "the broker ended it")

    def _accept(self, body: bytes) -> None:
        if self._connack.done():
            raise MalformedPacket("a second CONNACK")
        code = body[1]
        if code:
            self._connack.set_result(refusal(code, self.version))
            return
        if self.version == MQTT5:
            properties, _ = mqtt.parse_properties(body, 2)
            self.window.limit = min(self.window.limit, *properties.get(mqtt.RECEIVE_MAXIMUM, (MAX_PACKET_ID,)))
            self.max_qos = min(2, *properties.get(mqtt.MAXIMUM_QOS, (2,)))
            self._may_identify = 0 not in properties.get(mqtt.SUBSCRIPTION_IDS_AVAILABLE, ())
            self.may_retain = 0 not in properties.get(mqtt.RETAIN_AVAILABLE, ())
            self.max_packet = max((0, *properties.get(mqtt.MAXIMUM_PACKET, ())))
        self._connack.set_result(None)

    def _open_window(self) -> None:
        if not self._paused and not self.window.is_full:
            self._can_write.set()

    def _write_out(self) -> None:
        if self._out:
            data, self._out = b"".join(self._out), []
            self._write(data)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def _wait_for(self, answer: asyncio.Future[int] | asyncio.Future[None], timeout_s: float) -> None:
        waiting = cast("set[asyncio.Future[object]]", {answer, self.lost})
        await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ConnectionError(self.lost.result() if self.lost.done() else "no answer any more")

    def _lose(self, reason: str) -> None:
        if not self._connack.done():
            # A broker that does not know MQTT 5 may just hang up.
            self._connack.set_result(ConnectFailed("it closed the connection", True, self.version == MQTT5))
        if not self.lost.done():
            self.lost.set_result(reason)
            self._can_write.clear()


def origins_of(message: Publish) -> list[tuple[int, bool]]:
    """Through which filters a message came (their places in the list) and whether the broker had it stored before.

    Empty in MQTT 3.1.1, and from brokers without subscription identifiers.
    """
    return [((identifier - 1) // 2, identifier % 2 == 1 and message.retain) for identifier in message.subscription_ids]
