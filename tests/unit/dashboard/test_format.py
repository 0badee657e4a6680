"""format.js: numbers, ages and dates as people read them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.dashboard.conftest import Tab

pytestmark = pytest.mark.browser


def call(tab: Tab, function: str, *args: Any) -> Any:
    return tab.js(f"return (await load('format')).{function}(...arg);", list(args))


@pytest.mark.parametrize(
    ("value", "precision", "text"),
    [
        (21.456, 1, "21.5"),
        (21, 2, "21.00"),
        (-0.04, 1, "0.0"),
        (-3.5, 1, "\u22123.5"),
        (1234, 0, "1234"),
        (48211.3, 1, "48\u202f211.3"),
        (1234567, None, "1\u202f234\u202f567"),
        (1234567.891, 3, "1\u202f234\u202f567.891"),
        (0.1 + 0.2, None, "0.3"),
        (0.00012, None, "0.00012"),
        (1e15, 0, "1.000e+15"),
        (5, 99, "5.0000000000"),
    ],
)
def test_numbers(tab: Tab, value: float, precision: int | None, text: str) -> None:
    assert call(tab, "formatNumber", value, precision) == text


def test_values_of_every_kind(tab: Tab) -> None:
    series = {"kind": "number", "precision": 1}
    for value, text in [
        (None, "no value"),
        (True, "On"),
        (False, "Off"),
        ("heat", "heat"),
        ("", "(empty)"),
        ("x" * 500, "x" * 199 + "…"),
        (2.25, "2.3"),
    ]:
        assert call(tab, "formatValue", series, value) == text


@pytest.mark.parametrize(
    ("age_ms", "text"),
    [
        (0, "now"),
        (1_999, "now"),
        (3_400, "3 s"),
        (59_999, "59 s"),
        (125_000, "2 min"),
        (4 * 3_600_000, "4 h"),
        (47 * 3_600_000, "47 h"),
        (72 * 3_600_000, "3 d"),
        (-1_000, "now"),
        (-60_000, "in the future"),
    ],
)
def test_ages(tab: Tab, age_ms: int, text: str) -> None:
    assert call(tab, "formatAge", 1_767_225_600_000 - age_ms, 1_767_225_600_000) == text


def test_an_unknown_age_is_said_to_be_unknown(tab: Tab) -> None:
    assert call(tab, "formatAge", None, 1_767_225_600_000) == "age unknown"


def test_a_moment_of_another_day_has_its_date(tab: Tab) -> None:
    text = tab.js(
        """
        const { formatMoment } = await load('format');
        const noon = new Date(2026, 0, 15, 12, 0, 0).getTime();
        return [formatMoment(noon, noon + 60_000), formatMoment(noon, noon + 86_400_000), formatMoment(null, noon)];
        """
    )
    assert text == ["12:00:00", "2026-01-15 12:00:00", "never"]


def test_latencies(tab: Tab) -> None:
    assert [call(tab, "formatLatency", ms) for ms in (0.4, 12, 999, 1_250, 61_000)] == [
        "0 ms",
        "12 ms",
        "999 ms",
        "1.3 s",
        "1 min",
    ]


def test_counts_are_short_and_never_too_large(tab: Tab) -> None:
    counts = (0, 312, 9_999, 10_000, 12_399, 999_999, 1_000_000, 3_149_999, 2_000_000_000)
    assert [call(tab, "formatCount", count) for count in counts] == [
        "0",
        "312",
        "9999",
        "10.0 k",
        "12.3 k",
        "999.9 k",
        "1.0 M",
        "3.1 M",
        "2.0 G",
    ]
    assert [call(tab, "formatBytes", count) for count in (0, 9_999, 82_400)] == ["0 B", "9999 B", "82.4 kB"]
