"""What every kind of device is: declared metrics, declared commands, and a `step` that moves its physics on.

A kind is one file in this folder. It reads no clock and does no I/O: time comes in through `step`, chance through
the `rng` it was built with, and the weather from its `site`. A metric `x` is the attribute `x`; a command `y` is the
method `do_y`; a parameter `z` is the class attribute `z`, so that another size of tank is a subclass without code.

For the same bytes on every platform a kind uses `simulators.physics` and never `math` beyond `sqrt` and `floor`, nor
`**`, nor a random generator's `gauss`: see there. `tests/unit/simulators/test_physics.py` checks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from simulators.arguments import problem_with
from simulators.chance import Chance
from simulators.site import DEFAULT_SITE, Site

Value: TypeAlias = int | float | bool | str

# The shortest time constants are around a second; longer steps would let one metric run ahead of the others.
LONGEST_STEP_S = 2.0
# Nothing happens in less, and rates (something in a time) stay finite.
SHORTEST_STEP_S = 1e-6


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
    # A fleet file may ask for another unit: what is reported is value * scale + offset. Limits are those of the result.
    scale: float = 1.0
    offset: float = 0.0


def number(name: str, unit: str, low: float, high: float, precision: int = 1) -> Metric:
    return Metric(name, unit, "number", low, high, precision)


def boolean(name: str) -> Metric:
    return Metric(name, datatype="boolean")


def text(name: str) -> Metric:
    return Metric(name, datatype="text")


@dataclass(frozen=True, slots=True)
class Parameter:
    """How far a property of a kind, such as a tank's capacity, may be set in a fleet file."""

    title: str
    low: float
    high: float


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

    __slots__ = ("interval_s", "off_for_s", "rng", "site")

    KIND: ClassVar[str]
    LABEL: ClassVar[str]  # "Pump": the first part of a device's name
    AREAS: ClassVar[tuple[str, ...]]  # where devices of this kind stand
    METRICS: ClassVar[dict[str, Metric]]
    COMMANDS: ClassVar[dict[str, Command]]
    PARAMETERS: ClassVar[dict[str, Parameter]] = {}
    SW_VERSION: ClassVar[str] = "1.4.2"
    # How long one step may be when months are written at once: short against what the kind's control loops do, because
    # between two steps nobody closes a valve. Everything faster is then already at rest, which is right.
    COARSE_STEP_S: ClassVar[float] = 20.0

    # Per metric what `values` needs, unpacked once for each kind: this is the hottest loop of a large fleet.
    _plan: ClassVar[tuple[tuple[str, Metric | None, float, float, int | None], ...]] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "METRICS" in cls.__dict__:
            cls._plan = tuple(_plan_of(key, metric) for key, metric in cls.METRICS.items())

    def __init__(self, rng: Chance, interval_s: float = 1.0, site: Site = DEFAULT_SITE) -> None:
        self.rng = rng
        self.site = site
        self.interval_s = interval_s  # how often the device reports; some kinds can be told to change it
        self.off_for_s = 0.0  # set by a reboot; whoever runs the device takes it back to zero

    @classmethod
    def metrics_at(cls, site: Site) -> dict[str, Metric]:
        """The metrics of such a device at `site`: a tracker's latitude has other limits elsewhere."""
        return cls.METRICS

    @classmethod
    def commands_at(cls, site: Site) -> dict[str, Command]:
        """The commands of such a device at `site`; their limits may depend on its parameters."""
        return cls.COMMANDS

    def step(self, now_s: float, dt: float, longest_s: float = LONGEST_STEP_S) -> None:
        """Move the physics on by `dt` seconds, up to the moment `now_s`, in steps of at most `longest_s`."""
        if dt < SHORTEST_STEP_S:
            return
        pieces = int(-(-dt // longest_s))
        piece = dt / pieces
        for left in range(pieces - 1, -1, -1):
            self._advance(now_s - left * piece, piece)

    def values(self) -> dict[str, Value]:
        """Every declared metric, rounded to its precision and kept within its limits."""
        values: dict[str, Value] = {}
        for key, convert, low, high, digits in self._plan:
            value = getattr(self, key)
            if high > low:
                if convert is not None:
                    value = value * convert.scale + convert.offset
                value = round(low if value < low else high if value > high else value, digits)
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
        return self._carry_out(name, args)

    def _carry_out(self, name: str, args: Mapping[str, Any]) -> Any:
        return getattr(self, f"do_{name}")(**args)

    def do_reboot(self) -> None:
        self.off_for_s = self.rng.uniform(4.0, 7.0)

    def _advance(self, now_s: float, dt: float) -> None:
        raise NotImplementedError


def _plan_of(key: str, metric: Metric) -> tuple[str, Metric | None, float, float, int | None]:
    """Equal limits mark what is not a number. `round(x, None)` makes a whole number of it."""
    if metric.min is None or metric.max is None:
        return key, None, 0.0, 0.0, None
    converted = metric.scale != 1.0 or metric.offset != 0.0
    return key, metric if converted else None, metric.min, metric.max, metric.precision or None
