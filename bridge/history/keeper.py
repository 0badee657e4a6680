"""Keeps the store in order: seals the journal, merges chunks, forgets what is too old. Called from one thread.

Every step reads in one transaction, works without any, and writes in another. The journal goes on meanwhile, and a
crash at any point leaves the old state or the new one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bridge.history.arrivals import decode_arrivals
from bridge.history.chunk import Blobs, Chunk, Found, SharedTimes, read_chunk, read_rollup_chunk
from bridge.history.faults import Damaged
from bridge.history.merge import Job, merge_raw, merge_rolled, plan_merges
from bridge.history.retention import Limits, plan_retention
from bridge.history.seal import Conflict, Sealing, compare, find_known, make_chunks, sort_arrivals
from bridge.history.spans import PARTITION_US, RAW
from bridge.history.store import Store
from bridge.history.store_session import Snapshot

# Readings sealed in one transaction: 20 MB of columns, and a second of work after a long outage.
SEAL_READINGS = 500_000
# Merges written in one transaction: the journal waits for it, so it must stay below a few hundredths of a second.
JOBS_AT_ONCE = 32
# Chunks deleted in one transaction, for the same reason.
DELETES_AT_ONCE = 500


class Sealed(NamedTuple):
    """What sealing did. `duplicates`: there before, with the same value; `n_conflicts`: with another, and refused."""

    readings: int
    chunks: int
    duplicates: int
    n_conflicts: int
    conflicts: list[Conflict]
    offset: int  # the journal is sealed up to here


class Merged(NamedTuple):
    """What merging did. `damaged`: chunks that could not be read and were left alone."""

    chunks_before: int
    chunks_after: int
    damaged: list[str]


class Keeper:
    """One for a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def seal(self) -> Sealed | None:
        """Turn the oldest part of the journal into chunks. Call again until it returns None: nothing is left.

        Raises:
            Damaged: the journal is not as it was written.
        """
        with self._store.reading() as snapshot:
            before = snapshot.sealed_offset()
            commits = list(snapshot.read_commits(before, SEAL_READINGS))
            if not commits:
                return None
            arrivals = decode_arrivals(data for _, data in commits)
            sealing = sort_arrivals(arrivals)
            sealing = _drop_known(snapshot, sealing)
        offset = commits[-1][0]
        chunks = make_chunks(sealing)
        with self._store.writing() as writer:
            writer.insert_chunks(chunks)
            writer.trim_journal(before, offset)
        return Sealed(len(arrivals), len(chunks), sealing.duplicates, sealing.n_conflicts, sealing.conflicts, offset)

    def merge(self, now_us: int) -> Merged:
        """Merge what is worth merging now, and make the rollups of what has none."""
        with self._store.reading() as snapshot:
            jobs = plan_merges(snapshot.find_groups(), now_us)
            texts = snapshot.text_series() if jobs else set()
        before = after = 0
        damaged: list[str] = []
        for at in range(0, len(jobs), JOBS_AT_ONCE):
            old: list[Found] = []
            new: list[Chunk] = []
            shared = SharedTimes()
            with self._store.reading() as snapshot:
                loaded = _load(snapshot, jobs[at : at + JOBS_AT_ONCE])
            for job, found, blobs in loaded:
                try:
                    new += _merge(job, found, blobs, shared, is_text=job.series_id in texts)
                except Damaged as error:
                    damaged.append(error.what)
                else:
                    old += found
            with self._store.writing() as writer:
                writer.insert_chunks(new)
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
        return removed


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
    return [(job, some, [blobs[one.chunk_id] for one in some]) for job, some in mine.items()]


def _merge(
    job: Job, found: list[Found], loaded: list[Blobs | Damaged], shared: SharedTimes, *, is_text: bool
) -> list[Chunk]:
    blobs: list[Blobs] = []
    for one in loaded:
        if isinstance(one, Damaged):
            raise one
        blobs.append(one)
    if job.resolution != RAW:
        interval_us = max(one.facts.interval_us for one in found)
        return merge_rolled(job, [read_rollup_chunk(*data) for data in blobs], interval_us)
    off_clock = sum(one.facts.off_clock for one in found)
    return merge_raw(job, [read_chunk(*data) for data in blobs], off_clock, shared, is_text=is_text)
