"""How long things took, over the last minute: a histogram that costs one addition a sample. Pure: time comes in."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

WINDOW_S = 60
SHORTEST_US = 50.0  # the first class holds everything up to here
STEPS_PER_DOUBLING = 8  # classes 9 % wide: finer than anybody reads
CLASSES = 21 * STEPS_PER_DOUBLING  # up to 100 s


class Delays:
    """One column a second; a column is emptied when its second comes round again."""

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros((WINDOW_S, CLASSES), dtype=np.int64)
        self._seconds: NDArray[np.int64] = np.zeros(WINDOW_S, dtype=np.int64)

    def add(self, delay_us: float, now_us: int) -> None:
        second = now_us // 1_000_000
        column = second % WINDOW_S
        if self._seconds[column] != second:
            self._seconds[column] = second
            self._counts[column] = 0
        at = math.ceil(math.log2(delay_us / SHORTEST_US) * STEPS_PER_DOUBLING) if delay_us > SHORTEST_US else 0
        self._counts[column, min(at, CLASSES - 1)] += 1

    def quantiles_ms(self, shares: tuple[float, ...], now_us: int) -> list[float | None]:
        """For each share (0.99: of 100 samples 99 took no longer) the upper end of its class; None without samples."""
        second = now_us // 1_000_000
        recent = (self._seconds > second - WINDOW_S) & (self._seconds <= second)
        total = np.cumsum(self._counts[recent].sum(axis=0))
        if not total[-1]:
            return [None] * len(shares)
        classes = [int(np.searchsorted(total, share * total[-1])) for share in shares]
        return [round(SHORTEST_US * 2 ** (at / STEPS_PER_DOUBLING) / 1000, 3) for at in classes]
