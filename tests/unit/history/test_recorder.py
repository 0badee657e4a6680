"""The history of a running bridge, on a real event loop: what it tells, when, and how it ends."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.core.counters import Counters
from bridge.history import journal as journal_module
from bridge.history import recorder as recorder_module
from bridge.history.maintenance import Work
from bridge.history.recorder import Recorder, RecorderOptions, Recording
from bridge.history.store import Store
from tests.unit.history.databases import url_in
from tests.unit.history.log_scene import NOW_US, RefusingStore, S, entry, locked, note, noted, recorded
from tests.unit.history.scene import START_US, Scene, damage_a_chunk


class Heard:
    """A recorder and what it told, on which thread."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.tokens: list[Any] = []
        self.changes: list[Recording] = []
        self.threads: set[int] = set()
        recorder.on_safe = self._on_safe
        recorder.on_change = self._on_change

    def _on_safe(self, tokens: list[Any]) -> None:
        self.threads.add(threading.get_ident())
        self.tokens += tokens

    def _on_change(self, recording: Recording) -> None:
        self.threads.add(threading.get_ident())
        self.changes.append(recording)


class Clock:
    now_us = NOW_US

    def __call__(self) -> int:
        return self.now_us


@asynccontextmanager
async def recording(store: Store, clock: Clock, **options: Any) -> AsyncIterator[Heard]:
    recorder = Recorder(store, RecorderOptions(commit_interval_s=0.005, min_free_bytes=0, **options), Counters(), clock)
    recorder.start()
    heard = Heard(recorder)
    try:
        yield heard
    finally:
        await recorder.drain()
        await recorder.close()
        assert heard.threads <= {threading.get_ident()}  # nothing is told on another thread than the loop's


@pytest.fixture
def url(tmp_path: Path) -> str:
    return url_in(tmp_path)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(journal_module, "LONGEST_PAUSE_S", 0.02)


async def until(test: Callable[[], object], timeout_s: float = 8.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not test():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.005)


async def test_what_is_recorded_is_told_on_the_loop_in_order_and_counted(url: str) -> None:
    store = Store(url)
    async with recording(store, Clock()) as heard:
        for number in range(1, 51):
            heard.recorder.record(entry(number, 1.0, 2.0, token=None if number % 5 == 0 else number))
        await until(lambda: len(heard.tokens) == 40)
        assert heard.tokens == [number for number in range(1, 51) if number % 5]
        await until(lambda: heard.recorder._counters.recorded == 100)
        heard.recorder.tick(NOW_US + S)
        assert heard.changes == []  # all is well, as it was said at the start
        assert heard.recorder.recording == Recording("recording", NOW_US)


async def test_a_store_that_refuses_is_told_with_since_and_why_and_so_is_its_recovery(url: str) -> None:
    store, clock = RefusingStore(url), Clock()
    async with recording(store, clock) as heard:
        store.refuses = "database or disk is full"
        heard.recorder.record(entry(1, 1.0, 2.0, token="a", now_us=NOW_US + S))
        await until(lambda: heard.changes)
        told = heard.changes[0]
        assert (told.state, told.since_us, told.reason) == ("failing", NOW_US + S, "the disk is full")
        assert told.waiting == 2
        assert "not recording: the disk is full; 2 readings wait" in told.complaint
        assert told.as_dict()["since_ms"] == (NOW_US + S) // 1000
        assert "since_us" not in told.as_dict()
        heard.recorder.record(entry(2, 3.0, now_us=NOW_US + 2 * S))
        clock.now_us = NOW_US + 3 * S
        heard.recorder.tick(clock.now_us)
        assert heard.changes[-1].waiting == 3
        assert heard.changes[-1].since_us == NOW_US + S
        many = len(heard.changes)
        heard.recorder.tick(clock.now_us)
        assert len(heard.changes) == many  # nothing new
        assert heard.tokens == []
        store.refuses = ""
        await until(lambda: heard.tokens == ["a"])
        await until(lambda: heard.recorder._journal.oldest_us is None)
        heard.recorder.tick(clock.now_us)
        assert heard.changes[-1] == Recording("recording", heard.changes[-1].since_us)
        assert heard.changes[-1].complaint == ""
        assert heard.changes[-1].since_us >= NOW_US + S


