"""One transaction: what may be asked of the store within it, and what may be changed."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable, Iterator, Sequence

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import NoResultFound

from bridge.history import store_catalog, store_chunks, store_events
from bridge.history.arrivals import decode_arrivals, split_frames
from bridge.history.catalog import Births, Catalog, Described
from bridge.history.chunk import Blobs, Chunk, Found
from bridge.history.codec import checksum
from bridge.history.events import KINDS, Event
from bridge.history.faults import Damaged, HistoryError
from bridge.history.merge import Group
from bridge.history.spans import RESOLUTIONS
from bridge.history.store_chunks import Prepared
from bridge.history.store_schema import journal, message, meta
from bridge.history.store_statements import Statement

_EPOCH, _SEALED, _LOG, _RUNS, _KEPT_FROM = "epoch", "sealed_offset", "log_offset", "runs", "kept_from_{}"
_COMMITS_DONE = "commits"
_MARKS = "marks"
RUNS_KEPT = 100  # runs of the bridge that are remembered; who returns from an earlier one gets a snapshot

# Built once: for statements as small as these, to build them costs more than to run them.
_APPEND = Statement(insert(journal).values({column.name: bindparam(column.name) for column in journal.c}))
_APPEND_MESSAGE = insert(message)
_SET = Statement(update(meta).where(meta.c.key == bindparam("name")).values(value=bindparam("new")))
_GET = Statement(select(meta.c.value).where(meta.c.key == bindparam("name")))
_LAST_OFFSET = Statement(select(func.max(journal.c.last_offset)))
_commits = (
    select(journal.c.last_offset, journal.c.readings, journal.c.checksum, journal.c.data)
    .where(journal.c.last_offset > bindparam("after_offset"))
    .order_by(journal.c.last_offset)
)
_COMMITS = Statement(_commits)

# Before the first reading that can be kept.
BEGINNING_US = -(2**62)


class Snapshot:
    """Reads. Everything read within one is from the same moment, whatever the writer does meanwhile."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    # ----- journal ----------------------------------------------------------------------------------------

    def epoch(self) -> str:
        return self._get(_EPOCH)

    def sealed_offset(self) -> int:
        """Offset up to which the journal has been turned into chunks, and is gone."""
        return int(self._get(_SEALED))

    def last_offset(self) -> int:
        newest = _LAST_OFFSET.rows(self.connection)[0][0]
        return self.sealed_offset() if newest is None else int(newest)

    def read_commits(self, after_offset: int, max_readings: int | None = None) -> Iterator[tuple[int, bytes]]:
        """(last offset, frames one after another) of each commit with frames after `after_offset`, in order.

        Ends once `max_readings` are reached. The first commit may also hold frames up to `after_offset`.

        Raises:
            Damaged: a commit is not as it was written.
        """
        found = 0
        for last, readings, expected, data in _COMMITS.stream(self.connection, {"after_offset": after_offset}):
            if checksum(data) != expected:
                raise Damaged(f"journal up to {last}")
            yield last, data
            found += readings
            if max_readings is not None and found >= max_readings:
                return

    def next_commit(self, after_offset: int) -> tuple[int, bytes, bool] | None:
        """(last offset, bytes, whether they are as they were written) of the first commit after an offset."""
        row = self.connection.execute(_commits.limit(1), {"after_offset": after_offset}).one_or_none()
        return None if row is None else (row.last_offset, row.data, checksum(row.data) == row.checksum)

    def read_frames(self, after_offset: int, limit: int) -> list[bytes]:
        """The oldest `limit` frames after this offset, as they were appended. Only those not sealed yet are there."""
        frames: list[bytes] = []
        for _, data in self.read_commits(after_offset):
            frames += [frame for offset, frame in split_frames(data) if offset > after_offset]
            if len(frames) >= limit:
                break
        return frames[:limit]

    def log_offset(self) -> int:
        """Offset of the last thing that the log of readings and messages holds."""
        return int(self._get(_LOG))

    def commits(self) -> int:
        """How many commits the log has had, of whatever they consisted."""
        return int(self._get(_COMMITS_DONE))

    def marks(self) -> bytes:
        """What the last commits left to recognise a second delivery by (redelivery.py)."""
        found = _GET.rows(self.connection, {"name": _MARKS})
        return b64decode(found[0][0]) if found else b""

    def runs(self) -> dict[int, int]:
        """The last runs of the bridge by number, and the offset of the log at which each began."""
        return {int(run): offset for run, offset in json.loads(self._get(_RUNS)).items()}

    def read_log(self, after_offset: int, to_offset: int, max_bytes: int) -> list[tuple[int, bytes, bool]] | None:
        """(offset, bytes, whether it is a frame) of everything in the log after one offset up to another, in order.

        None: part of it is not there any more (sealed), or it is more than `max_bytes`.

        Raises:
            Damaged: a commit is not as it was written.
        """
        if after_offset < self.sealed_offset() or to_offset > self.log_offset():
            return None
        found: list[tuple[int, bytes, bool]] = []
        size = 0
        for last, data in self.read_commits(after_offset) if to_offset > after_offset else ():
            found += [(at, frame, True) for at, frame in split_frames(data) if after_offset < at <= to_offset]
            size += len(data)
            if size > max_bytes:
                return None
            if last >= to_offset:
                break  # what follows is asked for by nobody, and must not count
        wanted = (message.c.log_offset > after_offset, message.c.log_offset <= to_offset)
        for at, data in self.connection.execute(select(message).where(*wanted)):
            found.append((at, data, False))
            size += len(data)
        return sorted(found) if size <= max_bytes and len(found) == to_offset - after_offset else None

    def count_journal(self, after_offset: int | None = None) -> int:
        """Readings that are not sealed yet; or those of the commits after an offset."""
        after = self.sealed_offset() if after_offset is None else after_offset
        query = select(func.coalesce(func.sum(journal.c.readings), 0)).where(journal.c.last_offset > after)
        return int(self.connection.execute(query).scalar_one())

    # ----- chunks -----------------------------------------------------------------------------------------

    def find_chunks(self, series_ids: Collection[int], resolution: int, from_us: int, to_us: int) -> list[Found]:
        return store_chunks.find_chunks(self.connection, series_ids, resolution, from_us, to_us)

    def find_groups(self, now_us: int) -> list[Group]:
        return store_chunks.find_groups(self.connection, now_us)

    def find_open(self, series_ids: Collection[int], parts: Collection[int]) -> list[Found]:
        return store_chunks.find_open(self.connection, series_ids, parts)

    def find_before(self, series_ids: Collection[int], at_us: int, within_us: int) -> list[tuple[int, int, int]]:
        return store_chunks.find_before(self.connection, series_ids, at_us, within_us)

    def find_last(self, series_ids: Collection[int], at_us: int, resolutions: Sequence[int]) -> list[Found]:
        return store_chunks.find_last(self.connection, series_ids, at_us, resolutions)

    def list_series(self) -> list[int]:
        return store_chunks.list_series(self.connection)

    def get_chunks(self, chunk_ids: Iterable[int]) -> list[Found]:
        return store_chunks.get_chunks(self.connection, chunk_ids)

    def load_blobs(self, found: Sequence[Found]) -> dict[int, Blobs | Damaged]:
        return store_chunks.load_blobs(self.connection, found)

    def find_oldest(self, reach: int, before_us: int, limit: int) -> list[Found]:
        return store_chunks.find_oldest(self.connection, reach, before_us, limit)

    def span(self) -> tuple[int | None, int | None]:
        """Times of the first reading in a chunk, and of the last; without the journal. None: there is none."""
        return store_chunks.find_span(self.connection)

    def sum_sizes(self) -> dict[int, int]:
        return store_chunks.sum_sizes(self.connection)

    def kept_from(self) -> tuple[int, ...]:
        """For each resolution the time before which it is no longer kept."""
        rows = {row.key: row.value for row in self.connection.execute(select(meta))}
        return tuple(int(rows.get(_KEPT_FROM.format(one), BEGINNING_US)) for one in RESOLUTIONS)

    # ----- catalog ----------------------------------------------------------------------------------------

    def catalog(self, at_us: int | None = None) -> Catalog:
        return store_catalog.load_catalog(self.connection, at_us)

    def find_described(self, from_us: int, to_us: int) -> list[Described]:
        """What was described for the first time or anew in [from, to), in order of time."""
        return store_catalog.find_described(self.connection, from_us, to_us)

    def text_series(self) -> set[int]:
        return store_catalog.text_series(self.connection)

    # ----- events -----------------------------------------------------------------------------------------

    def find_events(
        self,
        from_us: int,
        to_us: int,
        *,
        kinds: Collection[str] = KINDS,
        device_id: str | None = None,
        limit: int = 1_000,
        newest: bool = True,
    ) -> list[Event]:
        """Those in [from, to) in order of time; of too many the newest `limit`, or the oldest."""
        return store_events.find_events(
            self.connection, from_us, to_us, kinds=kinds, device_id=device_id, limit=limit, newest=newest
        )

    def availability_at(self, at_us: int) -> list[Event]:
        return store_events.availability_at(self.connection, at_us)

    # ----- integrity --------------------------------------------------------------------------------------

    def find_damage(self, *, everything: bool) -> list[str]:
        """What is not as it was written: of the journal, and of the chunks too if `everything` (reads all of it)."""
        damage: list[str] = []
        try:
            for read in (self.sealed_offset, self.log_offset, self.commits, self.runs, self.marks, self.kept_from):
                read()
        except (NoResultFound, ValueError) as error:
            damage.append(f"history_meta: {error}")
        try:
            blobs = [data for _, data in self.read_commits(BEGINNING_US)]
            decode_arrivals(blobs)
        except Damaged as error:
            damage.append(error.what)
        return damage + store_chunks.find_damaged(self.connection) if everything else damage

    def _get(self, key: str) -> str:
        found = _GET.rows(self.connection, {"name": key})
        if not found:
            raise NoResultFound(key)
        return str(found[0][0])


