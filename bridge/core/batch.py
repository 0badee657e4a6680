"""Readings that arrived together: three columns, and the builder that collects them.

A reading is three numbers: which series, when (device time, microseconds UTC), what. NaN means "no value".
"""

from __future__ import annotations

from array import array
from collections.abc import Container
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FEW = 32  # readings up to which a plain loop is faster than a dozen calls of numpy


class Batch(NamedTuple):
    """Columns of equal length, in the order of arrival."""

    series_ids: NDArray[np.uint32]
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    server_time_us: int  # when the bridge put them together

    def __len__(self) -> int:
        return len(self.series_ids)

    @staticmethod
    def empty(server_time_us: int) -> Batch:
        return make_batch([], [], [], server_time_us)

    def select(self, mask: NDArray[np.bool_]) -> Batch:
        """The readings for which `mask` is true."""
        return Batch(self.series_ids[mask], self.times_us[mask], self.values[mask], self.server_time_us)


def make_batch(
    series_ids: list[int] | array[int],
    times_us: list[int] | array[int],
    values: list[float] | array[float],
    server_time_us: int,
) -> Batch:
    """A batch from plain sequences (tests, replay)."""
    return Batch(
        np.asarray(series_ids, dtype=np.uint32),
        np.asarray(times_us, dtype=np.int64),
        np.asarray(values, dtype=np.float64),
        server_time_us,
    )


class BatchBuilder:
    """Collects readings one by one; `take` hands them over without copying.

    The three arrays are public because the hot path appends to them directly: a method call for each value
    would cost as much as the three appends. They always have the same length.
    """

    __slots__ = ("series_ids", "times_us", "values")

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.series_ids: array[int] = array("I")
        self.times_us: array[int] = array("q")
        self.values: array[float] = array("d")

    def __len__(self) -> int:
        return len(self.series_ids)

    def append(self, series_id: int, time_us: int, value: float) -> None:
        self.series_ids.append(series_id)
        self.times_us.append(time_us)
        self.values.append(value)

    def drop(self, series_ids: Container[int]) -> int:
        """Take back the readings of these series; returns how many there were. Slow, and rarely needed."""
        rows = zip(self.series_ids, self.times_us, self.values, strict=True)
        kept = [row for row in rows if row[0] not in series_ids]
        dropped = len(self) - len(kept)
        if dropped:
            self._begin()
            for row in kept:
                self.append(*row)
        return dropped

    def take(self, server_time_us: int) -> Batch | None:
        """Everything collected so far, or None; the builder is empty afterwards."""
        if not self.series_ids:
            return None
        batch = Batch(
            np.frombuffer(self.series_ids, dtype=np.uint32),
            np.frombuffer(self.times_us, dtype=np.int64),
            np.frombuffer(self.values, dtype=np.float64),
            server_time_us,
        )
        self._begin()  # new arrays: numpy keeps the old ones alive as the batch's memory
        return batch
