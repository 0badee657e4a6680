"""Two points a pixel, and holes where there is nothing."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.history.reduce import (
    MIN_GAP_US,
    Points,
    find_extremes,
    patience,
    reduce_numbers,
    reduce_states,
    usual_interval,
)
from tests.unit.history.scene import naive_reduction

S = 1_000_000


def points(readings: dict[int, float], patience_us: int = 5 * S) -> Points:
    return Points(
        np.array(list(readings), np.int64), np.array(list(readings.values()), float),
        np.full(len(readings), patience_us, np.int64),
    )  # fmt: skip


def listed(answer: Points) -> list[tuple[int, float | None]]:
    return [
        (t, None if math.isnan(v) else v) for t, v in zip(answer.times_us.tolist(), answer.values.tolist(), strict=True)
    ]


times = st.integers(-(10**6), 10**6)
numbers = st.floats(allow_nan=False) | st.just(math.nan) | st.sampled_from([0.0, -0.0, 1.0])


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(times, numbers, max_size=60), st.integers(1, 10**6))
def test_each_pixel_keeps_its_first_smallest_and_first_largest_reading(readings: dict[int, float], width: int) -> None:
    readings = dict(sorted(readings.items()))

    answer = reduce_numbers(points(readings, patience_us=2**61), width)

    assert [one for one in listed(answer) if one[1] is not None] == naive_reduction(readings, -(10**9), 10**9, width)
    # A pixel of nulls alone shows one.
    pixels: dict[int, list[float]] = {}
    for t, v in readings.items():
        pixels.setdefault(t // width, []).append(v)
    only_null = [pixel for pixel, values in pixels.items() if all(math.isnan(v) for v in values)]
    assert [t // width for t, v in listed(answer) if v is None] == only_null


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(times, numbers, max_size=60))
def test_without_a_width_nothing_is_left_out(readings: dict[int, float]) -> None:
    before = points(dict(sorted(readings.items())), patience_us=2**61)

    assert reduce_numbers(before, 0) == before


def test_a_silence_longer_than_the_patience_is_a_hole_and_a_shorter_one_is_not() -> None:
    answer = reduce_numbers(points({0: 1, S: 2, 6 * S: 3, 12 * S: 4, 13 * S: 5}), 0)

    assert listed(answer) == [(0, 1), (S, 2), (6 * S, 3), (9 * S, None), (12 * S, 4), (13 * S, 5)]


def test_empty_pixels_are_a_hole_when_they_are_wider_than_the_patience() -> None:
    readings = {second * S: float(second) for second in [*range(20), *range(40, 60)]}

    answer = listed(reduce_numbers(points(readings), 10 * S))

    assert answer == [
        (0, 0.0), (9 * S, 9.0), (10 * S, 10.0), (19 * S, 19.0), (24 * S, None),
        (40 * S, 40.0), (49 * S, 49.0), (50 * S, 50.0), (59 * S, 59.0),
    ]  # fmt: skip
    assert all(one[1] is not None for one in listed(reduce_numbers(points(readings, 20 * S), 10 * S)))


def test_the_more_patient_neighbour_decides() -> None:
    both = Points(np.array([0, 8 * S]), np.array([1.0, 2.0]), np.array([5 * S, 10 * S]))

    assert len(reduce_numbers(both, 0).times_us) == 2


def test_the_usual_interval_ignores_the_rare_long_one() -> None:
    assert usual_interval(np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 500]) * S) == S
    assert usual_interval(np.array([0, 10, 20, 1000]) * S) == 10 * S
    assert usual_interval(np.array([5])) == 0
    assert patience(0) == MIN_GAP_US
    assert patience(10 * S) == 50 * S
    assert patience(2**62) == 2**61


def test_extremes_of_groups() -> None:
    values = np.array([3.0, 1.0, 1.0, np.nan, np.nan, 7.0])

    smallest, largest = find_extremes(values, np.array([0, 3, 5]))

    assert smallest.tolist() == [1, 3, 5]
    assert largest.tolist() == [0, 3, 5]


def test_states_keep_their_changes_and_both_ends_of_a_gap() -> None:
    states = {0: 1, S: 1, 2 * S: 1, 3 * S: 2, 4 * S: 2, 20 * S: 2, 21 * S: 2}

    answer = listed(reduce_states(points(states), 0))

    assert answer == [(0, 1), (3 * S, 2), (4 * S, 2), (9 * S, None), (20 * S, 2), (21 * S, 2)]


def test_states_in_narrow_pixels_keep_first_second_and_last_change() -> None:
    states = {second * S: float(second % 7) for second in range(100)}

    answer = listed(reduce_states(points(states), 50 * S))

    assert [t // S for t, _ in answer] == [0, 1, 49, 50, 51, 99]


def test_nothing_stays_nothing() -> None:
    nothing = points({})

    assert listed(reduce_numbers(nothing, 5)) == []
    assert listed(reduce_states(nothing, 5)) == []
