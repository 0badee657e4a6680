"""When which message of a recording is due. Pure: the time comes in through `clock`."""

from __future__ import annotations

from collections.abc import Callable

# A pass of a loop lasts at least so long: a recording of one moment must not become a storm.
SHORTEST_PASS_US = 1_000_000


class Pacer:
    """Maps recorded times to times of `clock` (seconds), `speed` times as fast; 0: everything is due at once.

    The order of the recording is kept: a message whose time lies before that of its predecessor (the clock was put
    back) is due together with it.
    """

    def __init__(self, speed: float, clock: Callable[[], float]) -> None:
        self.speed = speed
        self._clock = clock
        self._first_us: int | None = None  # recorded time of the first message of this pass
        self._latest_us = 0  # the latest recorded time of this pass
        self._start_s = 0.0  # when the first message of this pass was due

    def wait_s(self, time_us: int) -> float:
        """Seconds until the message recorded at `time_us` is due; negative: it is late."""
        now_s = self._clock()
        if self._first_us is None:
            self._first_us = self._latest_us = time_us
            self._start_s = self._start_s or now_s
        self._latest_us = max(self._latest_us, time_us)
        if not self.speed:
            return 0.0
        return self._start_s + (self._latest_us - self._first_us) / 1e6 / self.speed - now_s

    def next_pass(self, ended_us: int) -> None:
        """The recording begins anew, when it would have ended: the next pass follows at the pace of the recording."""
        if self._first_us is not None and self.speed:
            length_us = max(ended_us, self._latest_us) - self._first_us
            self._start_s += max(length_us, SHORTEST_PASS_US) / 1e6 / self.speed
        self._first_us = None
