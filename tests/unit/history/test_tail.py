"""The journal in memory is what a snapshot sees in no chunk, whichever snapshot asks first."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bridge.history.store import Store
from bridge.history.tail import Recent, Tail
from tests.unit.history.databases import examples, url_in
from tests.unit.history.scene import START_US, Scene, scene

END_US = START_US + 10**9


def values(recent: Recent, series_id: int = 1) -> list[float]:
    found = recent.find(series_id, START_US, END_US)
    return [] if found is None else found[1].tolist()


def test_each_snapshot_sees_all_that_is_in_none_of_its_chunks(tmp_path: Path) -> None:
    store = Store(url_in(tmp_path))
    one = Scene(store)
    tail = Tail()
    one.append([(1, START_US, 1.0)])
    one.append([(1, START_US + 1, 2.0)])
    with store.reading() as early:
        assert values(tail.read(early)) == [1.0, 2.0]
        one.seal()
        one.append([(1, START_US + 2, 3.0)])
        with store.reading() as late:
            assert values(tail.read(late)) == [3.0]
        # The early one must not lose what the late one has in chunks.
        assert values(tail.read(early))[:2] == [1.0, 2.0]
    with store.reading() as again:
        assert values(tail.read(again)) == [3.0]
        assert tail.read(again) is tail.read(again)  # decoded once
    one.seal()
    with store.reading() as empty:
        assert len(tail.read(empty)) == 0
    store.close()


def test_what_was_read_together_and_sealed_in_part_is_read_again(tmp_path: Path) -> None:
    store = Store(url_in(tmp_path))
    one = Scene(store)
    tail = Tail()
    one.append([(1, START_US, 1.0)])
    one.append([(1, START_US + 1, 2.0)])
    with store.reading() as snapshot:
        tail.read(snapshot)
    with store.writing() as writer:
        writer.mark_sealed(0, 1)
    with store.reading() as snapshot:
        assert values(tail.read(snapshot)) == [2.0]
        assert snapshot.count_journal() == 1  # what was sealed counts no more, though it is not dropped yet
    store.close()


readings = st.tuples(st.sampled_from([1, 2, 70_000]), st.integers(START_US, START_US + 6), st.integers(0, 100))


@examples(40)
@given(st.lists(st.lists(readings, min_size=1, max_size=6), max_size=8), st.integers(START_US - 1, START_US + 7))
def test_it_tells_what_the_plainest_model_tells(commits: list[list[tuple[int, int, int]]], at_us: int) -> None:
    with scene() as one:
        tail = Tail()
        for commit in commits:
            one.append([(series_id, time_us, float(value)) for series_id, time_us, value in commit])
            with one.store.reading() as snapshot:
                recent = tail.read(snapshot)
        if not commits:
            return
        newest: dict[int, tuple[int, float]] = {}
        for series_id, time_us, value in recent.newest(at_us):
            if series_id not in newest or time_us > newest[series_id][0]:
                newest[series_id] = time_us, value
        expected = {
            series_id: (max(before), told[max(before)])
            for series_id, told in one.model().items()
            if (before := [time_us for time_us in told if time_us <= at_us])
        }
        assert newest == expected
        for series_id, told in one.model().items():
            found = recent.find(series_id, START_US, END_US)
            assert found is not None
            first: dict[int, float] = {}
            for time_us, value in zip(found[0].tolist(), found[1].tolist(), strict=True):
                first.setdefault(time_us, value)
            assert dict(sorted(first.items())) == told
            assert recent.find(series_id, START_US - 5, START_US) is None
