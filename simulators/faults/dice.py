"""Chance without a state: the same question gets the same answer, on any platform and in any order.

A `random.Random` for each fault of each device would cost 2.5 KB each, and would make the order in which devices are
asked matter.
"""

from __future__ import annotations

from hashlib import blake2b

_SCALE = 2.0**-53


def draw(*question: object) -> float:
    """An evenly distributed number, 0 up to but not 1, that depends on nothing but the question."""
    digest = blake2b("/".join(map(str, question)).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) * _SCALE


def bell(*question: object) -> float:
    """Roughly a standard normal number, never beyond 3.5: the sum of twelve even ones."""
    digest = blake2b("/".join(map(str, question)).encode(), digest_size=48).digest()
    total = sum(int.from_bytes(digest[at : at + 4], "big") for at in range(0, 48, 4))
    return max(-3.5, min(3.5, total / 2.0**32 - 6.0))
