"""Everything that is PostgreSQL and nothing else: the driver, the lock of who writes, durability.

Checks, backup and room on the disk are its administrator's, who has better tools for them (amcheck, pg_dump).
"""

from __future__ import annotations

import contextlib
import importlib.util
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL, make_url

from bridge.history.faults import NotInstalled
from bridge.history.store_sqlite import WRITES

# The only driver that we know to work. It is plain Python: there is nothing to build on any machine.
DRIVER = "pg8000"
# How long a writing transaction waits for another one, as with SQLite: only sealing and the journal write.
LOCK_TIMEOUT_MS = 5_000
# After so long without a byte from the server a connection is given up: it may have gone without a word.
SILENCE_S = 60
# Two programs that write wait for each other by this number, which nobody else uses in a database of ours ("FLEET").
_WRITERS = 0x464C454554


def is_postgres(url: str) -> bool:
    return make_url(url).get_backend_name() == "postgresql"


def with_driver(url: str) -> URL:
    """The same address with the driver in it.

    Raises:
        NotInstalled: the driver is not part of this installation.
    """
    if importlib.util.find_spec(DRIVER) is None:
        raise NotInstalled("a history in PostgreSQL needs its driver: pip install 'fleetwire[postgres]'")
    return make_url(url).set(drivername=f"postgresql+{DRIVER}")


def options() -> dict[str, Any]:
    """Of `create_engine`. A connection that has broken while nobody used it is replaced before it is used again."""
    return {"connect_args": {"timeout": SILENCE_S, "application_name": "fleetwire"}, "pool_pre_ping": True}


def prepare(engine: Engine) -> None:
    """Make every commit durable, one program at a time a writer, and every reader see one moment."""

    def end(connection: Any) -> None:
        # A connection that is lost cannot be closed in good order either, and need not be told of twice.
        with contextlib.suppress(Exception):
            connection.close()

    engine.dialect.do_close = engine.dialect.do_terminate = end  # type: ignore[method-assign, assignment]

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("SET synchronous_commit = on")  # whatever the server does for others: we acknowledge after it
        cursor.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}")
        cursor.close()
        connection.commit()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        if connection.get_execution_options().get(WRITES, False):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")
        else:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
