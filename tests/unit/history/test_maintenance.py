"""The thread that keeps the history in order, over real files."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.history import keeper as keeper_module
from bridge.history import maintenance as maintenance_module
from bridge.history.damages import Damages
from bridge.history.faults import Damaged
from bridge.history.maintenance import RESERVE_BYTES, Maintenance, Work, give_up_reserve
from bridge.history.retention import Limit, Limits
from bridge.history.spans import DAY_US, HOUR, HOUR_US, MINUTE, RAW, US_PER_S
from bridge.history.store import Store
from tests.unit.history.log_scene import eventually, locked, refusal
from tests.unit.history.scene import START_US, Scene, damage_a_chunk

GENEROUS = Limits()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path}/history.db")
    yield made
    made.close()


class Done:
    """What was told, added up."""

    def __init__(self) -> None:
        self.works: list[Work] = []

    @property
    def total(self) -> Work:
        *counts, _ = zip(Work(), *self.works, strict=True)
        return Work(*(sum(column) for column in counts))

    @property
    def notices(self) -> list[str]:
        return [work.notice for work in self.works if work.notice]


def maintenance(store: Store, done: Done, limits: Limits = GENEROUS, **options: Any) -> Maintenance:
    settings: dict[str, Any] = {
        "seal_interval_s": 3_600.0, "min_free_bytes": 0, "clock": lambda: START_US + 400 * DAY_US,
        "damages": Damages(), **options,
    }  # fmt: skip
    return Maintenance(store, limits, on_work=done.works.append, **settings)


@contextmanager
def running(one: Maintenance) -> Iterator[None]:
    one.start()
    try:
        yield
    finally:
        one.stop(10)
        assert not one._thread.is_alive()


def fill(scene: Scene, days: int) -> None:
    """A quarter of an hour every six hours, twenty readings a minute: sealed and merged, with minutes and hours."""
    for day in range(days):
        for part in range(4):
            begin = START_US + day * DAY_US + part * 6 * HOUR_US
            times = range(begin, begin + HOUR_US // 4, 3 * US_PER_S)
            scene.append(
                [(series, time_us, float(time_us // US_PER_S % 1_000)) for time_us in times for series in (1, 2)]
            )
    scene.seal()
    scene.merge()
    assert set(sizes(scene.store)) == {RAW, MINUTE, HOUR}


def sizes(store: Store) -> dict[int, int]:
    with store.reading() as snapshot:
        return {resolution: size for resolution, size in snapshot.sum_sizes().items() if size}


def oldest(store: Store) -> tuple[int | None, ...]:
    """From when on each resolution is kept."""
    with store.reading() as snapshot:
        return snapshot.kept_from()


# ----- sealing, merging, forgetting -----------------------------------------------------------------------


def test_the_journal_is_sealed_when_it_is_due_and_the_counts_are_told(store: Store) -> None:
    scene, done = Scene(store), Done()
    scene.append([(1, START_US + at * US_PER_S, 1.0) for at in range(100)])
    with running(maintenance(store, done, seal_interval_s=0.2)):
        assert not done.works
        eventually(lambda: done.works)
        assert done.total == Work(sealed=100)
        # Twenty again, of which five have another value now.
        scene.append([(1, START_US + at * US_PER_S, 1.0 if at < 15 else 2.0) for at in range(20)])
        eventually(lambda: done.total.sealed == 120)
        assert done.total == Work(sealed=120, duplicates=15, conflicts=5)
    with store.reading() as snapshot:
        assert snapshot.count_journal() == 0
    assert scene.everything() == [(1, START_US + at * US_PER_S, 1.0) for at in range(100)]


def test_chunks_are_merged_when_it_is_due(store: Store) -> None:
    scene, done = Scene(store), Done()
    for hour in range(30):
        times = range(START_US + hour * HOUR_US, START_US + (hour + 1) * HOUR_US, 3 * US_PER_S)
        scene.append([(1, time_us, 1.0) for time_us in times])
        scene.seal()
    assert sizes(store) == {}  # sealed, and no more
    expected = scene.everything()
    with running(maintenance(store, done, seal_interval_s=0.1)):
        eventually(lambda: set(sizes(store)) == {RAW, MINUTE, HOUR})
    assert scene.everything() == expected
    assert all(not any(work) for work in done.works)


def test_what_is_beyond_the_limits_goes_when_it_is_due(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance_module, "FORGET_INTERVAL_S", 0.1)
    scene, done = Scene(store), Done()
    fill(scene, 10)
    limits = GENEROUS._replace(readings=Limit(1 * DAY_US, 2**40))
    with running(maintenance(store, done, limits, clock=lambda: START_US + 100 * DAY_US)):
        eventually(lambda: done.works)
    assert done.total.forgotten > 0
    assert set(sizes(store)) == {MINUTE, HOUR}


def test_a_step_that_fails_is_tried_again_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Refusing(Store):
        refuses = False

        @contextmanager
        def writing(self) -> Iterator[Any]:
            if self.refuses:
                raise refusal("disk I/O error")
            with super().writing() as writer:
                yield writer

    monkeypatch.setattr(maintenance_module, "DISK_INTERVAL_S", 0.05)
    store = Refusing(f"sqlite:///{tmp_path}/history.db")
    scene, done = Scene(store), Done()
    scene.append([(1, START_US, 1.0)])
    store.refuses = True
    with running(maintenance(store, done, seal_interval_s=0.05, min_free_bytes=1)):
        eventually(lambda: "disk I/O error" in caplog.text)
        eventually(lambda: (tmp_path / "history.db.reserve").exists())
        assert not done.works
        store.refuses = False
        eventually(lambda: done.total.sealed == 1 if done.works else False)
    store.close()


def test_a_commit_that_cannot_be_read_is_set_aside_and_the_rest_is_sealed(store: Store, tmp_path: Path) -> None:
    scene, done = Scene(store), Done()
    for number in range(5):
        scene.append([(1, START_US + number, float(number))])
    with store.writing() as writer:
        damaged = writer.connection.exec_driver_sql("SELECT data FROM history_journal WHERE last_offset = 3").scalar()
        writer.connection.exec_driver_sql("UPDATE history_journal SET checksum = 1 - checksum WHERE last_offset = 3")
    with pytest.raises(Damaged):
        scene.everything()

    maintenance(store, done).tidy()

    assert done.total == Work(sealed=4, given_up=1)
    (notice,) = done.notices
    assert "history.db.damaged-commit-3" in notice
    assert (tmp_path / "history.db.damaged-commit-3").read_bytes() == damaged
    assert scene.everything() == [(1, START_US + number, float(number)) for number in (0, 1, 2, 3, 4) if number != 2]
    assert store.find_damage(everything=True) == []
    maintenance(store, done).tidy()
    assert done.total.given_up == 1


def test_a_damaged_chunk_is_told_once_and_keeps_nothing_else_from_being_merged(store: Store) -> None:
    scene, done, damages = Scene(store), Done(), Damages()
    one = maintenance(store, done, damages=damages)
    for series in (1, 2):
        for hour in range(30):
            times = range(START_US + hour * HOUR_US, START_US + (hour + 1) * HOUR_US, 3 * US_PER_S)
            scene.append([(series, time_us, 1.0) for time_us in times])
            scene.seal()
    victim = damage_a_chunk(store)
    for _ in range(3):
        one.tidy()
    assert not done.works
    assert damages.names == [f"chunk {victim}"]
    with store.reading() as snapshot:
        assert any(found.facts.resolution == HOUR for found in snapshot.find_chunks([2], HOUR, 0, 2**60))


def test_what_keeps_the_journal_from_being_sealed_does_not_keep_chunks_from_being_merged(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    scene, done = Scene(store), Done()
    for hour in range(30):
        times = range(START_US + hour * HOUR_US, START_US + (hour + 1) * HOUR_US, 3 * US_PER_S)
        scene.append([(1, time_us, 1.0) for time_us in times])
        scene.seal()
    scene.append([(1, START_US - 1, 1.0)])
    with store.writing() as writer:  # as if a second program kept this history: sealing would be refused
        writer.connection.exec_driver_sql(
            "CREATE TRIGGER refuses BEFORE UPDATE ON history_meta BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    maintenance(store, done).tidy()
    assert "history: seal" in caplog.text
    assert HOUR in sizes(store)


def test_stop_ends_between_two_steps_and_what_is_left_stays_in_the_journal(store: Store) -> None:
    scene, done = Scene(store), Done()
    scene.append([(1, START_US, 1.0)])
    one = maintenance(store, done, seal_interval_s=0.0)
    one._stopping.set()
    one.tidy()
    assert not done.works
    with store.reading() as snapshot:
        assert snapshot.count_journal() == 1


def test_stop_does_not_wait_for_a_lock_longer_than_it_is_told(store: Store, tmp_path: Path) -> None:
    scene, done = Scene(store), Done()
    scene.append([(1, START_US, 1.0)])
    one = maintenance(store, done, seal_interval_s=0.0)
    with locked(tmp_path / "history.db"):
        one.start()
        time.sleep(0.2)
        began = time.monotonic()
        one.stop(0.2)
        assert time.monotonic() - began < 2
    one._thread.join(10)
    assert not one._thread.is_alive()


def test_an_idle_thread_does_not_spin(store: Store) -> None:
    done = Done()
    with running(maintenance(store, done)):
        eventually(lambda: threading.active_count() > 1)
        time.sleep(0.1)
        before = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - before < 0.2


# ----- room on the disk -----------------------------------------------------------------------------------


def test_to_make_room_the_oldest_readings_go_first_then_minutes_then_hours_but_never_the_last_day(
    store: Store,
) -> None:
    scene, done = Scene(store), Done()
    fill(scene, 70)
    now_us = START_US + 70 * DAY_US
    one = maintenance(store, done, clock=lambda: now_us)
    order: list[int] = []
    kept = oldest(store)
    for _ in range(400):
        told = len(done.works)
        one.free_some()
        after = oldest(store)
        changed = [resolution for resolution in (RAW, MINUTE, HOUR) if after[resolution] != kept[resolution]]
        assert len(changed) <= 1
        assert all((after[one_] or 0) >= (kept[one_] or 0) for one_ in changed)
        order += changed
        kept = after
        if len(done.works) == told:
            break  # nothing is left that may be forgotten
    else:
        pytest.fail("never came to an end")
    assert order == sorted(order)
    assert order.count(RAW) > 3  # in small steps
    assert set(order) == {RAW, MINUTE}  # hours are a chunk a year, and that of this year has the last day in it
    # What the last day looks like can still be seen.
    (answer,) = scene.history.query([1], now_us - DAY_US, now_us, 24)
    assert int(np.count_nonzero(~np.isnan(answer.values))) == 8  # two for each quarter of an hour


def test_a_full_disk_gets_the_reserve_and_the_oldest_part(store: Store, tmp_path: Path) -> None:
    scene, done = Scene(store), Done()
    fill(scene, 30)
    reserve = tmp_path / "history.db.reserve"
    reserve.write_bytes(b"\0" * 100)
    before = sizes(store)
    one = maintenance(store, done, clock=lambda: START_US + 30 * DAY_US)
    with running(one):
        one.make_room()
        eventually(lambda: done.works)
        eventually(lambda: not reserve.exists())
        time.sleep(0.1)
        assert len(done.works) == 1  # once for each call
    after = sizes(store)
    assert after[RAW] < before[RAW]
    assert after[RAW] > 0.5 * before[RAW]
    assert after[HOUR] == before[HOUR]


def test_the_reserve_is_written_really_and_once(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance_module, "RESERVE_BYTES", 1_000_000)
    reserve = tmp_path / "history.db.reserve"
    one = maintenance(store, Done(), min_free_bytes=1)
    one.watch_disk()
    status = reserve.stat()
    assert status.st_size == 1_000_000
    assert status.st_blocks * 512 >= 1_000_000  # no hole
    one.watch_disk()
    assert reserve.stat().st_mtime_ns == status.st_mtime_ns
    reserve.write_bytes(b"half of it")  # the disk was full meanwhile
    one.watch_disk()
    assert reserve.stat().st_size == 1_000_000
    assert give_up_reserve(f"sqlite:///{tmp_path}/history.db")
    assert not reserve.exists()
    assert not give_up_reserve(f"sqlite:///{tmp_path}/history.db")
    assert not give_up_reserve("sqlite://")


def test_without_a_limit_the_disk_is_not_looked_at(store: Store, tmp_path: Path) -> None:
    one = maintenance(store, Done(), min_free_bytes=0)
    one.watch_disk()
    assert not (tmp_path / "history.db.reserve").exists()


def test_a_history_in_memory_has_no_disk() -> None:
    store = Store("sqlite://")
    maintenance(store, Done(), min_free_bytes=2**60).watch_disk()
    store.close()


def test_too_little_room_makes_the_oldest_part_go(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(".")._replace(free=1_000_000)
    monkeypatch.setattr(maintenance_module.shutil, "disk_usage", lambda _: usage)
    scene, done = Scene(store), Done()
    fill(scene, 10)
    before = sizes(store)
    lacking = sum(before.values()) // 2
    min_free_bytes = 1_000_000 + store.reusable_bytes() + lacking
    one = maintenance(store, done, min_free_bytes=min_free_bytes, clock=lambda: START_US + 10 * DAY_US)
    one.watch_disk()
    assert done.total.forgotten > 0
    assert sizes(store)[RAW] < before[RAW]
    assert not (tmp_path / "history.db.reserve").exists()  # there is no room for it


def test_a_history_that_is_smaller_than_what_is_lacking_is_left_alone(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    scene, done = Scene(store), Done()
    fill(scene, 10)
    before = sizes(store)
    one = maintenance(store, done, min_free_bytes=2**60, clock=lambda: START_US + 10 * DAY_US)
    one.watch_disk()
    one.watch_disk()
    assert sizes(store) == before  # somebody else has filled the disk
    assert [r.message for r in caplog.records if "would not be enough" in r.message][1:] == []  # and is told of once


def test_pages_that_are_free_within_the_file_count_as_room(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(".")._replace(free=1_000_000)
    monkeypatch.setattr(maintenance_module.shutil, "disk_usage", lambda _: usage)
    scene, done = Scene(store), Done()
    fill(scene, 10)
    with store.writing() as writer:
        writer.connection.exec_driver_sql("CREATE TABLE ballast (data BLOB)")
        writer.connection.exec_driver_sql("INSERT INTO ballast VALUES (zeroblob(3000000))")
        writer.connection.exec_driver_sql("DROP TABLE ballast")
    free = store.reusable_bytes()
    assert 2_900_000 < free < 4_000_000
    one = maintenance(store, done, min_free_bytes=1_000_000 + free - 10_000)
    one.watch_disk()
    assert not done.works
    with store.writing() as writer:
        writer.connection.exec_driver_sql("CREATE TABLE ballast AS SELECT zeroblob(15000)")
    one.watch_disk()
    assert done.total.forgotten > 0


def test_free_pages_are_counted_as_sqlite_counts_them(store: Store, tmp_path: Path) -> None:
    scene = Scene(store)
    fill(scene, 8)
    with store.writing() as writer:
        writer.connection.exec_driver_sql("DELETE FROM history_chunk")
    before = os.path.getsize(tmp_path / "history.db")
    assert 0 < store.reusable_bytes() <= before + 2**24
    memory = Store("sqlite://")
    assert memory.reusable_bytes() == 0
    memory.close()


def test_the_reserve_is_large_enough_to_delete_with() -> None:
    assert RESERVE_BYTES >= 4_000 * 4_096  # what SQLite's log holds before it is carried over


def test_much_that_is_not_sealed_does_not_wait_for_its_turn(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance_module, "DISK_INTERVAL_S", 0.05)
    monkeypatch.setattr(keeper_module, "SEAL_READINGS", 100)
    done = Done()
    scene = Scene(store)
    with running(maintenance(store, done, seal_interval_s=3_600)):
        scene.append([(0, START_US + i, float(i)) for i in range(99)])
        time.sleep(0.3)
        assert not done.works
        scene.append([(0, START_US + 99, 99.0)])
        eventually(lambda: done.total.sealed == 100)
