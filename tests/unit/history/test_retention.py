"""Oldest first, and what is gone in fine is still there in coarse."""

from __future__ import annotations

import math

import numpy as np

from bridge.history.retention import Limit, Limits, plan_retention
from bridge.history.spans import DAY_US, HOUR, HOUR_US, MINUTE, MINUTE_US, RAW, US_PER_S
from tests.unit.history.scene import START_US, Scene, scene

S = US_PER_S
NO_LIMIT = Limit(10_000 * DAY_US, 2**60)
DAYS = 20
NOW_US = START_US + DAYS * DAY_US


def write_days(one: Scene) -> None:
    """Series 0: twenty a minute, so that it has minutes and hours; series 1: one in ten minutes, which has none."""
    for day in range(DAYS):
        begin = START_US + day * DAY_US
        for part in range(4):  # a quarter of an hour every six hours
            times = [begin + (part * 21_600 + n) * S for n in range(0, 900, 3)]
            one.append([(0, t, math.sin(t / 1e5)) for t in times])
        one.append([(1, begin + n * 10 * MINUTE_US, float(n)) for n in range(144)])
        one.seal()
    one.merge()


def oldest(one: Scene, series_id: int, span_us: int, points: int) -> float:
    """Days since the start of the oldest point of an answer."""
    [answer] = one.history.query([series_id], START_US, START_US + span_us, points)
    return (int(answer.times_us[0]) - START_US) / DAY_US if len(answer.times_us) else math.inf


def test_age_and_size_remove_the_oldest_and_coarser_resolutions_take_over() -> None:
    with scene() as one:
        write_days(one)
        before = one.model()

        removed = one.keeper.forget(Limits(Limit(5 * DAY_US, 2**60), NO_LIMIT, NO_LIMIT), NOW_US)

        assert removed > 0
        with one.store.reading() as snapshot:
            kept = snapshot.kept_from()
        assert START_US + 5 * DAY_US < kept[RAW] <= NOW_US - 5 * DAY_US + HOUR_US
        assert kept[RAW] % HOUR_US == 0
        # Readings that are left come back whole ...
        [late] = one.history.query([0], kept[RAW], kept[RAW] + 6 * HOUR_US, 100_000)
        values = late.times_us[~np.isnan(late.values)].tolist()
        assert values == [t for t in before[0] if kept[RAW] <= t < kept[RAW] + 6 * HOUR_US]
        assert len(values) >= 300
        # ... the slow series whole, since no rollup stands for it ...
        [slow] = one.history.query([1], START_US, NOW_US, 100_000)
        assert slow.times_us.tolist() == list(before[1])
        # ... and where they are gone a close look still shows two readings a minute, without holes.
        [early] = one.history.query([0], START_US + 100 * S, START_US + 900 * S, 100_000)
        assert 20 <= len(early.times_us) <= 30  # a quarter of an hour, two a minute
        assert all(before[0][t] == v for t, v in zip(early.times_us.tolist(), early.values.tolist(), strict=True))
        assert not np.isnan(early.values).any()
        assert one.history.state_at(START_US + 600 * S).series_ids.tolist() == [0, 1]
        assert one.store.find_damage(everything=True) == []

        one.keeper.forget(Limits(Limit(5 * DAY_US, 2**60), Limit(10 * DAY_US, 0), NO_LIMIT), NOW_US)

        assert oldest(one, 0, DAYS * DAY_US, 10_000) < 0.1  # hours
        with one.store.reading() as snapshot:
            assert snapshot.kept_from()[MINUTE] > START_US


def test_a_size_limit_keeps_the_newest() -> None:
    with scene() as one:
        write_days(one)
        with one.store.reading() as snapshot:
            sizes = snapshot.sum_sizes()

        one.keeper.forget(Limits(Limit(10_000 * DAY_US, sizes[RAW] // 2), NO_LIMIT, NO_LIMIT), NOW_US)

        with one.store.reading() as snapshot:
            assert 0 < snapshot.sum_sizes()[RAW] <= sizes[RAW] // 2
            assert snapshot.sum_sizes()[MINUTE] == sizes[MINUTE]
        [newest] = one.history.query([0], NOW_US - 6 * HOUR_US, NOW_US, 100_000)
        assert len(newest.times_us) == 300


def test_the_last_days_rollups_stay_whatever_the_limit() -> None:
    nothing = Limit(0, 0)
    horizons = plan_retention(Limits(nothing, nothing, nothing), NOW_US)

    assert [one.never_after_us for one in horizons] == [NOW_US, NOW_US - DAY_US, NOW_US - DAY_US]
    with scene() as one:
        write_days(one)
        one.keeper.forget(Limits(nothing, nothing, nothing), NOW_US)
        [answer] = one.history.query([0], NOW_US - DAY_US, NOW_US, 1000)
        assert len(answer.times_us) > 40
        assert one.store.find_damage(everything=True) == []


def test_limits_are_in_the_order_of_resolutions() -> None:
    limits = Limits(Limit(1 * DAY_US, 1), Limit(2 * DAY_US, 2), Limit(3 * DAY_US, 3))

    assert [(one.resolution, one.max_bytes) for one in plan_retention(limits, NOW_US)] == [
        (RAW, 1), (MINUTE, 2), (HOUR, 3),
    ]  # fmt: skip
    assert [NOW_US - one.before_us for one in plan_retention(limits, NOW_US)] == [DAY_US, 2 * DAY_US, 3 * DAY_US]
