"""The durable log in a real file, with real threads: what is told as safe is on disk, once, whatever the disk does."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.frame import decode_frame
from bridge.history import journal as journal_module
from bridge.history.journal import Entry
from bridge.history.store import Store
from bridge.history.store_session import Writer
from tests.unit.history.databases import examples, url_in
from tests.unit.history.log_scene import (
    NOW_US,
    CountingStore,
    RefusingStore,
    S,
    births,
    entry,
    eventually,
    frame,
    locked,
    note,
    noted,
    recorded,
    running,
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return url_in(tmp_path)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused commit is tried again at once."""
    monkeypatch.setattr(journal_module, "FIRST_PAUSE_S", 0.005)
    monkeypatch.setattr(journal_module, "LONGEST_PAUSE_S", 0.02)


# ----- when all is well -----------------------------------------------------------------------------------


def test_everything_is_committed_in_order_and_told_in_order(url: str) -> None:
    store = Store(url)
    with running(store) as log:
        log.on_told = lambda entries: _check_on_disk(store, entries)
        for number in range(1, 201):
            log.journal.submit(entry(number, float(number), 0.5, token=number))
        eventually(lambda: len(log.told) == 200)
        assert recorded(store) == [value for number in range(1, 201) for value in (float(number), 0.5)]
        assert log.tokens == list(range(1, 201))
        assert [one.offset for one in log.told] == list(range(1, 201))
        assert log.failures == []
        assert log.threads == {"journal"}
        eventually(lambda: log.journal.oldest_us is None)
        assert (log.journal.readings_waiting, log.journal.readings_lost) == (0, 0)


def _check_on_disk(store: Store, entries: list[Entry]) -> None:
    with store.reading() as snapshot:
        assert snapshot.log_offset() >= entries[-1].offset
        assert snapshot.last_offset() >= entries[-1].offset


def test_an_entry_is_one_transaction_with_all_that_it_holds(url: str) -> None:
    store = Store(url)
    with running(store) as log:
        whole = entry(2, 1.5)._replace(messages=((1, b"{}"),), births=births(1), events=note(2, 9).events, token="t")
        log.journal.submit(whole)
        eventually(lambda: log.tokens == ["t"])
        with store.reading() as snapshot:
            assert snapshot.log_offset() == 2
            assert [(at, is_frame) for at, _, is_frame in snapshot.read_log(0, 2, 10**6) or ()] == [
                (1, False),
                (2, True),
            ]
            assert set(snapshot.catalog().series) == {1}
        assert noted(store) == [9]


def test_a_token_alone_comes_back_and_writes_nothing(url: str) -> None:
    store = CountingStore(url)
    with running(store) as log:
        before = len(store.commits)
        log.journal.submit(Entry(0, NOW_US, token="only"))
        eventually(lambda: log.tokens == ["only"])
        assert len(store.commits) == before


def test_on_a_quiet_line_each_entry_is_committed_at_once(url: str) -> None:
    with running(Store(url), interval_s=0.15) as log:
        log.journal.submit(entry(1, 1.0))
        eventually(lambda: log.batches)  # the first opens the connection
        waits = []
        for number in range(2, 6):
            time.sleep(0.2)
            began = time.monotonic()
            log.journal.submit(entry(number, 1.0))
            eventually(lambda number=number: len(log.batches) == number)  # type: ignore[misc]
            waits.append(log.batches[-1][0] - began)
        assert min(waits) < 0.1, waits  # the interval is not waited for


