"""A kind of device that is made from data alone: a fleet file names its metrics, how they move, and its commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from simulators.chance import Chance
from simulators.devices.device import Command, Device, Metric, Value
from simulators.devices.laws import Counter, Law, State
from simulators.site import DEFAULT_SITE, Site


class GenericDevice(Device):
    """Subclasses are made by `make_kind`; their values are kept in two lists, in the order of `METRICS`."""

    __slots__ = ("_goals", "_values")

    LAWS: ClassVar[tuple[Law, ...]] = ()
    TARGETS: ClassVar[dict[str, int]] = {}  # which metric a command acts on
    COARSE_STEP_S: ClassVar[float] = 60.0  # every law is exact for any step

    def __init__(self, rng: Chance, interval_s: float = 1.0, site: Site = DEFAULT_SITE) -> None:
        super().__init__(rng, interval_s, site)
        self._values = [law.start for law in self.LAWS]
        self._goals = [law.goal for law in self.LAWS]

    def _advance(self, now_s: float, dt: float) -> None:
        sky, values, goals, rng = self.site.at(now_s), self._values, self._goals, self.rng
        for index, law in enumerate(self.LAWS):
            values[index] = law.step(values[index], goals[index], sky, now_s, dt, rng)

    def values(self) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for (key, convert, low, high, digits), law, inner in zip(self._plan, self.LAWS, self._values, strict=True):
            value = law.shown(inner, self.rng)
            if high > low:
                value = float(value)
                if convert is not None:
                    value = value * convert.scale + convert.offset
                value = round(low if value < low else high if value > high else value, digits)
            values[key] = value
        return values

    def _carry_out(self, name: str, args: Mapping[str, Any]) -> Any:
        index = self.TARGETS.get(name)
        if index is None:
            return super()._carry_out(name, args)
        law = self.LAWS[index]
        if isinstance(law, Counter):
            self._values[index] = law.low
            return law.low
        wanted = args["value"]
        if isinstance(law, State):
            self._values[index] = float(law.states.index(wanted))
        else:
            self._goals[index] = float(wanted)
        return wanted


def make_kind(
    name: str,
    label: str,
    areas: tuple[str, ...],
    metrics: dict[str, Metric],
    laws: tuple[Law, ...],
    commands: dict[str, Command],
    targets: dict[str, int],
) -> type[Device]:
    """A new kind. `laws` go with `metrics`, one for each; `targets` says which metric each command acts on."""
    return type(
        name,
        (GenericDevice,),
        {
            "__slots__": (),
            "__doc__": f"{label}, as a fleet file describes it.",
            "KIND": name,
            "LABEL": label,
            "AREAS": areas,
            "METRICS": metrics,
            "COMMANDS": commands,
            "LAWS": laws,
            "TARGETS": targets,
        },
    )