class Writer(Snapshot):
    """Reads and changes. All changes become durable together when the transaction ends, or none does."""

    def begin(self, epoch: str) -> None:
        """A new, empty history."""
        values = {_EPOCH: epoch, _SEALED: "0", _LOG: "0", _COMMITS_DONE: "0", _RUNS: "{}"}
        self.connection.execute(insert(meta), [{"key": key, "value": value} for key, value in values.items()])

    def set_epoch(self, epoch: str) -> None:
        """What was told of this history before is not all in it any more."""
        self._set(_EPOCH, epoch)

    def begin_run(self) -> tuple[int, int]:
        """A run of the bridge begins: its number, and the offset from which its log goes on."""
        runs = self.runs()
        run, offset = max(runs, default=0) + 1, self.log_offset()
        runs[run] = offset
        self._set(_RUNS, json.dumps({one: runs[one] for one in sorted(runs)[-RUNS_KEPT:]}))
        return run, offset

    def check_run(self, run: int) -> None:
        """Make sure that this run is the last that began.

        Raises:
            HistoryError: another bridge has begun to record into this history since; only one may.
        """
        last = max(self.runs(), default=0)
        if last != run:
            raise HistoryError(f"another bridge records into this history (run {last}; this one is run {run})")

    def set_log_offset(self, offset: int) -> None:
        self._set(_LOG, str(offset))

    def set_commits(self, commits: int) -> None:
        self._set(_COMMITS_DONE, str(commits))

    def set_marks(self, marks: bytes) -> None:
        self._set_or_add(_MARKS, b64encode(marks).decode())

    def append_messages(self, messages: Sequence[tuple[int, bytes]]) -> None:
        """Messages of the log that are no frames, with their offsets."""
        if messages:
            self.connection.execute(
                _APPEND_MESSAGE, [{"log_offset": offset, "data": data} for offset, data in messages]
            )

    def append(self, frames: Sequence[bytes]) -> int:
        """One commit of the journal; returns the offset of its last frame.

        Raises:
            HistoryError: the offsets do not rise, or do not begin after the last one.
            Damaged: these are not frames.
        """
        data = b"".join(frames)
        offsets = [offset for offset, _ in split_frames(data)]
        if len(offsets) != len(frames):
            raise HistoryError("each element must be one frame")
        last = self.last_offset()
        if not offsets:
            return last
        if any(after <= before for before, after in zip([last, *offsets], offsets, strict=False)):
            raise HistoryError(f"offsets {offsets[0]} to {offsets[-1]} do not rise from {last}")
        _APPEND.change(
            self.connection,
            {
                "last_offset": offsets[-1],
                "first_offset": offsets[0],
                "readings": sum(count_readings(frame) for frame in frames),
                "checksum": checksum(data),
                "data": data,
            },
        )
        return offsets[-1]

    def save_births(self, births: Births, now_us: int) -> None:
        store_catalog.save_births(self.connection, births, now_us)

    def append_events(self, events: Sequence[Event]) -> None:
        store_events.append_events(self.connection, events)

    def forget_events(self, before_us: int) -> int:
        return store_events.forget_events(self.connection, before_us)

    def insert_chunks(self, chunks: Prepared | Sequence[Chunk]) -> None:
        """Many had better be prepared before the transaction: the journal waits for it."""
        prepared = chunks if isinstance(chunks, Prepared) else store_chunks.prepare_chunks(chunks)
        store_chunks.insert_chunks(self.connection, prepared)

    def delete_chunks(self, found: Sequence[Found]) -> None:
        store_chunks.delete_chunks(self.connection, found)

    def mark_sealed(self, from_offset: int, to_offset: int) -> None:
        """The journal from one offset, up to which it was sealed, to another is in chunks now, and counts no more.

        Raises:
            HistoryError: somebody else sealed meanwhile; the transaction must be given up.
        """
        changed = self.connection.execute(
            update(meta).where(meta.c.key == _SEALED, meta.c.value == str(from_offset)).values(value=str(to_offset))
        ).rowcount
        if not changed:
            raise HistoryError("somebody else sealed the journal: two programs keep this history")

    def drop_journal(self, to_offset: int) -> None:
        """Remove what was marked as sealed: by itself, and in parts, because much of it takes a while."""
        self.connection.execute(delete(journal).where(journal.c.last_offset <= to_offset))
        self.connection.execute(delete(message).where(message.c.log_offset <= to_offset))

    def set_kept_from(self, resolution: int, from_us: int) -> None:
        self._set_or_add(_KEPT_FROM.format(resolution), str(from_us))

    def _set(self, key: str, value: str) -> None:
        _SET.change(self.connection, {"name": key, "new": value})

    def _set_or_add(self, key: str, value: str) -> None:
        if not _SET.change(self.connection, {"name": key, "new": value}):
            self.connection.execute(insert(meta).values(key=key, value=value))

    def forget_descriptions(self, before_us: int) -> int:
        return store_catalog.forget_descriptions(self.connection, before_us)


def count_readings(frame: bytes) -> int:
    """How many readings one frame holds."""
    return int.from_bytes(frame[4:8], "little")
