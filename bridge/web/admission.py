"""How many may be here at once, and how many may come in a second. Pure: time and randomness come in.

A place is taken before anything is awaited and given back when the connection ends, so that however many come in the
same moment, no limit is overshot.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

ONE = 1_000_000  # meters count in millionths, so that times in microseconds need no fractions
IPV6_NETWORK_BITS = 64  # what one household or one host gets; within it, anybody has as many addresses as they like

RETRY_MIN_S = 1  # sooner would be the same stampede
RETRY_SPAN_S = 4  # the least spread: those who are told at the same moment must not come back at the same moment
RETRY_SPAN_MAX_S = 60  # nobody is kept away longer than a person would wait
# Coming back at exactly the rate that may come in, half of them would meet a full second by chance.
RETRY_ROOM = 2


@dataclass(frozen=True)
class Refusal:
    """Why somebody may not come in now, in words for them, and after how many seconds to try again."""

    reason: str
    retry_after_s: int


class Meter:
    """What is poured in leaks away at a fixed rate. Exact, because it counts in whole numbers."""

    def __init__(self, per_s: int, most: int) -> None:
        """`per_s` leaks in a second; what is poured in beyond `most` is forgotten."""
        self._per_s = per_s
        self._most = most * ONE
        self._level = 0
        self._at_us = 0

    def level(self, now_us: int) -> int:
        """What is in it, in millionths. A clock that was set back leaks nothing, until it runs on from there."""
        self._level = max(0, self._level - max(0, now_us - self._at_us) * self._per_s)
        self._at_us = now_us
        return self._level

    def has_room(self, now_us: int) -> bool:
        """Whether a whole one fits."""
        return self.level(now_us) + ONE <= self._most

    def pour(self, now_us: int) -> None:
        self._level = min(self.level(now_us) + ONE, self._most)


class Places:
    """Places taken, in all and by address. Only addresses that hold a place are remembered, so no more than places."""

    def __init__(self, total: int, per_address: int) -> None:
        self.total = total
        self.per_address = per_address
        self.taken = 0
        self._by_address: dict[str, int] = {}

    @property
    def addresses(self) -> int:
        """How many addresses are remembered."""
        return len(self._by_address)

    def is_full(self) -> bool:
        return self.taken >= self.total

    def is_full_for(self, address: str) -> bool:
        return self._by_address.get(counted_as(address), 0) >= self.per_address

    def take(self, address: str) -> None:
        """Ask first whether there is one. Each has to be given back."""
        key = counted_as(address)
        self.taken += 1
        self._by_address[key] = self._by_address.get(key, 0) + 1

    def give_back(self, address: str) -> None:
        key = counted_as(address)
        left = self._by_address[key] - 1
        self.taken -= 1
        if left:
            self._by_address[key] = left
        else:
            del self._by_address[key]


class Admission:
    """Decides about each WebSocket before its upgrade."""

    def __init__(self, total: int, per_address: int, new_per_s: int) -> None:
        self.places = Places(total, per_address)
        self._new_per_s = new_per_s
        self._new = Meter(new_per_s, new_per_s)  # after a quiet second, a whole second's worth may come at once
        # Those we sent away and who will be back. It empties as fast as they may come in, which makes the times we tell
        # so long that no more than that come back, even while nobody leaves and all are sent away again.
        self._surplus = Meter(new_per_s, new_per_s * RETRY_SPAN_MAX_S // RETRY_ROOM)

    def enter(self, address: str, now_us: int, chance: float) -> Refusal | None:
        """Take a place, which has to be given back with `leave`; or the refusal, and then no place is taken.

        Args:
            address: the IP address of the other side; the addresses of one IPv6 /64 count as one.
            now_us: the time; it may jump.
            chance: a random number in [0, 1), which spreads those who are refused.
        """
        reason = self._refusal(address, now_us)
        if reason is not None:
            self._surplus.pour(now_us)
            return Refusal(reason, self._retry_after_s(now_us, chance))
        self.places.take(address)
        self._new.pour(now_us)
        return None

    def leave(self, address: str) -> None:
        """The socket that came from here has ended, or did not come to be."""
        self.places.give_back(address)

    def _refusal(self, address: str, now_us: int) -> str | None:
        if self.places.is_full():
            return "too many dashboards are connected"
        # Before the rate: who is refused here uses up nothing that others could have.
        if self.places.is_full_for(address):
            return "too many dashboards are connected from your address"
        if not self._new.has_room(now_us):
            return "too many dashboards are connecting at once"
        return None

    def _retry_after_s(self, now_us: int, chance: float) -> int:
        waiting_s = RETRY_ROOM * self._surplus.level(now_us) // (self._new_per_s * ONE)
        span_s = min(max(RETRY_SPAN_S, waiting_s), RETRY_SPAN_MAX_S)
        return RETRY_MIN_S + int(chance * span_s)


def counted_as(address: str) -> str:
    """The name under which an address is counted: itself, or its /64 if it is IPv6."""
    if ":" not in address:
        return address
    try:
        ip = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)  # an IPv4 client of a socket that listens for both
    return str(ipaddress.IPv6Address(int(ip) >> (128 - IPV6_NETWORK_BITS) << (128 - IPV6_NETWORK_BITS)))
