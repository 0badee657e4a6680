"""Keeps the history in order while the bridge runs: a thread that seals, merges and forgets, and makes room."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bridge.history.damages import Damages
from bridge.history.faults import Damaged
from bridge.history.keeper import Keeper
from bridge.history.retention import Limits
from bridge.history.store import Store
from bridge.history.store_faults import describe
from bridge.history.store_sqlite import file_of

log = logging.getLogger(__name__)

FORGET_INTERVAL_S = 3_600.0  # limits are days and gigabytes: an hour more or less is nobody's loss
DISK_INTERVAL_S = 10.0  # how often the free space is looked at: a disk takes longer than that to fill by 500 MB
# A full disk leaves no room even to delete: SQLite writes what it changes into its log first. Then this file goes.
RESERVE_BYTES = 16 * 2**20
# Of the data of one resolution, what goes at a time when room is needed; so the rest is kept as long as can be.
MAKE_ROOM_SHARE = 0.05


class Work(NamedTuple):
    """What maintenance did since it was last told."""

    sealed: int = 0  # readings
    duplicates: int = 0  # readings that were there already
    conflicts: int = 0  # readings that were there with another value, and were refused
    forgotten: int = 0  # chunks
    given_up: int = 0  # commits of the journal that could not be read
    notice: str = ""  # what people must know of it


class Maintenance:
    """Owns the thread. `on_work` is called in it."""

    def __init__(
        self,
        store: Store,
        limits: Limits,
        *,
        seal_interval_s: float,
        min_free_bytes: int,
        clock: Callable[[], int],
        on_work: Callable[[Work], None],
        damages: Damages,
    ) -> None:
        self._store = store
        self._keeper = Keeper(store)
        self._limits = limits
        self._seal_interval_s = seal_interval_s
        self._min_free_bytes = min_free_bytes
        self._clock = clock
        self._on_work = on_work
        self._damages = damages
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._disk_full = False
        self._told_short = False
        self._is_full = False
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def make_room(self) -> None:
        """The disk is full: give up the reserve, and forget the oldest. Returns at once."""
        self._disk_full = True
        self._wake.set()

    def stop(self, timeout_s: float) -> None:
        """End after the step under way. What is not sealed stays in the journal, and is sealed at the next start."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_s)

    # ----- in the thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        now = time.monotonic()
        seal_at, forget_at, disk_at = now + self._seal_interval_s, now + FORGET_INTERVAL_S, now
        while not self._stopping.is_set():
            self._wake.wait(max(0.0, min(seal_at, forget_at, disk_at) - time.monotonic()))
            self._wake.clear()
            if self._stopping.is_set():
                return
            if self._disk_full:
                self._disk_full = False
                self._guarded(self._give_up_reserve)
                self._guarded(self._make_some_room)
            now = time.monotonic()
            if now >= seal_at:
                seal_at = now + self._seal_interval_s
                self._guarded(self.tidy)
            if now >= forget_at:
                forget_at = now + FORGET_INTERVAL_S
                self._guarded(self.forget)
            if now >= disk_at:
                disk_at = now + DISK_INTERVAL_S
                self._guarded(self.watch_disk)
                self._guarded(self._look_whether_full)
                if self._is_full:
                    seal_at = now

    def _guarded(self, step: Callable[[], None]) -> None:
        """Whatever goes wrong is told, and tried again when the step is due: every step works in transactions."""
        try:
            step()
        except Exception as error:
            fault = describe(error)
            log.warning("history: %s: %s", step.__name__, fault.reason, exc_info=None if fault.known else error)

    def _look_whether_full(self) -> None:
        """What is not sealed yet is in memory too, and is read at the start: so there must not be too much of it."""
        self._is_full = False
        self._is_full = self._keeper.is_full()

    def tidy(self) -> None:
        """Seal the journal, and merge what is worth it."""
        self._guarded(self.seal)  # whatever keeps it from being sealed does not keep chunks from being merged
        merged = self._keeper.merge(self._clock())
        self._damages.add(merged.damaged)

    def seal(self) -> None:
        """Seal the journal. What cannot be read of it is set aside, and the rest goes on."""
        while not self._stopping.is_set():
            try:
                sealed = self._keeper.seal()
            except Damaged:
                if not self._set_aside():
                    raise
                continue
            if sealed is None:
                return
            self._on_work(Work(sealed.readings, sealed.duplicates, sealed.n_conflicts))
            for conflict in sealed.conflicts:
                log.warning("history: two values for one time, the first stays: %s", conflict)

    def _set_aside(self) -> bool:
        """Take a commit that cannot be read out of the journal, into a file beside the history if that is a file."""
        unreadable = self._keeper.find_unreadable()
        if unreadable is None:
            return False
        notice = f"A part of the history was damaged (the readings of one commit, up to offset {unreadable.offset})"
        path = self._store.path
        if path is not None:
            aside = path.with_name(f"{path.name}.damaged-commit-{unreadable.offset}")
            aside.write_bytes(unreadable.data)
            notice += f". It was set aside as {aside.name}"
        notice += "; the rest goes on."
        self._keeper.give_up(unreadable)
        log.error("%s", notice)
        self._on_work(Work(given_up=1, notice=notice))
        return True

    def forget(self) -> None:
        """Remove what is beyond the limits."""
        forgotten = self._keeper.forget(self._limits, self._clock())
        if forgotten:
            self._on_work(Work(forgotten=forgotten))

    def watch_disk(self) -> None:
        """Make room before the disk is full, and keep the reserve."""
        path = self._store.path
        if path is None or not self._min_free_bytes:
            return
        missing = self._min_free_bytes - shutil.disk_usage(path.parent).free - self._store.reusable_bytes()
        if missing > 0:
            self._be_short_of(missing)
        elif shutil.disk_usage(path.parent).free > self._min_free_bytes + RESERVE_BYTES:
            _write_reserve(_reserve(path))

    def _be_short_of(self, missing: int) -> None:
        """Make room by and by, if the history is large enough to make it. Else somebody else has filled the disk: to
        forget everything would not mend that."""
        with self._store.reading() as snapshot:
            can_help = sum(snapshot.sum_sizes().values()) > missing
        if can_help or not self._told_short:
            log.warning(
                "history: its disk lacks %d MB of history.min_free_bytes; %s",
                missing // 10**6,
                "the oldest part makes room" if can_help else "what the history could forget would not be enough",
            )
        self._told_short = not can_help
        if can_help:
            self.free_some()

    def _make_some_room(self) -> None:
        """The disk is full. Free pages within the file are as good, and what they take is not forgotten."""
        if self._store.reusable_bytes() < RESERVE_BYTES:
            self.free_some()

    def free_some(self) -> None:
        """Forget the oldest twentieth of what is kept: readings first, then minutes, then hours."""
        with self._store.reading() as snapshot:
            sizes = {resolution: size for resolution, size in sorted(snapshot.sum_sizes().items()) if size}
        for resolution in list(sizes):
            forgotten = self._keeper.forget(self._limits.shrunk(resolution, sizes, MAKE_ROOM_SHARE), self._clock())
            if forgotten:
                log.warning("history: %d chunks were forgotten to make room", forgotten)
                self._on_work(Work(forgotten=forgotten))
                return
        log.error("history: nothing is left that may be forgotten")

    def _give_up_reserve(self) -> None:
        path = self._store.path
        if path is not None:
            _reserve(path).unlink(missing_ok=True)


def give_up_reserve(url: str) -> bool:
    """Make the room that was kept for a full disk; whether there was any."""
    path = file_of(url)
    if path is None or not _reserve(path).exists():
        return False
    _reserve(path).unlink()
    return True


def _reserve(path: Path) -> Path:
    return path.with_name(f"{path.name}.reserve")


def _write_reserve(path: Path) -> None:
    """A file of zeros, really written: a hole in a file reserves nothing."""
    if path.exists() and path.stat().st_size == RESERVE_BYTES:
        return
    with path.open("wb") as file:
        file.write(b"\0" * RESERVE_BYTES)
