"""The time in which a simulated plant lives: the real one, or one that runs faster and never gets ahead of it.

A time stamp in the future would be a lie, and a dashboard would be right to distrust the device. So a fast clock begins
in the past and catches up: with `speed` 60, what took an hour is told in a minute. When it reaches the present it goes
on at the pace of the present. It never jumps and never goes back.
"""

from __future__ import annotations

import time
from collections.abc import Callable

# Without an end in sight, a fast clock tells the last day: every daily cycle is in it.
HEAD_START_S = 86_400.0


class FastClock:
    """Call it for the simulated time. `lag_s` is how far behind the present it begins."""

    __slots__ = ("_began_s", "_clock", "_lag_s", "speed")

    def __init__(self, speed: float, lag_s: float, clock: Callable[[], float] = time.time) -> None:
        self.speed = speed
        self._lag_s = lag_s
        self._clock = clock
        self._began_s = clock()

    def __call__(self) -> float:
        now_s = self._clock()
        return min(now_s, self._began_s - self._lag_s + (now_s - self._began_s) * self.speed)

    @property
    def behind_s(self) -> float:
        """How far behind the present it is now."""
        return max(0.0, self._clock() - self())


def lag_for(speed: float, duration_s: float | None) -> float:
    """How far in the past a run must begin: at its end it arrives at the present."""
    if speed <= 1.0:
        return 0.0
    return HEAD_START_S if duration_s is None else duration_s * (speed - 1.0)
