"""A rollup is the aggregate of its readings, however they came together."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.history.rollup import (
    MEAN_STEPS,
    Rollup,
    as_points,
    count_rows,
    from_columns,
    merge_rollups,
    roll,
    roll_pieces,
    to_columns,
)

WIDTH = 60
numbers = st.floats(-1e9, 1e9) | st.just(math.nan)
readings = st.dictionaries(st.integers(-500, 500), numbers, min_size=1, max_size=80).map(
    lambda some: dict(sorted(some.items()))
)


def rolled(some: dict[int, float]) -> Rollup:
    return roll(np.array(list(some), np.int64), np.array(list(some.values()), float), WIDTH)


def rows(rollup: Rollup) -> list[tuple[int, int, int, int, float, float]]:
    """All but the mean, as plain numbers; NaN as None, so that it equals itself."""
    columns = [column.tolist() for column in rollup[:6]]
    return [tuple(None if v != v else v for v in row) for row in zip(*columns, strict=True)]


@settings(max_examples=40, deadline=None)
@given(readings)
def test_each_row_is_the_aggregate_of_its_bucket(some: dict[int, float]) -> None:
    rollup = rolled(some)

    expected, means = [], []
    for start in sorted({t // WIDTH * WIDTH for t in some}):
        inside = [(t, v) for t, v in some.items() if t // WIDTH * WIDTH == start]
        known = [(t, v) for t, v in inside if not math.isnan(v)]
        if known:
            low = min(known, key=lambda r: (r[1], r[0]))
            high = max(known, key=lambda r: (r[1], -r[0]))
            expected.append((start, len(known), low[0], high[0], low[1], high[1]))
            means.append(math.fsum(v for _, v in known) / len(known))
        else:
            expected.append((start, 0, inside[0][0], inside[0][0], None, None))
            means.append(math.nan)
    assert rows(rollup) == expected
    np.testing.assert_allclose(rollup.means, means, rtol=1e-9, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(readings, st.lists(st.integers(0, 3), min_size=80, max_size=80))
def test_rollups_of_parts_merge_to_the_rollup_of_all_in_any_order(some: dict[int, float], deal: list[int]) -> None:
    parts: dict[int, dict[int, float]] = {}
    for part, (t, v) in zip(deal, some.items(), strict=False):
        parts.setdefault(part, {})[t] = v

    merged = merge_rollups([rolled(part) for part in parts.values()])

    whole = rolled(some)
    assert rows(merged) == rows(whole)
    np.testing.assert_allclose(merged.means, whole.means, rtol=1e-9, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(readings)
def test_stored_and_read_again_only_the_mean_is_rounded_and_that_within_its_step(some: dict[int, float]) -> None:
    before = rolled(some)

    after = from_columns(before.starts_us, to_columns(before))

    assert rows(after) == rows(before)
    step = (before.maxs - before.mins) / MEAN_STEPS
    known = before.counts > 0
    # Half a step, and what doubles of this size cannot tell apart.
    slack = 1e-12 * (np.abs(before.mins[known]) + np.abs(before.maxs[known]) + 1)
    assert (np.abs(after.means - before.means)[known] <= step[known] / 2 + slack).all()
    assert np.isnan(after.means[~known]).all()


@settings(max_examples=40, deadline=None)
@given(readings)
def test_its_points_are_readings_in_order_each_once(some: dict[int, float]) -> None:
    times, values = as_points(rolled(some))

    assert times.tolist() == sorted(set(times.tolist()))
    assert all(v == some[t] or (math.isnan(v) and math.isnan(some[t])) for t, v in zip(times, values, strict=True))


def test_infinities_do_not_break_the_columns() -> None:
    before = rolled({0: math.inf, 1: -math.inf, 2: 5.0})

    after = from_columns(before.starts_us, to_columns(before))

    assert after.mins.tolist() == [-math.inf]
    assert after.maxs.tolist() == [math.inf]


def test_the_rows_of_each_piece_are_counted_without_making_them() -> None:
    times = np.array([0, 5, 9, 10, 35, 3, 4, 8, 9])  # two pieces that meet within a bucket
    pieces = np.array([0, 5, 7])
    rollup, rows = roll_pieces(times, np.zeros(len(times)), pieces, 10)

    assert count_rows(times, pieces, 10).tolist() == np.diff([*rows, len(rollup.starts_us)]).tolist() == [3, 1, 1]
