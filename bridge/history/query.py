"""Questions about the past: some series over a span, or the whole fleet at a moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bridge.core.batch import Batch
from bridge.history.chunk import Blobs, Found, Readings, join_readings, join_rollup, read_chunk, read_times
from bridge.history.counting import count_readings
from bridge.history.damages import Damages
from bridge.history.faults import Damaged, HistoryError
from bridge.history.latest import State, find_state
from bridge.history.reduce import Points, patience, reduce_numbers, reduce_states, usual_interval
from bridge.history.rollup import Rollup, as_points, merge_rollups, roll
from bridge.history.seal import find_known
from bridge.history.segments import Segment, choose_resolution, choose_width, plan_segments
from bridge.history.spans import MAX_TIME_US, MINUTE_US, RAW, WIDTH_US, floor_to
from bridge.history.store import Store
from bridge.history.store_session import Snapshot
from bridge.history.tail import Recent, Tail

MAX_SERIES = 1_000  # in one question: more are no picture, and would hold the reader's thread for seconds


class Answer(NamedTuple):
    """One series over a span. Points are readings, in order of time; a NaN is a null reading or the start of a gap.

    `width_us`: two points for each pixel of this width; 0: every reading there is. `resolution`: what was looked up,
    in the main. `off_clock`: readings in the chunks looked at that arrived long after their time. `damaged`: chunks
    that could not be read; what they held is missing.
    """

    series_id: int
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    resolution: int
    width_us: int
    off_clock: int
    damaged: int


class _Piece(NamedTuple):
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]
    interval_us: int
    resolution: int  # of the chunk; RAW: every reading is there
    found: Found | None  # None: from the journal
    rollup: Rollup | None = None


class History:
    """Reads a store. Blocking; safe to use from several threads."""

    def __init__(self, store: Store) -> None:
        self.damages = Damages()
        self._store = store
        self._tail = Tail()

    def query(self, series_ids: Sequence[int], from_us: int, to_us: int, points: int) -> list[Answer]:
        """Each of these series over [from, to) in about `points` points; gaps come on top, at most one for each pixel.

        Raises:
            HistoryError: too many series, or a span that does not end after it begins.
            Damaged: the journal is not as it was written.
        """
        _check(series_ids, from_us, to_us)
        width_us = choose_width(to_us - from_us, points)
        resolution = choose_resolution(width_us)
        with self._store.reading() as snapshot:
            segments = plan_segments(from_us, to_us, resolution, snapshot.kept_from())
            reader = _Reader(snapshot, self._tail.read(snapshot), series_ids, segments)
            texts = snapshot.text_series()
        answers = []
        for series_id in series_ids:
            pieces, damaged = self._read(reader, series_id)
            found = _as_points(pieces, WIDTH_US[resolution])
            complete = all(piece.resolution == RAW for piece in pieces) and len(found.times_us) <= points
            width = 0 if complete else width_us
            reduced = reduce_states(found, width) if series_id in texts else reduce_numbers(found, width)
            off_clock = {
                piece.found.chunk_id: piece.found.facts.off_clock for piece in pieces if piece.found is not None
            }
            answers.append(
                Answer(series_id, reduced.times_us, reduced.values, resolution, width, sum(off_clock.values()), damaged)
            )
        return answers

    def readings(self, series_ids: Sequence[int], from_us: int, to_us: int, limit: int) -> Batch:
        """The first `limit` readings of these series in [from, to), in order of time: for replay and export.

        Where readings are no longer kept, those that the rollups name. All of the span is read before it is cut, so
        ask for spans that fit into memory. `server_time_us` is the time of the last reading.

        Raises:
            HistoryError: too many series, or a span that does not end after it begins.
            Damaged: the journal is not as it was written.
        """
        _check(series_ids, from_us, to_us)
        with self._store.reading() as snapshot:
            segments = plan_segments(from_us, to_us, RAW, snapshot.kept_from())
            reader = _Reader(snapshot, self._tail.read(snapshot), series_ids, segments)
        found = [_as_points(self._read(reader, series_id)[0], 1) for series_id in series_ids]
        ids = np.repeat(np.asarray(series_ids, np.uint32), [len(one.times_us) for one in found])
        times = np.concatenate([one.times_us for one in found]) if found else np.empty(0, np.int64)
        values = np.concatenate([one.values for one in found]) if found else np.empty(0)
        order = np.argsort(times, kind="stable")[:limit]
        return Batch(ids[order], times[order], values[order], int(times[order[-1]]) if len(order) else from_us)

    def buckets(self, series_id: int, from_us: int, to_us: int, width_us: int) -> Rollup:
        """See `buckets_of`."""
        return self.buckets_of([series_id], from_us, to_us, width_us)[0]

    def buckets_of(self, series_ids: Sequence[int], from_us: int, to_us: int, width_us: int) -> list[Rollup]:
        """Smallest, largest, mean and number of each series' readings in [from, to) by buckets of `width_us`.

        Buckets begin at multiples of their width, a multiple of a minute or any number below. Where only rollups are
        left, those at the two ends of the span are whole.

        Raises:
            HistoryError: too many series, a width between two minutes, or a span that does not end after it begins.
            Damaged: the journal is not as it was written.
        """
        _check(series_ids, from_us, to_us)
        if width_us < 1 or (width_us > MINUTE_US and width_us % MINUTE_US):
            raise HistoryError("buckets are below a minute wide, or a number of whole minutes")
        resolution = choose_resolution(width_us)
        if width_us % WIDTH_US[resolution]:
            resolution -= 1
        with self._store.reading() as snapshot:
            segments = plan_segments(from_us, to_us, resolution, snapshot.kept_from())
            reader = _Reader(snapshot, self._tail.read(snapshot), series_ids, segments)
        answers = []
        for series_id in series_ids:
            pieces, _ = self._read(reader, series_id)
            raw = _as_points([piece for piece in pieces if piece.rollup is None], 1)
            rollups = [piece.rollup for piece in pieces if piece.rollup is not None]
            parts = [roll(raw.times_us, raw.values, width_us)]
            parts += [one._replace(starts_us=one.starts_us // width_us * width_us) for one in rollups]
            answers.append(merge_rollups(parts))
        return answers

    def count(self, series_ids: Sequence[int], from_us: int, to_us: int) -> int:
        """About how many readings `readings` would find in [from, to). Reads none of them.

        Raises:
            HistoryError: too many series, or a span that does not end after it begins.
            Damaged: the journal is not as it was written.
        """
        _check(series_ids, from_us, to_us)
        with self._store.reading() as snapshot:
            return count_readings(snapshot, self._tail.read(snapshot), series_ids, from_us, to_us)

    def span(self) -> tuple[int | None, int | None]:
        """Times of the first reading and of the last; None: there is none.

        Raises:
            Damaged: the journal is not as it was written.
        """
        with self._store.reading() as snapshot:
            known = [time_us for time_us in snapshot.span() if time_us is not None]
            known += self._tail.read(snapshot).span() or ()
        return min(known, default=None), max(known, default=None)

    def state_at(self, at_us: int) -> State:
        """The newest reading of every series at or before a moment.

        Raises:
            Damaged: the journal is not as it was written.
        """
        with self._store.reading() as snapshot:
            state, damaged = find_state(snapshot, self._tail.read(snapshot), at_us)
        self.damages.add(damaged)
        return state

    def _read(self, reader: _Reader, series_id: int) -> tuple[list[_Piece], int]:
        """What was found of a series, and how many chunks could not be read."""
        pieces, damaged = reader.read(series_id)
        self.damages.add(damaged.values())
        return pieces, len(damaged)


class _Reader:
    """Everything one question needs of the store, read at once; decoded series by series."""

    def __init__(
        self, snapshot: Snapshot, tail: Recent, series_ids: Sequence[int], segments: Sequence[Segment]
    ) -> None:
        self._recent = _find_recent(snapshot, tail, series_ids, segments)
        self._found: dict[int, list[tuple[Segment, Found]]] = {series_id: [] for series_id in series_ids}
        everything: dict[int, Found] = {}
        for segment in segments:
            from_us = floor_to(segment.from_us, WIDTH_US[segment.resolution])
            for found in snapshot.find_chunks(series_ids, segment.resolution, from_us, segment.to_us):
                self._found[found.facts.series_id].append((segment, found))
                everything[found.chunk_id] = found
        self._blobs = snapshot.load_blobs(list(everything.values()))
        self._times: dict[int, NDArray[np.int64]] = {}  # by number: the series of a device share theirs

    def read(self, series_id: int) -> tuple[list[_Piece], dict[int, str]]:
        """What was found of one series, cut to the segments; and of each chunk that could not be read, why."""
        pieces: list[_Piece] = []
        damaged: dict[int, str] = {}
        decoded: dict[int, tuple[NDArray[np.int64], NDArray[np.float64]] | Rollup] = {}  # segments may share a chunk
        for segment, found in self._found[series_id]:
            blobs = self._blobs.get(found.chunk_id)
            try:
                if isinstance(blobs, Damaged):
                    raise blobs
                if blobs is None:
                    raise Damaged(f"chunk {found.chunk_id}")
                if found.chunk_id not in decoded:
                    decoded[found.chunk_id] = self._decode(found, blobs)
            except Damaged as error:
                damaged[found.chunk_id] = error.what
                continue
            content = decoded[found.chunk_id]
            facts = found.facts
            if isinstance(content, Rollup):
                width_us = WIDTH_US[facts.resolution]
                first, end = np.searchsorted(content.starts_us, [floor_to(segment.from_us, width_us), segment.to_us])
                rows = content.select(slice(int(first), int(end)))
                times, values = as_points(rows)
                # No-op but where only rollups are left: then the first or last bucket may reach beyond the span.
                inside = (times >= segment.from_us) & (times < segment.to_us)
                pieces.append(_Piece(times[inside], values[inside], facts.interval_us, facts.resolution, found, rows))
            else:
                first, end = np.searchsorted(content[0], [segment.from_us, segment.to_us])
                pieces.append(_Piece(content[0][first:end], content[1][first:end], facts.interval_us, RAW, found))
        return [*pieces, *self._read_tail(series_id)], damaged

    def _decode(self, found: Found, blobs: Blobs) -> tuple[NDArray[np.int64], NDArray[np.float64]] | Rollup:
        times = self._times.get(found.times_id)
        if times is None:
            times = self._times[found.times_id] = read_times(blobs.times)
        if found.facts.resolution == RAW:
            return join_readings(times, blobs.values)
        return join_rollup(times, blobs.values)

    def _read_tail(self, series_id: int) -> list[_Piece]:
        found = self._recent.get(series_id)
        if found is None:
            return []
        return [_Piece(*found, usual_interval(np.sort(found[0])), RAW, None)]


def _find_recent(
    snapshot: Snapshot, tail: Recent, series_ids: Sequence[int], segments: Sequence[Segment]
) -> dict[int, Readings]:
    """What the journal has of these series, without what arrived again and is in a rollup already."""
    if not segments:
        return {}
    from_us, to_us = segments[0].from_us, segments[-1].to_us
    recent = {
        series_id: found for series_id in series_ids if (found := tail.find(series_id, from_us, to_us)) is not None
    }
    coarsest = max(segment.resolution for segment in segments)
    if not recent or coarsest == RAW:
        return recent  # readings and readings: `_as_points` sees those that are there twice
    first_us = min(int(found[0].min()) for found in recent.values())
    last_us = max(int(found[0].max()) for found in recent.values())
    for one in snapshot.find_chunks(recent.keys(), RAW, first_us, last_us + 1):
        times, values = recent[one.facts.series_id]
        inside = (times >= one.facts.start_us) & (times <= one.facts.end_us)
        if one.facts.reach >= coarsest or not inside.any():
            continue
        blobs = snapshot.load_blobs([one])[one.chunk_id]
        if isinstance(blobs, Damaged):
            continue  # what is in its rollups is told twice until the journal is sealed
        new = find_known((times, values), read_chunk(*blobs)) < 0
        recent[one.facts.series_id] = times[new], values[new]
    return {series_id: found for series_id, found in recent.items() if len(found[0])}


def _as_points(pieces: Sequence[_Piece], asked_us: int) -> Points:
    """All pieces in order of time, each reading once; of equal times the one that arrived first.

    `asked_us`: the bucket width that the question allows for. Where only wider ones are left, a bucket's distance to
    the next is no gap.
    """
    if not pieces:
        return Points(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64))
    times = np.concatenate([piece.times_us for piece in pieces])
    values = np.concatenate([piece.values for piece in pieces])
    # A chunk of one reading knows no interval; those around it do.
    known = [piece.interval_us for piece in pieces if piece.interval_us]
    fallback_us = max(known) if known else usual_interval(np.unique(times))
    allowed = [
        max(
            patience(piece.interval_us or fallback_us),
            2 * WIDTH_US[piece.resolution] if WIDTH_US[piece.resolution] > asked_us else 0,
        )
        for piece in pieces
    ]
    patience_us = np.repeat(np.asarray(allowed, np.int64), [len(piece.times_us) for piece in pieces])
    if bool((times[1:] <= times[:-1]).any()):
        order = np.argsort(times, kind="stable")  # chunks stand before the journal, and it in order of arrival
        times, values, patience_us = times[order], values[order], patience_us[order]
        once = np.concatenate(([True], times[1:] != times[:-1]))
        times, values, patience_us = times[once], values[once], patience_us[once]
    return Points(times, values, patience_us)


def _check(series_ids: Sequence[int], from_us: int, to_us: int) -> None:
    if len(series_ids) > MAX_SERIES:
        raise HistoryError(f"at most {MAX_SERIES} series at once")
    if len(set(series_ids)) != len(series_ids):
        raise HistoryError("a series is named twice")
    if not -MAX_TIME_US <= from_us < to_us <= MAX_TIME_US:
        raise HistoryError("a span must end after it begins")
