"""Merging: small chunks of one series and partition become large ones, and their rollups are made. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from bridge.history.chunk import (
    MAX_READINGS,
    UNROLLED,
    Chunk,
    Readings,
    SharedTimes,
    make_chunk,
    make_rollup_chunk,
)
from bridge.history.reduce import first_of, usual_interval
from bridge.history.rollup import Rollup, merge_rollups, roll
from bridge.history.spans import DAY_US, HOUR, MINUTE, PARTITION_US, WIDTH_US

# Chunks of one level that make one of the next. Each merge compresses once more, at 0.15 µs a reading; with twelve, a
# series at 1 Hz that is sealed every five minutes is merged after an hour and after half a day, and then is full.
FANOUT = 12
# Readings a rollup row must stand for, on average, to be worth its twelve bytes. With fewer, the readings themselves
# answer questions at that resolution: at most sixteen times as many rows, and no byte is stored twice.
MIN_ROLLED = 16
# A partition is closed this long after its end: what is small in it is merged even if it is less than FANOUT.
CLOSED_AFTER_US = DAY_US


class Group(NamedTuple):
    """How many chunks, not full, of one series, kind and partition there are at one level."""

    series_id: int
    resolution: int
    reach: int
    part: int
    level: int
    chunks: int


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
        return self.levels == (0,)


def plan_merges(groups: Iterable[Group], now_us: int) -> list[Job]:
    """What is worth merging now."""
    jobs: list[Job] = []
    closed: dict[tuple[int, int, int, int], list[Group]] = {}
    for group in groups:
        key = group[:4]
        is_closed = (group.part + 1) * PARTITION_US[group.resolution] + CLOSED_AFTER_US <= now_us
        if group.level == 0 or not is_closed:
            # Level 0 by itself: what has no rollups yet must not be mixed with what has.
            if group.chunks >= FANOUT or is_closed:
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
    job: Job, parts: Sequence[Readings], off_clock: int, shared: SharedTimes, *, is_text: bool
) -> list[Chunk]:
    """The chunks in the place of those of `job`, and the rollups of their readings if they had none.

    `is_text`: the numbers are codes, of which no smallest nor largest can be told. Their readings answer all questions.
    """
    times, values = merge_readings(parts)
    level = max(job.levels) + 1
    rollups: list[Chunk] = []
    reach = job.reach
    if job.makes_rollups:
        reach = UNROLLED
        interval_us = usual_interval(times)
        for resolution in () if is_text else (HOUR, MINUTE):
            rollup = roll(times, values, WIDTH_US[resolution])
            if len(times) < MIN_ROLLED * len(rollup.starts_us):
                break  # the finer one is worth even less
            rollups += _cut_rollup(job.series_id, rollup, resolution, level, interval_us)
            reach = resolution - 1
    chunks = []
    for number, here in enumerate(np.array_split(np.arange(len(times)), -(-len(times) // MAX_READINGS))):
        piece = slice(int(here[0]), int(here[-1]) + 1)
        chunks.append(
            make_chunk(
                job.series_id,
                (times[piece], values[piece]),
                reach=reach,
                level=level,
                off_clock=off_clock if number == 0 else 0,  # a count of the whole; the first one carries it
                shared=shared,
            )
        )
    return chunks + rollups


def merge_rolled(job: Job, parts: Sequence[Rollup], interval_us: int) -> list[Chunk]:
    """The rollup chunks in the place of those of `job`."""
    return _cut_rollup(job.series_id, merge_rollups(parts), job.resolution, max(job.levels) + 1, interval_us)


def _cut_rollup(series_id: int, rollup: Rollup, resolution: int, level: int, interval_us: int) -> list[Chunk]:
    """Chunks of these rows that cross no border of a partition and are not too long."""
    borders = first_of(rollup.starts_us // PARTITION_US[resolution]).tolist()
    chunks = []
    for start, end in zip(borders, [*borders[1:], len(rollup.starts_us)], strict=True):
        for first in range(start, end, MAX_READINGS):
            rows = rollup.select(slice(first, min(end, first + MAX_READINGS)))
            chunks.append(make_rollup_chunk(series_id, rows, resolution, level, interval_us))
    return chunks