def test_under_load_there_is_at_most_one_commit_in_an_interval(url: str) -> None:
    interval_s = 0.1
    store = CountingStore(url)
    with running(store, interval_s=interval_s) as log:
        began, before, number = time.monotonic(), len(store.commits), 0
        while time.monotonic() < began + 0.75:
            number += 1
            log.journal.submit(entry(number, 1.0))
            time.sleep(0.001)
        eventually(lambda: len(log.told) == number)
        took_s = time.monotonic() - began
        commits = len(store.commits) - before
        assert 3 <= commits <= took_s / interval_s + 2
        gaps = [after - at for at, after in zip(store.commits[before:], store.commits[before + 1 :], strict=False)]
        assert sorted(gaps)[len(gaps) // 2] > 0.7 * interval_s


def test_many_readings_are_committed_before_the_interval_is_over(url: str) -> None:
    with running(Store(url), interval_s=30) as log:
        log.journal.submit(entry(1, 1.0))
        eventually(lambda: len(log.told) == 1)
        log.journal.submit(entry(2, 1.0))
        time.sleep(0.1)
        assert len(log.told) == 1  # in the interval after a commit
        log.journal.submit(entry(3, *[1.0] * journal_module.COMMIT_READINGS))
        eventually(lambda: len(log.told) == 3, 3)


def test_a_backlog_is_written_in_pieces_that_do_not_hold_the_lock_for_long(url: str) -> None:
    store = RefusingStore(url)
    each, count = 10_000, 12
    with running(store) as log:
        store.refuses = "disk I/O error"
        for number in range(1, count + 1):
            log.journal.submit(entry(number, *[float(number)] * each))
        eventually(lambda: log.failures)
        store.refuses = ""
        eventually(lambda: len(log.told) == count)
        sizes = [sum(one.readings for one in entries) for _, entries in log.batches]
        assert max(sizes) <= journal_module.MAX_COMMIT_READINGS
        assert len(sizes) == 3 or len(sizes) == 4  # the one that was refused may have been small


# ----- when the disk refuses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "reason", "disk_full"),
    [
        ("disk I/O error", "the history cannot be written: disk I/O error", False),
        ("database is locked", "another program holds the history", False),
        ("database or disk is full", "the disk is full", True),
    ],
)
@pytest.mark.usefixtures("_impatient")
def test_while_the_store_refuses_nothing_is_told_as_safe_and_people_know_since_when(
    url: str, message: str, reason: str, disk_full: bool
) -> None:
    store = RefusingStore(url)
    with running(store) as log:
        log.journal.submit(entry(1, 1.0, token="a"))
        eventually(lambda: log.tokens == ["a"])
        store.refuses = message
        for number in range(2, 30):
            log.journal.submit(entry(number, float(number), token=number, now_us=NOW_US + number * S))
        eventually(lambda: len(log.failures) >= 3)
        assert log.tokens == ["a"]
        assert log.journal.readings_waiting == 28
        assert log.journal.oldest_us == NOW_US + 2 * S
        first = log.failures[0]
        assert first is not None
        assert (first.since_us, first.reason, first.disk_full) == (NOW_US + 2 * S, reason, disk_full)
        store.refuses = ""
        eventually(lambda: len(log.told) == 29)
        assert log.tokens == ["a", *range(2, 30)]
        assert recorded(store) == [float(number) for number in range(1, 30)]
        assert log.failures[-1] is None
        assert None not in log.failures[:-1]
        eventually(lambda: log.journal.oldest_us is None)


@pytest.mark.sqlite
@pytest.mark.usefixtures("_impatient")
def test_a_database_that_another_program_holds_is_waited_for(url: str, tmp_path: Path) -> None:
    store = Store(url)
    with running(store) as log:
        with locked(tmp_path / "history.db"):
            log.journal.submit(entry(1, 1.0, token="a"))
            time.sleep(0.3)
            assert log.told == []
        eventually(lambda: log.tokens == ["a"])
        assert log.failures == []  # so short a lock is not even a refusal
        assert recorded(store) == [1.0]


class SmallDisk(Store):
    """SQLite itself says that it is full; `max_pages`: from here on."""

    max_pages = 0

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        with super().writing() as writer:
            writer.connection.exec_driver_sql(f"PRAGMA max_page_count={self.max_pages or 1_073_741_823}")
            yield writer


@pytest.mark.sqlite
@pytest.mark.usefixtures("_impatient")
def test_a_disk_that_is_full_is_named_and_written_to_when_there_is_room(url: str) -> None:
    store = SmallDisk(url)
    with running(store) as log:
        store.max_pages = 1  # SQLite takes what there is already
        for number in range(1, 6):
            log.journal.submit(entry(number, *[float(number)] * 4_000, token=number))
        eventually(lambda: log.failures)
        failure = log.failures[0]
        assert failure is not None
        assert failure.disk_full
        assert failure.reason == "the disk is full"
        told = len(log.told)
        time.sleep(0.1)
        assert len(log.told) == told < 5
        store.max_pages = 0
        eventually(lambda: log.tokens == [1, 2, 3, 4, 5])
        assert recorded(store) == [float(number) for number in range(1, 6) for _ in range(4_000)]


@pytest.mark.parametrize("what", ["readings", "a note", "births"])
@pytest.mark.parametrize("fault", ["before", "during", "after"])
@pytest.mark.usefixtures("_impatient")
def test_a_failed_commit_is_made_up_for_once_also_if_it_had_happened(url: str, what: str, fault: str) -> None:
    store = RefusingStore(url)
    with running(store) as log:
        log.journal.submit(entry(1, 1.0))
        eventually(lambda: len(log.told) == 1)
        store.faults = [fault, fault]
        match what:
            case "readings":
                log.journal.submit(entry(2, 2.0, token="t"))
            case "a note":  # it does not move the offset: nothing in the log tells whether it is there
                log.journal.submit(note(1, 5, token="t"))
            case _:
                log.journal.submit(Entry(1, NOW_US, births=births(3), token="t"))
        eventually(lambda: log.tokens == ["t"])
        assert recorded(store) == ([1.0, 2.0] if what == "readings" else [1.0])
        assert noted(store) == ([5] if what == "a note" else [])
        with store.reading() as snapshot:
            assert set(snapshot.catalog().series) == ({3} if what == "births" else set())


