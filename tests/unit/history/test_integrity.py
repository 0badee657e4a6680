"""Damage is found, set aside and said; what is not damage is left where it is. And a copy is a copy."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from bridge.history.faults import HistoryError
from bridge.history.spans import US_PER_S
from bridge.history.store import Store, open_store
from bridge.history.store_sqlite import set_aside
from tests.unit.history.scene import START_US, Scene, flat

S = US_PER_S


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with chunks, rollups and a journal, closed."""
    path = tmp_path / "history.db"
    store = Store(f"sqlite:///{path}")
    write(store)
    store.close()
    return path


def write(store: Store) -> Scene:
    """Random values, which fill their pages: what is damaged is mostly in use."""
    one = Scene(store)
    chance = random.Random(5)

    def tell(number: int) -> None:
        times = [START_US + (number * 100 + n) * S for n in range(100)]
        one.append([(s, t, chance.random()) for t in times for s in range(6)])

    for number in range(12):
        tell(number)
        one.seal()
    one.merge(START_US)
    for number in range(12, 30):
        tell(number)
        if number < 25:
            one.seal()
    return one


def test_a_sound_file_stays_and_keeps_its_epoch(path: Path) -> None:
    first = open_store(f"sqlite:///{path}", START_US)
    first.close()
    second = open_store(f"sqlite:///{path}", START_US)

    assert second.epoch == first.epoch
    assert second.opened.damage == ()
    assert second.find_damage(everything=True) == []
    second.close()
    assert [file.name for file in path.parent.iterdir()] == ["history.db"]


def flip(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def zero_page(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data) // 4096) * 4096
    data[at : at + 4096] = bytes(4096)


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(100, len(data) * 3 // 4) :]


def replace(data: bytearray, chance: random.Random) -> None:
    data[:] = chance.randbytes(10_000)


@pytest.mark.parametrize("harm", [zero_page, cut, replace])
@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_is_set_aside_whole_and_a_new_history_begins(path: Path, harm: object, seed: int) -> None:
    data = bytearray(path.read_bytes())
    harm(data, random.Random(seed))  # type: ignore[operator]
    path.write_bytes(data)

    store = open_store(f"sqlite:///{path}", START_US)

    assert store.opened.damage
    assert store.opened.is_new
    assert store.opened.set_aside == path.with_name("history.db.damaged-20260101T000000Z")
    assert store.opened.set_aside.read_bytes()[:100] == bytes(data)[:100]
    with store.reading() as snapshot:
        assert snapshot.last_offset() == 0
    store.close()


def test_a_flipped_bit_is_found_wherever_it_says_something(path: Path) -> None:
    """Bits in unused parts of pages mean nothing; every other one is told, and answers are never silently wrong."""
    sound = path.read_bytes()
    store = Store(f"sqlite:///{path}")
    expected = everything(store)
    store.close()
    chance = random.Random(1)
    found = 0
    for number in range(40):
        data = bytearray(sound)
        flip(data, chance)
        damaged = path.with_name(f"flipped-{number}.db")
        damaged.write_bytes(data)
        store = open_store(f"sqlite:///{damaged}", START_US)
        if store.opened.damage:
            found += 1
        else:
            assert everything(store) == expected
        store.close()
    assert found >= 20


def everything(store: Store) -> list[object]:
    one = Scene(store)
    batch = one.history.readings(range(6), START_US, START_US + 10**12, 10**9)
    return [column.tolist() for column in batch[:3]]


def test_two_damaged_files_of_one_second_get_names_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    names = []
    for _ in range(2):
        for suffix in ("", "-wal"):
            Path(f"{path}{suffix}").write_bytes(b"x")
        names.append(set_aside(path, START_US).name)

    assert names == ["history.db.damaged-20260101T000000Z", "history.db.damaged-20260101T000000Z-2"]
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([*names, *(f"{name}-wal" for name in names)])


def test_a_file_that_cannot_be_opened_is_an_error_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.mkdir()  # as good as a file without rights, also for root

    with pytest.raises(Exception, match="unable to open"):
        open_store(f"sqlite:///{path}", START_US)

    assert path.is_dir()


def test_a_backup_taken_while_the_writer_goes_on_is_a_whole_history(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/history.db")
    one = write(store)
    before = flat(one.model())
    stop = threading.Event()

    def go_on() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            one.append([(0, START_US + 4000 * S + number, 1.0)])

    thread = threading.Thread(target=go_on)
    thread.start()
    target = tmp_path / "copy.db"
    target.write_bytes(b"an older copy")
    store.backup(target)
    stop.set()
    thread.join()

    copy = open_store(f"sqlite:///{target}", START_US)
    assert copy.opened.damage == ()
    assert copy.epoch == store.epoch
    assert copy.find_damage(everything=True) == []
    reader = Scene(copy)
    reader.told = one.told
    found = reader.everything()
    assert found[: len(before)] == before or set(before) <= set(found)
    copy.close()
    store.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy.db", "history.db"]


def test_a_history_that_is_not_a_file_is_not_ours_to_copy() -> None:
    store = Store("sqlite://")
    store._url = "postgresql://localhost/fleetwire"
    with pytest.raises(HistoryError, match="pg_dump"):
        store.backup(Path("never"))
    store._url = "sqlite://"
    store.close()
