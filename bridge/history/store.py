"""The store: opens a database, brings it up to date, and hands out transactions. SQLite or PostgreSQL by URL.

Blocking, and safe to use from several threads: each transaction has a connection of its own. One program keeps a
store (appends, seals, merges); any number may read.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DatabaseError, NoResultFound

from bridge.history import store_postgres, store_sqlite
from bridge.history.faults import Damaged, HistoryError
from bridge.history.store_log import LogHeads, read_heads
from bridge.history.store_migrations import STEPS, Step, migrate
from bridge.history.store_session import Snapshot, Writer
from bridge.history.store_sqlite import WRITES


class Opened(NamedTuple):
    """What happened when a store was opened. `set_aside`: where the damaged file is now; `damage`: what was wrong."""

    schema_before: int
    schema: int
    damage: tuple[str, ...] = ()
    set_aside: Path | None = None

    @property
    def is_new(self) -> bool:
        """There was nothing before, or nothing that could be used: the epoch is a new one."""
        return self.schema_before == 0


class Store:
    """An open database. `opened` says what had to be done for it."""

    def __init__(self, url: str, steps: Sequence[Step] = STEPS) -> None:
        """Opens, creates or migrates; use `open_store` unless a damaged file is to raise.

        Raises:
            StoreTooNew: a later program wrote it; nothing was changed.
        """
        self._url = url
        self.path = store_sqlite.file_of(url)  # None: not a file of ours
        self._engine = _make_engine(url)
        self._writing = self._engine.execution_options(**{WRITES: True})  # the same connections
        try:
            with self.writing() as writer:
                before, after = migrate(writer.connection, steps)
                if before == 0:
                    writer.begin(secrets.token_hex(8))
            with self.reading() as snapshot:
                self.epoch = snapshot.epoch()
        except BaseException:
            self.close()
            raise
        self.opened = Opened(before, after)

    @contextmanager
    def reading(self) -> Iterator[Snapshot]:
        """A transaction that sees one moment."""
        with self._engine.connect() as connection, connection.begin():
            yield Snapshot(connection)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """A transaction that is durable when the block ends; an exception in it undoes everything."""
        with self._writing.connect() as connection, connection.begin():
            yield Writer(connection)

    def find_damage(self, *, everything: bool) -> list[str]:
        """What is not as it was written, in words; empty if all is well.

        `everything=False` reads the journal, and the rest if that takes no longer than a start may.
        """
        path = self.path
        small = path is not None and path.stat().st_size <= store_sqlite.FULL_CHECK_BYTES
        try:
            with self.reading() as snapshot:
                damage: list[str] = []
                if store_sqlite.is_sqlite(self._url) and (everything or small):
                    damage = store_sqlite.find_damage(snapshot.connection, quick=not everything)
                # A broken tree would only be reported once more, in other words.
                return damage or snapshot.find_damage(everything=everything or small)
        except DatabaseError as error:
            if not store_sqlite.is_damage(error):
                raise
            return [str(error.orig)]

    def count_lost(self, heads: LogHeads) -> int:
        """Commits that a SQLite file has lost to damage in its log. Before anything is written."""
        with self._engine.connect() as connection:
            return heads.count_lost(connection)

    def empty_log(self) -> None:
        """Carry the log of a SQLite file over into the database, and begin it anew."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def reusable_bytes(self) -> int:
        """Free pages within a SQLite file: it takes so much more before it grows. 0 for other databases."""
        if not store_sqlite.is_sqlite(self._url):
            return 0
        with self.reading() as snapshot:
            return store_sqlite.reusable_bytes(snapshot.connection)

    def backup(self, target: Path) -> None:
        """A consistent copy of the whole history in a new file, while everything goes on.

        Raises:
            HistoryError: the database is not SQLite; its own tools make its backups.
        """
        if not store_sqlite.is_sqlite(self._url):
            raise HistoryError("this history is not a file; back it up with the tools of its database (pg_dump)")
        store_sqlite.backup(self._engine, target)

    def close(self) -> None:
        self._engine.dispose()


def open_store(url: str, now_us: int) -> Store:
    """The store at `url`; a damaged SQLite file is set aside, with everything in it, and a new one begun.

    What was found is in `store.opened`: the caller must say it loudly, since the new history is empty.

    Raises:
        StoreTooNew: a later program wrote it; nothing was changed.
        Damaged: the damage is not in a file that we could set aside.
    """
    damage: list[str] = []
    path = store_sqlite.file_of(url)
    heads = read_heads(path) if path is not None and path.exists() else None
    try:
        store = Store(url)
        # Not if another program writes just now: then the log is not what it was when it was looked at.
        if heads and path and (lost := store.count_lost(heads)) and read_heads(path) == heads:
            return _go_on_without(store, lost, now_us)
        damage = store.find_damage(everything=False)
        if not damage:
            return store
        store.close()
    except DatabaseError as error:
        if not store_sqlite.is_damage(error):
            raise
        damage = [str(error.orig)]
    except (NoResultFound, ValueError) as error:  # rows that are there in every history, and numbers that are numbers
        damage = [f"history_meta: {error}"]
    if path is None:
        raise Damaged("; ".join(damage))
    aside = store_sqlite.set_aside(path, now_us)
    store = Store(url)
    store.opened = store.opened._replace(damage=tuple(damage), set_aside=aside)
    return store


def _go_on_without(store: Store, lost: int, now_us: int) -> Store:
    """With what came before a damaged place in the log, under a new epoch; a copy of the log is set aside."""
    assert store.path is not None
    aside = store_sqlite.copy_log(store.path, now_us)
    store.epoch = secrets.token_hex(8)
    with store.writing() as writer:
        writer.set_epoch(store.epoch)
    store.empty_log()  # else the next start would find the same again
    damage = (f"{lost} commits in its log cannot be read", *store.find_damage(everything=False))
    store.opened = store.opened._replace(damage=damage, set_aside=aside)
    return store


def _make_engine(url: str) -> Engine:
    if store_postgres.is_postgres(url):
        return store_postgres.make_engine(url)
    path = store_sqlite.file_of(url)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url)
    store_sqlite.prepare(engine)
    return engine