# ----- bounded memory -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_impatient")
def test_too_large_a_backlog_loses_the_oldest_readings_that_nobody_waits_for(url: str) -> None:
    store = RefusingStore(url)
    size = len(frame(1, [0.0] * 10))
    with running(store, backlog_bytes=20 * size) as log:
        store.refuses = "disk I/O error"
        log.journal.submit(entry(1, *[1.0] * 10))
        eventually(lambda: log.failures)  # this one is being written, and counts
        for number in range(2, 61):
            token = number if number % 10 == 0 else None
            log.journal.submit(entry(number, *[float(number)] * 10, token=token)._replace(births=births(number)))
        waiting, lost = log.journal.readings_waiting, log.journal.readings_lost
        assert waiting + lost == 600
        assert 160 <= waiting <= 200  # as much as may wait, less what was dropped at once
        store.refuses = ""
        eventually(lambda: log.told and log.told[-1].offset == 60)
        kept = set(recorded(store))
        assert kept >= {10.0, 20.0, 30.0, 40.0, 50.0, 60.0}
        assert log.tokens == [10, 20, 30, 40, 50, 60]
        others = sorted(kept - {10.0, 20.0, 30.0, 40.0, 50.0, 60.0} - {1.0})
        assert others == [float(one) for one in range(int(others[0]), 60) if one % 10]  # the newest, without a hole
        assert len(recorded(store)) == waiting
        with store.reading() as snapshot:
            assert set(snapshot.catalog().series) == set(range(2, 61))  # who they are is never dropped
            assert snapshot.log_offset() == 60
            assert snapshot.read_log(0, 60, 10**9) is None  # it has holes


@pytest.mark.usefixtures("_impatient")
def test_an_outage_of_hours_neither_grows_the_memory_nor_slows_the_pipeline_down(url: str) -> None:
    store = RefusingStore(url)
    message = b'{"type":"device"}' * 10
    with running(store, backlog_bytes=100_000) as log:
        store.refuses = "database or disk is full"
        took = []
        for at in range(1, 20_001):  # a flush every 50 ms: seventeen minutes
            began = time.perf_counter()
            log.journal.submit(entry(2 * at, *[1.0] * 20)._replace(messages=((2 * at - 1, message),)))
            took.append(time.perf_counter() - began)
        waiting = log.journal._waiting
        assert sum(len(one.frames) for one in waiting) < 400
        assert sum(len(data) for one in waiting for _, data in one.messages) < 200_000
        assert len(waiting) < 2_000
        assert sorted(took[-1000:])[500] < 0.002
        store.refuses = ""
        eventually(lambda: log.told and log.told[-1].offset == 40_000)
        assert len(recorded(store)) + log.journal.readings_lost == 20_000 * 20


# ----- the end --------------------------------------------------------------------------------------------


def test_stop_writes_what_waits(url: str) -> None:
    store = Store(url)
    with running(store, interval_s=30) as log:
        for number in range(1, 6):
            log.journal.submit(entry(number, float(number), token=number))
        assert log.journal.stop(10)
        assert recorded(store) == [1.0, 2.0, 3.0, 4.0, 5.0]
        assert log.tokens == [1, 2, 3, 4, 5]  # told before stop returns


def test_stop_of_an_idle_journal_is_at_once(url: str) -> None:
    with running(Store(url), interval_s=30) as log:
        began = time.monotonic()
        assert log.journal.stop(10)
        assert time.monotonic() - began < 2


def test_stop_while_the_store_refuses_says_so_in_time(url: str) -> None:
    store = RefusingStore(url)
    with running(store) as log:
        store.refuses = "database or disk is full"
        log.journal.submit(entry(1, 1.0, token="a"))
        log.journal.submit(entry(2, 2.0, token="b"))
        eventually(lambda: log.failures)
        began = time.monotonic()
        assert not log.journal.stop(5)
        assert time.monotonic() - began < 2
        assert log.told == []
        assert log.journal.readings_waiting == 2
        assert recorded(store) == []


def test_stop_tries_once_more(url: str) -> None:
    store = RefusingStore(url)
    with running(store) as log:
        store.refuses = "disk I/O error"
        log.journal.submit(entry(1, 1.0, token="a"))
        eventually(lambda: log.failures)
        store.refuses = ""  # the pause after the refusal is longer than this test
        assert log.journal.stop(5)
        assert log.tokens == ["a"]


@pytest.mark.sqlite
def test_stop_does_not_wait_longer_for_a_lock_than_it_is_told(url: str, tmp_path: Path) -> None:
    store = Store(url)
    with running(store) as log:
        with locked(tmp_path / "history.db"):
            log.journal.submit(entry(1, 1.0, token="a"))
            began = time.monotonic()
            assert not log.journal.stop(0.3)
            assert time.monotonic() - began < 1
        eventually(lambda: log.tokens == ["a"])  # the commit under way still ends well, and is told


