"""decimate.js: few points, but every extreme, and holes that stay holes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.unit.dashboard.conftest import Tab

pytestmark = pytest.mark.browser

DECIMATE = """
const { SampleRing } = await load('rings');
const { decimate } = await load('decimate');
const ring = new SampleRing(65_536);
for (const [time, value] of arg.samples) ring.push(time, value ?? NaN);
const line = decimate(ring, arg.from, arg.to, arg.columns, arg.gap ?? Infinity);
const plain = (value) => (Number.isNaN(value) ? null : value);
return { x: [...line.x], y: [...line.y].map(plain), points: line.points,
         low: plain(line.low), high: plain(line.high), last: plain(line.last) };
"""


def decimate(tab: Tab, samples: list[tuple[float, float | None]], columns: int, **more: float) -> Any:
    arg = {"samples": samples, "columns": columns, "from": samples[0][0], "to": samples[-1][0] + 1, **more}
    return tab.js(DECIMATE, arg)


@pytest.mark.parametrize("columns", [1, 7, 60, 120, 3_000])
def test_each_column_keeps_its_lowest_and_highest(tab: Tab, columns: int) -> None:
    noise = random.Random(3)
    samples = [(float(i), noise.gauss(0, 1)) for i in range(5_000)]
    samples[1_234] = (1_234.0, 50.0)
    samples[4_321] = (4_321.0, -50.0)
    line = decimate(tab, samples, columns)
    assert line["points"] <= 2 * columns
    assert line["x"] == sorted(line["x"])
    width = (samples[-1][0] + 1 - samples[0][0]) / columns
    wanted: dict[int, list[float]] = {}
    for time, value in samples:
        wanted.setdefault(min(columns - 1, int(time / width)), []).append(value)
    got: dict[int, list[float]] = {}
    for time, value in zip(line["x"], line["y"], strict=True):
        got.setdefault(min(columns - 1, int(time / width)), []).append(value)
    assert {c: (min(v), max(v)) for c, v in got.items()} == {c: (min(v), max(v)) for c, v in wanted.items()}
    assert (line["low"], line["high"], line["last"]) == (-50.0, 50.0, samples[-1][1])


def test_few_samples_are_kept_as_they_are(tab: Tab) -> None:
    line = decimate(tab, [(0, 1.0), (10, 3.0), (20, 2.0)], 100)
    assert (line["x"], line["y"]) == ([0, 10, 20], [1, 3, 2])


def test_a_hole_breaks_the_line(tab: Tab) -> None:
    line = decimate(tab, [(0, 1.0), (10, 1.0), (90, 2.0), (100, 2.0)], 50, gap=50)
    assert line["y"] == [1, 1, None, 2, 2]
    assert line["points"] == 4


def test_a_bad_value_breaks_the_line(tab: Tab) -> None:
    assert decimate(tab, [(0, 1.0), (10, None), (20, 2.0)], 50)["y"] == [1, None, 2]


def test_what_lies_before_the_span_leads_in_but_does_not_count(tab: Tab) -> None:
    line = decimate(tab, [(0, 99.0), (50, 98.0), (100, 1.0), (110, 2.0)], 50, **{"from": 90.0})
    assert (line["x"], line["low"], line["high"]) == ([50, 100, 110], 1, 2)


def test_alternating_bad_values_never_overrun(tab: Tab) -> None:
    samples = [(float(i), None if i % 2 else float(i)) for i in range(4_000)]
    for columns in (1, 10, 500):
        line = decimate(tab, samples, columns)
        assert line["last"] == 3_998.0
        assert line["high"] == 3_998.0


def test_the_usual_interval_is_not_fooled_by_one_hole(tab: Tab) -> None:
    typical = tab.js(
        """
        const { SampleRing } = await load('rings');
        const { typicalInterval, gapLimit } = await load('decimate');
        const ring = new SampleRing(256);
        for (const time of [0, 1000, 2000, 3000, 60_000, 61_000, 62_000]) ring.push(time, 1);
        const lone = new SampleRing(256);
        lone.push(1, 1);
        return [typicalInterval(ring), gapLimit(1000), gapLimit(100), gapLimit(typicalInterval(lone)) === Infinity];
        """
    )
    assert typical == [1_000, 5_000, 3_000, True]


def test_strips_join_equal_states_and_end_at_holes(tab: Tab) -> None:
    parts = tab.js(
        """
        const { SampleRing } = await load('rings');
        const { runs } = await load('draw/strip');
        const ring = new SampleRing(256);
        for (const [time, value] of arg) ring.push(time, value);
        return runs(ring, 0, 100, 20).map(({ from, to, value }) => [from, to, value]);
        """,
        [(0, 1), (10, 1), (20, 0), (30, 0), (70, 0), (80, 1), (90, 1)],
    )
    assert parts == [[0, 20, 1], [20, 30, 0], [70, 80, 0], [80, 100, 1]]
