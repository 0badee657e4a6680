"""health.js: what the line in the header says, in which tone, and what the last minute is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.dashboard.conftest import Tab

pytestmark = pytest.mark.browser

HEAD = """
const { Health, healthLine, spanWords, lostOf, counterOf } = await load('health');
const health = new Health();
const T = 1_767_225_600_000;
const text = (behind = null, at = T) => healthLine(health, behind, at).parts.map((part) => part.text).join(' · ');
const tone = (behind = null, at = T) => healthLine(health, behind, at).tone;
"""
CALM = {"conflated": 312, "shed": 0, "dropped": 0, "source_errors": 0, "broker_dropped": None, "rejected": {}}


def run(tab: Tab, source: str, arg: Any = None) -> Any:
    return tab.js(HEAD + source, arg)


@pytest.mark.parametrize(
    ("now", "behind_ms", "text", "tone"),
    [
        ({}, 40, "0 lost · 312 conflated · 0.04 s behind", "calm"),
        ({}, None, "0 lost · 312 conflated", "calm"),
        ({"conflated": 12_345}, 1_999, "0 lost · 12.3 k conflated · 2.00 s behind", "calm"),
        ({}, 2_410, "0 lost · 312 conflated · 2.41 s behind", "warn"),
        ({}, 75_000, "0 lost · 312 conflated · 1 min behind", "warn"),
        (
            {"rejected": {"invalid_json": 3, "not_finite": 1}},
            40,
            "0 lost · 4 rejected · 312 conflated · 0.04 s behind",
            "calm",
        ),
        ({"shed": 17}, 40, "17 lost in the last minute · 312 conflated · 0.04 s behind", "bad"),
        ({"source_errors": 1}, None, "1 lost in the last minute · 312 conflated", "bad"),
        ({"broker_dropped": 2}, None, "2 lost in the last minute · 312 conflated", "warn"),
        ({"dropped": 5}, None, "5 lost in the last minute · 312 conflated", "warn"),
    ],
)
def test_the_line(tab: Tab, now: dict[str, Any], behind_ms: int | None, text: str, tone: str) -> None:
    source = """
        health.take(arg.calm, T - 60_000);
        health.take({ ...arg.calm, ...arg.now }, T);
        const behind = arg.behind === null ? null : { ms: arg.behind };
        return [text(behind), tone(behind)];
        """
    assert run(tab, source, {"calm": CALM, "now": now, "behind": behind_ms}) == [text, tone]


def test_an_old_loss_is_not_hidden_but_calm(tab: Tab) -> None:
    assert run(
        tab,
        """
        for (let s = 0; s <= 70; s += 2) health.take({ ...arg, shed: s >= 4 ? 9 : 0 }, T + s * 1000);
        const late = [text(), tone()];
        health.take({ ...arg, shed: 10 }, T + 72_000);
        return [...late, text(), tone()];
        """,
        CALM,
    ) == ["9 lost · 312 conflated", "calm", "1 lost in the last minute · 312 conflated", "bad"]


def test_what_was_lost_before_the_page_was_opened_is_not_news(tab: Tab) -> None:
    assert run(tab, "health.take({ ...arg, shed: 9 }, T); return [text(), tone()];", CALM) == [
        "9 lost · 312 conflated",
        "calm",
    ]


def test_a_page_that_reads_slowly_says_so_for_ten_seconds(tab: Tab) -> None:
    assert run(
        tab,
        """
        health.take(arg, T);
        health.lag(100, T);
        health.lag(8, T + 500);      // another channel, the same time
        const now = [text(null, T + 600), tone(null, T + 600)];
        health.lag(5, T + 60_000);
        return [...now, tone(null, T + 69_999), tone(null, T + 70_000), text(null, T + 70_000), health.own.lagged];
        """,
        CALM,
    ) == ["0 lost · 420 conflated · reading too slowly", "warn", "warn", "calm", "0 lost · 425 conflated", 2]


def test_the_last_minute_is_called_what_it_is(tab: Tab) -> None:
    assert run(
        tab,
        """
        const spans = [];
        for (const at of [0, 8_000, 30_000, 60_000, 61_000, 90_000]) {
          health.take({ shed: at }, T + at);
          spans.push([health.recent(lostOf), health.span()]);
        }
        health.take({ shed: 10_000_000 }, T + 10_000_000);   // hours without a connection
        spans.push([health.recent(lostOf), spanWords(health.span())]);
        return [...spans, spanWords(60_500), spanWords(8_000), health.kept.length];
        """,
    ) == [
        [0, 0],
        [8_000, 8_000],
        [30_000, 30_000],
        [60_000, 60_000],
        [61_000, 61_000],
        [60_000, 60_000],
        [9_910_000, "last 2 h"],
        "last minute",
        "last 8 s",
        2,
    ]


def test_rates_come_from_differences_and_another_bridge_begins_anew(tab: Tab) -> None:
    assert run(
        tab,
        """
        const first = health.rate('readings');
        health.take({ readings: 100 }, T);
        health.take({ readings: 900 }, T + 2_000);
        const rates = [first, health.rate('readings'), health.rate('no_such_counter')];
        health.reset();
        health.take({ readings: 5 }, T + 4_000);
        return [...rates, health.rate('readings'), health.recent(counterOf('readings'))];
        """,
    ) == [None, 400, None, None, 0]


def test_memory_is_bounded_and_broken_counters_count_nothing(tab: Tab) -> None:
    assert run(
        tab,
        """
        for (let i = 0; i < 1000; i++) health.take({ shed: 'many', broker_dropped: null }, T + i * 10);
        health.lag(undefined, T);
        return [health.kept.length, health.total(lostOf), text()];
        """,
    ) == [64, 0, "0 lost · 0 conflated · reading too slowly"]
