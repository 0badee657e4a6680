"""Recognises messages that the broker delivers again although their readings are recorded. Pure.

A reading with a time of its own is there once however often it comes. One without gets the time of its receipt, and a
second delivery would be a second reading. Between commit and acknowledgement a bridge may die, or its connection break;
then the broker sends the message again, with the DUP flag and, as MQTT demands (MQTT-4.4.0-1), the same packet
identifier. So identifier and checksum of such messages are committed with their readings.

Not every DUP is one of those: it may never have reached us. An identifier proves something only as long as the broker
has not given it to another message: brokers that count on (mosquitto, NATS, EMQX) come back to one after 65,535
messages, those that take the lowest free one at once. What is seen to do that is not believed, and its readings may be
there twice, as without all this: rather twice than not at all.
"""

from __future__ import annotations

import struct
import zlib
from collections import OrderedDict, deque

# As many as the broker may hand over without an acknowledgement (Receive Maximum).
WINDOW = 2_000
# Acknowledgements are on their way some milliseconds after the commit; after so long they have arrived.
KEPT_S = 2.0
# Of what the last run left, which the broker has yet to deliver again: it may have to be found first.
KEPT_FROM_BEFORE_S = 30.0

_MARK = struct.Struct("<HIB")  # packet identifier, checksum, whether it came again


class Delivered:
    """The messages without a time that came last, on one connection after another."""

    def __init__(self, marks: bytes = b"") -> None:
        """`marks`: those that the run before has left."""
        self._checksums: OrderedDict[int, int] = OrderedDict()  # by packet identifier
        self._distrust = 0  # messages to come for which no identifier proves anything
        for mid, checksum, again in _MARK.iter_unpack(marks):
            self._remember(mid, checksum, again=bool(again))

    def note(self, mid: int, topic: str, payload: bytes) -> bytes:
        """Its mark, to be committed with its readings."""
        checksum = zlib.crc32(payload, zlib.crc32(topic.encode()))
        self._remember(mid, checksum, again=False)
        return _MARK.pack(mid, checksum, 0)

    def recognise(self, mid: int, topic: str, payload: bytes) -> bytes | None:
        """Whether a message with the DUP flag is one of these: its mark, to be committed again, or None."""
        if self._distrust or mid not in self._checksums:
            return None
        checksum = zlib.crc32(payload, zlib.crc32(topic.encode()))
        return _MARK.pack(mid, checksum, 1) if self._checksums[mid] == checksum else None

    def _remember(self, mid: int, checksum: int, *, again: bool) -> None:
        if mid in self._checksums and not again:
            self._distrust = WINDOW
        elif self._distrust:
            self._distrust -= 1
        self._checksums[mid] = checksum
        self._checksums.move_to_end(mid)
        if len(self._checksums) > WINDOW:
            self._checksums.popitem(last=False)


class Marks:
    """The marks that are stored with each commit: of what may not have been acknowledged when it was made."""

    def __init__(self, before: bytes, now_s: float) -> None:
        self._commits: deque[tuple[float, bytes]] = deque()  # until when they are kept
        self._bytes = 0
        self.add(before, now_s + KEPT_FROM_BEFORE_S - KEPT_S)

    def joined(self, new: bytes, now_s: float) -> bytes:
        """With those of a commit that is being made."""
        kept = b"".join(marks for until_s, marks in self._commits if until_s >= now_s) + new
        return kept[-WINDOW * _MARK.size :]

    def add(self, new: bytes, now_s: float) -> None:
        """The commit was made."""
        if new:
            self._commits.append((now_s + KEPT_S, new))
            self._bytes += len(new)
        while len(self._commits) > 1 and (
            self._bytes - len(self._commits[0][1]) >= WINDOW * _MARK.size or self._commits[0][0] < now_s
        ):
            self._bytes -= len(self._commits.popleft()[1])
