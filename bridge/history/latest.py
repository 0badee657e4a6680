"""The whole fleet at a moment: the newest reading of every series that is not after it."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bridge.history.chunk import Found, join_readings, read_newest, read_times
from bridge.history.faults import Damaged
from bridge.history.spans import HOUR, HOUR_US, MINUTE, PARTITION_US, RAW, WIDTH_US
from bridge.history.store_session import Snapshot
from bridge.history.tail import Recent


class State(NamedTuple):
    """The newest reading of each series, in order of ids; a series without any is not there.

    `damaged`: chunks that could not be read; an older reading, or none, stands in the place of theirs.
    """

    series_ids: NDArray[np.uint32]
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    damaged: int


class _Candidate(NamedTuple):
    """A chunk that may hold the newest reading, and the latest time that it can have."""

    latest_us: int
    chunk_id: int


def find_state(snapshot: Snapshot, tail: Recent, at_us: int) -> tuple[State, list[str]]:
    """See `History.state_at`; and what could not be read.

    Of most series the chunks that touch the last hour decide, one or two, found in the index. Who has been silent for
    longer is looked up in the last week; and who is silent even there by its last chunk, however old, rollups included.
    """
    search = _Search(snapshot, at_us)
    open_ids = set(snapshot.list_series())
    for within_us in (HOUR_US, PARTITION_US[RAW]):
        candidates: dict[int, list[_Candidate]] = {}
        for chunk_id, series_id, end_us in snapshot.find_before(open_ids, at_us, within_us):
            candidates.setdefault(series_id, []).append(_Candidate(min(end_us, at_us), chunk_id))
        search.run(candidates)
        # A reading from before that time may have a newer one beside it, in a chunk that was not looked for.
        open_ids -= {one for one, (time_us, _) in search.newest.items() if time_us >= at_us - within_us}
    silent = open_ids - search.newest.keys()
    # Hours only where there are no minutes: what an hour names, its minutes name too.
    minutes_from_us = snapshot.kept_from()[MINUTE]
    for resolutions in ((RAW, MINUTE), (HOUR,)):
        newest = search.newest
        wanted = {one for one in silent if one not in newest or newest[one][0] < minutes_from_us}
        older: dict[int, list[_Candidate]] = {}
        for found in snapshot.find_last(wanted, at_us, resolutions):
            facts = found.facts
            last_us = facts.end_us + WIDTH_US[facts.resolution] - 1
            older.setdefault(facts.series_id, []).append(_Candidate(min(last_us, at_us), found.chunk_id))
            search.known[found.chunk_id] = found
        search.run(older)
    for series_id, time_us, value in tail.newest(at_us):
        search.take(series_id, time_us, value)  # of equal times the first arrival counts, and a chunk before it
    ids = sorted(search.newest)
    state = State(
        np.asarray(ids, np.uint32),
        np.asarray([search.newest[one][0] for one in ids], np.int64),
        np.asarray([search.newest[one][1] for one in ids], np.float64),
        len(search.damaged),
    )
    return state, search.damaged


class _Search:
    """Looks into candidates, the most promising of each series first, until no other can hold a newer reading."""

    def __init__(self, snapshot: Snapshot, at_us: int) -> None:
        self._snapshot = snapshot
        self._at_us = at_us
        self._times: dict[int, NDArray[np.int64]] = {}  # by number: the series of a device share theirs
        self.known: dict[int, Found] = {}  # chunks that need not be looked up any more
        self.newest: dict[int, tuple[int, float]] = {}  # series id -> time, value
        self.damaged: list[str] = []  # one entry for each chunk

    def run(self, candidates: dict[int, list[_Candidate]]) -> None:
        """`candidates`: of each series. Used up."""
        for series in candidates.values():
            series.sort()  # the most promising last
        while candidates:
            look = {}
            for series_id in list(candidates):
                best = candidates[series_id][-1] if candidates[series_id] else None
                known = self.newest.get(series_id)
                if best is None or (known is not None and best.latest_us <= known[0]):
                    del candidates[series_id]
                else:
                    look[candidates[series_id].pop().chunk_id] = series_id
            self._look(look.keys())

    def _look(self, chunk_ids: Collection[int]) -> None:
        to_decode: list[Found] = []
        self.known |= {one.chunk_id: one for one in self._snapshot.get_chunks(set(chunk_ids) - self.known.keys())}
        for found in (self.known[chunk_id] for chunk_id in chunk_ids):
            facts = found.facts
            if facts.resolution == RAW and facts.end_us <= self._at_us:
                self.take(facts.series_id, facts.end_us, np.nan if facts.last is None else facts.last)
            else:
                to_decode.append(found)
        blobs = self._snapshot.load_blobs(to_decode)
        for found in to_decode:
            data = blobs[found.chunk_id]
            try:
                if isinstance(data, Damaged):
                    raise data
                times = self._times.get(found.times_id)
                if times is None:
                    times = self._times[found.times_id] = read_times(data.times)
                newest = None
                if found.facts.resolution != RAW:
                    newest = read_newest(times, data.values, self._at_us)
                elif at := int(np.searchsorted(times, self._at_us, side="right")):
                    newest = int(times[at - 1]), float(join_readings(times, data.values)[1][at - 1])
            except Damaged as error:
                self.damaged.append(error.what)
                continue
            if newest is not None:
                self.take(found.facts.series_id, *newest)

    def take(self, series_id: int, time_us: int, value: float) -> None:
        known = self.newest.get(series_id)
        if known is None or time_us > known[0]:
            self.newest[series_id] = time_us, value
