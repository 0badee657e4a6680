"""Packet identifiers, and the messages of QoS 1 and 2 that the broker has not confirmed for the last time. No I/O."""

from __future__ import annotations

import asyncio

from simulators.mqtt_packets import PUBREC, PUBREL, answer_packet

# Unacknowledged messages at once; the broker may want fewer. More would not be faster, only more to lose.
MAX_INFLIGHT = 256
MAX_PACKET_ID = 65_535


class PublishWindow:
    """Belongs to one connection."""

    def __init__(self) -> None:
        self.limit = MAX_INFLIGHT
        self.refused = 0  # messages that the broker answered with a "no"
        self._unconfirmed: set[int] = set()
        self._last_id = 0
        self._empty: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._unconfirmed)

    @property
    def is_full(self) -> bool:
        return len(self._unconfirmed) >= self.limit

    def next_id(self) -> int:
        """An identifier that no unconfirmed message has."""
        while True:
            self._last_id = self._last_id % MAX_PACKET_ID + 1
            if self._last_id not in self._unconfirmed:
                return self._last_id

    def add(self) -> int:
        """A message goes out; its identifier."""
        packet_id = self.next_id()
        self._unconfirmed.add(packet_id)
        return packet_id

    def confirm(self, kind: int, body: bytes) -> bytes | None:
        """Take a PUBACK, PUBREC or PUBCOMP; returns what is to be answered."""
        packet_id = body[0] << 8 | body[1]
        refused = len(body) > 2 and body[2] >= 0x80
        if kind == PUBREC and not refused:
            return answer_packet(PUBREL, packet_id)
        if packet_id in self._unconfirmed:
            self._unconfirmed.remove(packet_id)
            self.refused += refused
        if not self._unconfirmed and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)
        return None

    def emptied(self) -> asyncio.Future[None]:
        """Done once everything is confirmed."""
        self._empty = asyncio.get_running_loop().create_future()
        if not self._unconfirmed:
            self._empty.set_result(None)
        return self._empty