def test_drain_writes_what_waits_at_once_and_goes_on(url: str) -> None:
    store = Store(url)
    with running(store, interval_s=30) as log:
        for number in range(1, 6):
            log.journal.submit(entry(number, float(number), token=number))
        assert log.journal.drain(10)
        assert log.tokens == [1, 2, 3, 4, 5]  # told before drain returns
        log.journal.submit(note(5, 1, token=6))
        assert log.journal.drain(10)
        assert log.tokens == [1, 2, 3, 4, 5, 6]
        assert noted(store) == [1]


def test_drain_tries_once_more_and_says_what_came_of_it(url: str) -> None:
    store = RefusingStore(url)
    with running(store) as log:
        store.refuses = "disk I/O error"
        log.journal.submit(entry(1, 1.0, token="a"))
        eventually(lambda: log.failures)
        eventually(lambda: log.journal._refusals)
        began = time.monotonic()
        assert not log.journal.drain(10)
        assert time.monotonic() - began < 5
        store.refuses = ""
        assert log.journal.drain(10)
        assert log.tokens == ["a"]


# ----- what comes again -----------------------------------------------------------------------------------


def test_marks_are_stored_with_their_readings_and_those_before_stay_for_a_while(url: str) -> None:
    store = Store(url)
    with running(store, marks=b"before.") as log:
        log.journal.submit(entry(1, 1.0, token=1)._replace(marks=b"marks 1"))
        log.journal.submit(entry(2, 2.0, token=2))
        log.journal.submit(Entry(2, NOW_US, token=3, marks=b"marks 3"))  # came again: nothing new but that
        eventually(lambda: log.tokens == [1, 2, 3])
        with store.reading() as snapshot:
            assert snapshot.marks() == b"before.marks 1marks 3"


# ----- all of it, at random -------------------------------------------------------------------------------

_entries = st.lists(
    st.tuples(
        st.integers(0, 3),  # frames
        st.integers(0, 2),  # notes
        st.booleans(),  # token
        st.booleans(),  # births
    ),
    min_size=1,
    max_size=12,
)
_faults = st.lists(st.sampled_from(["", "before", "during", "after"]), max_size=12)


@given(_entries, _faults, st.sampled_from([0.0, 0.004]))
@examples(60)
def test_whatever_fails_the_store_holds_everything_that_was_told_once(
    shapes: list[tuple[int, int, bool, bool]], faults: list[str], interval_s: float
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_module, "FIRST_PAUSE_S", 0.0005)
        patch.setattr(journal_module, "LONGEST_PAUSE_S", 0.002)
        _run_at_random(shapes, faults, interval_s)


def _run_at_random(shapes: list[tuple[int, int, bool, bool]], faults: list[str], interval_s: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = RefusingStore(url_in(Path(folder)))
        expected_values: list[float] = []
        expected_notes: list[int] = []
        expected_series: set[int] = set()
        expected_tokens: list[int] = []
        offset = number = 0
        lock = threading.Lock()

        with running(store, interval_s=interval_s) as log:

            def is_there(entries: list[Entry]) -> None:
                with lock:
                    there, said = set(recorded(store)), set(noted(store))
                for one in entries:
                    for value in _values(one):
                        assert value in there
                    for event in one.events:
                        assert event.data["note_id"] in said

            log.on_told = is_there
            store.faults = list(faults)
            for n_frames, n_notes, has_token, has_births in shapes:
                frames = []
                for _ in range(n_frames):
                    offset += 1
                    frames.append(frame(offset, [float(offset), offset + 0.5]))
                    expected_values += [float(offset), offset + 0.5]
                events = []
                for _ in range(n_notes):
                    number += 1
                    events += note(offset, number).events
                    expected_notes.append(number)
                token: Any = None
                if has_token:
                    token = len(expected_tokens)
                    expected_tokens.append(token)
                born = None
                if has_births:
                    expected_series.add(len(expected_series) + 1)
                    born = births(len(expected_series))
                one = Entry(offset, NOW_US, tuple(frames), 2 * n_frames, (), born, tuple(events), token)
                log.journal.submit(one)
            eventually(lambda: len(log.told) == len(shapes))
            assert recorded(store) == expected_values
            assert noted(store) == expected_notes
            assert log.tokens == expected_tokens
            with store.reading() as snapshot:
                assert set(snapshot.catalog().series) == expected_series
                assert snapshot.log_offset() == offset
            assert not log.failures or log.failures[-1] is None


def _values(one: Entry) -> list[float]:
    return [value for data in one.frames for value in decode_frame(data).values.tolist()]
