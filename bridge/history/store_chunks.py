"""Chunks and their shared columns of times, as rows. Everything here runs in the caller's transaction."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    union_all,
)

from bridge.history.chunk import FULL_ROWS, Blobs, Chunk, Facts, Found
from bridge.history.codec import checksum, content_id
from bridge.history.faults import Damaged, HistoryError
from bridge.history.merge import FANOUT, Group, last_closed
from bridge.history.spans import PARTITION_US, RAW, RESOLUTIONS, WIDTH_US
from bridge.history.store_schema import chunk, times
from bridge.history.store_sqlite import PAGE_BYTES
from bridge.history.store_statements import Statement, number, numbers

_PAGES_TO_FILL = 200  # rows: to look through more takes longer than it saves
_ROW_BYTES = 130  # of a row beside its columns, about
_AT_ONCE = 500  # ids in one statement; databases limit the number of parameters

_FACTS = tuple(chunk.c[name] for name in Facts._fields)
_COLUMNS = (*Facts._fields, "is_open", "size", "times_id", "checksum", "data")
assert tuple(chunk.c.keys())[1:] == _COLUMNS  # rows are made in this order, and the number of a chunk comes by itself
_SIZE, _TIMES_ID = _COLUMNS.index("size"), _COLUMNS.index("times_id")
_INSERT_TIMES = Statement(insert(times).values({name: bindparam(name) for name in ("times_id", "checksum", "data")}))
_INSERT = Statement(insert(chunk).values({name: bindparam(name) for name in _COLUMNS}))
_insert_numbered = insert(chunk).returning(chunk.c.chunk_id)

# Built once: to build a statement costs more than to run it.
_found = select(chunk.c.chunk_id, chunk.c.times_id, chunk.c.size, *_FACTS)
_BY_ID = Statement(_found.where(chunk.c.chunk_id.in_(numbers("ids"))))
_OPEN = Statement(
    _found.where(
        chunk.c.is_open.is_(True), chunk.c.series_id.in_(numbers("series_ids")), chunk.c.part.in_(numbers("parts"))
    ).order_by(chunk.c.series_id, chunk.c.start_us, chunk.c.chunk_id)
)
_OLDEST = Statement(
    _found.where(chunk.c.reach == number("reach"), chunk.c.end_us < number("before_us"), chunk.c.level > 0)
    .order_by(chunk.c.end_us, chunk.c.chunk_id)
    .limit(number("most"))
)
_TIMES = Statement(select(times.c.times_id, times.c.checksum, times.c.data).where(times.c.times_id.in_(numbers("ids"))))
_VALUES = Statement(
    select(chunk.c.chunk_id, chunk.c.checksum, chunk.c.data).where(chunk.c.chunk_id.in_(numbers("ids")))
)
_DELETE = Statement(delete(chunk).where(chunk.c.chunk_id.in_(numbers("ids"))))
_DELETE_TIMES = Statement(
    delete(times).where(times.c.times_id.in_(numbers("ids")), ~exists().where(chunk.c.times_id == times.c.times_id))
)
# The index begins with the series: each is a short range of it.
_BEFORE = Statement(
    select(chunk.c.chunk_id, chunk.c.series_id, chunk.c.end_us).where(
        chunk.c.series_id.in_(numbers("series_ids")),
        chunk.c.resolution == RAW,
        chunk.c.start_us.between(number("earliest_us"), number("at_us")),
        chunk.c.end_us >= number("end_us"),
    )
)

_ALL: tuple[ColumnElement[int], ...] = literal_column("0"), literal_column(str(2**32))  # numbers of series

T = TypeVar("T")


class Prepared(NamedTuple):
    """Chunks on their way into the store: all that can be done before the write lock is taken. Used once."""

    rows: list[tuple[Any, ...]]
    times: list[bytes]  # of each row
    ids: dict[bytes, int]  # numbers for the columns of times
    checksums: dict[bytes, int]


def prepare_chunks(chunks: Sequence[Chunk]) -> Prepared:
    ids: dict[bytes, int] = {}
    checksums: dict[bytes, int] = {}
    rows, columns = [], []
    for one in _fill_pages(chunks):
        facts, data = one.facts, one.times
        if data not in ids:
            ids[data], checksums[data] = content_id(data), checksum(data)
        # As it was sealed it has no rollups yet, however long it is.
        is_open = facts.level == 0 or facts.n < FULL_ROWS[facts.resolution]
        rows.append((*facts, is_open, len(one.values), ids[data], checksum(one.values), one.values))
        columns.append(data)
    return Prepared(rows, columns, ids, checksums)


def insert_chunks(connection: Connection, chunks: Prepared) -> None:
    """Add chunks, and the columns of times that are not there yet."""
    rows, ids = chunks.rows, dict(chunks.ids)
    if not rows:
        return
    new = _new_times(connection, ids)
    if new:
        _INSERT_TIMES.change_each(connection, [(ids[data], chunks.checksums[data], data) for data in new])
    if ids != chunks.ids:
        both = zip(rows, chunks.times, strict=True)
        rows = [(*row[:_TIMES_ID], ids[data], *row[_TIMES_ID + 1 :]) for row, data in both]
    for at, data in enumerate(chunks.times):
        if not new:
            break
        if data in new:
            new.remove(data)
            row = rows[at]
            rows[at] = (*row[:_SIZE], row[_SIZE] + len(data), *row[_SIZE + 1 :])
    _insert_rows(connection, rows)


def _fill_pages(chunks: Sequence[Chunk]) -> Sequence[Chunk]:
    """The chunks in an order in which they fill SQLite's pages, which it does not go back to: the largest first, and
    behind it what there is room for. In the order of series they would leave a fifth of their pages empty."""
    if len(chunks) > _PAGES_TO_FILL:
        return chunks  # of a sealing: all about as large, and soon merged
    pages: list[list[Chunk]] = []
    rooms: list[int] = []
    # Readings and rollups apart: those that are first merged again leave no holes among the others.
    for one in sorted(chunks, key=lambda each: (each.facts.resolution, -len(each.values))):
        size = len(one.values) + _ROW_BYTES
        for at, room in enumerate(rooms):
            if room >= size and pages[at][0].facts.resolution == one.facts.resolution:
                pages[at].append(one)
                rooms[at] -= size
                break
        else:
            pages.append([one])
            rooms.append(PAGE_BYTES - size)
    return [one for page in pages for one in page]


def _insert_rows(connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    if connection.dialect.paramstyle == "qmark":
        # As the driver takes them: what SQLAlchemy does for each row costs three times what the database does.
        _INSERT.change_each(connection, rows)
    else:
        # Asked for their numbers, SQLAlchemy adds many in one statement: each by itself is a journey to the server.
        found = connection.execute(_insert_numbered, [dict(zip(_COLUMNS, row, strict=True)) for row in rows])
        found.close()


def delete_chunks(connection: Connection, found: Sequence[Found]) -> None:
    """Remove chunks, and the columns of times that nobody needs any more.

    Raises:
        HistoryError: somebody else removed one of them meanwhile; the transaction must be given up.
    """
    for some in _pieces([one.chunk_id for one in found]):
        if _DELETE.change(connection, ids=some) != len(some):
            raise HistoryError("a chunk was removed by somebody else: two programs keep this history")
    for some in _pieces(sorted({one.times_id for one in found})):
        _DELETE_TIMES.change(connection, ids=some)


def find_chunks(
    connection: Connection, series_ids: Collection[int], resolution: int, from_us: int, to_us: int
) -> list[Found]:
    """The chunks that answer a question about [from, to) at this resolution, in order of series and start."""
    return [
        found
        for kind in range(resolution + 1)
        for some in _pieces(sorted(series_ids))
        for found in _read_found(
            _answers(kind, resolution).rows(
                connection,
                series_ids=some,
                # A chunk lies in one partition, so none that reaches into the span begins earlier than this.
                earliest_us=from_us - PARTITION_US[kind],
                latest_us=to_us - 1,
                end_us=from_us - WIDTH_US[kind],
            )
        )
    ]


@functools.cache
def _answers(kind: int, resolution: int) -> Statement:
    return Statement(
        _found.where(
            chunk.c.series_id.in_(numbers("series_ids")),
            chunk.c.resolution == kind,
            chunk.c.reach >= resolution,
            chunk.c.start_us.between(number("earliest_us"), number("latest_us")),
            chunk.c.end_us > number("end_us"),
        ).order_by(chunk.c.series_id, chunk.c.start_us, chunk.c.chunk_id)
    )


def find_open(connection: Connection, series_ids: Collection[int], parts: Collection[int]) -> list[Found]:
    """The chunks of these series in these partitions that are still to be merged."""
    return [
        found
        for some in _pieces(sorted(series_ids))
        for found in _read_found(_OPEN.rows(connection, series_ids=some, parts=sorted(parts)))
    ]


def find_groups(connection: Connection, now_us: int) -> list[Group]:
    """How many chunks there are to merge: what is certainly not worth it yet is left out.

    A year leaves a small chunk or two in each of its weeks for each series, which is a million with 10,000 series.
    """
    closed: dict[str, Any] = {f"closed_{one}": last_closed(one, now_us) for one in RESOLUTIONS}
    return [Group(*map(int, row)) for row in _groups().rows(connection, **closed)]


@functools.cache
def _groups() -> Statement:
    key = (chunk.c.series_id, chunk.c.resolution, chunk.c.reach, chunk.c.part, chunk.c.level)
    count = func.count()
    groups = (
        # Of the partition without level 0, which is merged by itself.
        select(*key, count.label("chunks"), func.sum(chunk.c.n).label("rows"),
               func.sum(case((chunk.c.level > 0, count), else_=0)).over(partition_by=key[:4]).label("later"))
        .where(chunk.c.is_open.is_(True))
        .group_by(*key)
        .subquery()
    )  # fmt: skip
    closed = or_(*(and_(groups.c.resolution == one, groups.c.part <= number(f"closed_{one}")) for one in RESOLUTIONS))
    full = or_(*(and_(groups.c.resolution == one, groups.c.rows >= FULL_ROWS[one]) for one in RESOLUTIONS))
    ripe = or_(groups.c.chunks >= FANOUT, and_(groups.c.chunks > 1, full))
    left = and_(closed, or_(groups.c.level == 0, groups.c.later > 1))
    return Statement(select(*(groups.c[name] for name in Group._fields)).where(or_(ripe, left)))


def find_before(
    connection: Connection, series_ids: Collection[int], at_us: int, within_us: int
) -> list[tuple[int, int, int]]:
    """(chunk, series, end) of the chunks of readings that touch the time from `within_us` before `at_us` to it.

    From the index alone: nothing of a chunk is read.
    """
    found: list[tuple[int, int, int]] = []
    for some in _pieces(sorted(series_ids)):
        rows = _BEFORE.rows(
            connection,
            series_ids=some,
            earliest_us=at_us - within_us - PARTITION_US[RAW],
            at_us=at_us,
            end_us=at_us - within_us,
        )
        found += [(row[0], row[1], row[2]) for row in rows]
    return found


def find_last(
    connection: Connection, series_ids: Collection[int], at_us: int, resolutions: Sequence[int]
) -> list[Found]:
    """For each of these series and resolutions the chunk that begins last at or before `at_us`, however old."""
    found: list[Found] = []
    last = _last(tuple(resolutions))
    for some in _pieces(sorted(series_ids)):
        found += _read_found(last.rows(connection, series_ids=some, first_id=some[0], last_id=some[-1], at_us=at_us))
    return found


@functools.cache
def _last(resolutions: tuple[int, ...]) -> Statement:
    known = _known_series(number("first_id"), number("last_id"))
    begun = chunk.alias()

    def newest(resolution: int) -> Select[tuple[int, int, int]]:
        # One step into the index. Grouped, all chunks of all time would be looked at.
        same = (begun.c.series_id == known.c.series_id, begun.c.resolution == literal_column(str(resolution)))
        last = select(func.max(begun.c.start_us)).where(*same, begun.c.start_us <= number("at_us")).scalar_subquery()
        return select(known.c.series_id, literal_column(str(resolution)).label("resolution"), last.label("start_us"))

    each = union_all(*(newest(one).where(known.c.series_id.in_(numbers("series_ids"))) for one in resolutions))
    times_us = each.subquery()
    names = ("series_id", "resolution", "start_us")
    return Statement(_found.join(times_us, and_(*(chunk.c[name] == times_us.c[name] for name in names))))


def list_series(connection: Connection) -> list[int]:
    """The series that have chunks, found by stepping from one to the next in the index, within the database."""
    known = _known_series(*_ALL)
    return list(connection.execute(select(known.c.series_id).where(known.c.series_id.is_not(None))).scalars())


def _known_series(first_id: ColumnElement[int], last_id: ColumnElement[int]) -> CTE:
    """Those between two numbers; the last row is NULL."""
    inside = (chunk.c.series_id >= first_id, chunk.c.series_id <= last_id)
    known = select(func.min(chunk.c.series_id).label("series_id")).where(*inside).cte("known", recursive=True)
    after = (chunk.c.series_id > known.c.series_id, inside[1])
    following = select(func.min(chunk.c.series_id)).where(*after).scalar_subquery()
    return known.union_all(select(following).where(known.c.series_id.is_not(None)))


def get_chunks(connection: Connection, chunk_ids: Iterable[int]) -> list[Found]:
    return [found for some in _pieces(sorted(chunk_ids)) for found in _read_found(_BY_ID.rows(connection, ids=some))]


def load_blobs(connection: Connection, found: Sequence[Found]) -> dict[int, Blobs | Damaged]:
    """The columns of these chunks by chunk id; `Damaged` in the place of those that are not as they were written."""
    shared: dict[int, bytes | Damaged] = {}
    for some in _pieces(sorted({one.times_id for one in found})):
        for times_id, expected, data in _TIMES.rows(connection, ids=some):
            shared[times_id] = _checked(data, expected, "times", times_id)
    wanted = {one.chunk_id: one for one in found}
    loaded: dict[int, Blobs | Damaged] = {}
    for some in _pieces(sorted(wanted)):
        for chunk_id, expected, data in _VALUES.rows(connection, ids=some):
            values = _checked(data, expected, "chunk", chunk_id)
            times_id = wanted[chunk_id].times_id
            time_column = shared.get(times_id) or Damaged(f"times {times_id} are missing")
            if isinstance(values, Damaged):
                loaded[chunk_id] = values
            elif isinstance(time_column, Damaged):
                loaded[chunk_id] = time_column
            else:
                loaded[chunk_id] = Blobs(time_column, values)
    return loaded


def find_damaged(connection: Connection) -> list[str]:
    """Every chunk and column of times that is not as it was written. Reads everything."""
    damage: list[str] = []
    for table, key in ((times, times.c.times_id), (chunk, chunk.c.chunk_id)):
        rows = connection.execution_options(yield_per=100).execute(select(key, table.c.checksum, table.c.data))
        damage += [f"{table.name} {row[0]}" for row in rows if checksum(row[2]) != row[1]]
    orphans = select(func.count()).select_from(chunk).where(~exists().where(times.c.times_id == chunk.c.times_id))
    missing = connection.execute(orphans).scalar_one()
    if missing:
        damage.append(f"{missing} chunks without their times")
    return damage


def find_oldest(connection: Connection, reach: int, before_us: int, limit: int) -> list[Found]:
    """The oldest chunks that only questions up to `reach` need and that end before `before_us`.

    Readings that were never merged are left out: it is not known yet whether a rollup will stand for them.
    """
    return _read_found(_OLDEST.rows(connection, reach=reach, before_us=before_us, most=limit))


def find_span(connection: Connection) -> tuple[int | None, int | None]:
    """Of all chunks the earliest begin and the latest end. Within the database, a step in an index for each series."""
    known = _known_series(*_ALL)
    first = select(func.min(chunk.c.start_us)).where(
        chunk.c.series_id == known.c.series_id, chunk.c.resolution == bindparam("resolution")
    )
    last = select(func.max(chunk.c.end_us)).where(chunk.c.reach == bindparam("resolution"))
    starts, ends = [], []
    for one in RESOLUTIONS:
        query = select(func.min(first.scalar_subquery()))
        starts.append(connection.execute(query, {"resolution": one}).scalar_one())
        ends.append(connection.execute(last, {"resolution": one}).scalar_one())
    return min((one for one in starts if one is not None), default=None), max(
        (one for one in ends if one is not None), default=None
    )


def sum_sizes(connection: Connection) -> dict[int, int]:
    """Bytes of columns by reach, without what was never merged."""
    query = select(chunk.c.reach, func.sum(chunk.c.size)).where(chunk.c.level > 0).group_by(chunk.c.reach)
    return {reach: int(size) for reach, size in connection.execute(query)}


def _read_found(rows: Iterable[Any]) -> list[Found]:
    return [Found(row[0], row[1], row[2], Facts._make(row[3:])) for row in rows]


def _new_times(connection: Connection, ids: dict[bytes, int]) -> set[bytes]:
    """Those of the columns that must be added. Two with the same number, as good as impossible, get another one."""
    known: dict[int, bytes] = {}
    for some in _pieces(sorted(ids.values())):
        known.update((times_id, data) for times_id, _, data in _TIMES.rows(connection, ids=some))
    new: set[bytes] = set()
    taken = dict(known)
    for data, times_id in list(ids.items()):
        while taken.get(times_id, data) != data:
            times_id = (times_id + 1) % 2**63
            there = connection.execute(select(times.c.data).where(times.c.times_id == times_id)).scalar_one_or_none()
            if there is not None:
                known[times_id] = taken[times_id] = there
        ids[data] = times_id
        taken[times_id] = data
        if times_id not in known:
            new.add(data)
    return new


def _checked(data: bytes, expected: int, table: str, number: int) -> bytes | Damaged:
    return data if checksum(data) == expected else Damaged(f"{table} {number}")


def _pieces(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for at in range(0, len(items), _AT_ONCE):
        yield items[at : at + _AT_ONCE]
