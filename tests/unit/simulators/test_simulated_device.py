"""Commands on a device: once, in time, answered honestly; and what a reboot looks like from outside."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.dialect import Outgoing
from simulators.fleet import SimulatedFleet
from simulators.simulated_device import MAX_PENDING, REMEMBERED_COMMANDS

START = 1_750_000_000.0


class Bench:
    """One device and a clock to push."""

    def __init__(self, kind: str) -> None:
        self.fleet = SimulatedFleet(1, kinds=[kind])
        self.now_s = START
        self.out: list[Outgoing] = []
        self.fleet.advance(self.now_s)

    def send(self, name: str, command_id: str = "c1", args: dict[str, Any] | None = None, **more: Any) -> None:
        self.send_raw(json.dumps({"id": command_id, "name": name, "args": args or {}, **more}).encode())

    def send_raw(self, payload: bytes) -> None:
        self.out += self.fleet.receive(0, payload, self.now_s)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            self.now_s += 0.05
            self.out += self.fleet.advance(self.now_s)

    def said(self, what: str) -> list[Any]:
        payloads = [message.payload for message in self.out if message.topic.endswith(f"/{what}")]
        return [payload.decode() if what == "status" else json.loads(payload) for payload in payloads]


def test_a_command_is_executed_after_a_moment_and_its_effect_is_reported_with_the_answer() -> None:
    bench = Bench("thermostat")
    bench.send("set_setpoint", args={"value": 25})
    assert bench.said("results") == []
    bench.run(0.25)
    assert bench.said("results") == [{"id": "c1", "status": "succeeded", "value": 25.0}]
    assert bench.said("telemetry")[-1]["setpoint"] == 25.0
    assert [message.qos for message in bench.out if message.topic.endswith("/results")] == [1]
    assert (bench.fleet.executed, bench.fleet.failed, bench.fleet.ignored) == (1, 0, 0)


def test_a_command_that_fails_says_why() -> None:
    bench = Bench("thermostat")
    bench.send("set_lock", "c1", {"locked": True})
    bench.send("set_setpoint", "c2", {"value": 25})
    bench.send("set_setpoint", "c3", {"value": 99})
    bench.send("fly", "c4")
    bench.run(1.0)
    by_id = {result["id"]: result for result in bench.said("results")}
    assert by_id["c1"]["status"] == "succeeded"
    assert by_id["c2"] == {"id": "c2", "status": "failed", "error": "the keypad is locked; unlock it first"}
    assert by_id["c3"] == {"id": "c3", "status": "failed", "error": "value must be at most 30"}
    assert "no command" in by_id["c4"]["error"]
    assert (bench.fleet.executed, bench.fleet.failed) == (4, 3)


def test_a_command_is_never_executed_twice_and_the_answer_is_repeated() -> None:
    bench = Bench("thermostat")
    bench.send("set_setpoint", args={"value": 25})
    bench.send("set_setpoint", args={"value": 10})  # the same id, before the first was executed
    bench.run(0.5)
    bench.send("set_setpoint", args={"value": 10})  # and after
    bench.run(0.5)
    assert bench.said("results") == [{"id": "c1", "status": "succeeded", "value": 25.0}] * 2
    assert bench.said("telemetry")[-1]["setpoint"] == 25.0
    assert (bench.fleet.executed, bench.fleet.ignored) == (1, 2)


def test_a_command_is_not_executed_after_it_expired() -> None:
    bench = Bench("thermostat")
    before = bench.fleet.devices[0].model.values()["setpoint"]
    bench.send("set_setpoint", "late", {"value": 25}, expires=int(START * 1000) - 1)
    # Expires while the device is about to execute it: what counts is the moment of execution.
    bench.send("set_setpoint", "close", {"value": 26}, expires=int(START * 1000) + 10)
    bench.send("set_setpoint", "fine", {"value": before}, expires=int(START * 1000) + 60_000)
    bench.run(1.0)
    states = {result["id"]: result["status"] for result in bench.said("results")}
    assert states == {"late": "failed", "close": "failed", "fine": "succeeded"}
    assert {report["setpoint"] for report in bench.said("telemetry")} == {before}
    assert bench.fleet.executed == 1


def test_what_is_remembered_is_bounded() -> None:
    bench = Bench("thermostat")
    for number in range(3 * REMEMBERED_COMMANDS):
        bench.send("set_setpoint", f"c{number}", {"value": 20})
        bench.run(0.2)
    device = bench.fleet.devices[0]
    assert len(device._answers) == REMEMBERED_COMMANDS
    assert device.executed == 3 * REMEMBERED_COMMANDS


def test_a_flood_of_commands_does_not_pile_up() -> None:
    bench = Bench("pump")
    for number in range(10 * MAX_PENDING):
        bench.send("start", f"c{number}")
    bench.run(10.0)
    assert bench.fleet.executed == MAX_PENDING
    assert bench.fleet.ignored == 9 * MAX_PENDING


def test_a_reboot_is_silence_between_offline_and_online() -> None:
    bench = Bench("pump")
    bench.run(2.0)
    bench.out.clear()
    bench.send("reboot", "r1")
    bench.run(3.0)
    assert bench.said("results") == [{"id": "r1", "status": "succeeded"}]
    assert bench.said("status") == ["offline"]
    assert json.loads(bench.out[-2].payload)["id"] == "r1"
    assert bench.out[-1].topic.endswith("/status"), "nothing after that"
    assert [message.payload for message in bench.fleet.announce(0)][-1] == b"offline", "also on a new connection"
    bench.send("stop", "unheard")
    bench.run(6.0)
    assert bench.said("status") == ["offline", "online"]
    assert len(bench.said("description")) == 1
    assert bench.said("telemetry")[-1]["running"] is True
    assert bench.fleet.ignored == 1


def test_a_new_interval_counts_from_now() -> None:
    bench = Bench("tracker")
    bench.send("set_report_interval", args={"seconds": 5})
    bench.run(0.5)
    bench.out.clear()
    bench.run(20.0)
    assert len(bench.said("telemetry")) == 4


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"stop",
        b"[]",
        b'{"name": "stop"}',
        b'{"id": 5, "name": "stop"}',
        b'{"id": "", "name": "stop"}',
        b'{"id": "c", "name": "stop", "args": []}',
        b'{"id": "c", "name": "stop", "expires": "soon"}',
        b'{"id": "c", "name": "stop", "expires": 1e999}',
        b'{"id": "' + b"x" * 200 + b'", "name": "stop"}',
        b'{"id": "c", "name": "stop", "args": ' + b"[" * 100_000,
        b'{"id": "c", "name": "stop", "args": {"a": ' + b"[" * 8_000,
        b'{"id": "\xff", "name": "stop"}',
        b'{"id": "c", "name": "\\ud800"}',
    ],
)
def test_what_is_no_command_is_ignored(payload: bytes) -> None:
    bench = Bench("pump")
    bench.send_raw(payload)
    bench.run(1.0)
    assert bench.said("results") == []
    assert (bench.fleet.executed, bench.fleet.ignored) == (0, 1)


@given(
    payload=st.binary(max_size=200)
    | st.builds(
        lambda name, args: json.dumps({"id": "c", "name": name, "args": args}).encode(),
        st.sampled_from(["set_setpoint", "set_mode", "set_lock", "reboot", "", "__init__", "execute"]),
        st.dictionaries(
            st.sampled_from(["value", "mode", "locked", "self"]),
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text('ab\x00é"', max_size=8),
        ),
    )
)
def test_no_payload_does_harm(payload: bytes) -> None:
    bench = Bench("thermostat")
    bench.send_raw(payload)
    bench.run(0.5)
    assert bench.fleet.executed + bench.fleet.ignored == 1
    assert len(bench.said("results")) == bench.fleet.executed
