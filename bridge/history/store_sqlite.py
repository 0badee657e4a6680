"""Everything that is SQLite and nothing else: settings, checks, setting aside, backup.

On another database these are the administrator's, who has better tools for them.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import make_url

from bridge.history.store_statements import run

# How long a statement waits for another process that holds the database (a backup, a person with a shell).
BUSY_TIMEOUT_MS = 5_000
# Of a new database. With SQLite's 4 KB a large commit costs twice the CPU time, with more a small one writes more.
PAGE_BYTES = 8_192
# 16 MB: what the write-ahead log holds before it is carried over into the database.
CHECKPOINT_PAGES = 2_000
# Pages kept in memory for each connection, in KB. The facts of a year fit; more would not make answers faster.
CACHE_KB = 16_000
# Up to this size everything is checked at start; it takes about half a second. Beyond, only what the start needs.
FULL_CHECK_BYTES = 128 * 2**20

WRITES = "fleetwire_writes"
"""Execution option of a connection that will write: it takes the write lock at once, and so never has to give up
halfway because somebody else wrote since it began to read."""

_DAMAGE_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def backend_of(url: str) -> str:
    """Which database it is. Never fails: what is wrong with an address is told by who opens it."""
    return url.partition(":")[0].partition("+")[0]


def is_sqlite(url: str) -> bool:
    return backend_of(url) == "sqlite"


def file_of(url: str) -> Path | None:
    """The database file; None for another database or one in memory."""
    database = make_url(url).database if is_sqlite(url) else None
    if not database or database == ":memory:":
        return None
    return Path(database)


def prepare(engine: Engine) -> None:
    """Make every connection of the engine durable, and every transaction one that we begin ourselves."""

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # else the driver would begin transactions late, and none for reading
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            f"page_size={PAGE_BYTES}",
            "journal_mode=WAL",
            "synchronous=FULL",  # NORMAL survives kill -9, but not a power cut
            f"wal_autocheckpoint={CHECKPOINT_PAGES}",
            f"cache_size=-{CACHE_KB}",
            # Debian builds SQLite so that it writes zeros over what is deleted: each reading once more, twice.
            "secure_delete=OFF",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        run(connection, "BEGIN IMMEDIATE" if writes else "BEGIN")


def is_damage(error: BaseException) -> bool:
    """Whether the database file itself is broken; a locked file, a full disk or missing rights are not that."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, sqlite3.Error):
            return (getattr(cause, "sqlite_errorcode", 0) & 0xFF) in _DAMAGE_CODES
        cause = cause.__cause__
    return False


def find_damage(connection: Connection, *, quick: bool) -> list[str]:
    """What SQLite's own check says; empty if all is well. Reads the whole file."""
    rows = connection.exec_driver_sql("PRAGMA quick_check(10)" if quick else "PRAGMA integrity_check(100)")
    return [str(row[0]) for row in rows if row[0] != "ok"]


def reusable_bytes(connection: Connection) -> int:
    pages = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
    return int(pages * connection.exec_driver_sql("PRAGMA page_size").scalar_one())


def set_aside(path: Path, now_us: int) -> Path:
    """Rename a database and what belongs to it, so that a new one can begin in its place; returns the new name."""
    aside = _name_aside(path, now_us)
    # The log first: were we killed in between, a database without its log would be set aside at the next start,
    # while a log without its database would be applied to the new one.
    for suffix in ("-wal", "-shm", ""):
        part = Path(f"{path}{suffix}")
        if part.exists():
            part.rename(f"{aside}{suffix}")
    _sync_folder(path.parent)
    return aside


def copy_log(path: Path, now_us: int) -> Path:
    """A copy of a database's log, to be looked at by people; returns its name."""
    log = Path(f"{path}-wal")
    aside = _name_aside(log, now_us)
    shutil.copyfile(log, aside)
    _sync_folder(path.parent)
    return aside


def _name_aside(path: Path, now_us: int) -> Path:
    stamp = datetime.fromtimestamp(now_us / 1e6, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    return aside


def backup(engine: Engine, target: Path) -> None:
    """A consistent copy, compact and without a log, while all others go on. Replaces `target` at the end."""
    partial = target.with_name(f"{target.name}.partial-{os.getpid()}-{threading.get_ident()}")
    partial.unlink(missing_ok=True)
    connection = engine.raw_connection()
    try:
        # Not through a transaction of ours: VACUUM is one by itself.
        connection.cursor().execute("VACUUM INTO ?", (str(partial),))
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
        _sync_folder(target.parent)
    finally:
        connection.close()
        partial.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """A new name is durable when its folder is; Windows has no such thing, and does it by itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
