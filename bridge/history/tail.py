"""The end of the log in memory: what the journal holds and no chunk does, decoded and sorted once for all questions."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bridge.history.arrivals import Arrivals, decode_arrivals, sort_by_series
from bridge.history.chunk import Readings
from bridge.history.store_session import Snapshot


class Block(NamedTuple):
    """The readings of some commits by series and time; of two with one time, those of `Recent` are told in order.

    `after`, `upto`: of the offsets after one up to the other. `starts`: where each of the `series_ids` begins, and the
    end.
    """

    after: int
    upto: int
    series_ids: NDArray[np.uint32]
    starts: NDArray[np.intp]
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.times_us)


class Recent:
    """What one snapshot sees in no chunk."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks = blocks

    def __len__(self) -> int:
        return sum(map(len, self._blocks))

    def span(self) -> tuple[int, int] | None:
        """Times of the first and the last reading; None: there is none."""
        times = [block.times_us for block in self._blocks if len(block)]
        return (min(int(one.min()) for one in times), max(int(one.max()) for one in times)) if times else None

    def find(self, series_id: int, from_us: int, to_us: int) -> Readings | None:
        """The readings of a series in [from, to); of two with one time the first arrival comes first. None: none.

        In order of time but for those that arrived late.
        """
        parts = []
        for block in self._blocks:
            at = int(np.searchsorted(block.series_ids, series_id))
            if at == len(block.series_ids) or block.series_ids[at] != series_id:
                continue
            here = slice(int(block.starts[at]), int(block.starts[at + 1]))
            first, end = np.searchsorted(block.times_us[here], [from_us, to_us])
            if first < end:
                parts.append((block.times_us[here][first:end], block.values[here][first:end]))
        if not parts:
            return None
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def newest(self, at_us: int) -> Iterator[tuple[int, int, float]]:
        """(series, time, value) of the newest reading of each series at or before a moment, once for each block.

        Of two with one time, the first that is told is the first arrival.
        """
        for block in self._blocks:
            if not len(block):
                continue
            starts = block.starts[:-1]
            before = np.add.reduceat(block.times_us <= at_us, starts, dtype=np.int64)
            some = before > 0
            last = (starts + before - 1)[some]
            times = block.times_us[last]
            # Of equal times the first.
            while bool((again := (last > starts[some]) & (block.times_us[last - 1] == times)).any()):
                last = last - again
            yield from zip(block.series_ids[some].tolist(), times.tolist(), block.values[last].tolist(), strict=True)


class Tail:
    """As large as the journal, which sealing keeps small: 20 bytes a reading. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sealed = -1  # what is at or before this offset is not here
        self._recent = Recent(())
        self._blocks: tuple[Block, ...] = ()

    def read(self, snapshot: Snapshot) -> Recent:
        """Everything that this snapshot sees in no chunk, in the order of arrival; perhaps some that came later.

        Raises:
            Damaged: the journal is not as it was written.
        """
        sealed = snapshot.sealed_offset()
        with self._lock:
            if sealed < self._sealed:
                # Another thread has seen a later sealing; what it dropped is not in this snapshot's chunks yet.
                return Recent(_extend((), snapshot, sealed))
            blocks = self._blocks
            if sealed > self._sealed:
                blocks = tuple(block for block in blocks if block.upto > sealed)
                if blocks and blocks[0].after < sealed:
                    blocks = ()  # sealed in part; the rest is what arrived meanwhile, and read again
                self._sealed = sealed
            blocks = _extend(blocks, snapshot, sealed)
            if blocks is not self._blocks:
                self._blocks, self._recent = blocks, Recent(blocks)
            return self._recent


def _extend(blocks: tuple[Block, ...], snapshot: Snapshot, sealed: int) -> tuple[Block, ...]:
    """The blocks with what the snapshot sees after them."""
    after = blocks[-1].upto if blocks else sealed
    commits = list(snapshot.read_commits(after))
    if not commits:
        return blocks
    new = _sort(after, commits[-1][0], decode_arrivals(data for _, data in commits))
    # Blocks double in size towards the front: so there are few of them, and each reading is sorted few times.
    while blocks and len(blocks[-1]) <= 2 * len(new):
        new = _join(blocks[-1], new)
        blocks = blocks[:-1]
    return (*blocks, new)


def _join(one: Block, other: Block) -> Block:
    ids = np.concatenate([np.repeat(block.series_ids, np.diff(block.starts)) for block in (one, other)])
    return _block(
        one.after, other.upto, ids, np.concatenate((one.times_us, other.times_us)),
        np.concatenate((one.values, other.values)),
    )  # fmt: skip


def _sort(after: int, upto: int, arrivals: Arrivals) -> Block:
    return _block(after, upto, arrivals.series_ids, arrivals.times_us, arrivals.values)


def _block(
    after: int, upto: int, ids: NDArray[np.uint32], times_us: NDArray[np.int64], values: NDArray[np.float64]
) -> Block:
    order, ids, times_us = sort_by_series(ids, times_us)
    starts = np.flatnonzero(np.concatenate(([True], ids[1:] != ids[:-1]))) if len(ids) else np.empty(0, np.intp)
    return Block(after, upto, ids[starts], np.append(starts, len(ids)), times_us, values[order])
