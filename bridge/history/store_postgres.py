"""Everything that is PostgreSQL and nothing else: the driver and its address, the lock of who writes, durability.

Checks, backup and room on the disk are its administrator's, who has better tools for them (amcheck, pg_dump).
"""

from __future__ import annotations

import contextlib
import importlib.util
import ssl
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from bridge.history.faults import HistoryError, NotInstalled
from bridge.history.store_sqlite import WRITES, backend_of

# The only driver that we know to work. It is plain Python: there is nothing to build on any machine.
DRIVER = "pg8000"
# How long a writing transaction waits for another one, as with SQLite: only sealing and the journal write.
LOCK_TIMEOUT_MS = 5_000
# After so long without a byte from the server a connection is given up: it may have gone without a word.
SILENCE_S = 60
# After so long without a statement the server ends a writing transaction: a bridge that is gone without a word, or is
# frozen, must not keep the others from writing.
IDLE_MS = 60_000
# Two programs that write wait for each other by this number, which nobody else uses in a database of ours ("FLEET").
_WRITERS = 0x464C454554

# What our promises hang on, whatever the server, the database or the user have as their default.
_SESSION = {
    "synchronous_commit": "on",  # we acknowledge after it
    "default_transaction_isolation": "'read committed'",  # who has waited to write sees what the other one wrote
    "client_encoding": "UTF8",
    "bytea_output": "hex",  # the driver reads nothing else
    "extra_float_digits": "1",  # all digits of a number
}
# As libpq has it, the library of most other programs. `prefer`: with TLS if the server has it, not verified.
_TLS_MODES = ("disable", "prefer", "require", "verify-full")
_PARAMETERS = {"sslmode", "sslrootcert", "unix_sock"}


def is_postgres(url: str) -> bool:
    return backend_of(url) == "postgresql"


def make_engine(url: str) -> Engine:
    """Connects to nothing yet.

    Raises:
        NotInstalled: the driver is not part of this installation.
        HistoryError: that is no address; the text quotes nothing of it that may belong to a password.
    """
    if importlib.util.find_spec(DRIVER) is None:
        raise NotInstalled("a history in PostgreSQL needs its driver: pip install 'fleetwire[postgres]'")
    address = _read_address(url)
    arguments = {"timeout": SILENCE_S, "application_name": "fleetwire", "ssl_context": _tls(address)}
    if "unix_sock" in address.query:
        arguments["unix_sock"] = address.query["unix_sock"]
    # A connection that has broken while nobody used it is replaced before it is used again.
    engine = create_engine(address.set(query={}), connect_args=arguments, pool_pre_ping=True)
    _prepare(engine)
    return engine


def _read_address(url: str) -> URL:
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        address = None
    # With an @ in its password the rest of it is taken for the host.
    if address is None or not address.username or "@" in (address.host or ""):
        raise HistoryError(
            "the address must look like postgresql://user:password@host:port/database, with %40 for an @ in user or "
            "password, %3A for a colon, %2F for a slash"
        ) from None
    unknown = sorted(set(address.query) - _PARAMETERS)
    if unknown:
        raise HistoryError(f"of an address only {', '.join(sorted(_PARAMETERS))} are known, not {', '.join(unknown)}")
    return address.set(drivername=f"postgresql+{DRIVER}")


def _tls(address: URL) -> ssl.SSLContext | bool | None:
    """The driver's `ssl_context`. None: with TLS if the server has it; False: without."""
    mode, authorities = address.query.get("sslmode", "prefer"), address.query.get("sslrootcert")
    if mode not in _TLS_MODES:
        raise HistoryError(f"sslmode is one of {', '.join(_TLS_MODES)}")
    if mode != "verify-full":
        return {"disable": False, "prefer": None}.get(str(mode), True)
    try:
        return ssl.create_default_context(cafile=None if authorities is None else str(authorities))
    except OSError as error:  # also what is no certificate
        raise HistoryError(f"sslrootcert cannot be read: {error.strerror or error}") from None


def _prepare(engine: Engine) -> None:
    """Make every commit durable, one program at a time a writer, and every reader see one moment."""

    def end(connection: Any) -> None:
        # A connection that is lost cannot be closed in good order either, and need not be told of twice.
        with contextlib.suppress(Exception):
            connection.close()

    engine.dialect.do_close = engine.dialect.do_terminate = end  # type: ignore[method-assign, assignment]

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        settings = _SESSION | {"lock_timeout": str(LOCK_TIMEOUT_MS)}
        cursor.execute("; ".join(f"SET {name} = {value}" for name, value in settings.items()))
        cursor.execute("SHOW server_encoding")
        encoding = cursor.fetchone()[0]
        cursor.close()
        connection.commit()
        if encoding != "UTF8":  # else the first text that it cannot hold would stop the recording
            raise HistoryError(f"the history's database must have the encoding UTF8, not {encoding}")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        if connection.get_execution_options().get(WRITES, False):
            connection.exec_driver_sql(
                f"SET LOCAL idle_in_transaction_session_timeout = {IDLE_MS}; SELECT pg_advisory_xact_lock({_WRITERS})"
            )
        else:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
