"""Keeps the store in order: seals the journal, merges chunks, forgets what is too old. Called from one thread.

Every step reads in one transaction, works without any, and writes in another. The journal goes on meanwhile, and a
crash at any point leaves the old state or the new one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bridge.history.arrivals import decode_arrivals
from bridge.history.chunk import (
    Blobs,
    Chunk,
    Found,
    Readings,
    SharedTimes,
    join_readings,
    join_rollup,
    read_chunk,
    read_times,
)
from bridge.history.faults import Damaged
from bridge.history.merge import Job, merge_raw, merge_readings, merge_rolled, plan_merges
from bridge.history.retention import Limits, plan_retention
from bridge.history.rollup import Rollup
from bridge.history.seal import Conflict, Sealing, compare, find_known, seal_chunks, sort_arrivals
from bridge.history.spans import PARTITION_US, RAW
from bridge.history.store import Store
from bridge.history.store_chunks import prepare_chunks
from bridge.history.store_session import Snapshot

# Readings sealed in one transaction: at most 60 MB of columns while it is worked on.
SEAL_READINGS = 1_000_000
# Merges written in one transaction: the journal waits for it, so it must stay below a few hundredths of a second.
# Many of what was just sealed, which is small; few of what is large, for the memory's sake.
JOBS_AT_ONCE = 32
LARGE_JOBS_AT_ONCE = 16
# Chunks deleted in one transaction, for the same reason.
DELETES_AT_ONCE = 500
# Bytes and commits of the journal deleted in one transaction, for the same reason.
DROP_BYTES = 4 * 2**20
DROP_COMMITS = 2_000


class Sealed(NamedTuple):
    """What sealing did. `duplicates`: there before, with the same value; `n_conflicts`: with another, and refused."""

    readings: int
    chunks: int
    duplicates: int
    n_conflicts: int
    conflicts: list[Conflict]
    offset: int  # the journal is sealed up to here


class Unreadable(NamedTuple):
    """A commit of the journal that is not as it was written. `data`: what there is instead."""

    offset: int
    data: bytes


class Merged(NamedTuple):
    """What merging did. `damaged`: chunks that could not be read and were left alone."""

    chunks_before: int
    chunks_after: int
    damaged: list[str]


class Keeper:
    """One for a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._counted = (0, 0, 0)  # from which offset, up to which, and how many readings

    def is_full(self) -> bool:
        """Whether sealing should not wait for its turn: so much is in the journal, and in the memory of its readers.

        Cheap enough for every few seconds: looks only at what is new since it was asked last.
        """
        with self._store.reading() as snapshot:
            sealed, last = snapshot.sealed_offset(), snapshot.last_offset()
            begin, upto, readings = self._counted if self._counted[0] == sealed else (sealed, sealed, 0)
            self._counted = begin, last, readings + snapshot.count_journal(upto)
        return self._counted[2] >= SEAL_READINGS

    def seal(self) -> Sealed | None:
        """Turn the oldest part of the journal into chunks. Call again until it returns None: nothing is left.

        Raises:
            Damaged: what comes next is not as it was written; see `find_unreadable`.
        """
        with self._store.reading() as snapshot:
            before = snapshot.sealed_offset()
            commits = _read_commits(snapshot, before)
            if not commits:
                return None
            arrivals = decode_arrivals(data for _, data in commits)
            sealing = _drop_known(snapshot, sort_arrivals(arrivals))
            texts = snapshot.text_series()
        offset = commits[-1][0]
        chunks = seal_chunks(sealing, texts)
        prepared = prepare_chunks(chunks)
        with self._store.writing() as writer:
            writer.insert_chunks(prepared)
            writer.mark_sealed(before, offset)
        for upto in _drop_steps(commits):
            with self._store.writing() as writer:
                writer.drop_journal(upto)
        return Sealed(len(arrivals), len(chunks), sealing.duplicates, sealing.n_conflicts, sealing.conflicts, offset)

    def find_unreadable(self) -> Unreadable | None:
        """The commit at which sealing stops, if it cannot be read."""
        with self._store.reading() as snapshot:
            found = snapshot.next_commit(snapshot.sealed_offset())
        return None if found is None or found[2] else Unreadable(found[0], found[1])

    def give_up(self, unreadable: Unreadable) -> None:
        """Go on after a commit that cannot be read: until then no question is answered that concerns the journal."""
        with self._store.writing() as writer:
            writer.mark_sealed(writer.sealed_offset(), unreadable.offset)
            writer.drop_journal(unreadable.offset)

    def merge(self, now_us: int) -> Merged:
        """Merge what is worth merging now, and make the rollups of what has none."""
        with self._store.reading() as snapshot:
            jobs = plan_merges(snapshot.find_groups(now_us), now_us)
            texts = snapshot.text_series() if jobs else set()
        before = after = 0
        damaged: list[str] = []
        for batch in _batches(jobs):
            with self._store.reading() as snapshot:
                loaded = _load(snapshot, batch)
            decoded, bad = _decode(loaded)
            damaged += bad
            if not decoded:
                continue
            new = _merge(decoded, texts)
            old = [found for one in decoded for found in one.found]
            prepared = prepare_chunks(new)
            with self._store.writing() as writer:
                writer.insert_chunks(prepared)
                writer.delete_chunks(old)
            before, after = before + len(old), after + len(new)
        return Merged(before, after, damaged)

    def forget(self, limits: Limits, now_us: int) -> int:
        """Remove what is beyond the limits, oldest first; returns how many chunks that were."""
        removed = 0
        with self._store.reading() as snapshot:
            horizons = plan_retention(limits, now_us)
            sizes = snapshot.sum_sizes()
            kept_from = list(snapshot.kept_from())
        for horizon in horizons:
            excess = sizes.get(horizon.resolution, 0) - horizon.max_bytes
            while True:
                with self._store.reading() as snapshot:
                    oldest = snapshot.find_oldest(horizon.resolution, horizon.never_after_us, DELETES_AT_ONCE)
                chosen = horizon.choose(oldest, excess)
                if not chosen:
                    break
                excess -= sum(one.size for one in chosen)
                until_us = horizon.kept_from(chosen)
                kept_from[horizon.resolution] = max(kept_from[horizon.resolution], until_us)
                with self._store.writing() as writer:
                    writer.delete_chunks(chosen)
                    writer.set_kept_from(horizon.resolution, kept_from[horizon.resolution])
                removed += len(chosen)
        with self._store.writing() as writer:
            writer.forget_descriptions(min(kept_from))
            writer.forget_events(min(kept_from))
        return removed


