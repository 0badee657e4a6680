"""How long to wait before trying again. Pure: the random source is an argument.

Full jitter: when a broker comes back, everything that lost it comes back too; without jitter, all at once.
"""

from __future__ import annotations

from collections.abc import Callable

MAX_DOUBLINGS = 30
"""Doublings after which the pause no longer grows, whatever the maximum; keeps the power of two a small number."""


def full_jitter(attempt: int, minimum_s: float, maximum_s: float, random: Callable[[], float]) -> float:
    """The pause before the next try, anywhere between `minimum_s` and a cap that doubles with each attempt.

    Args:
        attempt: 0 for the first pause; grows by one with every pause in a row.
        minimum_s: no pause is shorter.
        maximum_s: no pause is longer; a maximum below the minimum counts as the minimum.
        random: returns a number in [0, 1), such as `random.SystemRandom().random`.
    """
    doublings = min(max(attempt, 0) + 1, MAX_DOUBLINGS)
    cap_s = max(minimum_s, min(maximum_s, minimum_s * (1 << doublings)))
    return minimum_s + random() * (cap_s - minimum_s)
