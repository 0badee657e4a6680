"""The journal in memory is what a snapshot sees in no chunk, whichever snapshot asks first."""

from __future__ import annotations

from pathlib import Path

from bridge.history.store import Store
from bridge.history.tail import Tail
from tests.unit.history.scene import START_US, Scene


def test_each_snapshot_sees_all_that_is_in_none_of_its_chunks(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/history.db")
    one = Scene(store)
    tail = Tail()
    one.append([(1, START_US, 1.0)])
    one.append([(1, START_US + 1, 2.0)])
    with store.reading() as early:
        assert tail.read(early).values.tolist() == [1.0, 2.0]
        one.seal()
        one.append([(1, START_US + 2, 3.0)])
        with store.reading() as late:
            assert tail.read(late).values.tolist() == [3.0]
        # The early one must not lose what the late one has in chunks.
        assert tail.read(early).values.tolist()[:2] == [1.0, 2.0]
    with store.reading() as again:
        assert tail.read(again).values.tolist() == [3.0]
        assert tail.read(again) is tail.read(again)  # decoded once
    one.seal()
    with store.reading() as empty:
        assert len(tail.read(empty)) == 0
    store.close()
