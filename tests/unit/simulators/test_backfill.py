"""History through the same generator, and a clock that runs fast without ever lying."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice, pairwise

import pytest

from simulators.backfill import backfill, expected_messages
from simulators.clock import HEAD_START_S, FastClock, lag_for
from simulators.fleet import SimulatedFleet
from simulators.fleet_file import load_fleet_file
from simulators.spans import Span, parse_span

END = 1_750_000_000.0
HOUR = 3600.0


def times_of(fleet: SimulatedFleet, length_s: float, step_s: float) -> list[tuple[int, int]]:
    return [
        (json.loads(message.payload)["time"], message.device_no)
        for message in backfill(fleet, END - length_s, END, step_s)
    ]


def test_history_comes_in_order_of_time_and_never_reaches_the_present() -> None:
    fleet = SimulatedFleet(20)
    times = times_of(fleet, HOUR, 60.0)
    assert len(times) == 20 * 60 == expected_messages(fleet, Span(HOUR, 60.0))
    assert all(before[0] <= after[0] for before, after in pairwise(times))
    assert times[0][0] >= (END - HOUR) * 1000
    assert times[-1][0] < END * 1000
    for device_no in range(20):
        of_device = [time_ms for time_ms, number in times if number == device_no]
        assert all(after - before in (59_999, 60_000, 60_001) for before, after in pairwise(of_device))


@pytest.mark.parametrize("end_s", [END, END + 0.1, 1_763_855_999.7654321, 1e9 / 3.0])
def test_the_number_of_readings_does_not_hang_on_the_last_digit(end_s: float) -> None:
    assert sum(1 for _ in backfill(SimulatedFleet(3), end_s - 4 * HOUR, end_s, 60.0)) == 3 * 240


def test_devices_that_report_rarely_keep_their_rhythm() -> None:
    fleet = SimulatedFleet(load_fleet_file("cold-chain").roster(rate_hz=None))
    slow = next(device for device in fleet.devices if device.model.KIND == "weather")
    slow.model.interval_s = 600.0
    counts = Counter(device_no for _, device_no in times_of(fleet, HOUR, 60.0))
    assert counts[slow.who.device_no] == 6
    assert counts[0] == 60


def test_the_same_fleet_and_times_give_the_same_bytes() -> None:
    first = list(backfill(SimulatedFleet(12), END - HOUR, END, 120.0))
    assert first == list(backfill(SimulatedFleet(12), END - HOUR, END, 120.0))
    assert first != list(backfill(SimulatedFleet(12, seed=2), END - HOUR, END, 120.0))


def test_nothing_is_made_before_it_is_asked_for() -> None:
    ten_years = backfill(SimulatedFleet(5), END - 10 * 366 * 86_400.0, END, 1.0)
    assert len(list(islice(ten_years, 10))) == 10


def test_an_empty_time_has_no_history() -> None:
    assert list(backfill(SimulatedFleet(3), END, END)) == []


def test_the_live_part_goes_on_where_the_history_ended() -> None:
    fleet = SimulatedFleet(3, kinds=["power-meter"])
    last = {message.device_no: json.loads(message.payload) for message in backfill(fleet, END - 6 * HOUR, END, 300.0)}
    live: dict[int, dict[str, float]] = {}
    for step in range(30):
        for message in fleet.advance(END + step * 0.1):
            live.setdefault(message.device_no, json.loads(message.payload))
    for device_no, before in last.items():
        assert 0.0 <= live[device_no]["energy"] - before["energy"] < 0.2


def test_months_show_days_and_weeks() -> None:
    # From a Monday, local midnight.
    monday = 1_749_423_600.0
    fleet = SimulatedFleet(1, kinds=["door-counter"])
    by_day: Counter[int] = Counter()
    by_hour: Counter[int] = Counter()
    for message in backfill(fleet, monday, monday + 14 * 86_400.0, 600.0):
        value = json.loads(message.payload)
        local_s = value["time"] / 1000 - monday
        by_day[int(local_s // 86_400) % 7] += value["inside"]
        by_hour[int(local_s % 86_400 // 3600)] += value["inside"]
    assert min(by_day[day] for day in range(5)) > 1.4 * max(by_day[5], by_day[6])
    assert by_hour[11] > 3 * by_hour[3]


def test_bearings_wear_over_days_of_history() -> None:
    fleet = SimulatedFleet(1, kinds=["pump"])
    wear = [json.loads(m.payload)["wear"] for m in backfill(fleet, END - 4 * 86_400.0, END, 3600.0)]
    assert wear[-1] > wear[0] + 4.0


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90d", Span(90 * 86_400.0, 60.0)),
        ("12h", Span(12 * HOUR, 60.0)),
        ("2w/1h", Span(14 * 86_400.0, HOUR)),
        ("30m/5s", Span(1800.0, 5.0)),
        ("1.5d / 15m", Span(1.5 * 86_400.0, 900.0)),
    ],
)
def test_spans_are_read(text: str, span: Span) -> None:
    assert parse_span(text) == span


@pytest.mark.parametrize("text", ["", "90", "d", "90x", "-3d", "0d", "90d/0s", "/5m", "1h/2h", "11000d", "1e9d"])
def test_bad_spans_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"no length of time|further apart|ten years") as caught:
        parse_span(text)
    assert "\n" not in str(caught.value)


def test_a_fast_clock_catches_up_and_never_gets_ahead() -> None:
    now = [1000.0]
    clock = FastClock(60.0, 590.0, lambda: now[0])
    seen = []
    for _ in range(300):
        seen.append(clock())
        assert clock() <= now[0]
        now[0] += 0.1
    assert seen[0] == 410.0
    assert seen[10] == pytest.approx(410.0 + 60.0)
    assert all(later > earlier for earlier, later in pairwise(seen))
    assert clock() == now[0], "after ten seconds it has arrived, and goes on with the present"
    assert clock.behind_s == 0.0


def test_where_a_fast_clock_begins() -> None:
    assert lag_for(1.0, None) == lag_for(1.0, 60.0) == 0.0
    assert lag_for(60.0, 60.0) == 3540.0, "it arrives at the present when the run ends"
    assert lag_for(60.0, None) == HEAD_START_S


def test_a_fast_fleet_stamps_what_it_simulates() -> None:
    now = [END]
    clock = FastClock(60.0, lag_for(60.0, 10.0), lambda: now[0])
    fleet = SimulatedFleet(10, rate_hz=1.0 / 60.0)
    out = []
    while now[0] < END + 10.0:
        out += fleet.advance(clock())
        now[0] += 0.02
    stamps = [json.loads(message.payload)["time"] for message in out]
    assert len(out) in range(90, 111), "one a second for each device, as without --speed"
    assert max(stamps) <= END * 1000 + 10_000
    assert min(stamps) >= (END - 590.0) * 1000
    assert max(stamps) - min(stamps) > 560_000
