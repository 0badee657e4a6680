"""From any older schema to this one, in one transaction: after a crash it is the old one or the new one.

Alembic would bring a configuration, a folder of scripts and its own table for what is a list of functions here. A step,
once released, is never changed; a new one is appended, and says in plain SQL or Core what is different.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from sqlalchemy import Connection, inspect, select, update

from bridge.history.faults import StoreTooNew
from bridge.history.store_schema import meta, metadata

Step: TypeAlias = Callable[[Connection], None]

SCHEMA_KEY = "schema"


def create_tables(connection: Connection) -> None:
    """Schema 1. Once there is a second step, this must create the tables as they were then."""
    metadata.create_all(connection)


STEPS: tuple[Step, ...] = (create_tables,)
"""Step n leads from schema n to schema n + 1; an empty database has schema 0."""


def migrate(connection: Connection, steps: Sequence[Step] = STEPS) -> tuple[int, int]:
    """Bring the schema up to date within the caller's transaction; returns the schema before and after.

    Raises:
        StoreTooNew: a later program wrote it.
    """
    found = read_schema(connection)
    if found > len(steps):
        raise StoreTooNew(found, len(steps))
    for number, step in enumerate(steps[found:], start=found + 1):
        step(connection)
        if number == 1:
            connection.execute(meta.insert().values(key=SCHEMA_KEY, value="1"))
        else:
            connection.execute(update(meta).where(meta.c.key == SCHEMA_KEY).values(value=str(number)))
    return found, len(steps)


def read_schema(connection: Connection) -> int:
    """0 for an empty database."""
    if not inspect(connection).has_table(meta.name):
        return 0
    return int(connection.execute(select(meta.c.value).where(meta.c.key == SCHEMA_KEY)).scalar_one())
