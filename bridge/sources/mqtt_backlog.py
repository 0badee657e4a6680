"""Bytes that arrived and wait to be handled, oldest first, and what is dropped when they become too many.

There are no objects for single messages here, only bytes: a backlog is the moment in which memory and time are short.
It knows of a packet nothing but its first byte and its length.
"""

from __future__ import annotations

import contextlib
from collections import deque

CHUNK_BYTES = 65_536
"""Bytes handed out at a time, or one packet if that is larger: what is being handled cannot be shed piece by piece,
and joining all that waits would need the memory twice."""

MAX_LENGTH_BYTES = 4
"""Bytes of a packet's length field (MQTT 5, section 1.5.5); more means that the other side is no broker."""

QOS_0 = frozenset({0x30, 0x38})
"""First bytes of the packets that may be dropped: PUBLISH with QoS 0 that is not retained (0x08: sent again)."""

QOS_0_RETAINED = frozenset({0x31, 0x39})
"""The same, retained. They often say what a device is, and come only once, so that they are never dropped."""


class MalformedPacket(Exception):
    """What arrived is not MQTT."""


class Backlog:
    """A queue of bytes that begins at a packet. Bytes go in as they come, and out in chunks that begin at a packet."""

    def __init__(self, limit_bytes: int) -> None:
        """
        Args:
            limit_bytes: above it, `shed` drops messages until half of it is free.
        """
        self.size = 0  # bytes waiting, all together
        self._limit = limit_bytes
        self._shedding = False  # from the limit down to half of it
        # Older than all of `_raw`: whole packets that `shed` has looked at and that must stay.
        self._kept: deque[bytes] = deque()
        # As it arrived; begins at a packet, which need not be complete.
        self._raw: deque[bytes] = deque()
        self._raw_size = 0
        self._needed = 0  # bytes of `_raw` without which its first packet is certainly not complete

    def __bool__(self) -> bool:
        """Whether `take` has anything to give."""
        return bool(self._kept) or 0 < self._raw_size >= self._needed

    @property
    def is_full(self) -> bool:
        """Whether reading must wait."""
        return self.size >= self._limit

    @property
    def is_over(self) -> bool:
        """Whether there is something to `shed`, as far as bytes tell."""
        return self._shedding or self.size >= self._limit

    def add(self, data: bytes) -> None:
        """Append what arrived; not empty."""
        self._raw.append(data)
        self._raw_size += len(data)
        self.size += len(data)

    def take(self) -> tuple[bytes, bool]:
        """Remove the oldest bytes, and say whether `shed` has looked at them: then they are whole packets.

        Others may end within a packet, which goes back with `put_back`. Empty when no packet can be complete.
        """
        if self._kept:
            chunk = _join(self._kept, CHUNK_BYTES)
            self.size -= len(chunk)
            return chunk, True
        return self._take_raw(), False

    def _take_raw(self) -> bytes:
        size, needed = self._raw_size, self._needed
        if size == 0 or size < needed:
            return b""
        raw = self._raw
        chunk = raw.popleft() if len(raw) == 1 else _join(raw, max(needed, CHUNK_BYTES))
        self._raw_size -= len(chunk)
        self.size -= len(chunk)
        self._needed = 0
        return chunk

    def put_back(self, rest: bytes) -> None:
        """Put the end of what was taken back in front: it begins at a packet, and was not looked at by `shed`."""
        if not rest:
            return
        self._raw.appendleft(rest)
        self._raw_size += len(rest)
        self.size += len(rest)
        self._needed = len(rest) + 1
        if len(rest) >= 2:
            length, body = parse_length(rest, 1, len(rest))
            # `body` lies beyond the end while the length field itself is incomplete.
            if body <= len(rest):
                self._needed = body + length

    def shed(self, at_most: int) -> tuple[int, int]:
        """Drop the oldest messages that may be dropped, if there is too much. All others stay, in their order.

        Args:
            at_most: packets looked at, so that a flood does not hold the event loop; the next call goes on.

        Returns:
            How many were dropped, and how many were looked at.

        Raises:
            MalformedPacket: the connection has to be given up.
        """
        dropped = looked = 0
        self._shedding = self.is_over
        while self._shedding:
            excess = self.size - self._limit // 2
            if excess <= 0:
                self._shedding = False
                break
            if looked >= at_most:
                break
            chunk = self._take_raw()
            if not chunk:
                # Only what must stay: from here on, reading waits. That is bounded too: QoS 1 by Receive Maximum,
                # retained messages by the number of topics.
                self._shedding = False
                break
            kept, position, looked_here, dropped_here = _sift(chunk, QOS_0, excess, at_most - looked)
            dropped += dropped_here
            looked += looked_here
            if kept:
                self._kept.append(kept)
                self.size += len(kept)
            self.put_back(chunk[position:])
        return dropped, looked

    def abandon(self, rest: bytes) -> int:
        """Forget everything, and say how many QoS 0 messages that were. Nobody will send those again.

        Takes some 10 ms for a backlog of 8 MB, once in the life of a connection.

        Args:
            rest: of what was taken last; begins at a packet, too.
        """
        count = 0
        with contextlib.suppress(MalformedPacket):  # then nobody knows what a message was
            self.put_back(rest)
            while chunk := self.take()[0]:
                _, position, _, dropped = _sift(chunk, QOS_0 | QOS_0_RETAINED, len(chunk), len(chunk))
                count += dropped
                self.put_back(chunk[position:])
        self.clear()
        return count

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._raw.clear()
        self._raw_size = self._needed = self.size = 0
        self._shedding = False


def _join(pieces: deque[bytes], wanted: int) -> bytes:
    """The first pieces, until they are so many bytes or all."""
    first = pieces.popleft()
    size = len(first)
    if size >= wanted or not pieces:
        return first
    joined = [first]
    while pieces and size < wanted:
        piece = pieces.popleft()
        size += len(piece)
        joined.append(piece)
    return b"".join(joined)


def _sift(chunk: bytes, droppable: frozenset[int], excess: int, at_most: int) -> tuple[bytes, int, int, int]:
    """Go through whole packets and leave out the droppable ones, until `excess` bytes are saved.

    Returns:
        What stays of the packets looked at, where the looking ended, how many packets were looked at, and how many
        of them were left out.
    """
    kept: list[bytes] = []
    position = start = looked = dropped = saved = 0  # `start`: of a run of packets that stay
    end = len(chunk)
    while looked < at_most and saved < excess and end - position >= 2:
        length, body = chunk[position + 1], position + 2
        if length > 127:
            length, body = parse_length(chunk, position + 1, end)
        stop = body + length
        if stop > end or body > end:
            break
        looked += 1
        if chunk[position] in droppable:
            if start < position:
                kept.append(chunk[start:position])
            saved += stop - position
            start = stop
            dropped += 1
        position = stop
    if start < position:
        kept.append(chunk[start:position])
    return b"".join(kept), position, looked, dropped


def parse_length(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    """A variable byte integer: its value and where it ends; an end beyond `end` when bytes are missing."""
    value = 0
    for index in range(MAX_LENGTH_BYTES):
        if at + index >= end:
            return 0, end + 1
        byte = buffer[at + index]
        value |= (byte & 127) << (7 * index)
        if byte < 128:
            return value, at + index + 1
    raise MalformedPacket("a length field of more than four bytes")
