"""rings.js: recent samples with hard ceilings, in order whatever the order of arrival."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.unit.dashboard.conftest import Tab

pytestmark = pytest.mark.browser

PUSH = """
const { SampleRing } = await load('rings');
const ring = new SampleRing(arg.limit);
const taken = arg.samples.map(([time, value]) => ring.push(time, value));
const kept = Array.from({ length: ring.length }, (_, i) => [ring.time(i), ring.value(i)]);
return { taken, kept, capacity: ring.times.length };
"""


def push(tab: Tab, limit: int, samples: list[tuple[float, float]]) -> Any:
    return tab.js(PUSH, {"limit": limit, "samples": samples})


def test_it_forgets_the_oldest_and_never_grows_beyond_its_limit(tab: Tab) -> None:
    result = push(tab, 1_024, [(i, i * 2) for i in range(5_000)])
    assert result["capacity"] == 1_024
    assert result["kept"] == [[i, i * 2] for i in range(5_000 - 1_024, 5_000)]


def test_a_late_sample_is_put_where_it_belongs(tab: Tab) -> None:
    assert push(tab, 8, [(10, 1), (30, 3), (20, 2)])["kept"] == [[10, 1], [20, 2], [30, 3]]


def test_the_same_time_is_the_same_reading(tab: Tab) -> None:
    assert push(tab, 8, [(10, 1), (20, 2), (10, 9)])["kept"] == [[10, 9], [20, 2]]


def test_a_full_ring_refuses_what_is_older_than_all_it_holds(tab: Tab) -> None:
    result = push(tab, 4, [(10, 1), (20, 2), (30, 3), (40, 4), (5, 0), (35, 9)])
    assert result["taken"] == [True, True, True, True, False, True]
    assert result["kept"] == [[20, 2], [30, 3], [35, 9], [40, 4]]


def test_any_order_ends_sorted(tab: Tab) -> None:
    order = random.Random(7)
    for size in (3, 255, 256, 257, 700):
        samples = [(time, time / 2) for time in range(size)]
        order.shuffle(samples)
        assert push(tab, 1_024, samples)["kept"] == [[time, time / 2] for time in range(size)]


SPARK = """
const { SparkRing, SPARK_BUCKETS } = await load('rings');
const spark = new SparkRing();
for (const [time, value] of arg) spark.push(time, value ?? NaN);
const kept = [];
for (let slot = 0; slot < SPARK_BUCKETS; slot++) {
  if (spark.stamps[slot] < 0 || spark.stamps[slot] <= Math.max(...spark.stamps) - SPARK_BUCKETS) continue;
  kept.push([spark.stamps[slot] * spark.bucketMs, spark.lows[slot], spark.highs[slot], spark.lasts[slot]]);
}
return { kept: kept.sort((a, b) => a[0] - b[0]), bucket: spark.bucketMs };
"""


def test_a_spark_bucket_keeps_lowest_highest_and_last(tab: Tab) -> None:
    samples = [(1_000, 5), (1_200, 9), (1_400, 1), (1_900, 4), (1_800, 7), (2_000, 3)]
    assert tab.js(SPARK, samples)["kept"] == [[1_000, 1, 9, 4], [2_000, 3, 3, 3]]


def test_a_spark_is_fine_for_a_minute_then_coarse_and_loses_no_extreme(tab: Tab) -> None:
    young = tab.js(SPARK, [(time, 1) for time in range(0, 59_000, 500)])
    assert (young["bucket"], len(young["kept"])) == (1_000, 59)
    values = [(time, 99 if time == 7_000 else -99 if time == 33_000 else 1) for time in range(0, 90_000, 500)]
    grown = tab.js(SPARK, values)
    assert (grown["bucket"], len(grown["kept"])) == (5_000, 18)
    assert grown["kept"][1] == [5_000, 1, 99, 1]
    assert grown["kept"][6] == [30_000, -99, 1, 1]


def test_a_spark_knows_five_minutes_and_no_more(tab: Tab) -> None:
    kept = tab.js(SPARK, [(time, 1) for time in range(0, 3_600_000, 1_000)])["kept"]
    assert len(kept) == 60
    assert kept[0][0] == 3_600_000 - 300_000


def test_a_spark_leaves_out_bad_and_very_late_values(tab: Tab) -> None:
    assert tab.js(SPARK, [(0, 1), (400_000, 3), (400_500, None), (100_000, 99), (395_000, 2)])["kept"] == [
        [395_000, 2, 2, 2],
        [400_000, 3, 3, 3],
    ]
