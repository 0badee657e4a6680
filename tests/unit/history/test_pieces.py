"""Spans in pieces, counts before reading, and statistics: all against the plainest model."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.history import pieces, statistics
from bridge.history.pieces import read_piece, read_pieces
from bridge.history.spans import DAY_US, HOUR_US, MINUTE_US, US_PER_S
from bridge.history.statistics import measure
from tests.unit.history.databases import examples
from tests.unit.history.scene import START_US, Reading, Scene, flat, scene

S = US_PER_S


@st.composite
def bursts(draw: st.DrawFn) -> list[Reading]:
    series_id = draw(st.integers(0, 2))
    start_us = START_US + draw(st.integers(-200, 200)) * draw(st.sampled_from([S, MINUTE_US, HOUR_US, DAY_US]))
    step_us = draw(st.sampled_from([S // 20, S, 7 * S, MINUTE_US]))
    count = draw(st.integers(1, 80))
    return [(series_id, start_us + n * step_us, _value(series_id, start_us + n * step_us)) for n in range(count)]


def _value(series_id: int, time_us: int) -> float:
    number = hash((series_id, time_us)) % 1000
    return math.nan if number < 50 else number / 10


histories = st.lists(st.one_of(bursts(), bursts(), st.sampled_from(["seal", "merge"])), min_size=1, max_size=10)


def play(one: Scene, steps: list[list[Reading] | str]) -> None:
    for step in steps:
        if isinstance(step, list):
            one.append(step)
        elif step == "seal":
            one.seal()
        else:
            one.merge()


@examples(25)
@given(histories, st.integers(5, 200))
def test_pieces_put_together_are_all_readings_in_order_of_time(steps: list[list[Reading] | str], target: int) -> None:
    with scene() as one, pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE_READINGS", target)
        patch.setattr(pieces, "SERIES_AT_ONCE", 2)
        play(one, steps)
        everything = flat(one.model())
        if not everything:
            return
        begin_us, end_us = min(r[1] for r in everything) + 1, max(r[1] for r in everything)  # without first and last

        told: list[tuple[int, int, float]] = []
        last_end = begin_us
        for piece in read_pieces(one.history, [2, 0, 1], begin_us, end_us) if begin_us < end_us else ():
            batch = piece.batch
            assert all(last_end <= time_us < piece.end_us for time_us in batch.times_us.tolist())
            last_end = piece.end_us
            told += zip(batch.times_us.tolist(), batch.series_ids.tolist(), batch.values.tolist(), strict=True)

        assert [row[0] for row in told] == sorted(row[0] for row in told)
        expected = sorted((t, s, v) for s, t, v in everything if begin_us <= t < end_us)
        assert repr(sorted(told)) == repr(expected)  # repr: NaN is like NaN


def test_pieces_are_small_where_there_is_much_and_long_where_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_READINGS", 1000)
    with scene() as one:
        busy = START_US + 300 * DAY_US
        one.append([(0, START_US, 1.0)])
        one.append([(0, busy + n * S // 10, float(n)) for n in range(10_000)])
        one.seal()
        one.merge()

        found = list(read_pieces(one.history, [0], START_US, START_US + 900 * DAY_US))

        assert sum(len(piece.batch) for piece in found) == 10_001
        assert max(len(piece.batch) for piece in found) <= 1000
        assert len(found) < 60


def test_a_wrong_guess_leaves_nothing_out() -> None:
    with scene() as one:
        late = START_US + HOUR_US
        one.append([(0, START_US, 1.0), *((0, late + n, float(n)) for n in range(999))])
        one.seal()

        assert one.history.count([0], late, late + S) < 10  # as if they were evenly spread over the hour
        assert len(read_piece(one.history, [0], late, late + S).batch) == 999


def test_what_has_just_arrived_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_READINGS", 100)
    with scene() as one:
        one.append([(0, START_US + n * S, float(n)) for n in range(1000)])

        piece = read_piece(one.history, [0], START_US, START_US + HOUR_US, HOUR_US)

        assert one.history.count([0], START_US, START_US + HOUR_US) == 1000
        assert one.history.count([1], START_US, START_US + HOUR_US) == 0
        assert len(piece.batch) <= 100


def test_the_span_is_that_of_all_readings_also_before_anything_is_sealed() -> None:
    with scene() as one:
        assert one.history.span() == (None, None)
        one.append([(0, START_US + 5 * S, 1.0), (1, START_US, 2.0)])
        assert one.history.span() == (START_US, START_US + 5 * S)
        one.seal()
        one.append([(0, START_US + 9 * S, 1.0)])
        assert one.history.span() == (START_US, START_US + 9 * S)
        one.seal()
        assert one.history.span() == (START_US, START_US + 9 * S)


@examples(25)
@given(histories, st.integers(-100, 100), st.integers(1, 20_000), st.sampled_from([S, MINUTE_US, HOUR_US]))
def test_statistics_are_those_of_the_readings(
    steps: list[list[Reading] | str], start: int, length: int, unit_us: int
) -> None:
    from_us = START_US + start * unit_us
    to_us = from_us + length * unit_us
    with scene() as one:
        play(one, steps)
        model = one.model()
        together = measure(one.history, [2, 0, 1], from_us, to_us)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(statistics, "READINGS_AT_ONCE", 0)
            assert repr(measure(one.history, [2, 0, 1], from_us, to_us)) == repr(together)
        assert [found.series_id for found in together] == [2, 0, 1]
        for found in together:
            rows = [
                (t, v) for t, v in model.get(found.series_id, {}).items() if from_us <= t < to_us and not math.isnan(v)
            ]
            assert found.n == len(rows)
            if not rows:
                assert math.isnan(found.mean)
                assert found.first_time_us is found.min_time_us is None
                continue
            values = [v for _, v in rows]
            assert (found.smallest, found.largest) == (min(values), max(values))
            assert (found.first_time_us, found.first) == rows[0]
            assert (found.last_time_us, found.last) == rows[-1]
            assert found.min_time_us == rows[int(np.argmin(values))][0]
            assert found.max_time_us == rows[int(np.argmax(values))][0]
            assert found.mean == pytest.approx(sum(values) / len(values), abs=0.01)
