"""The history of a running bridge: everything that is opened, started, asked and stopped together.

Blocking steps (`open_history`) are for the start and the end; what the pipeline calls returns at once, and every
callback comes back on the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from bridge.core.counters import Counters
from bridge.history.archive import Archive
from bridge.history.journal import Entry, Failure, Journal
from bridge.history.maintenance import Maintenance, Work
from bridge.history.redelivery import Delivered
from bridge.history.retention import Limits
from bridge.history.store import Store

log = logging.getLogger(__name__)

# A commit takes some ten milliseconds. After this long the disk is not just busy, and people should know.
SLOW_US = 2_000_000
# What a returning program may be told from the disk: as much as from memory, and read in some hundredths of a second.
MAX_RESUME_BYTES = 8_000_000
MAX_RUN_DIGITS = 18  # of a number that a client sends: `int` refuses thousands with an error
MAX_NOTICE = 1_000  # characters: it is told to every dashboard
CATCHING_UP = "writing what has waited"
DRAIN_S = 3.0  # at the end, for what waits; the broker keeps what did not make it
LAST_S = 1.0  # for the little that happens after that


class RecorderOptions(NamedTuple):
    """See the settings of the same names."""

    commit_interval_s: float = 0.05
    backlog_bytes: int = 64_000_000
    seal_interval_s: float = 900.0
    min_free_bytes: int = 500_000_000
    limits: Limits = Limits()


class Recording(NamedTuple):
    """Whether readings are being recorded, as the page is told.

    `state`: recording, failing or off. `since_us`: since when; what arrived later is not safe yet. `waiting`:
    readings that wait for the disk. `lost`: readings that could not wait, and are in no history.
    """

    state: str
    since_us: int
    reason: str = ""
    waiting: int = 0
    lost: int = 0
    notice: str = ""  # what happened to the history, if people must know

    @property
    def complaint(self) -> str:
        """Why nothing is being recorded, in words; empty if all is well."""
        if self.state != "failing":
            return ""
        return f"not recording: {self.reason}; {self.waiting} readings wait, {self.lost} are lost"

    def as_dict(self) -> dict[str, Any]:
        told = self._asdict()
        since_us = told.pop("since_us")
        return {**told, "since_ms": since_us // 1000}


class Recorder:
    """One for a running bridge, over an open store."""

    def __init__(
        self,
        store: Store,
        options: RecorderOptions,
        counters: Counters,
        clock: Callable[[], int],
        notice: str = "",
    ) -> None:
        self.archive = Archive(store)
        self._damages = self.archive.history.damages  # of whoever stumbles over any: a chart, a replay, or merging
        self._told_damages = 0
        self._notice = notice
        self.recording = Recording("recording", clock(), notice=notice)
        self.on_safe: Callable[[list[Any]], None] = lambda _: None  # tokens, in the order of their entries
        self.on_change: Callable[[Recording], None] = lambda _: None
        self._store = store
        self._counters = counters
        self._clock = clock
        self._failure: Failure | None = None
        self._loop: asyncio.AbstractEventLoop
        with store.writing() as writer:
            self.run, self.first_offset = writer.begin_run()
            self._runs = writer.runs()
            marks = writer.marks()
        self.delivered = Delivered(marks)
        self._told_done = 0
        self._answered_us = 0  # when the disk has answered, as far as was looked
        self._journal = Journal(
            store,
            run=self.run,
            commit_interval_s=options.commit_interval_s,
            backlog_bytes=options.backlog_bytes,
            on_commit=lambda entries: self._call(self._committed, entries),
            on_failure=lambda failure: self._call(self._failed, failure),
            marks=marks,
        )
        self._maintenance = Maintenance(
            store,
            options.limits,
            seal_interval_s=options.seal_interval_s,
            min_free_bytes=options.min_free_bytes,
            clock=clock,
            on_work=lambda work: self._call(self._worked, work),
            damages=self._damages,
        )

    @property
    def epoch(self) -> str:
        """Of the live plane: this history, and this run, because a run that was killed may have told its dashboards
        more than it wrote down."""
        return f"{self._store.epoch}.{self.run}"

    def start(self) -> None:
        """Begin. On the event loop that the callbacks are for."""
        self._loop = asyncio.get_running_loop()
        self._journal.start()
        self._maintenance.start()

    def record(self, entry: Entry) -> None:
        """Add to the log; never waits."""
        self._journal.submit(entry)

    def tick(self, now_us: int) -> None:
        """Notice a disk that hangs, and tell how much waits. Called some four times a second."""
        journal, failure = self._journal, self._failure
        oldest_us = journal.oldest_us
        if journal.done != self._told_done:
            self._told_done, self._answered_us = journal.done, now_us
        since_us, reason = self.recording.since_us, ""
        state = "recording"
        if failure is not None:
            state, since_us, reason = "failing", failure.since_us, failure.reason
        elif oldest_us is not None and now_us - oldest_us > SLOW_US:
            catches_up = 0 <= now_us - self._answered_us <= SLOW_US
            state, since_us = "failing", oldest_us
            reason = CATCHING_UP if catches_up else "the disk does not answer"
        elif self.recording.state != "recording":
            since_us = now_us
        waiting = journal.readings_waiting if state == "failing" else 0
        self._counters.unrecorded = journal.readings_lost
        self._tell_damages()
        recording = Recording(state, since_us, reason, waiting, journal.readings_lost, self._all_notices())
        if recording != self.recording:
            self.recording = recording
            self.on_change(recording)

    def read_log(self, epoch: str, after_offset: int, to_offset: int) -> list[tuple[int, bytes, bool]] | None:
        """What the log holds between two offsets, for a program that returns with the epoch of this run or an earlier.

        Of each: offset, bytes, whether it is a frame of readings. None: it cannot be told in full, because it is
        sealed or too much, or because that run told more than it wrote down. Blocking: some hundredths of a second.
        """
        history, _, run_text = epoch.rpartition(".")
        if history != self._store.epoch or not run_text.isdecimal() or len(run_text) > MAX_RUN_DIGITS:
            return None
        run = int(run_text)
        ends = [offset for later, offset in self._runs.items() if later > run]
        if run not in self._runs or (ends and after_offset > min(ends)):
            return None
        try:
            with self._store.reading() as snapshot:
                return snapshot.read_log(after_offset, to_offset, MAX_RESUME_BYTES)
        except Exception:
            log.warning("the log could not be read back", exc_info=True)
            return None

    async def drain(self) -> None:
        """Write what waits, and tell that it is safe. What the disk still refuses was not acknowledged.

        What happens afterwards (the last notes, commands that end with their connection) is written by `close`.
        """
        drained = await asyncio.to_thread(self._journal.drain, DRAIN_S)
        if not drained:
            log.error("not everything was recorded; the broker keeps what it handed over at QoS 1")
        await asyncio.sleep(0)  # the last commits are told by callbacks that are queued by now

    async def close(self) -> None:
        """Write the last of it, end maintenance and questions, and close the store."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._journal.stop(LAST_S)
        self._maintenance.stop(DRAIN_S)
        self.archive.close()
        self._store.close()

    # ----- from the threads -------------------------------------------------------------------------------

    def _call(self, function: Callable[[Any], None], argument: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, argument)
        except RuntimeError:
            log.debug("the loop has ended before the history")

    def _committed(self, entries: list[Entry]) -> None:
        self._counters.recorded += sum(entry.readings for entry in entries)
        tokens = [entry.token for entry in entries if entry.token is not None]
        if tokens:
            self.on_safe(tokens)

    def _failed(self, failure: Failure | None) -> None:
        self._failure = failure
        if failure is not None and failure.disk_full:
            self._maintenance.make_room()
        self.tick(self._clock())

    def _worked(self, work: Work) -> None:
        counters = self._counters
        counters.sealed += work.sealed
        counters.recorded_twice += work.duplicates
        counters.conflicts += work.conflicts
        counters.forgotten += work.forgotten
        counters.damaged += work.given_up
        if work.notice:
            self._notice = f"{self._notice} {work.notice}".strip()
            self.recording = self.recording._replace(notice=self._all_notices())
            self.on_change(self.recording)

    def _tell_damages(self) -> None:
        """Whoever stumbled over it: a chart, a replay, a download, or merging."""
        names = self._damages.names
        new, self._told_damages = names[self._told_damages :], len(names)
        if new:
            self._counters.damaged += len(new)
            log.error("history: these could not be read, and were left alone: %s", ", ".join(new[:10]))

    def _all_notices(self) -> str:
        return f"{self._damages} {self._notice}".strip()[:MAX_NOTICE]
