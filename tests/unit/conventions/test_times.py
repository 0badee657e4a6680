"""Every way to write a time, and whether it is believed."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.conventions import times
from bridge.conventions.times import LocalOffsets, parse_time
from bridge.core.model import TimeFlag
from tests.unit.conventions.helpers import RECEIVED_US

HOUR_US = 3_600_000_000


@pytest.mark.parametrize(
    ("raw", "time_us"),
    [
        (1_767_225_598, 1_767_225_598_000_000),
        (1_767_225_598_123, 1_767_225_598_123_000),
        (1_767_225_598_123_456, 1_767_225_598_123_456),
        (1_767_225_598_123_456_789, 1_767_225_598_123_456),  # beyond 2^53: through a float it would end in 460
        (1_767_225_598.25, 1_767_225_598_250_000),
        (1_767_225_598_123.5, 1_767_225_598_123_500),
        (1.767225598e15, 1_767_225_598_000_000),
        (1.767225598e18, 1_767_225_598_000_000),
        ("1767225598", 1_767_225_598_000_000),
        (" 1767225598123 ", 1_767_225_598_123_000),
        ("1767225598123456789", 1_767_225_598_123_456),
        ("1767225598.5", 1_767_225_598_500_000),
        ("2025-12-31T23:59:58Z", 1_767_225_598_000_000),
        ("2025-12-31 23:59:58.123456789Z", 1_767_225_598_123_456),
        ("2025-12-31T23:59:58.1z", 1_767_225_598_100_000),
        ("2026-01-01T05:29:58+05:30", 1_767_225_598_000_000),
        ("2026-01-01T05:29:58+0530", 1_767_225_598_000_000),
        ("2025-12-31t18:59:58-05", 1_767_225_598_000_000),
        ("2025-12-31 23:59:58 UTC", 1_767_225_598_000_000),
        ("2026-01-01T00:00Z", 1_767_225_600_000_000),
    ],
)
def test_forms(raw: Any, time_us: int) -> None:
    assert parse_time(raw, RECEIVED_US) == (time_us, TimeFlag.OK)


@pytest.mark.parametrize(
    "raw",
    [
        *[0, -1, 12_345, 99_999_999, -1.5, 0.0, 1e30, 10**30, "0", "86400"],
        *["1970-01-01T00:00:05Z", "2000-01-01T00:00:00Z", "2036-02-07T06:28:16Z", "2106-02-07T06:28:15Z"],
        *[1_420_070_399, 4_102_444_800, float("inf"), float("nan")],
    ],
)
def test_wrong_clocks(raw: Any) -> None:
    assert parse_time(raw, RECEIVED_US) == (None, TimeFlag.CLOCK_SUSPECT)


@pytest.mark.parametrize(
    "raw",
    [
        *[None, True, [], {}, "", "noon", "12:30:00", "2026-01-01", "2026-W01-1T00:00:00Z", "20260101T000000Z"],
        *["2026-13-01T00:00:00Z", "2026-01-01T25:00:00Z", "٢٠٢٦-01-01T00:00:00Z", "2026-01-01T00:00:00Z" + " " * 40],
        *["-1767225598", "1e9", "1_767_225_598", "9" * 5000, "0000-01-01T00:00:00Z"],
    ],
)
def test_no_times(raw: Any) -> None:
    assert parse_time(raw, RECEIVED_US) is None


@pytest.mark.parametrize(
    ("ahead_us", "flag"),
    [
        (300_000_000, TimeFlag.OK),
        (300_000_001, TimeFlag.CLOCK_SUSPECT),
        (-60_000_000, TimeFlag.OK),
        (-60_000_001, TimeFlag.LATE),
        (-10 * 365 * 86_400_000_000, TimeFlag.LATE),
    ],
)
def test_edges(ahead_us: int, flag: TimeFlag) -> None:
    time_us = RECEIVED_US + ahead_us
    assert parse_time(time_us, RECEIVED_US) == (None if flag is TimeFlag.CLOCK_SUSPECT else time_us, flag)


def test_2015_is_the_earliest() -> None:
    assert parse_time("2015-01-01T00:00:00Z", RECEIVED_US) == (1_420_070_400_000_000, TimeFlag.LATE)
    assert parse_time("2014-12-31T23:59:59Z", RECEIVED_US) == (None, TimeFlag.CLOCK_SUSPECT)


class TestLocalTimes:
    def parse(self, text: str, offsets: LocalOffsets, *, after_us: int = 0, **more: Any) -> Any:
        return parse_time(text, RECEIVED_US + after_us, offsets, "oven", **more)

    def test_without_memory_they_cannot_be_trusted(self) -> None:
        assert parse_time("2026-01-01T00:00:00", RECEIVED_US) == (None, TimeFlag.CLOCK_SUSPECT)

    @pytest.mark.parametrize(
        "text",
        [
            *["2026-01-01T00:59:58", "2026-01-01T05:29:58", "2025-12-31T18:59:58", "2026-01-01T05:44:58"],
            *["2026-01-01T13:59:58", "2025-12-31T23:59:58", "2026-01-01 00:59:58.000"],
        ],
    )
    def test_the_offset_is_learnt(self, text: str) -> None:
        assert self.parse(text, LocalOffsets()) == (RECEIVED_US - 2_000_000, TimeFlag.OK)

    @pytest.mark.parametrize("text", ["2026-01-01T00:52:00", "2026-01-01T15:00:00", "2025-12-31T09:00:00"])
    def test_an_impossible_offset_is_not(self, text: str) -> None:
        assert self.parse(text, LocalOffsets()) == (None, TimeFlag.CLOCK_SUSPECT)

    def test_what_was_learnt_is_used_for_late_messages(self) -> None:
        offsets = LocalOffsets()
        self.parse("2026-01-01T01:00:00", offsets)
        late = self.parse("2026-01-01T00:53:00", offsets)
        assert late == (RECEIVED_US - 420_000_000, TimeFlag.LATE)

    def test_devices_differ(self) -> None:
        offsets = LocalOffsets()
        self.parse("2026-01-01T01:00:00", offsets)
        assert parse_time("2026-01-01T02:00:00", RECEIVED_US, offsets, "other") == (RECEIVED_US, TimeFlag.OK)

    def test_retained_messages_teach_nothing(self) -> None:
        offsets = LocalOffsets()
        assert self.parse("2026-01-01T01:00:00", offsets, is_live=False) == (None, TimeFlag.CLOCK_SUSPECT)
        self.parse("2026-01-01T01:00:00", offsets)
        assert self.parse("2026-01-01T01:00:00", offsets, is_live=False) == (RECEIVED_US, TimeFlag.OK)

    def test_the_end_of_summer_time_is_noticed(self) -> None:
        offsets = LocalOffsets()
        self.parse("2026-01-01T02:00:00", offsets)
        an_hour_back = "2026-01-01T01:00:00"
        assert self.parse(an_hour_back, offsets) == (RECEIVED_US - HOUR_US, TimeFlag.LATE)
        assert self.parse(an_hour_back, offsets) == (RECEIVED_US - HOUR_US, TimeFlag.LATE)
        assert self.parse(an_hour_back, offsets) == (RECEIVED_US, TimeFlag.OK)
        assert self.parse(an_hour_back, offsets) == (RECEIVED_US, TimeFlag.OK)

    def test_single_late_messages_change_nothing(self) -> None:
        offsets = LocalOffsets()
        for _ in range(5):
            assert self.parse("2026-01-01T02:00:00", offsets) == (RECEIVED_US, TimeFlag.OK)
            assert self.parse("2026-01-01T01:00:00", offsets) == (RECEIVED_US - HOUR_US, TimeFlag.LATE)

    def test_memory_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(times, "MAX_OFFSETS", 10)
        offsets = LocalOffsets()
        for n in range(100):
            assert parse_time("2026-01-01T01:00:00", RECEIVED_US, offsets, str(n)) == (RECEIVED_US, TimeFlag.OK)
            parse_time("2026-01-01T02:00:00", RECEIVED_US, offsets, str(n))  # a doubt
        assert len(offsets._offsets) <= 10
        assert len(offsets._doubts) <= 10
