"""What the broker says it has lost itself: mosquitto counts messages that it dropped, for any of its clients.

A broker that cannot hand messages on as fast as they come, or whose queue for an absent client is full, drops them
without a word to anybody; this count is the only trace. It does not tell whose messages they were: those for a
slow colleague are in it as well. Brokers without it (all but mosquitto) are simply not heard of.
"""

from __future__ import annotations

DROPPED_TOPIC = "$SYS/broker/publish/messages/dropped"
"""Where mosquitto publishes the count, retained, every `sys_interval` (10 s) if it has changed."""

MAX_DIGITS = 20
"""Longest count that is read: 64 bits."""


class BrokerDrops:
    """The growth of that count since we first heard it, for each broker by its address, over all connections to it.

    Not from zero at each connection, because what was dropped while we were away is the larger part of the story.
    """

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self.total: int | None = None  # of all brokers together; None: never heard

    def hear(self, address: str, payload: bytes) -> bool:
        """Take a message on `DROPPED_TOPIC`. Returns whether the total has changed; nonsense changes nothing."""
        if not payload.isdigit() or len(payload) > MAX_DIGITS:
            return False
        count, before, total = int(payload), self._last.get(address), self.total
        self._last[address] = count
        self.total = total or 0
        if before is not None:
            # A smaller number: the broker was started again, and all that it counts now is new.
            self.total += count - before if count >= before else count
        return self.total != total
