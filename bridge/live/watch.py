"""Which series goes to which device channel, so that a batch is split once, however many devices are watched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from bridge.core.batch import Batch
from bridge.core.series import Series


class Watch:
    """A number for every series: that of the channel that wants it, or 0."""

    def __init__(self) -> None:
        self._numbers: NDArray[np.int32] = np.zeros(1024, dtype=np.int32)
        self._wanted = 0  # series with a number

    def add(self, series: Iterable[Series], number: int) -> None:
        """Send these to the channel of that number; 0: to none."""
        for one in series:
            at = one.series_id
            if at >= len(self._numbers):
                grown = np.zeros(max(2 * len(self._numbers), at + 1), dtype=np.int32)
                grown[: len(self._numbers)] = self._numbers
                self._numbers = grown
            self._wanted += bool(number) - bool(self._numbers[at])
            self._numbers[at] = number

    def forget(self, number: int) -> None:
        """Send nothing to this channel any more; also of series that are gone, or that others have replaced."""
        mine = self._numbers == number
        self._wanted -= int(np.count_nonzero(mine))
        self._numbers[mine] = 0

    def split(self, batch: Batch) -> Iterator[tuple[int, Batch]]:
        """The readings that somebody wants, by number of channel, in the order of arrival."""
        if not self._wanted or not len(batch):
            return
        ids = batch.series_ids
        numbers = self._numbers[np.minimum(ids, len(self._numbers) - 1)]
        numbers[ids >= len(self._numbers)] = 0
        rows = np.flatnonzero(numbers)
        if not len(rows):
            return
        rows = rows[np.argsort(numbers[rows], kind="stable")]
        sorted_numbers = numbers[rows]
        starts = np.flatnonzero(np.concatenate(([True], sorted_numbers[1:] != sorted_numbers[:-1])))
        for begin, end in zip(starts.tolist(), [*starts[1:].tolist(), len(rows)], strict=True):
            mine = rows[begin:end]
            part = Batch(ids[mine], batch.times_us[mine], batch.values[mine], batch.server_time_us)
            yield int(sorted_numbers[begin]), part
