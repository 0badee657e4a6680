"""The fleet: what it is made of, when it speaks, and that it can be repeated byte for byte."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise

import pytest

from simulators.devices import KINDS, WEIGHTS
from simulators.dialect import Outgoing
from simulators.fleet import SimulatedFleet
from simulators.native import NativeDialect
from simulators.roster import DEVICE_ID

START = 1_750_000_000.0


def command(name: str, command_id: str = "c1", **args: object) -> bytes:
    return json.dumps({"id": command_id, "name": name, "args": args}).encode()


def run(fleet: SimulatedFleet, seconds: float, start: float = START, tick: float = 0.05) -> list[Outgoing]:
    out = []
    for step in range(round(seconds / tick) + 1):
        out += fleet.advance(start + step * tick)
    return out


def script(seed: int) -> list[Outgoing]:
    fleet = SimulatedFleet(20, seed, 2.0)
    out = [message for device_no in range(20) for message in fleet.announce(device_no)]
    out += run(fleet, 3.0)
    for device_no in range(20):
        out += fleet.receive(device_no, command("reboot" if device_no % 2 else "stop"), START + 3.0)
    return out + run(fleet, 12.0, START + 3.0)


def test_the_same_seed_and_times_give_the_same_bytes() -> None:
    first = script(1)
    assert len(first) > 300
    assert first == script(1)
    assert first != script(2)


def test_a_larger_fleet_begins_with_the_smaller_one() -> None:
    small, large = SimulatedFleet(10, 1), SimulatedFleet(60, 1)
    assert [device.who for device in small.devices] == [device.who for device in large.devices[:10]]
    said = [message for message in run(large, 3.0) if message.device_no < 10]
    assert run(small, 3.0) == said


def test_the_mix_has_every_kind_early_and_pleasing_shares() -> None:
    fleet = SimulatedFleet(50)
    kinds = [device.model.KIND for device in fleet.devices]
    assert set(kinds[:8]) == {kind.KIND for kind in WEIGHTS}
    assert min(Counter(kinds).values()) >= 3
    assert max(Counter(kinds).values()) <= 12


def test_ids_and_names_are_unique_and_well_formed() -> None:
    fleet = SimulatedFleet(500, prefix="lab-")
    ids = [device.who.device_id for device in fleet.devices]
    assert len(set(ids)) == len({device.who.name for device in fleet.devices}) == 500
    assert all(DEVICE_ID.fullmatch(device_id) and device_id.startswith("lab-") for device_id in ids)


def test_a_prefix_that_makes_no_valid_id_is_refused() -> None:
    for prefix in ("a b", "a/b", "+", "x" * 60):
        with pytest.raises(ValueError, match="not a device id"):
            SimulatedFleet(1, prefix=prefix)


def test_only_the_chosen_kinds() -> None:
    fleet = SimulatedFleet(9, kinds=["pump", "tank"])
    assert {device.model.KIND for device in fleet.devices} == {"pump", "tank"}


def test_descriptions_tell_every_metric_and_command() -> None:
    fleet = SimulatedFleet(len(KINDS), kinds=list(KINDS))
    telemetry = {message.device_no: json.loads(message.payload) for message in run(fleet, 1.0)}
    for device_no, device in enumerate(fleet.devices):
        description, status = fleet.announce(device_no)
        device_id = device.who.device_id
        assert (description.topic, description.qos, description.retain) == (f"devices/{device_id}/description", 1, True)
        assert status == Outgoing(device_no, f"devices/{device_id}/status", b"online", 1, True)
        described = json.loads(description.payload)
        assert described["manufacturer"] == "Fleetwire Simulated"
        assert described["area"] in described["name"]
        assert set(described["metrics"]) == set(telemetry[device_no]) - {"time"}
        assert set(described["commands"]) == set(device.model.COMMANDS)
        for metric in described["metrics"].values():
            assert metric["datatype"] != "number" or {"min", "max", "precision"} <= set(metric)


def test_every_device_reports_once_an_interval_and_not_all_at_once() -> None:
    fleet = SimulatedFleet(50, rate_hz=1.0)
    per_tick = [fleet.advance(START + tick * 0.02) for tick in range(500)]
    assert max(map(len, per_tick)) <= 3
    times: dict[int, list[int]] = {}
    for message in (message for messages in per_tick for message in messages):
        times.setdefault(message.device_no, []).append(json.loads(message.payload)["time"])
    assert len(times) == 50
    for of_device in times.values():
        assert len(of_device) == 10
        assert all(970 <= later - earlier <= 1030 for earlier, later in pairwise(of_device))


def test_next_due_tells_when_to_come_back() -> None:
    fleet = SimulatedFleet(5)
    assert fleet.next_due_s() == 0.0
    fleet.advance(START)
    due = fleet.next_due_s()
    assert START < due <= START + 1.0
    assert fleet.advance(due - 0.001) == []
    assert len(fleet.advance(due)) == 1


def test_after_a_pause_there_is_one_report_and_no_storm() -> None:
    fleet = SimulatedFleet(10)
    run(fleet, 2.0)
    after = fleet.advance(START + 7200.0)
    assert len(after) == 10
    assert len(run(fleet, 1.0, START + 7200.05)) in range(9, 12)


def test_a_clock_that_was_put_back_silences_nobody() -> None:
    fleet = SimulatedFleet(10)
    run(fleet, 2.0)
    assert len(run(fleet, 2.0, START - 3600.0)) in range(18, 31)


def test_quality_of_service_is_chosen_for_readings_only() -> None:
    fleet = SimulatedFleet(3, dialect=NativeDialect(telemetry_qos=1))
    assert {message.qos for message in run(fleet, 1.0)} == {1}
    assert {message.qos for message in run(SimulatedFleet(3), 1.0)} == {0}


def test_a_fleet_knows_who_listens_where() -> None:
    fleet = SimulatedFleet(3)
    assert fleet.device_listening_on(fleet.command_topic(2)) == 2
    assert fleet.device_listening_on("devices/nobody/commands") is None


def test_ten_thousand_devices_are_built_quickly() -> None:
    fleet = SimulatedFleet(10_000, rate_hz=0.1)
    assert len({device.who.device_id for device in fleet.devices}) == len(fleet) == 10_000