def _read_commits(snapshot: Snapshot, after_offset: int) -> list[tuple[int, bytes]]:
    """The oldest commits after an offset; only those before one that cannot be read.

    Raises:
        Damaged: that is the first.
    """
    commits: list[tuple[int, bytes]] = []
    try:
        commits.extend(snapshot.read_commits(after_offset, SEAL_READINGS))
    except Damaged:
        if not commits:
            raise
    return commits


def _drop_known(snapshot: Snapshot, sealing: Sealing) -> Sealing:
    """The sealing without the readings that are in chunks already. Only what overlaps is read."""
    by_part: dict[int, list[tuple[int, slice]]] = defaultdict(list)
    for series_id, here in sealing.pieces():
        by_part[int(sealing.times_us[here.start]) // PARTITION_US[RAW]].append((series_id, here))
    dropped = np.zeros(len(sealing.series_ids), bool)
    duplicates, n_conflicts = 0, 0
    conflicts: list[Conflict] = []
    for pieces in by_part.values():
        from_us = min(int(sealing.times_us[here.start]) for _, here in pieces)
        to_us = max(int(sealing.times_us[here.stop - 1]) for _, here in pieces) + 1
        place = dict(pieces)
        overlapping = []
        for found in snapshot.find_chunks(place.keys(), RAW, from_us, to_us):
            times = sealing.times_us[place[found.facts.series_id]]
            first, end = np.searchsorted(times, [found.facts.start_us, found.facts.end_us + 1])
            if first < end:
                overlapping.append(found)
        for found in overlapping:  # one at a time: a device that sends a whole week again must not fill the memory
            blobs = snapshot.load_blobs([found])[found.chunk_id]
            if isinstance(blobs, Damaged):
                continue  # its readings are lost; what arrives again is taken
            here = place[found.facts.series_id]
            known = read_chunk(*blobs)
            piece = (sealing.times_us[here], sealing.values[here])
            at = find_known(piece, known)
            hits = at >= 0
            again, others, some = compare(sealing.series_ids[here], piece[0], known[1][at], piece[1], hits)
            dropped[here] |= hits
            duplicates, n_conflicts, conflicts = duplicates + again, n_conflicts + others, conflicts + some
    return sealing.without(dropped, duplicates, n_conflicts, conflicts) if dropped.any() else sealing


def _drop_steps(commits: Sequence[tuple[int, bytes]]) -> Iterator[int]:
    """Offsets up to which to drop these commits, one transaction after another."""
    size = number = 0
    for offset, data in commits:
        size, number = size + len(data), number + 1
        if size >= DROP_BYTES or number >= DROP_COMMITS:
            yield offset
            size = number = 0
    if number:
        yield commits[-1][0]


def _batches(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Jobs of one kind each, which are worked on together; those of one device side by side."""
    kinds: dict[tuple[int, bool, int], list[Job]] = defaultdict(list)
    for job in jobs:
        kinds[job.kind].append(job)
    for kind in sorted(kinds):
        some = sorted(kinds[kind])
        at_once = LARGE_JOBS_AT_ONCE if max(some[0].levels) else JOBS_AT_ONCE
        for at in range(0, len(some), at_once):
            yield some[at : at + at_once]


class _Decoded(NamedTuple):
    job: Job
    found: list[Found]
    readings: Readings | None  # of a job for readings
    rollups: list[Rollup]  # of any other


def _load(snapshot: Snapshot, jobs: Sequence[Job]) -> list[tuple[Job, list[Found], list[Blobs | Damaged]]]:
    """The chunks of each job and their columns, read together."""
    wanted = {job.key(level): job for job in jobs for level in job.levels}
    mine: dict[Job, list[Found]] = {job: [] for job in jobs}
    for one in snapshot.find_open({job.series_id for job in jobs}, {job.part for job in jobs}):
        facts = one.facts
        job = wanted.get((facts.series_id, facts.resolution, facts.reach, facts.part, facts.level))
        if job is not None:
            mine[job].append(one)
    blobs = snapshot.load_blobs([one for some in mine.values() for one in some])
    return [(job, some, [blobs[one.chunk_id] for one in some]) for job, some in mine.items() if some]


def _decode(loaded: list[tuple[Job, list[Found], list[Blobs | Damaged]]]) -> tuple[list[_Decoded], list[str]]:
    """What could be read; and of what could not, what is wrong. A job is done whole or not at all."""
    decoded: list[_Decoded] = []
    damaged: list[str] = []
    times: dict[bytes, NDArray[np.int64]] = {}  # the series of a device share theirs
    for job, found, blobs in loaded:
        parts: list[Readings] = []
        rollups: list[Rollup] = []
        try:
            for one in blobs:
                if isinstance(one, Damaged):
                    raise one
                column = times.get(one.times)
                if column is None:
                    column = times[one.times] = read_times(one.times)
                if job.resolution == RAW:
                    parts.append(join_readings(column, one.values))
                else:
                    rollups.append(join_rollup(column, one.values))
        except Damaged as error:
            damaged.append(error.what)
        else:
            decoded.append(_Decoded(job, found, merge_readings(parts) if parts else None, rollups))
    return decoded, damaged


def _merge(decoded: Sequence[_Decoded], texts: Collection[int]) -> list[Chunk]:
    """The chunks in the place of all of these, whose jobs are of one kind."""
    jobs = [one.job for one in decoded]
    if jobs[0].resolution == RAW:
        readings = [one.readings for one in decoded if one.readings is not None]
        off_clock = [sum(found.facts.off_clock for found in one.found) for one in decoded]
        return merge_raw(jobs, readings, off_clock, texts, SharedTimes())
    intervals_us = [max(found.facts.interval_us for found in one.found) for one in decoded]
    return merge_rolled(jobs, [one.rollups for one in decoded], intervals_us)
