"""Events in the store: appended with the journal, asked by time."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence

from sqlalchemy import Connection, and_, delete, func, insert, select

from bridge.history.events import AVAILABILITY, Event
from bridge.history.store_schema import event

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
    query = _LIST.where(event.c.time_us >= from_us, event.c.time_us < to_us, event.c.kind.in_(sorted(kinds)))
    if device_id is not None:
        query = query.where(event.c.device_id == device_id)
    order = (event.c.time_us, event.c.event_id)
    query = query.order_by(*(column.desc() for column in order)) if newest else query.order_by(*order)
    found = list(_read(connection, query.limit(limit)))
    return found[::-1] if newest else found


def availability_at(connection: Connection, at_us: int) -> list[Event]:
    """The newest availability of each device at or before a moment."""
    latest = (
        select(event.c.device_id, func.max(event.c.time_us).label("time_us"))
        .where(event.c.kind == AVAILABILITY, event.c.time_us <= at_us)
        .group_by(event.c.device_id)
        .subquery()
    )
    query = _LIST.join(
        latest,
        and_(
            event.c.kind == AVAILABILITY,
            event.c.device_id == latest.c.device_id,
            event.c.time_us == latest.c.time_us,
        ),
    ).order_by(event.c.device_id, event.c.event_id)
    return list({one.device_id: one for one in _read(connection, query)}.values())  # of two at once the later one


def forget_events(connection: Connection, before_us: int) -> int:
    """Drop the old ones, but the last availability of each device, which still holds."""
    kept = [one.event_id for one in availability_at(connection, before_us)]
    old = select(event.c.event_id).where(event.c.time_us < before_us)
    doomed = [row[0] for row in connection.execute(old) if row[0] not in set(kept)]
    for at in range(0, len(doomed), 500):
        connection.execute(delete(event).where(event.c.event_id.in_(doomed[at : at + 500])))
    return len(doomed)


def _read(connection: Connection, query: object) -> Iterator[Event]:
    for row in connection.execute(query):  # type: ignore[call-overload]
        yield Event(row[0], row[1], row[2], json.loads(row[3]), row[4])
