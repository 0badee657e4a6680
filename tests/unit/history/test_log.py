"""The log of readings and messages in the store: what is told to who returns, and where a run begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.frame import decode_frame
from bridge.history.store import Store
from bridge.history.store_session import RUNS_KEPT
from tests.unit.history.databases import examples, new_url, url_in
from tests.unit.history.log_scene import frame
from tests.unit.history.scene import Scene

ENOUGH = 10**6


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(url_in(tmp_path))


def commit(store: Store, *what: tuple[int, bool]) -> None:
    """One commit of frames and messages at these offsets."""
    with store.writing() as writer:
        writer.append_messages([(at, b"message %d" % at) for at, is_frame in what if not is_frame])
        writer.append([frame(at, [float(at)]) for at, is_frame in what if is_frame])
        writer.set_log_offset(max(at for at, _ in what))


def read(store: Store, after: int, to: int, most: int = ENOUGH) -> list[tuple[int, bool]] | None:
    """What is found, after a look at the bytes."""
    with store.reading() as snapshot:
        found = snapshot.read_log(after, to, most)
    for at, data, is_frame in found or ():
        if is_frame:
            assert decode_frame(data).values.tolist() == [float(at)]
        else:
            assert data == b"message %d" % at
    return None if found is None else [(at, is_frame) for at, _, is_frame in found]


def test_frames_and_messages_come_back_in_the_order_of_their_offsets(store: Store) -> None:
    commit(store, (1, False), (2, True), (3, True))
    commit(store, (4, False))
    commit(store, (5, True), (6, False), (7, True))
    assert read(store, 0, 7) == [
        (1, False), (2, True), (3, True), (4, False), (5, True), (6, False), (7, True),
    ]  # fmt: skip
    assert read(store, 2, 6) == [(3, True), (4, False), (5, True), (6, False)]  # borders within commits
    assert read(store, 7, 7) == []
    assert read(store, 4, 4) == []
    store.close()


def test_what_is_not_there_in_full_is_not_told(store: Store) -> None:
    commit(store, (1, True), (2, False))
    commit(store, (3, True), (5, True))  # 4 was lost
    assert read(store, 0, 3) == [(1, True), (2, False), (3, True)]
    assert read(store, 0, 5) is None
    assert read(store, 4, 5) == [(5, True)]
    assert read(store, 0, 6) is None  # not written yet
    assert read(store, -1, 5) is None
    store.close()


def test_what_is_sealed_is_not_told_and_its_messages_are_gone(store: Store) -> None:
    scene = Scene(store)
    commit(store, (1, False), (2, True))
    commit(store, (3, False))
    scene.seal()
    commit(store, (4, True))
    assert read(store, 0, 4) is None
    assert read(store, 1, 4) is None
    assert read(store, 2, 4) == [(3, False), (4, True)]  # what came after the last sealed frame is still there
    scene.seal()
    assert read(store, 3, 4) is None
    assert read(store, 4, 4) == []
    with store.reading() as snapshot:
        rows = snapshot.connection.exec_driver_sql("SELECT count(*) FROM history_message").scalar_one()
        assert rows == 0
        assert snapshot.log_offset() == 4
    store.close()


def test_too_much_is_not_told_but_what_comes_after_it_does_not_count(store: Store) -> None:
    for at in range(1, 101):
        commit(store, (at, True))
    size = len(frame(1, [1.0]))
    assert read(store, 0, 100, 50 * size) is None
    assert read(store, 50, 100, 50 * size) == [(at, True) for at in range(51, 101)]
    # As when 20 messages are on disk alone, and 80 in memory too.
    assert read(store, 0, 20, 50 * size) == [(at, True) for at in range(1, 21)]
    store.close()


def test_large_messages_are_too_much_as_well(store: Store) -> None:
    with store.writing() as writer:
        writer.append_messages([(at, b"x" * 1_000) for at in range(1, 101)])
        writer.set_log_offset(100)
    with store.reading() as snapshot:
        assert snapshot.read_log(0, 100, 50_000) is None
        assert len(snapshot.read_log(0, 40, 50_000) or ()) == 40
    store.close()


def test_a_run_begins_where_the_log_ends_and_is_remembered(tmp_path: Path) -> None:
    store = Store(url_in(tmp_path))
    with store.writing() as writer:
        assert writer.begin_run() == (1, 0)
    commit(store, (1, True), (2, False))
    store.close()
    store = Store(url_in(tmp_path))
    with store.writing() as writer:
        assert writer.begin_run() == (2, 2)
        assert writer.runs() == {1: 0, 2: 2}
    with store.writing() as writer:
        for _ in range(RUNS_KEPT):
            run, offset = writer.begin_run()
        assert (run, offset) == (RUNS_KEPT + 2, 2)
        assert list(writer.runs()) == list(range(3, RUNS_KEPT + 3))
    store.close()


@given(
    st.lists(st.lists(st.booleans(), min_size=1, max_size=5), min_size=1, max_size=8),
    st.integers(0, 40),
    st.integers(0, 40),
    st.integers(0, 8),
)
@examples(60)
def test_any_span_is_told_exactly_or_not_at_all(commits: list[list[bool]], after: int, to: int, sealed: int) -> None:
    store = Store(new_url())
    scene = Scene(store)
    model: list[tuple[int, bool]] = []
    sealed_to = 0
    for number, kinds in enumerate(commits):
        here = [(len(model) + 1 + at, is_frame) for at, is_frame in enumerate(kinds)]
        model += here
        commit(store, *here)
        if number + 1 == sealed:
            scene.seal()
            sealed_to = max((at for at, is_frame in model if is_frame), default=0)
    found = read(store, after, to)
    store.close()
    if sealed_to <= after <= to <= len(model):
        assert found == model[after:to]
    else:
        assert not found
