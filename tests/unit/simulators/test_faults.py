"""Each fault is visible in the stream exactly as declared, and reported when it happens."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from typing import Any

import pytest

from simulators.devices import KINDS
from simulators.dialect import Outgoing
from simulators.faults.desk import ConnectionAction, FaultEvent
from simulators.faults.plan import make_plan
from simulators.faults.registry import FAULTS
from simulators.fleet import SimulatedFleet

START = 1_750_000_000.0
STEP_S = 0.25


class Run:
    """A fleet with faults and its twin without, driven by the same clock."""

    def __init__(self, *faults: str, devices: int = 6, kinds: tuple[str, ...] = ("thermostat",), seed: int = 1) -> None:
        self.plan = make_plan(faults, seed)
        assert self.plan is not None
        self.events: list[FaultEvent] = []
        self.plan.listen(self.events.append)
        self.fleet = SimulatedFleet(devices, seed, 1.0, kinds=kinds, faults=self.plan)
        self.twin = SimulatedFleet(devices, seed, 1.0, kinds=kinds)
        self.now_s = START
        self.out: list[tuple[float, Outgoing]] = []
        self.plain: list[tuple[float, Outgoing]] = []
        self.actions: list[tuple[float, ConnectionAction]] = []
        self.advance()

    def advance(self) -> None:
        self.out += [(self.now_s - START, message) for message in self.fleet.advance(self.now_s)]
        self.plain += [(self.now_s - START, message) for message in self.twin.advance(self.now_s)]
        assert self.plan is not None
        self.actions += [(self.now_s - START, action) for action in self.plan.take_actions()]

    def until(self, elapsed_s: float) -> Run:
        while self.now_s < START + elapsed_s:
            self.now_s += STEP_S
            self.advance()
        return self

    def command(self, name: str = "set_setpoint", command_id: str = "c1", device: int = 0, **more: Any) -> None:
        args = more.pop("args", {"value": 25})
        payload = json.dumps({"id": command_id, "name": name, "args": args, **more}).encode()
        self.out += [(self.now_s - START, m) for m in self.fleet.receive(device, payload, self.now_s)]

    def said(self, what: str, device: int | None = None, twin: bool = False) -> list[tuple[float, Any]]:
        found = [
            (when, m.payload)
            for when, m in (self.plain if twin else self.out)
            if m.topic.endswith(f"/{what}") and device in (None, m.device_no)
        ]
        return [(when, payload if what == "status" else json.loads(payload)) for when, payload in found]


def payloads(messages: list[tuple[float, Outgoing]]) -> list[tuple[int, bytes]]:
    return [(message.device_no, message.payload) for _, message in messages]


def test_every_fault_has_a_name_and_a_sentence() -> None:
    assert len(FAULTS) == 26
    for name, fault in FAULTS.items():
        assert name == fault.NAME
        assert len(fault.SUMMARY) > 15


def test_a_plan_that_never_strikes_changes_nothing() -> None:
    run = Run(*(f"{name}:0" for name in FAULTS)).until(60)
    assert run.out == run.plain
    assert run.events == []
    assert run.actions == []


@pytest.mark.parametrize("name", FAULTS)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(name: str) -> None:
    def stream(seed: int) -> tuple[list[tuple[float, Outgoing]], list[FaultEvent], list[Any]]:
        run = Run(f"{name}:0.6", seed=seed)
        for number in range(8):
            run.until(2.0 * number)
            run.command(command_id=f"c{number}", device=number % 6)
        run.until(50)
        return run.out, run.events, run.actions

    first = stream(1)
    assert first == stream(1)
    assert first[1], "it happened"
    assert first != stream(2)


def test_faults_strike_only_within_their_window_and_only_the_devices_meant() -> None:
    run = Run("dropout@5-10,devices=*-02").until(20)
    lost = Counter(payloads(run.plain)) - Counter(payloads(run.out))
    assert {device for device, _ in lost} == {1}
    assert sum(lost.values()) == 5 == len(run.events)
    assert all(5 <= event.time_s - START < 10 and event.device_id == "thermostat-02" for event in run.events)


def test_a_window_comes_again() -> None:
    run = Run("dropout@5-6/10").until(40)
    assert sorted({int(event.time_s - START) for event in run.events}) == [5, 15, 25, 35]


def test_dropout_loses_as_many_as_declared() -> None:
    run = Run("dropout:0.2", devices=30).until(60)
    lost = len(run.plain) - len(run.out)
    assert lost == len(run.events) == run.plan.counts["dropout"]  # type: ignore[union-attr]
    assert 0.16 < lost / len(run.plain) < 0.24


def test_duplicate_sends_the_same_bytes_twice() -> None:
    run = Run("duplicate:0.3").until(30)
    again = Counter(payloads(run.out)) - Counter(payloads(run.plain))
    assert sum(again.values()) == len(run.events) > 0
    assert set(Counter(payloads(run.out)).values()) == {1, 2}


def test_out_of_order_swaps_neighbours_and_loses_nothing() -> None:
    run = Run("out_of_order:0.3").until(60)
    times = [value["time"] for _, value in run.said("telemetry", 0)]
    swapped = sum(after < before for before, after in itertools.pairwise(times))
    assert swapped == sum(event.device_id == "thermostat-01" for event in run.events) > 0
    held = len(run.plain) - len(run.out)
    assert 0 <= held <= 6, "at most one for each device is still held back"
    assert not Counter(payloads(run.out)) - Counter(payloads(run.plain))


def test_a_device_that_reports_rarely_does_not_hold_a_reading_back_for_ever() -> None:
    run = Run("out_of_order@0-3")
    run.fleet.devices[1].model.interval_s = 600.0
    run.until(20)
    assert [10 <= when < 12 for when, _ in run.said("telemetry", 1)] == [True]
    assert "thermostat-02" not in {event.device_id for event in run.events}, "nothing overtook it"


def test_late_burst_stores_and_forwards_in_order_with_the_old_times() -> None:
    run = Run("late_burst@10-20").until(30)
    assert Counter(payloads(run.out)) == Counter(payloads(run.plain))
    burst = [value["time"] for when, value in run.said("telemetry", 0) if when == 20]
    assert burst == sorted(burst)
    assert len(burst) == 11, "and the one of this moment last"
    assert not [when for when, _ in run.said("telemetry") if 10 <= when < 20]
    assert len(run.events) == 6


def test_stuck_repeats_the_values_while_time_goes_on() -> None:
    run = Run("stuck@10-20").until(30)
    inside = [value for when, value in run.said("telemetry", 0) if 10 <= when < 20]
    assert len({json.dumps({**value, "time": 0}) for value in inside}) == 1
    assert len({value["time"] for value in inside}) == len(inside) == 10
    after = [value for when, value in run.said("telemetry", 0) if when >= 20]
    assert after == [value for when, value in run.said("telemetry", 0, twin=True) if when >= 20]
    assert len(run.events) == 6


def test_probability_of_a_device_fault_is_a_share_of_the_devices() -> None:
    run = Run("stuck:0.3@1-5", devices=200).until(6)
    assert 40 <= len(run.events) <= 80
    assert len({event.device_id for event in run.events}) == len(run.events)


def test_drift_runs_away_steadily() -> None:
    run = Run("drift@10-40,metric=temperature,amount=0.6").until(40)
    pairs = zip(run.said("telemetry", 0), run.said("telemetry", 0, twin=True), strict=True)
    wrong = [(when, value["temperature"] - true["temperature"]) for (when, value), (_, true) in pairs]
    assert all(error == 0 for when, error in wrong if when < 10)
    # 0.6 of a range of 40 K in a minute.
    assert all(error == pytest.approx(0.4 * (when - 10), abs=1e-3) for when, error in wrong if 10 <= when < 40)


def test_noise_has_the_declared_spread_and_no_bias() -> None:
    run = Run("noise,metric=temperature,amount=0.05", devices=40).until(30)
    pairs = zip(run.said("telemetry"), run.said("telemetry", twin=True), strict=True)
    errors = [value["temperature"] - true["temperature"] for (_, value), (_, true) in pairs]
    spread = math.sqrt(sum(error * error for error in errors) / len(errors))
    assert spread == pytest.approx(2.0, rel=0.1)
    assert abs(sum(errors) / len(errors)) < 0.3


def test_spike_hits_single_readings() -> None:
    run = Run("spike:0.1,metric=temperature").until(60)
    pairs = zip(run.said("telemetry"), run.said("telemetry", twin=True), strict=True)
    errors = [value["temperature"] - true["temperature"] for (_, value), (_, true) in pairs]
    assert {round(abs(error)) for error in errors} == {0, 40}
    assert sum(error != 0 for error in errors) == len(run.events) > 0
    assert "temperature" in run.events[0].detail


def test_unavailable_and_nan() -> None:
    run = Run("unavailable:0.2,metric=humidity").until(30)
    assert sum(value["humidity"] == "unavailable" for _, value in run.said("telemetry")) == len(run.events) > 0
    run = Run("nan:0.2").until(30)
    spoilt = [m.payload for _, m in run.out if b"NaN" in m.payload or b"Infinity" in m.payload]
    assert len(spoilt) == len(run.events) > 0
    assert all(isinstance(json.loads(payload), dict) for payload in spoilt), "else in order, as Python would send it"


def test_malformed_breaks_exactly_those_that_are_reported() -> None:
    run = Run("malformed:0.3", devices=20).until(30)
    clean = set(payloads(run.plain))
    broken = [message for message in payloads(run.out) if message not in clean]
    assert len(broken) == len(run.events) > 0
    assert len({event.detail.split(": ")[1] for event in run.events}) == 7, "all kinds of it"


def test_unit_change_converts_and_the_description_lies() -> None:
    run = Run("unit_change@10-,metric=temperature").until(20)
    pairs = list(zip(run.said("telemetry", 0), run.said("telemetry", 0, twin=True), strict=True))
    for (when, value), (_, true) in pairs:
        expected = true["temperature"] * 1.8 + 32 if when >= 10 else true["temperature"]
        assert value["temperature"] == pytest.approx(expected, abs=1e-3)
    assert run.events[0].detail == "temperature: °C -> °F"
    assert b"\xc2\xb0F" not in b"".join(message.payload for message in run.fleet.announce(0))


def test_rename_metric() -> None:
    run = Run("rename_metric@10-,metric=temperature").until(20)
    for when, value in run.said("telemetry", 0):
        assert ("temperature_2" in value, "temperature" in value) == (when >= 10, when < 10)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [("clock_jump@10-20,amount=-3600", -3_600_000), ("clock_1970@10-20", None), ("clock_skew@10-20,amount=60", "60 s")],
)
def test_clocks(fault: str, expected: Any) -> None:
    run = Run(fault).until(30)
    pairs = zip(run.said("telemetry", 0), run.said("telemetry", 0, twin=True), strict=True)
    for (when, value), (_, true) in pairs:
        wrong = value["time"] - true["time"]
        if not 10 <= when < 20:
            assert wrong == 0
        elif expected is None:
            assert value["time"] == round((when - 10) * 1000)
        elif expected == "60 s":
            assert wrong != 0
            assert abs(wrong) <= 60_000
        else:
            assert wrong == expected
    assert len(run.events) == 6


def test_connection_faults_are_orders_to_whoever_owns_the_connections() -> None:
    run = Run("flapping@10-21,amount=5", devices=2).until(30)
    assert {action.kind for _, action in run.actions} == {"drop"}
    assert Counter(action.device_no for _, action in run.actions) in ({0: 2, 1: 2}, {0: 3, 1: 2}, {0: 2, 1: 3})
    assert len(run.events) == len(run.actions)
    run = Run("will_storm:1@10-11", devices=5).until(30)
    assert [when for when, _ in run.actions] == [10.0] * 5
    run = Run("same_client_id@10-20", devices=1).until(30)
    assert [(when, action.kind) for when, action in run.actions] == [(10.0, "intrude"), (20.0, "withdraw")]


def test_a_retained_command_is_published_and_taken_away_again() -> None:
    run = Run("retained_command@5-15", devices=1).until(20)
    sent = [(when, m) for when, m in run.out if m.topic.endswith("/commands")]
    assert [(when, m.retain, bool(m.payload)) for when, m in sent] == [(5.0, True, True), (15.0, True, False)]
    assert json.loads(sent[0][1].payload)["name"] == "set_setpoint"


def test_slow_and_late_answers() -> None:
    run = Run("slow_ack")
    run.command()
    run.until(1)
    assert run.said("results") == []
    run.until(5)
    assert [value["id"] for _, value in run.said("results")] == ["c1"]
    assert run.said("results")[0][0] == pytest.approx(3.2, abs=0.3)
    run = Run("late_ack")
    run.command(expires=round((START + 5) * 1000))
    run.until(10)
    assert [(when, value["status"]) for when, value in run.said("results")] == [(6.0, "succeeded")]


def test_wrong_missing_and_refused_answers() -> None:
    run = Run("wrong_ack")
    run.command(command_id="first")
    run.until(1)
    run.command(command_id="second")
    run.until(2)
    assert [value["id"] for _, value in run.said("results")] == ["not-first", "first"]
    run = Run("no_ack")
    run.command()
    run.until(3)
    run.command()  # delivered again
    run.until(6)
    assert run.said("results") == []
    assert run.fleet.executed == 1
    assert run.said("telemetry", 0)[-1][1]["setpoint"] == 25
    run = Run("refuse")
    run.command()
    run.until(2)
    assert run.said("results")[0][1]["status"] == "failed"
    assert run.said("telemetry", 0)[-1][1]["setpoint"] != 25
    assert [event.fault for event in run.events] == ["refuse"]


def test_reboot_on_command_is_silence_instead_of_an_answer() -> None:
    run = Run("reboot_on_command,amount=4")
    run.command()
    run.until(10)
    assert run.said("results") == []
    assert [payload for _, payload in run.said("status", 0)] == [b"offline", b"online"]


def test_faults_work_together() -> None:
    run = Run("stuck@0-60", "duplicate:0.5", "clock_skew").until(20)
    assert set(run.plan.counts) == {"stuck", "duplicate", "clock_skew"}  # type: ignore[union-attr]
    assert len(run.out) == len(run.plain) + run.plan.counts["duplicate"]  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", KINDS)
def test_all_faults_at_once_do_no_harm_to_any_kind(kind: str) -> None:
    run = Run(*(f"{name}:0.3" for name in FAULTS), kinds=(kind,), devices=8)
    for number in range(10):
        run.until(3.0 * number)
        run.command("reboot", f"c{number}", number % 8, args={})
    run.until(60)
    assert len(run.plan.counts) > 12  # type: ignore[union-attr]
