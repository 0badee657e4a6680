"""Bytes of one MQTT connection, between the socket and paho.

paho takes this for its socket. It reads in large pieces, cuts them into packets, decodes arriving PUBLISH packets
itself (all that is hot) and hands every other packet to paho, one whole packet at a time. What is written is
collected and leaves in one piece. Measured side by side, CPU for a five-value message: 2.3 us with QoS 0 and 2.9 us
with QoS 1 and its acknowledgement; paho alone 45 us and 53 us (three `recv` calls, a matcher, several locks and a
condition variable for each message, one `send` for each acknowledgement).

Arriving bytes wait in a `Backlog`. While we are behind, reading goes on (`read_ahead`), because what backs up in the
broker instead is dropped there, the newest first, and unseen.

It must not know what a message means, nor anything of the event loop.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from socket import SHUT_WR, socket
from typing import TypeAlias

from bridge.sources.mqtt_backlog import Backlog, MalformedPacket, parse_length

READ_BYTES = 65_536
"""Bytes asked of the socket at a time: some hundred messages, and less than a millisecond of work in the kernel."""

WRITE_LIMIT_BYTES = 1_048_576
"""Unsent bytes above which paho is told to wait: the broker does not read, and memory must not pay for it."""

TLS_RECORD_BYTES = 16_384
"""The most that one read of a TLS connection gives (RFC 8446, section 5.1)."""

READS_AHEAD = 16
"""Reads in one turn of the event loop while we are behind: 1 MiB, so that the broker can get rid of three times what
we take, in less than a millisecond."""

SHED_PER_TURN = 5_000
"""Packets looked at in one turn of the event loop when there is too much: some 1.5 ms, and far more than arrive."""

PUBLISH_QOS_0_OR_1 = frozenset(first for first in range(0x30, 0x40) if first & 0x06 in (0x00, 0x02))
"""First bytes of the packets decoded here. QoS 2 never arrives, because we subscribe with QoS 1."""

OnPublish: TypeAlias = Callable[[str, bytes, int, bool, bool, int], None]
"""Called as (topic, payload, qos, retain, duplicate, message id) for each arriving message; must not raise."""


class PacketStream:
    """A connected, non-blocking socket as packets. The upper half is for us, the lower half is what paho calls."""

    def __init__(self, sock: socket, *, has_properties: bool, backlog_bytes: int) -> None:
        self._sock = sock
        self._tls = sock if isinstance(sock, ssl.SSLSocket) else None
        self._full = READ_BYTES if self._tls is None else TLS_RECORD_BYTES
        self._has_properties = has_properties  # MQTT 5 puts properties between message id and payload
        # What is being handled; what waits behind it.
        self._buffer = b""
        self._position = 0
        self._sifted = False  # the buffer went through `shed` already
        self._backlog = Backlog(backlog_bytes)
        # End of the packet that paho is reading; it gets nothing beyond.
        self._window_end = 0
        self._unsent = bytearray()
        self.received = False  # set when bytes arrived; whoever watches for silence clears it
        self.ended = False  # set when the other side closed
        self.failure: OSError | None = None  # set when reading ahead found the connection broken
        self.closed = False

    @property
    def waiting(self) -> int:
        """Bytes that arrived and were not handled yet."""
        return self._backlog.size + len(self._buffer) - self._position

    def fill(self) -> bool:
        """Read once from the socket. Raises OSError when the connection is broken; no data is no error.

        Returns:
            Whether there may be more: then we are behind, or the broker is fast, and reading ahead is due.
        """
        size = self._read()
        # TLS hands out one record at a time, and the loop does not see records that wait inside OpenSSL.
        while size and self._tls is not None and self._tls.pending():
            size = self._read()
        return size >= self._full

    def _read(self) -> int:
        """How many bytes came."""
        try:
            data = self._sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        if not data:
            self.ended = True
            return 0
        self.received = True
        self._backlog.add(data)
        return len(data)

    def read_ahead(self) -> int:
        """Read while there is more to handle already. Where memory ends, drop the oldest QoS 0 messages.

        A connection that broke is told by `ended` and `failure`, because what came before is still to be handled.

        Returns:
            How many messages were dropped.

        Raises:
            MalformedPacket: the connection has to be given up.
        """
        if self.ended or self.failure:
            return 0
        dropped, budget = 0, SHED_PER_TURN
        try:
            for _ in range(READS_AHEAD):
                more, budget = self._shed(budget)
                dropped += more
                if self._backlog.is_full or not self._read():
                    break  # the next turn goes on; what must wait, waits in the broker
        except OSError as error:
            self.failure = error
        return dropped

    def _shed(self, budget: int) -> tuple[int, int]:
        """How many were dropped, and what is left of the budget."""
        if not budget or not self._backlog.is_over:
            return 0, budget
        if not self._sifted:
            # The oldest of all, so the first to go.
            self._backlog.put_back(self._buffer[self._position :])
            self._buffer, self._position = b"", 0
        dropped, looked = self._backlog.shed(budget)
        return dropped, max(0, budget - looked)

    def abandon(self) -> int:
        """Forget what was not handled. Returns how many QoS 0 messages that were: they will not come again."""
        rest, self._buffer, self._position = self._buffer[self._position :], b"", 0
        return self._backlog.abandon(rest)

    def take_packets(self, limit: int, on_publish: OnPublish, on_other: Callable[[], object]) -> bool:
        """Go through at most `limit` whole packets. Returns whether more may be waiting in memory.

        Args:
            limit: so that a flood does not hold the event loop.
            on_publish: gets each message.
            on_other: called for any other packet; must let paho read it (`loop_read`).

        Raises:
            MalformedPacket: the connection has to be given up.
        """
        if self._position >= len(self._buffer):
            self._buffer, self._sifted = self._backlog.take()
            self._position = 0
        buffer, position, end = self._buffer, self._position, len(self._buffer)
        for _ in range(limit):
            if end - position < 2:
                break
            first, length, body = buffer[position], buffer[position + 1], position + 2
            if length > 127:
                length, body = parse_length(buffer, position + 1, end)
            stop = body + length
            if stop > end or body > end:
                break
            if first in PUBLISH_QOS_0_OR_1:
                self._position = position = stop
                self._take_publish(buffer, first, body, stop, on_publish)
            else:
                self._position, self._window_end = position, stop
                on_other()
                if self.closed:
                    return False
                self._position = position = stop
        else:
            return True
        self._buffer, self._position = b"", 0
        self._backlog.put_back(buffer[position:])
        return bool(self._backlog)

    def _take_publish(self, buffer: bytes, first: int, body: int, stop: int, on_publish: OnPublish) -> None:
        at = body + 2
        if at > stop:
            raise MalformedPacket("a message without a topic")
        topic_end = at + (buffer[body] << 8 | buffer[body + 1])
        after, mid = topic_end, 0
        qos = first >> 1 & 1
        if qos:
            after += 2
        if after + self._has_properties > stop:
            raise MalformedPacket("a message shorter than its own header")
        if qos:
            mid = buffer[topic_end] << 8 | buffer[topic_end + 1]
        if self._has_properties:
            properties_bytes = buffer[after]
            after += 1
            if properties_bytes:
                if properties_bytes > 127:
                    properties_bytes, after = parse_length(buffer, after - 1, stop)
                after += properties_bytes
                if after > stop:
                    raise MalformedPacket("message properties longer than the message")
        # A topic that is not UTF-8 breaks the standard, but costs us neither the message nor the connection.
        topic = buffer[at:topic_end].decode("utf-8", "replace")
        on_publish(topic, buffer[after:stop], qos, first & 0x01 != 0, first & 0x08 != 0, mid)

    def queue(self, data: bytes | bytearray) -> None:
        """Append whole packets to what will be sent by the next `flush`."""
        self._unsent += data

    def flush(self) -> bool:
        """Send what the socket takes. Returns whether everything is gone; raises OSError when it is broken."""
        while self._unsent:
            try:
                sent = self._sock.send(self._unsent)
            except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return False
            del self._unsent[:sent]
        return True

    def end_writing(self) -> None:
        """Tell the other side that nothing more comes, while its own last bytes can still be read."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(SHUT_WR)

    def discard_input(self) -> None:
        """Read and forget. Closing a socket with unread bytes would reset it, and our last packets with it."""
        self.fill()
        self._backlog.clear()

    # ----- what paho calls ------------------------------------------------------------------------------------

    def recv(self, buffer_size: int) -> bytes:
        if self._position >= self._window_end:
            raise BlockingIOError
        start = self._position
        self._position = min(start + buffer_size, self._window_end)
        return self._buffer[start : self._position]

    def send(self, buffer: bytes | bytearray) -> int:
        # All or nothing: acknowledgements and pings of ours go between packets, never into one.
        if len(self._unsent) > WRITE_LIMIT_BYTES:
            raise BlockingIOError
        self._unsent += buffer
        return len(buffer)

    def close(self) -> None:
        self.closed = True
        self._sock.close()

    def fileno(self) -> int:
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """The socket is non-blocking already; paho says so once more."""
