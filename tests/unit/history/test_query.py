"""Every question has the answer that the plainest model gives, whatever state the store is in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.history.catalog import Births, DeviceRecord, SeriesRecord
from bridge.history.faults import HistoryError
from bridge.history.query import MAX_SERIES, Answer
from bridge.history.retention import Limit, Limits
from bridge.history.rollup import as_points, roll
from bridge.history.spans import DAY_US, HOUR, HOUR_US, MINUTE, MINUTE_US, RAW, US_PER_S
from tests.unit.history.databases import examples
from tests.unit.history.scene import START_US, Reading, Scene, flat, naive_reduction, scene

S = US_PER_S
NO_LIMIT = Limit(10_000 * DAY_US, 2**60)


def value_at(series_id: int, time_us: int) -> float:
    """Anything, but always the same: what arrives twice is a duplicate. A few nulls."""
    number = hash((series_id, time_us)) % 1000
    return math.nan if number < 20 else number / 10


@st.composite
def bursts(draw: st.DrawFn) -> list[Reading]:
    """A stretch of one series at an even pace; they overlap, come late, and come again."""
    series_id = draw(st.integers(0, 2))
    start_us = START_US + draw(st.integers(-200, 200)) * draw(st.sampled_from([S, MINUTE_US, HOUR_US]))
    step_us = draw(st.sampled_from([S // 2, S, 7 * S, MINUTE_US]))
    times = [start_us + number * step_us for number in range(draw(st.integers(1, 150)))]
    return [(series_id, time_us, value_at(series_id, time_us)) for time_us in times]


steps = st.lists(
    st.one_of(bursts(), bursts(), st.sampled_from(["seal", "merge", "merge now"])), min_size=1, max_size=14
)


def play(one: Scene, some: list[list[Reading] | str]) -> None:
    for step in some:
        if isinstance(step, list):
            one.append(step)
        elif step == "seal":
            one.seal()
        else:
            one.merge(*([START_US] if step == "merge now" else []))


def known(answer: Answer) -> list[tuple[int, float]]:
    """The points that are values."""
    return [(t, v) for t, v in zip(answer.times_us.tolist(), answer.values.tolist(), strict=True) if v == v]


DENSE = [[(0, START_US + n * S, value_at(0, START_US + n * S)) for n in range(150)] for _ in range(1)]


@examples(50)
@given(
    steps,
    st.integers(-15_000, 15_000),
    st.integers(1, 30_000),
    st.sampled_from([4, 10, 60, 200, 1000]),
    st.sampled_from([1, S // 3, S, MINUTE_US]),
)
@example([*DENSE, "seal", "merge"], 0, 150, 4, S)
def test_any_span_at_any_width_is_the_reduction_of_the_readings(
    some: list[list[Reading] | str], start: int, length: int, points: int, unit_us: int
) -> None:
    from_us = START_US + start * unit_us
    to_us = from_us + length * unit_us
    with scene() as one:
        play(one, some)
        model = one.model()

        answers = one.history.query([2, 0, 1], from_us, to_us, points)

        assert [answer.series_id for answer in answers] == [2, 0, 1]
        for answer in answers:
            expected = naive_reduction(model.get(answer.series_id, {}), from_us, to_us, answer.width_us)
            assert known(answer) == expected
            assert len(expected) <= points
            assert answer.times_us.tolist() == sorted(set(answer.times_us.tolist()))
            assert answer.damaged == 0


@examples(25)
@given(steps)
def test_sealing_and_merging_in_any_order_keep_every_reading_once(some: list[list[Reading] | str]) -> None:
    with scene() as one:
        play(one, some)
        expected = [(s, t, None if math.isnan(v) else v) for s, t, v in flat(one.model())]

        def listed() -> list[tuple[int, int, float | None]]:
            return [(s, t, None if math.isnan(v) else v) for s, t, v in sorted(one.everything(), key=lambda r: r[:2])]

        assert listed() == expected
        one.seal()
        one.merge()
        assert listed() == expected
        assert one.store.find_damage(everything=True) == []


@examples(25)
@given(steps, st.sampled_from([MINUTE_US, 5 * MINUTE_US, HOUR_US, 7 * HOUR_US, 7 * S]))
@example([*DENSE, "seal", "merge"], MINUTE_US)  # from a rollup, and not from its readings as well
def test_buckets_are_the_aggregate_of_the_readings(some: list[list[Reading] | str], width_us: int) -> None:
    with scene() as one:
        play(one, some)
        for series_id, values in one.model().items():
            expected = roll(np.array(list(values), np.int64), np.array(list(values.values())), width_us)

            found = one.history.buckets(series_id, min(values), max(values) + 1, width_us)

            assert found.starts_us.tolist() == expected.starts_us.tolist()
            assert found.counts.tolist() == expected.counts.tolist()
            np.testing.assert_array_equal(found.mins, expected.mins)
            np.testing.assert_array_equal(found.maxs, expected.maxs)
            np.testing.assert_array_equal(found.max_times_us, expected.max_times_us)
            np.testing.assert_allclose(found.means, expected.means, atol=1e-2)  # a step of a range of 100 is 0.0015


@examples(40)
@given(steps, st.integers(-400, 400), st.sampled_from([S, MINUTE_US, HOUR_US, 10 * DAY_US]))
def test_the_state_at_any_moment_is_the_newest_reading_of_each_series(
    some: list[list[Reading] | str], at: int, unit_us: int
) -> None:
    at_us = START_US + at * unit_us
    with scene() as one:
        play(one, some)

        state = one.history.state_at(at_us)

        expected = {}
        for series_id, values in one.model().items():
            before = [t for t in values if t <= at_us]
            if before:
                expected[series_id] = before[-1], values[before[-1]]
        assert state.series_ids.tolist() == list(expected)
        assert state.times_us.tolist() == [t for t, _ in expected.values()]
        np.testing.assert_array_equal(state.values, [v for _, v in expected.values()])


def hours(count: int, series_id: int = 0, step_us: int = S) -> list[Reading]:
    return [(series_id, START_US + n * step_us, math.sin(n / 500)) for n in range(count * HOUR_US // step_us)]


def test_resolution_follows_the_span_and_the_extremes_are_those_of_the_readings() -> None:
    with scene() as one:
        readings = hours(30)
        for at in range(0, len(readings), 4000):
            one.append(readings[at : at + 4000])
        one.seal()
        one.merge()
        readings[50_000] = (0, readings[50_000][1], 99.0)
        one.append([(0, readings[50_000][1] + 1, 99.0)])  # a spike that comes late, after everything was rolled up
        one.seal()
        for span, resolution in ((10 * MINUTE_US, RAW), (8 * HOUR_US, RAW), (26 * HOUR_US, MINUTE)):
            [answer] = one.history.query([0], START_US + 5, START_US + 5 + span, 1000)
            assert answer.resolution == resolution
            assert known(answer) == naive_reduction(one.model()[0], START_US + 5, START_US + 5 + span, answer.width_us)
            assert 500 <= len(answer.times_us) <= 1000
        assert max(answer.values) == 99.0
        [answer] = one.history.query([0], START_US - 300 * DAY_US, START_US + 60 * DAY_US, 1000)
        assert answer.resolution == HOUR
        assert max(answer.values) == 99.0


@pytest.mark.parametrize("state", ["journal", "sealed", "merged"])
@pytest.mark.parametrize("points", [4000, 400])
def test_a_silence_is_a_hole_in_every_state_of_the_store(state: str, points: int) -> None:
    with scene() as one:
        readings = hours(1)
        one.append(readings[:1200] + readings[1800:])  # ten minutes of silence
        if state != "journal":
            one.seal()
        if state == "merged":
            one.merge()

        [answer] = one.history.query([0], START_US, START_US + HOUR_US, points)

        [hole] = np.flatnonzero(np.isnan(answer.values))
        assert answer.times_us[hole - 1] == readings[1199][1] or points == 400
        assert readings[1199][1] < answer.times_us[hole] < readings[1800][1]
        assert answer.times_us[hole + 1] >= readings[1800][1]


def test_a_slow_series_has_no_holes_between_its_readings_even_when_each_is_a_chunk_of_its_own() -> None:
    with scene() as one:
        for reading in hours(4, step_us=10 * MINUTE_US):
            one.append([reading])
            one.seal()

        [answer] = one.history.query([0], START_US, START_US + 4 * HOUR_US, 100)

        assert len(answer.times_us) == 24
        assert not np.isnan(answer.values).any()


def test_a_null_reading_is_a_hole_too() -> None:
    with scene() as one:
        one.append([(0, START_US, 1.0), (0, START_US + S, math.nan), (0, START_US + 2 * S, 3.0)])

        [answer] = one.history.query([0], START_US, START_US + MINUTE_US, 100)

        assert np.isnan(answer.values).tolist() == [False, True, False]


def test_of_two_values_for_one_time_the_first_is_shown_before_and_after_sealing() -> None:
    with scene() as one:
        one.append([(0, START_US, 1.0), (0, START_US + S, 2.0)])
        one.seal()
        one.append([(0, START_US, 5.0), (0, START_US + S, 2.0), (0, START_US + 2 * S, 3.0), (0, START_US + 2 * S, 4.0)])
        expected = [(START_US, 1.0), (START_US + S, 2.0), (START_US + 2 * S, 3.0)]

        assert known(one.history.query([0], START_US, START_US + 10 * S, 100)[0]) == expected
        assert one.seal() == [(1, 2)]
        assert known(one.history.query([0], START_US, START_US + 10 * S, 100)[0]) == expected


def test_texts_are_answered_by_their_changes_and_never_by_the_largest_code() -> None:
    with scene() as one:
        with one.store.writing() as writer:
            record = SeriesRecord(0, "door", "state", "text", ("open", "closed", "ajar"), {})
            writer.save_births(Births((DeviceRecord("door", {}),), (record,)), START_US)
        codes = [0.0] * 2000 + [1.0] * 500 + [2.0] * 1 + [1.0] * 4000
        one.append([(0, START_US + n * S, code) for n, code in enumerate(codes[:3000])])
        one.append([(0, START_US + n * S, code) for n, code in enumerate(codes)][3000:])
        one.seal()
        one.merge()

        [answer] = one.history.query([0], START_US, START_US + 2 * DAY_US, 500)

        assert [((t - START_US) // S, v) for t, v in known(answer)] == [
            (0, 0.0), (2000, 1.0), (2500, 2.0), (2501, 1.0), (6500, 1.0),
        ]  # fmt: skip


@pytest.mark.parametrize("again", [2.0, 7.0])
def test_what_arrives_again_is_not_counted_twice_beside_a_rollup(again: float) -> None:
    with scene() as one:
        one.append([(0, START_US + n * S, 2.0) for n in range(120)])
        one.seal()
        one.merge()
        one.append([(0, START_US, again), (0, START_US + 120 * S, 2.0)])

        buckets = one.history.buckets(0, START_US, START_US + 180 * S, MINUTE_US)
        [answer] = one.history.query([0], START_US, START_US + 4 * HOUR_US, 100)

        assert buckets.counts.tolist() == [60, 60, 1]
        assert buckets.maxs.tolist() == [2.0] * 3
        assert set(answer.values) == {2.0}


@pytest.mark.parametrize("kept", ["minutes", "hours"])
def test_where_only_rollups_are_left_a_moment_shows_the_newest_reading_that_they_name(kept: str) -> None:
    with scene() as one:
        one.append(hours(5))
        one.append(hours(5, series_id=1, step_us=20 * S))
        one.seal()
        one.merge()
        gone = Limit(0, 0) if kept == "hours" else NO_LIMIT
        now_us = START_US + 60 * DAY_US
        one.keeper.forget(Limits(Limit(0, 0), gone, NO_LIMIT), now_us)
        width_us = MINUTE_US if kept == "minutes" else HOUR_US
        named = {}
        for series_id, values in one.model().items():
            times = as_points(roll(np.array(list(values), np.int64), np.array(list(values.values())), width_us))[0]
            named[series_id] = times.tolist()
        for second in (0, 1, 59, 60, 61, 1799, 1800, 3599, 3600, 3601, 7250, 5 * 3600 - 1, 10**6):
            at_us = START_US + second * S
            expected = {one: max(t for t in times if t <= at_us) for one, times in named.items() if times[0] <= at_us}

            state = one.history.state_at(at_us)

            assert dict(zip(state.series_ids.tolist(), state.times_us.tolist(), strict=True)) == expected
            model = one.model()
            for series_id, time_us, value in zip(*(column.tolist() for column in state[:3]), strict=True):
                assert model[series_id][time_us] == value


def test_late_data_is_counted_where_it_was_looked_at() -> None:
    with scene() as one:
        one.append([(0, START_US, 1.0)], received_us=START_US + HOUR_US)
        one.append([(0, START_US + HOUR_US, 1.0)])
        one.seal()

        assert one.history.query([0], START_US, START_US + DAY_US, 100)[0].off_clock == 1


def test_readings_of_several_series_come_in_order_of_time_and_can_be_limited() -> None:
    with scene() as one:
        one.append([(s, START_US + n * S + s, float(n)) for n in range(10) for s in (3, 1)])

        batch = one.history.readings([1, 3], START_US + 2 * S, START_US + 5 * S, 4)

        assert batch.times_us.tolist() == [START_US + n * S + s for n in (2, 3) for s in (1, 3)]
        assert batch.series_ids.tolist() == [1, 3, 1, 3]
        assert batch.server_time_us == START_US + 3 * S + 3
        assert len(one.history.readings([1], START_US + DAY_US, START_US + DAY_US + 1, 4)) == 0


@pytest.mark.parametrize(
    ("ids", "from_us", "to_us"),
    [([1], 5, 5), ([1], 6, 5), ([1, 1], 0, 5), (range(MAX_SERIES + 1), 0, 5), ([1], -(2**63), 5), ([1], 0, 2**63)],
)
def test_questions_that_make_no_sense_are_refused(ids: list[int], from_us: int, to_us: int) -> None:
    with scene() as one, pytest.raises(HistoryError):
        one.history.query(ids, from_us, to_us, 100)


@pytest.mark.parametrize("width_us", [0, -1, MINUTE_US + 1])
def test_buckets_of_odd_width_are_refused(width_us: int) -> None:
    with scene() as one, pytest.raises(HistoryError):
        one.history.buckets(0, 0, DAY_US, width_us)


def test_an_unknown_series_has_an_empty_answer() -> None:
    with scene() as one:
        [answer] = one.history.query([77], 0, DAY_US, 100)

        assert len(answer.times_us) == 0
        assert len(one.history.state_at(DAY_US).series_ids) == 0
        assert len(one.history.buckets(77, 0, DAY_US, MINUTE_US).starts_us) == 0


def test_a_moment_within_a_long_chunk_may_belong_to_a_short_one_that_came_late() -> None:
    with scene() as one:
        one.append([(0, START_US + second * S, float(second)) for second in (0, 50, 100)])
        one.seal()
        one.append([(0, START_US + second * S, float(second)) for second in (60, 61, 62)])
        one.seal()

        found = [one.history.state_at(START_US + second * S).values.tolist() for second in (-1, 0, 59, 61, 80, 100)]

        assert found == [[], [0.0], [50.0], [61.0], [62.0], [100.0]]
