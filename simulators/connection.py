"""One MQTT connection of one or many simulated devices, from CONNECT to its end. Reconnecting means making a new one.

Lean on purpose: a fleet has ten thousand of them. Writes are collected and go out with `flush`, one system call for
all messages of a tick.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol, cast

from simulators.broker import Broker
from simulators.dialect import Outgoing
from simulators.mqtt_decode import Connack, Disconnect, MalformedPacket, Packet, PacketReader, Puback, Publish, Suback
from simulators.mqtt_encode import (
    MQTT5,
    PINGREQ,
    Will,
    encode_connect,
    encode_disconnect,
    encode_puback,
    encode_publish,
    encode_subscribe,
)
from simulators.mqtt_reasons import ConnectFailed, describe, refusal
from simulators.os_reasons import plain_reason

log = logging.getLogger(__name__)

KEEPALIVE_S = 60
# QoS 1 messages that wait because the broker takes no more at the moment; a device has a small memory.
MAX_WAITING = 1000
# What may wait in the socket's buffer before the device notices that the network is slow.
WRITE_BUFFER_BYTES = 256 * 1024
# In one SUBSCRIBE of a shared connection: well below the packet sizes that brokers allow.
FILTERS_PER_PACKET = 200


class Hello(NamedTuple):
    """What a connection says about itself when it begins."""

    client_id: str
    will: Will | None
    filters: Sequence[str]  # command topics


class Pending(NamedTuple):
    """A QoS 1 message and what its sender wants to hear back with the acknowledgement."""

    message: Outgoing
    token: int


class Owner(Protocol):
    """Whoever holds the connections. All calls come from the event loop."""

    def on_command(self, topic: str, payload: bytes) -> None:
        """A live message on one of the filters; never a retained one."""
        ...

    def on_ack(self, token: int, accepted: bool) -> None: ...

    def on_lost(self, connection: Connection, reason: str) -> None:
        """The connection was up and is gone; `connection.unacked` is left to be sent again."""
        ...


class Connection(asyncio.Protocol):
    """Made, connected once, lost once."""

    __slots__ = (
        "_broker",
        "_inflight",
        "_next_id",
        "_out",
        "_owner",
        "_paused",
        "_ping_s",
        "_pinged",
        "_reader",
        "_reason",
        "_room",
        "_transport",
        "_waiter",
        "_waiting",
        "_window",
        "keepalive_s",
        "line_no",
        "since_s",
        "up",
    )

    def __init__(self, owner: Owner, broker: Broker, version: int, line_no: int, devices: int = 1) -> None:
        self.line_no = line_no  # which of the owner's connections this is
        self.up = False  # from CONNACK to the end
        self.since_s = 0.0  # when it came up, by the loop's clock
        self.keepalive_s = KEEPALIVE_S  # the broker may ask for less
        self._owner = owner
        self._broker = broker
        self._reader: PacketReader | None = PacketReader(version)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[ConnectFailed | None] | None = None  # for CONNACK, or in the end
        self._reason = ""  # why we ended it ourselves
        self._out: list[bytes] | None = None  # encoded and not yet written
        self._inflight: dict[int, Pending] | None = None  # by packet id; None most of the time, for its size
        self._waiting: deque[Pending] | None = None
        self._room = MAX_WAITING * devices  # a shared connection has the memory of all its devices
        self._window = 0  # QoS 1 messages that the broker allows without an acknowledgement
        self._next_id = 0
        self._paused = False  # the socket's buffer is full
        self._pinged = False  # and not answered yet
        self._ping_s = 0.0

    async def connect(self, hello: Hello, timeout_s: float, context: ssl.SSLContext | None = None) -> None:
        """Connect and subscribe. Raises `ConnectFailed`."""
        loop = asyncio.get_running_loop()
        broker, version = self._broker, self.version
        waiter = self._waiter = loop.create_future()
        try:
            async with asyncio.timeout(timeout_s):
                name = broker.host if context is not None else None
                await loop.create_connection(lambda: self, broker.host, broker.port, ssl=context, server_hostname=name)
                self._write(
                    encode_connect(hello.client_id, version, KEEPALIVE_S, hello.will, broker.username, broker.password)
                )
                failure = await waiter
        except TimeoutError:
            self.abort("no answer")
            raise ConnectFailed("no answer", answered=False) from None
        except (OSError, ValueError) as error:
            self.abort("never connected")
            raise ConnectFailed(plain_reason(error), answered=False) from None
        finally:
            self._waiter = None
        if failure is not None:
            self.abort(failure.reason)
            raise failure
        for at in range(0, len(hello.filters), FILTERS_PER_PACKET):
            self._buffer(encode_subscribe(self._take_id(), hello.filters[at : at + FILTERS_PER_PACKET], 1, version))

    @property
    def version(self) -> int:
        return MQTT5 if self._reader is None else self._reader.version

    @property
    def unacked(self) -> list[Pending]:
        """QoS 1 messages that the broker has not acknowledged, oldest first."""
        return [*(self._inflight or {}).values(), *(self._waiting or ())]

    def has_room(self, qos: int) -> bool:
        """Whether `publish` would take a message of this quality of service now."""
        if qos:
            return self.up and len(self._waiting or ()) < self._room
        return self.up and not self._paused

    def publish(self, message: Outgoing, token: int = 0) -> bool:
        """Take a message; it is written with the next `flush`. False when there is no room or no connection for it."""
        if not self.has_room(message.qos):
            return False
        if message.qos:
            pending = Pending(message, token)
            if self._paused or self._waiting or len(self._inflight or ()) >= self._window:
                if self._waiting is None:
                    self._waiting = deque()
                self._waiting.append(pending)
            else:
                self._send_acked(pending)
        else:
            self._buffer(encode_publish(message.topic, message.payload, 0, message.retain, 0, self.version))
        return True

    def flush(self) -> None:
        """Write what `publish` took."""
        out, self._out = self._out, None
        if out is not None:
            self._write(out[0] if len(out) == 1 else b"".join(out))

    def tend(self, now_s: float) -> None:
        """Keep-alive; to be called every few seconds. Ends the connection when the last ping got no answer."""
        if not self.up or now_s < self._ping_s:
            return
        if self._pinged:
            self.abort("no answer to a ping")
            return
        self._pinged = True
        self._ping_s = now_s + self.keepalive_s / 2.0
        self._write(PINGREQ)

    def leave(self) -> None:
        """Say goodbye: the broker does not publish the last will."""
        if self.up:
            self.flush()
            self._write(encode_disconnect())
        self._reason = "left"
        if self._transport is not None:
            self._transport.close()

    async def drained(self) -> None:
        """Wait until nothing waits for an acknowledgement, or the connection has ended."""
        if self.up and (self._inflight or self._waiting):
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    async def ended(self) -> None:
        """Wait for the end of a connection that we have left."""
        if self._transport is not None:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def abort(self, reason: str) -> None:
        """End it without a word: the broker publishes the last will."""
        self._reason = reason
        if self._transport is not None:
            self._transport.abort()

    # ----- called by the event loop --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are of a class of their own
        self._transport.set_write_buffer_limits(WRITE_BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        if self._reader is None:
            return
        try:
            for packet in self._reader.feed(data):
                self._handle(packet)
        except MalformedPacket as problem:
            self._reader = None
            self.abort(f"not MQTT: {problem}")
        except Exception:
            # One message must not take the device down, nor the loop.
            log.exception("a packet from the broker could not be handled")
        self.flush()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._send_waiting()
        self.flush()

    def connection_lost(self, error: Exception | None) -> None:
        was_up, self.up = self.up, False
        self._transport = None
        reason = self._reason or (plain_reason(error) if error is not None else "closed by the other side")
        if self._waiter is not None and not self._waiter.done():
            # A broker that does not know the version of MQTT may just hang up.
            self._waiter.set_result(ConnectFailed("it closed the connection", answered=True, other_version=True))
        if was_up:
            self._owner.on_lost(self, reason)

    # ----- inside ----------------------------------------------------------------------------------------------

    def _handle(self, packet: Packet) -> None:
        if isinstance(packet, Puback):
            pending = None if self._inflight is None else self._inflight.pop(packet.packet_id, None)
            if pending is not None:
                self._owner.on_ack(pending.token, packet.code < 0x80)
            self._send_waiting()
            if not self._inflight:
                self._inflight = None
                if not self._waiting and self._waiter is not None and not self._waiter.done():
                    self._waiter.set_result(None)
        elif isinstance(packet, Publish):
            if packet.qos:
                self._buffer(encode_puback(packet.packet_id))
            if not packet.retain:
                self._owner.on_command(packet.topic, packet.payload)
        elif isinstance(packet, Connack):
            self._welcome(packet)
        elif isinstance(packet, Suback):
            if any(code >= 0x80 for code in packet.codes):
                log.warning("the broker refused a subscription: no commands")
        elif isinstance(packet, Disconnect):
            self._reason = describe(packet.code, MQTT5)
        else:
            self._pinged = False

    def _welcome(self, connack: Connack) -> None:
        if self._waiter is None or self._waiter.done():
            return
        if connack.code:
            self._waiter.set_result(refusal(connack.code, self.version))
            return
        self._window = connack.receive_maximum
        if connack.keepalive_s:
            self.keepalive_s = min(connack.keepalive_s, KEEPALIVE_S)
        loop = asyncio.get_running_loop()
        self.since_s = loop.time()
        self._ping_s = self.since_s + self.keepalive_s / 2.0
        self.up = True
        self._waiter.set_result(None)

    def _send_waiting(self) -> None:
        waiting = self._waiting
        if not waiting:
            return
        while waiting and not self._paused and len(self._inflight or ()) < self._window:
            self._send_acked(waiting.popleft())
        if not waiting:
            self._waiting = None

    def _send_acked(self, pending: Pending) -> None:
        if self._inflight is None:
            self._inflight = {}
        packet_id = self._take_id()
        self._inflight[packet_id] = pending
        message = pending.message
        self._buffer(encode_publish(message.topic, message.payload, 1, message.retain, packet_id, self.version))

    def _take_id(self) -> int:
        """A packet id that nothing uses; there are 65,535, and never so many under way."""
        while True:
            self._next_id = self._next_id % 65_535 + 1
            if self._inflight is None or self._next_id not in self._inflight:
                return self._next_id

    def _buffer(self, packet: bytes) -> None:
        if self._out is None:
            self._out = [packet]
        else:
            self._out.append(packet)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)
