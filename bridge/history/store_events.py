"""Events in the store: appended with the journal, asked by time."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection, delete, func, insert, select

from bridge.history.events import AVAILABILITY, KINDS, Event
from bridge.history.store_schema import event

Row: TypeAlias = tuple[int, str, str, str, int]

_AT_ONCE = 500  # ids in one statement; databases limit the number of parameters
_APPEND = insert(event)
_LIST = select(event.c.time_us, event.c.kind, event.c.device_id, event.c.data, event.c.event_id)


def append_events(connection: Connection, events: Sequence[Event]) -> None:
    if events:
        connection.execute(
            _APPEND,
            [
                {"time_us": one.time_us, "kind": one.kind, "device_id": one.device_id, "data": json.dumps(one.data)}
                for one in events
            ],
        )


def find_events(
    connection: Connection,
    from_us: int,
    to_us: int,
    *,
    kinds: Collection[str],
    device_id: str | None,
    limit: int,
    newest: bool,
) -> list[Event]:
    """Those in [from, to) in order of time; of too many the newest or the oldest `limit`."""
    # Kind by kind, each from its index: of all at once a database sorts a year to name the newest.
    found: list[Row] = []
    for kind in sorted(kinds):
        query = _LIST.where(event.c.kind == kind, event.c.time_us >= from_us, event.c.time_us < to_us)
        if device_id is not None:
            query = query.where(event.c.device_id == device_id)
        order = (event.c.time_us, event.c.event_id)
        query = query.order_by(*(column.desc() for column in order)) if newest else query.order_by(*order)
        found += map(_as_row, connection.execute(query.limit(limit)))
    found.sort(key=lambda row: (row[0], row[4]))
    return list(map(_read, found[-limit:] if newest else found[:limit]))


def availability_at(connection: Connection, at_us: int) -> list[Event]:
    """The newest availability of each device at or before a moment, found by stepping through an index."""
    mine = event.c.kind == AVAILABILITY
    first = select(func.min(event.c.device_id).label("device_id")).where(mine).cte("known", recursive=True)
    following = select(func.min(event.c.device_id)).where(mine, event.c.device_id > first.c.device_id)
    known = first.union_all(select(following.scalar_subquery()).where(first.c.device_id.is_not(None)))
    latest = (
        select(event.c.event_id)
        .where(mine, event.c.device_id == known.c.device_id, event.c.time_us <= at_us)
        .order_by(event.c.time_us.desc(), event.c.event_id.desc())  # of two at once the later one
        .limit(1)
        .correlate(known)
        .scalar_subquery()
    )
    found = [one for one in connection.execute(select(latest).select_from(known)).scalars() if one is not None]
    rows: list[Row] = []
    for at in range(0, len(found), _AT_ONCE):
        some = _LIST.where(event.c.event_id.in_(found[at : at + _AT_ONCE]))
        rows += map(_as_row, connection.execute(some))
    return list(map(_read, sorted(rows, key=lambda row: row[2])))


def forget_events(connection: Connection, before_us: int) -> int:
    """Drop the old ones, but the last availability of each device, which still holds."""
    kept = {one.event_id for one in availability_at(connection, before_us)}
    forgotten = 0
    for kind in KINDS:
        old = select(event.c.event_id).where(event.c.kind == kind, event.c.time_us < before_us)
        doomed = [one for one in connection.execute(old).scalars() if one not in kept]
        for at in range(0, len(doomed), _AT_ONCE):
            connection.execute(delete(event).where(event.c.event_id.in_(doomed[at : at + _AT_ONCE])))
        forgotten += len(doomed)
    return forgotten


def _as_row(found: Any) -> Row:
    return found[0], found[1], found[2], found[3], found[4]


def _read(row: Row) -> Event:
    return Event(row[0], row[1], row[2], json.loads(row[3]), row[4])
