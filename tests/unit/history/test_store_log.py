"""The end of SQLite's log: cut off it is a power cut, changed in its midst it is damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bridge.history.spans import US_PER_S
from bridge.history.store import Store, open_store
from bridge.history.store_log import read_heads
from tests.unit.history.scene import START_US, Scene

COMMITS = 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """As a kill leaves it: nothing was carried over, and behind what counts lies an older log."""
    source = tmp_path / "source.db"
    store = Store(f"sqlite:///{source}")
    scene = Scene(store)
    for number in range(2 * COMMITS):
        if number == COMMITS:
            with store.reading() as snapshot:
                snapshot.connection.exec_driver_sql("PRAGMA wal_checkpoint(RESTART)")
        scene.append([(1, START_US + number * US_PER_S, float(number))] * 500)
        if number == 2 * COMMITS - 3:
            break
    path = tmp_path / "killed" / "history.db"
    path.parent.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{source}{suffix}", f"{path}{suffix}")
    store.close()
    return path


def change(path: Path, part: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(part * len(data))] ^= 1
    path.write_bytes(data)


def numbers(store: Store) -> list[float]:
    scene = Scene(store)
    scene.told = [(1, START_US, 0.0), (1, START_US + 10_000 * US_PER_S, 0.0)]
    return [value for _, _, value in scene.everything()]


def test_a_log_as_a_kill_leaves_it_is_sound(path: Path) -> None:
    assert len(read_heads(path).commits) == COMMITS - 2  # not those of the log before
    epoch = open_store(f"sqlite:///{path}", START_US)
    assert epoch.opened.damage == ()
    assert numbers(epoch) == [float(number) for number in range(2 * COMMITS - 2)]
    epoch.close()


def test_a_log_that_was_cut_off_is_a_power_cut(path: Path) -> None:
    log = Path(f"{path}-wal")
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 3])
    store = open_store(f"sqlite:///{path}", START_US)
    assert store.opened.damage == ()
    found = numbers(store)
    assert found == [float(number) for number in range(len(found))]
    store.close()


def test_the_last_commit_alone_may_be_torn(path: Path) -> None:
    log, heads = Path(f"{path}-wal"), read_heads(path)
    data = bytearray(log.read_bytes())
    data[32 + (heads.commits[-1] - 1) * (8_192 + 24) + 100] ^= 1
    log.write_bytes(data)
    store = open_store(f"sqlite:///{path}", START_US)
    assert store.opened.damage == ()
    assert len(numbers(store)) == 2 * COMMITS - 3
    store.close()


@pytest.mark.parametrize("part", [0.0001, 0.3])
def test_a_log_that_is_damaged_in_its_midst_is_told_of_once(path: Path, part: float) -> None:
    epoch = _epoch(path)
    change(Path(f"{path}-wal"), part)
    damaged = Path(f"{path}-wal").read_bytes()

    store = open_store(f"sqlite:///{path}", START_US)

    assert "commits in its log" in store.opened.damage[0]
    assert not store.opened.is_new
    assert store.opened.set_aside == path.with_name("history.db-wal.damaged-20260101T000000Z")
    assert store.opened.set_aside.read_bytes() == damaged
    assert store.epoch != epoch
    found = numbers(store)
    assert found == [float(number) for number in range(len(found))]
    assert COMMITS <= len(found) < 2 * COMMITS - 3
    new = store.epoch
    store.close()
    again = open_store(f"sqlite:///{path}", START_US)
    assert again.opened.damage == ()
    assert again.epoch == new
    again.close()


def _epoch(path: Path) -> str:
    """Of the history, as a copy tells it."""
    copy = path.parent / "copy.db"
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    store = Store(f"sqlite:///{copy}")
    store.close()
    return store.epoch
