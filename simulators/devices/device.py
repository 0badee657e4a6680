"""What every kind of device is: declared metrics, declared commands, and a `step` that moves its physics on.

A kind is one file in this folder. It reads no clock and does no I/O: time comes in through `step`, chance through
the `rng` it was built with. A metric `x` is the attribute `x`; a command `y` is the method `do_y`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar, TypeAlias

from simulators.arguments import problem_with
from simulators.physics import clamp

Value: TypeAlias = int | float | bool | str

# The shortest time constants are around a second; longer steps would let one metric run ahead of the others.
LONGEST_STEP_S = 2.0


class CommandFailed(Exception):
    """The device understood the command and could not carry it out; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A quantity that a device reports. Values never leave `min` to `max`."""

    name: str
    unit: str = ""
    datatype: str = "number"  # number | boolean | text
    min: float | None = None
    max: float | None = None
    precision: int | None = None  # digits after the decimal point


def number(name: str, unit: str, low: float, high: float, precision: int = 1) -> Metric:
    return Metric(name, unit, "number", low, high, precision)


def boolean(name: str) -> Metric:
    return Metric(name, datatype="boolean")


def text(name: str) -> Metric:
    return Metric(name, datatype="text")


@dataclass(frozen=True, slots=True)
class Command:
    """Something that a device can be told. `properties` are the arguments, each a JSON Schema; all are required."""

    title: str
    description: str = ""
    properties: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    danger: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "object", "additionalProperties": False}
        if self.properties:
            schema["properties"] = {name: dict(rules) for name, rules in self.properties.items()}
            schema["required"] = list(self.properties)
        return schema


REBOOT = Command("Reboot", "Restarts the controller; the device is offline for some seconds.", danger=True)


class Device:
    """One device of some kind. Subclasses fill the class variables, `__slots__`, `_advance` and their commands."""

    __slots__ = ("interval_s", "off_for_s", "rng")

    KIND: ClassVar[str]
    LABEL: ClassVar[str]  # "Pump": the first part of a device's name
    AREAS: ClassVar[tuple[str, ...]]  # where devices of this kind stand
    METRICS: ClassVar[dict[str, Metric]]
    COMMANDS: ClassVar[dict[str, Command]]
    SW_VERSION: ClassVar[str] = "1.4.2"

    def __init__(self, rng: Random, interval_s: float = 1.0) -> None:
        self.rng = rng
        self.interval_s = interval_s  # how often the device reports; some kinds can be told to change it
        self.off_for_s = 0.0  # set by a reboot; whoever runs the device takes it back to zero

    def step(self, now_s: float, dt: float) -> None:
        """Move the physics on by `dt` seconds, up to the moment `now_s`."""
        if dt <= 0.0:
            return
        pieces = int(dt / LONGEST_STEP_S) + 1
        piece = dt / pieces
        for left in range(pieces - 1, -1, -1):
            self._advance(now_s - left * piece, piece)

    def values(self) -> dict[str, Value]:
        """Every declared metric, rounded to its precision and kept within its limits."""
        values: dict[str, Value] = {}
        for key, metric in self.METRICS.items():
            value = getattr(self, key)
            if metric.min is not None and metric.max is not None:
                value = round(clamp(value, metric.min, metric.max), metric.precision or None)
            values[key] = value
        return values

    def execute(self, name: str, args: Mapping[str, Any]) -> Any:
        """Carry out a command and return what the device answers. Raises `CommandFailed`."""
        command = self.COMMANDS.get(name)
        if command is None:
            raise CommandFailed(f"there is no command {name[:64]!r}")
        problem = problem_with(command.schema, args)
        if problem is not None:
            raise CommandFailed(problem)
        return getattr(self, f"do_{name}")(**args)

    def do_reboot(self) -> None:
        self.off_for_s = self.rng.uniform(4.0, 7.0)

    def _advance(self, now_s: float, dt: float) -> None:
        raise NotImplementedError
