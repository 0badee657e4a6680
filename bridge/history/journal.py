"""The durable log: a thread that commits what the pipeline hands over, together, and says when it is safe.

At once when quiet, at most every `commit_interval_s` under load. While the disk refuses, everything waits here and is
tried again, for ever; nothing is acknowledged meanwhile, so the broker keeps what it has handed over at QoS 1.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from bridge.history.catalog import Births
from bridge.history.events import Event
from bridge.history.redelivery import Marks
from bridge.history.store import Store
from bridge.history.store_faults import describe

log = logging.getLogger(__name__)

# Readings of one transaction while a backlog is written: it holds the write lock for some ten milliseconds.
MAX_COMMIT_READINGS = 50_000
# Enough readings to commit before the interval is over: 80 KB, which a disk writes as fast as one.
COMMIT_READINGS = 5_000
# Pauses after a refused commit: soon again, since most locks are short; then seldom, since a full disk is not.
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0
# What is left of a backlog that has grown too large: not all of it is to be looked at for each entry that comes.
DROP_TO = 0.9


class Entry(NamedTuple):
    """What one flush of the pipeline adds to the log: all of it becomes durable, or nothing.

    `frames` and `messages` (frames of readings and JSON messages, each with its offset) have all the offsets of the
    `log` channel from the last entry's `offset` + 1 to `offset`. `token`: comes back when it is safe. `marks`: to
    recognise a second delivery of its messages by (redelivery.py).
    """

    offset: int
    now_us: int
    frames: tuple[bytes, ...] = ()
    readings: int = 0
    messages: tuple[tuple[int, bytes], ...] = ()
    births: Births | None = None
    events: tuple[Event, ...] = ()
    token: Any = None
    marks: bytes = b""

    @property
    def size(self) -> int:
        return sum(map(len, self.frames)) + sum(len(data) for _, data in self.messages)


class Failure(NamedTuple):
    """Why nothing is being recorded."""

    since_us: int  # when the first entry that waits was handed over
    reason: str
    disk_full: bool


class Journal:
    """Owns the thread. `on_commit(entries)` and `on_failure(failure or None)` are called in it, in order.

    Entries that carry a token are never dropped. There are only as many as the broker hands over without an
    acknowledgement (Receive Maximum).
    """

    def __init__(
        self,
        store: Store,
        *,
        run: int,
        commit_interval_s: float,
        backlog_bytes: int,
        on_commit: Callable[[list[Entry]], None],
        on_failure: Callable[[Failure | None], None],
        marks: bytes = b"",
    ) -> None:
        """`marks`: those that the run before has left."""
        self._store = store
        self._run_no = run
        self._interval_s = commit_interval_s
        self._backlog_bytes = backlog_bytes
        self._on_commit = on_commit
        self._on_failure = on_failure
        self._marks = Marks(marks, time.monotonic())
        self._waiting: deque[Entry] = deque()
        self._readings = 0  # of those that wait
        self._bytes = 0
        self._lost = 0
        self._stopping = False
        self._drains = 0  # how often somebody has asked for all to be written at once
        self._draining = False
        self._refusals = 0
        self._done = 0
        self._is_idle = True  # nothing is being committed or told
        self._changed = threading.Condition()
        self._commits: int | None = None  # how many the store has had, as far as we know
        self._oldest_us: int | None = None  # when the oldest entry that is not safe yet was handed over
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, entry: Entry) -> None:
        """Hand over an entry. Never waits; from one thread, in the order of offsets."""
        with self._changed:
            self._waiting.append(entry)
            self._readings += entry.readings
            self._bytes += entry.size
            if self._oldest_us is None:
                self._oldest_us = entry.now_us
            if self._bytes > self._backlog_bytes:
                self._drop()
            self._changed.notify_all()

    @property
    def readings_waiting(self) -> int:
        """Readings that are not safe yet."""
        return self._readings

    @property
    def readings_lost(self) -> int:
        """Readings that were dropped because too many waited."""
        return self._lost

    @property
    def done(self) -> int:
        """Commits of this run: while it rises, the disk answers."""
        return self._done

    @property
    def oldest_us(self) -> int | None:
        """When the oldest entry that is not safe yet was handed over."""
        return self._oldest_us

    def drain(self, timeout_s: float) -> bool:
        """Write what waits, once more if it was refused, and tell it; whether everything is safe. It goes on."""
        with self._changed:
            self._drains += 1
            self._draining = True
            refusals = self._refusals
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._has_nothing_to_do() or self._refusals > refusals, timeout_s)
            self._draining = False
            return self._has_nothing_to_do()

    def _has_nothing_to_do(self) -> bool:
        return self._is_idle and not self._first

    def stop(self, timeout_s: float) -> bool:
        """Write what waits, try the last one once more if it is refused, and end; whether everything is safe."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive() and not self._first

    # ----- in the thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            entries = self._take()
            if not entries:
                return
            if not self._commit_at_last(entries):
                return
            with self._changed:
                self._readings -= sum(entry.readings for entry in entries)
                self._bytes -= sum(entry.size for entry in entries)
                self._oldest_us = first.now_us if (first := self._first) else None
            self._on_commit(entries)

    def _take(self) -> list[Entry]:
        """The entries of the next commit; none: it is time to end."""
        with self._changed:
            while not self._first:
                self._is_idle = True
                self._changed.notify_all()
                if self._stopping:
                    return []
                self._changed.wait()
            self._is_idle = False
        began = time.monotonic()
        with self._changed:
            # The first of a burst is committed with what comes within the interval after the commit before it.
            while not (self._stopping or self._draining) and self._readings < COMMIT_READINGS:
                left_s = self._next_commit_s - began
                if left_s <= 0:
                    break
                self._changed.wait(left_s)
                began = time.monotonic()
            self._next_commit_s = time.monotonic() + self._interval_s
            entries: list[Entry] = []
            readings = 0
            while (first := self._first) and (not entries or readings + first.readings <= MAX_COMMIT_READINGS):
                entries.append(self._waiting.popleft())
                readings += first.readings
            return entries

    @property
    def _first(self) -> Entry | None:
        """The oldest of those that wait."""
        return self._waiting[0] if self._waiting else None

    _next_commit_s = 0.0

    def _commit_at_last(self, entries: list[Entry]) -> bool:
        """Try until it is done; False: it is time to end, and these are not safe."""
        pause_s = FIRST_PAUSE_S
        failed = False
        while True:
            drains = self._drains
            try:
                if not (failed and self._is_committed()):
                    self.commit(entries)
            except Exception as error:
                fault = describe(error)
                if not failed:
                    log.warning("not recording: %s", fault.reason, exc_info=None if fault.known else error)
                failed = True
                self._on_failure(Failure(entries[0].now_us, fault.reason, fault.disk_full))
                with self._changed:
                    if self._stopping:
                        self._waiting.extendleft(reversed(entries))
                        return False
                    self._refusals += 1
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self._stopping or self._drains > drains, pause_s)  # noqa: B023
                pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
                continue
            if failed:
                log.warning("recording again")
                self._on_failure(None)
            self._done += 1
            self._marks.add(b"".join(entry.marks for entry in entries), time.monotonic())
            return True

    def commit(self, entries: list[Entry]) -> None:
        """One transaction with all of them."""
        frames = [frame for entry in entries for frame in entry.frames]
        messages = [message for entry in entries for message in entry.messages]
        births = [entry for entry in entries if entry.births]
        events = [event for entry in entries for event in entry.events]
        marks = b"".join(entry.marks for entry in entries)
        # Marks alone: of what is recorded already, and came again before it was acknowledged.
        if not (frames or messages or births or events or marks):
            return
        with self._store.writing() as writer:
            writer.check_run(self._run_no)
            for entry in births:
                assert entry.births is not None
                writer.save_births(entry.births, entry.now_us)
            writer.append_events(events)
            writer.append_messages(messages)
            writer.append(frames)
            writer.set_log_offset(entries[-1].offset)
            if marks:
                writer.set_marks(self._marks.joined(marks, time.monotonic()))
            self._commits = writer.commits()
            writer.set_commits(self._commits + 1)
        self._commits += 1

    def _is_committed(self) -> bool:
        """Whether a commit that failed did happen: a connection may break after the database has done its part.

        The offset cannot tell: an entry of events alone leaves it where it was.
        """
        with self._store.writing() as writer:  # waits for a server that is still about that commit
            commits, run = writer.commits(), max(writer.runs())
        before, self._commits = self._commits, commits
        return run == self._run_no and before is not None and commits > before

    def _drop(self) -> None:
        """Make room: the oldest readings that nobody waits to acknowledge, and the messages around them, because a log
        with holes is told to nobody. Births and events stay."""
        room = int(self._backlog_bytes * DROP_TO)
        kept: deque[Entry] = deque()
        for entry in self._waiting:
            if self._bytes > room and entry.token is None and entry.size:
                self._bytes -= entry.size
                self._readings -= entry.readings
                self._lost += entry.readings
                entry = entry._replace(frames=(), messages=(), readings=0)
                if not (entry.births or entry.events):
                    continue
            kept.append(entry)
        self._waiting = kept