@pytest.mark.sqlite
async def test_a_disk_that_does_not_answer_is_noticed_although_nothing_fails(url: str, tmp_path: Path) -> None:
    clock = Clock()
    async with recording(Store(url), clock) as heard:
        with locked(tmp_path / "history.db"):
            heard.recorder.record(entry(1, 1.0, token="a"))
            await asyncio.sleep(0.1)
            heard.recorder.tick(NOW_US + recorder_module.SLOW_US)
            assert heard.changes == []  # a disk may be busy
            heard.recorder.tick(NOW_US + recorder_module.SLOW_US + 1)
            (told,) = heard.changes
            assert (told.state, told.since_us, told.waiting) == ("failing", NOW_US, 1)
        await until(lambda: heard.tokens == ["a"])
        await until(lambda: heard.recorder._journal.oldest_us is None)
        heard.recorder.tick(NOW_US + 5 * S)
        assert heard.changes[-1].state == "recording"


async def test_what_is_lost_is_told_and_stays_told(url: str) -> None:
    store = RefusingStore(url)
    async with recording(store, Clock(), backlog_bytes=200) as heard:
        store.refuses = "disk I/O error"
        for number in range(1, 21):
            heard.recorder.record(entry(number, float(number)))
        await until(lambda: heard.changes)
        heard.recorder.tick(NOW_US)
        lost = heard.changes[-1].lost
        assert lost >= 16
        assert heard.recorder._counters.unrecorded == lost
        store.refuses = ""
        await until(lambda: heard.recorder._journal.oldest_us is None)
        heard.recorder.tick(NOW_US + S)
        assert (heard.changes[-1].state, heard.changes[-1].lost) == ("recording", lost)
    again = Store(url)
    assert len(recorded(again)) == 20 - lost
    again.close()


async def test_drain_writes_and_tells_before_it_returns(url: str) -> None:
    store = Store(url)
    recorder = Recorder(store, RecorderOptions(commit_interval_s=20, min_free_bytes=0), Counters(), Clock())
    recorder.start()
    heard = Heard(recorder)
    for number in range(1, 11):
        recorder.record(entry(number, float(number), token=number))
    began = time.monotonic()
    await recorder.drain()
    assert time.monotonic() - began < 2
    assert heard.tokens == list(range(1, 11))
    await recorder.close()
    again = Store(url)
    assert recorded(again) == [float(number) for number in range(1, 11)]
    again.close()


@pytest.mark.sqlite
async def test_drain_gives_up_in_time_and_acknowledges_nothing(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recorder_module, "DRAIN_S", 0.3)
    recorder = Recorder(Store(url), RecorderOptions(min_free_bytes=0), Counters(), Clock())
    recorder.start()
    heard = Heard(recorder)
    with locked(tmp_path / "history.db"):
        recorder.record(entry(1, 1.0, token="a"))
        began = time.monotonic()
        await recorder.drain()
        assert time.monotonic() - began < 2
        assert heard.tokens == []
        assert "not everything was recorded" in caplog.text
    await recorder.close()
    assert not recorder._journal._thread.is_alive()


async def test_what_happens_between_drain_and_close_is_written(url: str) -> None:
    recorder = Recorder(Store(url), RecorderOptions(min_free_bytes=0), Counters(), Clock())
    recorder.start()
    recorder.record(entry(1, 1.0, token="a"))
    await recorder.drain()
    recorder.record(note(1, 7))
    await recorder.close()
    again = Store(url)
    assert noted(again) == [7]
    again.close()


