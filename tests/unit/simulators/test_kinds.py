"""What every kind of device must keep, whatever it is."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from simulators.arguments import default_args
from simulators.devices import KINDS, WEIGHTS
from simulators.devices.device import Command, CommandFailed, Device
from simulators.fleet import SimulatedFleet

NOON = 1_750_000_000 // 86_400 * 86_400 + 43_200.0

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


def check_values(device: Device) -> None:
    values = device.values()
    assert list(values) == list(device.METRICS)
    for key, value in values.items():
        metric = device.METRICS[key]
        if metric.datatype == "number":
            assert isinstance(value, int | float), key
            assert not isinstance(value, bool), key
            assert metric.min is not None, key
            assert metric.max is not None, key
            assert metric.precision is not None, key
            assert metric.min <= value <= metric.max, key
            assert round(value, metric.precision) == value, key
        else:
            assert isinstance(value, bool if metric.datatype == "boolean" else str), key


def random_args(command: Command, rng: Random) -> dict[str, object]:
    args: dict[str, object] = {}
    for name, rules in command.properties.items():
        if "enum" in rules:
            args[name] = rng.choice(rules["enum"])
        elif rules["type"] == "boolean":
            args[name] = rng.random() < 0.5
        elif rules["type"] == "integer":
            args[name] = rng.randint(rules["minimum"], rules["maximum"])
        else:
            args[name] = rng.uniform(rules["minimum"], rules["maximum"])
    return args


def test_there_are_eight_kinds_and_all_sorts_of_values() -> None:
    assert len(WEIGHTS) == 8
    assert set(WEIGHTS) < set(KINDS.values())
    datatypes = {metric.datatype for kind in KINDS.values() for metric in kind.METRICS.values()}
    assert datatypes == {"number", "boolean", "text"}


@every_kind
def test_a_day_with_random_commands_stays_within_the_limits(kind: type[Device]) -> None:
    rng = Random(f"commands for {kind.KIND}")
    device = kind(Random(7))
    check_values(device)
    succeeded = failed = 0
    for step in range(86_400 // 30):
        if rng.random() < 0.05:
            name = rng.choice(list(kind.COMMANDS))
            try:
                device.execute(name, random_args(kind.COMMANDS[name], rng))
                succeeded += 1
            except CommandFailed:
                failed += 1
        device.step(NOON + step * 30.0, 30.0, kind.COARSE_STEP_S)
        check_values(device)
    assert succeeded > failed


@every_kind
def test_every_command_has_a_valid_schema_with_defaults_and_can_be_executed(kind: type[Device]) -> None:
    assert "reboot" in kind.COMMANDS
    assert kind.COMMANDS["reboot"].danger
    for name, command in kind.COMMANDS.items():
        schema = command.schema
        Draft202012Validator.check_schema(schema)
        for rules in command.properties.values():
            assert {"type", "title", "default"} <= set(rules)
        args = default_args(schema)
        Draft202012Validator(schema).validate(args)
        device = kind(Random(3))
        device.step(NOON, 1.0)
        try:
            answer = json.dumps(device.execute(name, args))
        except CommandFailed as failure:
            answer = str(failure)
        assert answer
        check_values(device)


@every_kind
def test_commands_with_wrong_arguments_are_refused(kind: type[Device]) -> None:
    device = kind(Random(3))
    with pytest.raises(CommandFailed, match="no command"):
        device.execute("explode", {})
    with pytest.raises(CommandFailed, match="no command"):
        device.execute("_advance", {})
    for name, command in kind.COMMANDS.items():
        with pytest.raises(CommandFailed, match="unknown argument"):
            device.execute(name, {**default_args(command.schema), "extra": 1})
        for argument in command.properties:
            with pytest.raises(CommandFailed, match=f"{argument} must be of type"):
                device.execute(name, {**default_args(command.schema), argument: None})


@every_kind
def test_the_length_of_a_step_hardly_matters(kind: type[Device]) -> None:
    """A device that reports every ten seconds is the same device as one that reports ten times a second."""
    device = kind(Random(5))
    device.step(NOON, 0.0)
    before = device.values()
    assert device.values() == before, "no time, no change"
    for step in range(60):
        device.step(NOON + step * 10.0, 10.0)
        check_values(device)


@every_kind
def test_memory_of_a_device_is_small(kind: type[Device]) -> None:
    assert not hasattr(kind(Random(1)), "__dict__")


@given(seed=st.integers(), dt=st.floats(0.0, 600.0), kind=st.sampled_from(list(KINDS.values())))
def test_any_seed_and_step_gives_valid_values(seed: int, dt: float, kind: type[Device]) -> None:
    device = kind(Random(seed))
    device.step(NOON, dt)
    check_values(device)


def test_some_metrics_follow_the_sun() -> None:
    fleet = SimulatedFleet(1, kinds=["weather"])
    station = fleet.devices[0].model
    station.step(NOON, 120.0)
    assert station.values()["solar"] > 100  # type: ignore[operator]
    station.step(NOON + 43_200.0, 120.0)
    assert station.values()["solar"] == 0
