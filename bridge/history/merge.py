"""Merging: small chunks of one series and partition become large ones, and their rollups are made. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from bridge.history.chunk import (
    FULL_ROWS,
    MAX_ROWS,
    UNROLLED,
    Chunk,
    Readings,
    SharedTimes,
    Stack,
    make_chunks,
    make_rollup_chunks,
)
from bridge.history.rollup import EMPTY_ROLLUP, Rollup, coarsen, count_rows, merge_pieces, roll_pieces
from bridge.history.spans import DAY_US, HOUR, MINUTE, PARTITION_US, RAW, WIDTH_US

# Chunks of one level that make one of the next, unless they are FULL_ROWS together before. A series at 1 Hz that is
# sealed every quarter of an hour is merged once, and then is full: compressing costs 0.1 µs a reading each time.
FANOUT = 12
# Readings a rollup row must stand for, on average, to be worth its twelve bytes. With fewer, the readings themselves
# answer questions at that resolution: at most sixteen times as many rows, and no byte is stored twice.
MIN_ROLLED = 16
# A partition is closed this long after its end: what is small in it is merged even if it is less than FANOUT.
CLOSED_AFTER_US = DAY_US


class Group(NamedTuple):
    """How many chunks, not full, of one series, kind and partition there are at one level; with how many rows."""

    series_id: int
    resolution: int
    reach: int
    part: int
    level: int
    chunks: int
    rows: int

    @property
    def is_ripe(self) -> bool:
        return self.chunks >= FANOUT or (self.chunks > 1 and self.rows >= FULL_ROWS[self.resolution])


class Job(NamedTuple):
    """Merge all chunks of this description that are not full. The result has level `max(levels) + 1`."""

    series_id: int
    resolution: int
    reach: int
    part: int
    levels: tuple[int, ...]

    def key(self, level: int) -> tuple[int, int, int, int, int]:
        """What tells its chunks of one level from all others: series, resolution, reach, partition, level."""
        return self.series_id, self.resolution, self.reach, self.part, level

    @property
    def makes_rollups(self) -> bool:
        """Readings as they were sealed are rolled up when they are first merged, and then never again."""
        return self.resolution == RAW and self.levels == (0,)

    @property
    def kind(self) -> tuple[int, bool, int]:
        """Jobs with the same can be worked on together: resolution, whether they make rollups, level of the result."""
        return self.resolution, self.makes_rollups, max(self.levels) + 1


def last_closed(resolution: int, now_us: int) -> int:
    """The newest partition that is closed, and all before it."""
    return (now_us - CLOSED_AFTER_US) // PARTITION_US[resolution] - 1


def plan_merges(groups: Iterable[Group], now_us: int) -> list[Job]:
    """What is worth merging now."""
    jobs: list[Job] = []
    closed: dict[tuple[int, int, int, int], list[Group]] = {}
    for group in groups:
        key = group[:4]
        is_closed = group.part <= last_closed(group.resolution, now_us)
        if group.level == 0 or not is_closed:
            # Level 0 by itself: what has no rollups yet must not be mixed with what has.
            if group.is_ripe or is_closed:
                jobs.append(Job(*key, (group.level,)))
        else:
            closed.setdefault(key, []).append(group)
    for key, levels in closed.items():
        if sum(group.chunks for group in levels) > 1:
            jobs.append(Job(*key, tuple(group.level for group in levels)))
    return jobs


def merge_readings(parts: Sequence[Readings]) -> Readings:
    """All readings of chunks that have none in common, in order of time."""
    if len(parts) == 1:
        return parts[0]
    parts = sorted(parts, key=lambda part: int(part[0][0]))
    times = np.concatenate([part[0] for part in parts])
    values = np.concatenate([part[1] for part in parts])
    if bool((times[1:] < times[:-1]).any()):
        order = np.argsort(times, kind="stable")
        times, values = times[order], values[order]
    return times, values


def merge_raw(
    jobs: Sequence[Job],
    readings: Sequence[Readings],
    off_clock: Sequence[int],
    texts: Collection[int],
    shared: SharedTimes,
) -> list[Chunk]:
    """The chunks in the place of those of the jobs, and the rollups of readings that had none.

    The jobs are of one kind; `readings` and `off_clock`: of each, all of them. `texts`: see `roll_up`.
    """
    stack = Stack(
        [job.series_id for job in jobs],
        off_clock,
        [job.reach for job in jobs],
        np.cumsum([0, *(len(one[0]) for one in readings)])[:-1],
        np.concatenate([one[0] for one in readings]),
        np.concatenate([one[1] for one in readings]),
    )
    level = max(jobs[0].levels) + 1
    if jobs[0].makes_rollups:
        return roll_up(stack, level, texts, shared)
    return make_chunks(stack.cut(MAX_ROWS[RAW]), level, shared)


def roll_up(stack: Stack, level: int, texts: Collection[int], shared: SharedTimes) -> list[Chunk]:
    """Chunks of readings that had no rollups, and the rollups that are worth it.

    `texts`: series whose numbers are codes, of which no smallest nor largest can be told. Their readings answer all
    questions.
    """
    lengths = stack.lengths
    minutes, minute_rows = EMPTY_ROLLUP, np.zeros(len(lengths), np.intp)
    if bool((lengths >= MIN_ROLLED * count_rows(stack.times_us, stack.starts, WIDTH_US[MINUTE])).any()):
        minutes, minute_rows = roll_pieces(stack.times_us, stack.values, stack.starts, WIDTH_US[MINUTE])
        hours, hour_rows = coarsen(minutes, minute_rows, WIDTH_US[HOUR])
    else:
        hours, hour_rows = roll_pieces(stack.times_us, stack.values, stack.starts, WIDTH_US[HOUR])
    worth = np.array([series_id not in texts for series_id in stack.series_ids], bool)
    reach = np.full(len(lengths), UNROLLED)
    made: list[tuple[int, Rollup, list[tuple[int, slice]]]] = []  # resolution, rows of all, (piece, its rows)
    for resolution, rollup, rows in ((HOUR, hours, hour_rows), (MINUTE, minutes, minute_rows)):
        if not len(rollup.starts_us):
            break
        ends = np.append(rows[1:], len(rollup.starts_us))
        worth &= lengths >= MIN_ROLLED * (ends - rows)  # if the coarser one is not, the finer one is even less
        reach[worth] = resolution - 1
        pieces = zip(np.flatnonzero(worth).tolist(), rows[worth].tolist(), ends[worth].tolist(), strict=True)
        made.append((resolution, rollup, [(piece, slice(first, end)) for piece, first, end in pieces]))
    chunks = make_chunks(stack._replace(reach=reach.tolist()).cut(MAX_ROWS[RAW]), level, shared)
    parts = -(-lengths // MAX_ROWS[RAW])
    intervals_us = np.maximum.reduceat([one.facts.interval_us for one in chunks], np.cumsum(parts) - parts).tolist()
    for resolution, rollup, found in made:
        rows_of = [(stack.series_ids[piece], here, intervals_us[piece]) for piece, here in found]
        chunks += make_rollup_chunks(rollup, rows_of, resolution, level)
    return chunks


def merge_rolled(jobs: Sequence[Job], rollups: Sequence[Sequence[Rollup]], intervals_us: Sequence[int]) -> list[Chunk]:
    """The rollup chunks in the place of those of the jobs, which are of one kind."""
    merged, rows = merge_pieces(rollups)
    longest = MAX_ROWS[jobs[0].resolution]
    pieces = [
        (job.series_id, slice(at, min(end, at + longest)), interval_us)
        for job, start, end, interval_us in zip(
            jobs, rows.tolist(), [*rows[1:].tolist(), len(merged.starts_us)], intervals_us, strict=True
        )
        for at in range(start, end, longest)
    ]
    return make_rollup_chunks(merged, pieces, jobs[0].resolution, max(jobs[0].levels) + 1)