async def test_a_backlog_that_is_being_written_is_no_disk_that_does_not_answer(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "MAX_COMMIT_READINGS", 1)
    clock = Clock()
    async with recording(Store(url), clock) as heard:
        journal = heard.recorder._journal
        with locked(tmp_path / "history.db"):
            for number in range(1, 6):
                heard.recorder.record(entry(number, float(number)))
            clock.now_us += 10 * S
            heard.recorder.tick(clock.now_us)
            assert heard.changes[-1].reason == "the disk does not answer"
        # The first commits of the backlog are done, and what follows is as old.
        await until(lambda: journal.oldest_us is None)
        journal._oldest_us = NOW_US
        heard.recorder.tick(clock.now_us)
        assert (heard.changes[-1].state, heard.changes[-1].reason) == ("failing", "writing what has waited")
        assert heard.changes[-1].since_us == NOW_US
        clock.now_us += recorder_module.SLOW_US + 1
        heard.recorder.tick(clock.now_us)
        assert heard.changes[-1].reason == "the disk does not answer"
        journal._oldest_us = None


async def test_damage_that_is_met_is_told_with_the_notice_of_the_start(url: str) -> None:
    store = Store(url)
    recorder = Recorder(store, RecorderOptions(min_free_bytes=0), Counters(), Clock(), "Before.")
    recorder.start()
    heard = Heard(recorder)
    recorder._worked(Work(given_up=1, notice="And now."))
    recorder.tick(NOW_US)
    assert heard.changes[-1].notice == "Before. And now."
    assert recorder._counters.damaged == 1
    await recorder.drain()
    await recorder.close()


async def test_what_a_chart_could_not_read_is_told_to_everybody_once(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(url)
    scene = Scene(store)
    for series in (1, 2):
        scene.append([(series, START_US + n * S, float(n)) for n in range(100)])
        scene.seal()
    victim = damage_a_chunk(store)
    async with recording(store, Clock()) as heard:
        for _ in range(3):
            answers = await heard.recorder.archive.query([1, 2], START_US, START_US + 200 * S, 50)
            assert [one.damaged for one in answers] == [1, 0]
            heard.recorder.tick(NOW_US)
        assert [one.notice for one in heard.changes] == [
            "One part of the history could not be read; what it held is missing in charts, replays and files"
            " (`fleetwire check-history` names all that is damaged)."
        ]
        assert heard.recorder._counters.damaged == 1
        heard.recorder._worked(Work(given_up=1, notice="And a commit."))
        assert heard.changes[-1].notice == f"{heard.changes[0].notice} And a commit."
    assert caplog.text.count(f"left alone: chunk {victim}") == 1


async def test_each_run_has_an_epoch_of_its_own_and_goes_on_where_the_last_ended(url: str) -> None:
    epochs = []
    for run in range(1, 4):
        async with recording(Store(url), Clock()) as heard:
            epochs.append(heard.recorder.epoch)
            assert heard.recorder.first_offset == 2 * (run - 1)
            for number in (1, 2):
                heard.recorder.record(entry(2 * (run - 1) + number, 1.0, token=number))
            await until(lambda heard=heard: heard.tokens == [1, 2])  # type: ignore[misc]
    assert len(set(epochs)) == 3
    assert len({epoch.partition(".")[0] for epoch in epochs}) == 1


@pytest.mark.sqlite
async def test_a_log_that_cannot_be_read_is_a_log_that_is_not_told(url: str, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(url)
    async with recording(store, Clock()) as heard:
        heard.recorder.record(entry(1, 1.0, token="a"))
        await until(lambda: heard.tokens == ["a"])
        assert heard.recorder.read_log(heard.recorder.epoch, 0, 1)
        with store.writing() as writer:
            writer.connection.exec_driver_sql("UPDATE history_journal SET data = x'00' || substr(data, 2)")
        assert heard.recorder.read_log(heard.recorder.epoch, 0, 1) is None
        assert "could not be read back" in caplog.text


async def test_the_work_of_maintenance_is_counted(url: str) -> None:
    async with recording(Store(url), Clock(), seal_interval_s=0.1) as heard:
        heard.recorder.record(entry(1, 1.0, 2.0, token="a"))
        await until(lambda: heard.recorder._counters.sealed == 2)
