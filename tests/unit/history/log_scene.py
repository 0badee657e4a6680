"""Entries for the durable log, and stores that refuse like a disk does, for tests of several modules."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError

from bridge.core.batch import make_batch
from bridge.core.frame import decode_frame, encode_frame
from bridge.history.catalog import Births, SeriesRecord
from bridge.history.events import NOTE, Event
from bridge.history.journal import Entry, Failure, Journal
from bridge.history.store import Store
from bridge.history.store_session import Writer

NOW_US = 1_767_225_600_000_000
S = 1_000_000


def frame(offset: int, values: Sequence[float], series_id: int = 1, *, step_us: int = 1) -> bytes:
    """Readings whose times nobody else has: offset and place make them."""
    times = [NOW_US + offset * 1_000 + at * step_us for at in range(len(values))]
    return encode_frame(make_batch([series_id] * len(values), times, list(values), NOW_US), offset=offset, channel_no=7)


def entry(offset: int, *values: float, token: Any = None, now_us: int = NOW_US) -> Entry:
    """One frame of readings at this offset."""
    return Entry(offset, now_us, (frame(offset, values),), len(values), token=token)


def note(offset: int, number: int, token: Any = None) -> Entry:
    """Something that is in no message of the log: the offset stays where it was."""
    return Entry(offset, NOW_US, events=(Event(NOW_US + number, NOTE, "", {"note_id": number}),), token=token)


def births(series_id: int) -> Births:
    return Births(series=(SeriesRecord(series_id, "d", f"m{series_id}", "number", (), {"name": "x"}),))


def recorded(store: Store) -> list[float]:
    """The values in the journal, in order of their offsets."""
    with store.reading() as snapshot:
        return [value for one in snapshot.read_frames(0, 10**9) for value in decode_frame(one).values.tolist()]


def noted(store: Store) -> list[int]:
    with store.reading() as snapshot:
        return [event.data["note_id"] for event in snapshot.find_events(0, 2**62, kinds=[NOTE], limit=10**6)]


def eventually(test: Callable[[], object], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not test():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.002)


class CountingStore(Store):
    """Knows when each of its writing transactions ended well."""

    def __init__(self, url: str) -> None:
        self.commits: list[float] = []
        super().__init__(url)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        with super().writing() as writer:
            yield writer
        self.commits.append(time.monotonic())


class RefusingStore(Store):
    """Fails as SQLite does. `faults`: what happens to the coming commits, one after another ("": nothing).

    before: it does not begin; during: it is given up with everything in it; after: it has happened, and only then is
    the caller told that it has not. `refuses`: all of them fail before, until it is cleared.
    """

    def __init__(self, url: str) -> None:
        self.faults: list[str] = []
        self.refuses = ""  # the message of SQLite
        super().__init__(url)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        if self.refuses:
            raise refusal(self.refuses)
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "before":
            raise refusal("disk I/O error")
        with super().writing() as writer:
            yield writer
            if fault == "during":
                raise refusal("disk I/O error")
        if fault == "after":
            raise refusal("disk I/O error")


def refusal(message: str) -> OperationalError:
    """What SQLAlchemy makes of an error of SQLite."""
    codes = {
        "disk I/O error": sqlite3.SQLITE_IOERR,
        "database or disk is full": sqlite3.SQLITE_FULL,
        "database is locked": sqlite3.SQLITE_BUSY,
    }
    cause = sqlite3.OperationalError(message)
    cause.sqlite_errorcode = codes[message]
    return OperationalError("COMMIT", {}, cause)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program holds the write lock."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


class Running:
    """A journal and all that it tells, in order."""

    def __init__(
        self, store: Store, *, interval_s: float = 0.0, backlog_bytes: int = 10**9, marks: bytes = b""
    ) -> None:
        self.told: list[Entry] = []
        self.batches: list[tuple[float, list[Entry]]] = []
        self.failures: list[Failure | None] = []
        self.on_told: Callable[[list[Entry]], None] = lambda _: None
        self.errors: list[BaseException] = []
        self.threads: set[str] = set()
        with store.writing() as writer:
            run, _ = writer.begin_run()
        self.journal = Journal(
            store,
            run=run,
            commit_interval_s=interval_s,
            backlog_bytes=backlog_bytes,
            on_commit=self._on_commit,
            on_failure=self.failures.append,
            marks=marks,
        )

    def _on_commit(self, entries: list[Entry]) -> None:
        self.threads.add(threading.current_thread().name)
        try:
            self.on_told(entries)
        except BaseException as error:
            self.errors.append(error)
        self.batches.append((time.monotonic(), entries))
        self.told += entries

    @property
    def tokens(self) -> list[Any]:
        return [one.token for one in self.told if one.token is not None]


@contextmanager
def running(
    store: Store, *, interval_s: float = 0.0, backlog_bytes: int = 10**9, marks: bytes = b""
) -> Iterator[Running]:
    """A started journal; at the end it is stopped, and the store closed."""
    one = Running(store, interval_s=interval_s, backlog_bytes=backlog_bytes, marks=marks)
    one.journal.start()
    try:
        yield one
    finally:
        one.journal.stop(10)
        store.close()
    assert not one.errors, one.errors
