"""The journal in a real file: order, durability, epoch, and what a crash leaves."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import event

from bridge.core.batch import make_batch
from bridge.core.frame import encode_frame
from bridge.history.faults import Damaged, HistoryError
from bridge.history.store import Store, open_store
from tests.unit.history.databases import url_in
from tests.unit.history.scene import START_US, Scene, flat

NOW_US = START_US


def frame(offset: int, *values: float) -> bytes:
    batch = make_batch(
        [1] * len(values), [NOW_US + offset * 1000 + n for n in range(len(values))], list(values), NOW_US
    )
    return encode_frame(batch, offset=offset, channel_no=1)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return url_in(tmp_path / "data")


def test_frames_come_back_as_they_were_in_order_after_a_restart(url: str) -> None:
    frames = [frame(number, float(number), 0.5) for number in range(1, 8)]
    store = Store(url)
    with store.writing() as writer:
        assert writer.append(frames[:4]) == 4
    with store.writing() as writer:
        assert writer.append(frames[4:]) == 7
    epoch = store.epoch
    store.close()

    again = Store(url)
    with again.reading() as snapshot:
        assert snapshot.read_frames(0, 100) == frames
        assert snapshot.read_frames(2, 3) == frames[2:5]
        assert snapshot.read_frames(7, 100) == []
        assert snapshot.last_offset() == 7
        assert snapshot.sealed_offset() == 0
        assert snapshot.count_journal() == 14
    assert again.epoch == epoch
    assert not again.opened.is_new
    again.close()


def test_each_new_store_has_an_epoch_of_its_own(tmp_path: Path) -> None:
    stores = [Store(url_in(tmp_path, f"{number}.db")) for number in range(2)]

    assert stores[0].epoch != stores[1].epoch
    assert stores[0].opened.is_new
    for store in stores:
        store.close()


def test_offsets_must_rise_and_a_refused_commit_leaves_nothing(url: str) -> None:
    store = Store(url)
    with store.writing() as writer:
        writer.append([frame(5, 1.0)])
    for bad in ([frame(5, 1.0)], [frame(6, 1.0), frame(6, 2.0)], [frame(8, 1.0), frame(7, 2.0)]):
        with pytest.raises(HistoryError), store.writing() as writer:
            writer.append(bad)
    with pytest.raises(HistoryError), store.writing() as writer:
        writer.append([frame(6, 1.0) + frame(7, 1.0)])
    with pytest.raises(Damaged), store.writing() as writer:
        writer.append([frame(6, 1.0)[:-1]])
    with store.reading() as snapshot:
        assert snapshot.last_offset() == 5
    with store.writing() as writer:
        assert writer.append([]) == 5
    store.close()


def test_after_sealing_the_last_offset_is_remembered(url: str) -> None:
    store = Store(url)
    scene = Scene(store)
    scene.append([(1, NOW_US, 1.0)])
    scene.seal()

    with store.reading() as snapshot:
        assert snapshot.read_frames(0, 10) == []
        assert snapshot.last_offset() == snapshot.sealed_offset() == 1
    with pytest.raises(HistoryError), store.writing() as writer:
        writer.append([frame(1, 1.0)])
    store.close()


@pytest.mark.sqlite
def test_a_commit_is_synced_and_the_log_is_written_ahead(url: str) -> None:
    store = Store(url)
    with store.reading() as snapshot:
        assert snapshot.connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert snapshot.connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    store.close()


def test_a_reader_sees_one_moment_while_the_writer_goes_on(url: str) -> None:
    store = Store(url)
    with store.writing() as writer:
        writer.append([frame(1, 1.0)])
    with store.reading() as snapshot:
        assert snapshot.last_offset() == 1
        thread = threading.Thread(target=Scene(store).append, args=([(1, NOW_US, 1.0)],))
        with store.writing() as writer:
            writer.append([frame(2, 1.0)])
        assert snapshot.last_offset() == 1
        assert len(snapshot.read_frames(0, 10)) == 1
        assert not thread.is_alive()
    with store.reading() as snapshot:
        assert snapshot.last_offset() == 2
    store.close()


@pytest.mark.sqlite
def test_a_database_held_by_another_is_an_error_that_names_it_and_not_damage(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.history.store_sqlite.BUSY_TIMEOUT_MS", 50)
    store = Store(url)
    other = sqlite3.connect(store.path or "")
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(Exception, match="locked"), store.writing() as writer:
        writer.append([frame(1, 1.0)])
    other.rollback()
    other.close()
    with store.writing() as writer:
        assert writer.append([frame(1, 1.0)]) == 1
    store.close()


@pytest.mark.parametrize("work", ["seal", "merge"])
def test_a_failure_between_any_two_statements_leaves_the_old_state_or_the_new_one(url: str, work: str) -> None:
    store = Store(url)
    scene = Scene(store)
    for minute in range(3):
        scene.append([(s, NOW_US + minute * 60_000_000 + t * 1_000_000, float(t)) for s in (1, 2) for t in range(60)])
        if work == "merge":
            scene.seal()
    before = scene.everything()
    assert before == flat(scene.model())
    countdown = 0

    def fail(*_: object) -> None:
        nonlocal countdown
        countdown -= 1
        if countdown < 0:
            raise KeyboardInterrupt  # nothing in between handles that

    failures = 0
    for failing_statement in range(1, 100):
        countdown = failing_statement
        event.listen(store._engine, "before_cursor_execute", fail)
        try:
            scene.seal() if work == "seal" else scene.merge()
            done = True
        except KeyboardInterrupt:
            done = False
            failures += 1
        finally:
            event.remove(store._engine, "before_cursor_execute", fail)
        assert scene.everything() == before
        assert store.find_damage(everything=True) == []
        if done:
            break
    assert done
    assert failures >= 5
    with store.reading() as snapshot:
        assert snapshot.count_journal() == 0
    store.close()


_VICTIM = """
import sys
from bridge.history.store import Store
from tests.unit.history.scene import Scene, START_US
scene = Scene(Store(sys.argv[1]))
for number in range(100_000):
    scene.append([(s, START_US + number * 1_000_000, float(number)) for s in range(20)])
    print(number, flush=True)
    if number % 7 == 6:
        scene.seal()
    if number % 28 == 27:
        scene.merge()
"""


def test_kill_9_loses_nothing_that_was_committed_and_invents_nothing(url: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", _VICTIM, url], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = [int(child.stdout.readline()) for _ in range(90)]  # in the midst of appending, sealing and merging
    child.send_signal(signal.SIGKILL)
    said += [int(line) for line in child.stdout.read().split()]
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL

    store = open_store(url, NOW_US)
    assert store.opened.damage == ()
    assert store.find_damage(everything=True) == []
    scene = Scene(store)
    batch = scene.history.readings(range(20), START_US, START_US + 10**12, 10**9)
    found = sorted(zip(batch.series_ids.tolist(), batch.times_us.tolist(), batch.values.tolist(), strict=True))
    commits = len(found) // 20
    assert commits in (len(said), len(said) + 1)  # the last one may have been committed and not been told
    assert found == [(s, START_US + n * 1_000_000, float(n)) for s in range(20) for n in range(commits)]
    store.close()
