"""Faults of sensors and of what a device says about them: the reading is wrong and the message is in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from simulators.devices.device import Value
from simulators.faults.dice import bell
from simulators.faults.fault import Episode, Fault
from simulators.faults.spec import Window

if TYPE_CHECKING:
    from simulators.simulated_device import SimulatedDevice

# Wrong values keep this many digits, which is one more than any metric has: enough to see them, no float noise.
DIGITS = 4
# What a unit turns into when somebody changes a setting: factor, offset, new unit.
CONVERSIONS = {
    "°C": (1.8, 32.0, "°F"),
    "bar": (14.5038, 0.0, "psi"),
    "m³/h": (4.40287, 0.0, "gpm"),
    "mm/s": (0.0393701, 0.0, "in/s"),
    "m": (3.28084, 0.0, "ft"),
    "m/s": (3.6, 0.0, "km/h"),
    "kW": (1000.0, 0.0, "W"),
    "%": (0.01, 0.0, "share"),
}


class ValueFault(Fault):
    """Changes one metric: the one that was named, or one that the device's luck chooses."""

    CHANCE: ClassVar[Literal["message", "command", "device"]] = "device"

    def metric(self, device: SimulatedDevice, values: dict[str, Value], *question: object) -> str | None:
        """The name of a metric that holds a number; None when the device has none that fits."""
        numbers = [name for name, value in values.items() if type(value) in (int, float)]
        if self.spec.metric is not None:
            return self.spec.metric if self.spec.metric in numbers else None
        return numbers[int(self.chance(device, "metric", *question) * len(numbers))] if numbers else None

    def span(self, device: SimulatedDevice, name: str) -> float:
        """How far the metric can go at all: what "large" means for it."""
        metric = device.model.METRICS.get(name)
        if metric is None or metric.min is None or metric.max is None:
            return 100.0
        return metric.max - metric.min


class Stuck(ValueFault):
    NAME = "stuck"
    SUMMARY = "readings freeze at the value they had; time goes on"
    WINDOW = Window(10.0, 40.0, 120.0)

    def values(self, device: SimulatedDevice, values: dict[str, Value], now_s: float) -> dict[str, Value]:
        episode = self.episode(device, now_s)
        if episode is None:
            return values
        if episode.state is None:
            episode.state = dict(values)
            self.report_once(episode, now_s, device, self.spec.metric or "all metrics")
        frozen: dict[str, Value] = episode.state
        metric = self.spec.metric
        if metric is None:
            return dict(frozen)
        return {**values, metric: frozen[metric]} if metric in frozen else values


class Drift(ValueFault):
    NAME = "drift"
    SUMMARY = "a metric runs away, by AMOUNT of its range a minute (0.1)"
    WINDOW = Window(10.0, 190.0, 300.0)
    AMOUNT = 0.1

    def values(self, device: SimulatedDevice, values: dict[str, Value], now_s: float) -> dict[str, Value]:
        episode = self.episode(device, now_s)
        name = None if episode is None else self.metric(device, values)
        if episode is None or name is None:
            return values
        rate = self.amount * self.span(device, name) / 60.0
        self.report_once(episode, now_s, device, f"{name} {rate:+.4g} per second")
        return _changed(values, name, float(values[name]) + rate * (now_s - episode.begin_s))


class Noise(ValueFault):
    NAME = "noise"
    SUMMARY = "a metric becomes noisy, with AMOUNT of its range as standard deviation (0.05)"
    AMOUNT = 0.05

    def values(self, device: SimulatedDevice, values: dict[str, Value], now_s: float) -> dict[str, Value]:
        episode = self.episode(device, now_s)
        name = None if episode is None else self.metric(device, values)
        if episode is None or name is None:
            return values
        deviation = self.amount * self.span(device, name)
        self.report_once(episode, now_s, device, f"{name} ± {deviation:.4g}")
        episode.state = number = (episode.state or 0) + 1
        wrong = deviation * bell(self._key, device.who.device_id, episode.number, number)
        return _changed(values, name, float(values[name]) + wrong)


class Spike(ValueFault):
    NAME = "spike"
    SUMMARY = "a single reading jumps away by AMOUNT of its range (1), up or down"
    CHANCE = "message"
    AMOUNT = 1.0

    def values(self, device: SimulatedDevice, values: dict[str, Value], now_s: float) -> dict[str, Value]:
        number = self.strikes(device, now_s)
        name = self.metric(device, values, number) if number else None
        if name is None:
            return values
        jump = self.amount * self.span(device, name) * (1.0 if self.chance(device, "up", number) < 0.5 else -1.0)
        spoilt = _changed(values, name, float(values[name]) + jump)
        self.report(now_s, device, f"{name} {values[name]} -> {spoilt[name]}")
        return spoilt


class Unavailable(ValueFault):
    NAME = "unavailable"
    SUMMARY = 'a metric says "unavailable" instead of a number'
    CHANCE = "message"

    def values(self, device: SimulatedDevice, values: dict[str, Value], now_s: float) -> dict[str, Value]:
        number = self.strikes(device, now_s)
        name = self.metric(device, values, number) if number else None
        if name is None:
            return values
        self.report(now_s, device, name)
        return {**values, name: "unavailable"}


class UnitChange(ValueFault):
    NAME = "unit_change"
    SUMMARY = "a metric arrives in another unit (°F for °C) and the description still claims the old one"
    WINDOW = Window(10.0)

    def values(self, device: SimulatedDevice, values: dict[str, Value], now_s: float) -> dict[str, Value]:
        episode = self.episode(device, now_s)
        if episode is None:
            return values
        if episode.state is None:
            episode.state = self._choose(device, values, episode, now_s)
        name, factor, offset = episode.state
        value = values.get(name)
        # Another fault may have renamed it or taken its value away.
        return _changed(values, name, value * factor + offset) if type(value) in (int, float) else values

    def _choose(
        self, device: SimulatedDevice, values: dict[str, Value], episode: Episode, now_s: float
    ) -> tuple[str, float, float]:
        units = {name: metric.unit for name, metric in device.model.METRICS.items() if metric.datatype == "number"}
        names = [name for name, unit in units.items() if unit in CONVERSIONS and name in values]
        name = self.spec.metric or (names[0] if names else next(iter(units), ""))
        unit = units.get(name, "")
        factor, offset, new_unit = CONVERSIONS.get(unit, (1000.0, 0.0, f"milli{unit or ' units'}"))
        if type(values.get(name)) in (int, float):
            self.report_once(episode, now_s, device, f"{name}: {unit or 'no unit'} -> {new_unit}")
            return name, factor, offset
        return "", 1.0, 0.0  # nothing on this device can change its unit


class RenameMetric(ValueFault):
    NAME = "rename_metric"
    SUMMARY = "a metric arrives under another name, as after an update of the firmware"
    WINDOW = Window(10.0)

    def values(self, device: SimulatedDevice, values: dict[str, Value], now_s: float) -> dict[str, Value]:
        episode = self.episode(device, now_s)
        name = None if episode is None else self.metric(device, values)
        if episode is None or name is None:
            return values
        self.report_once(episode, now_s, device, f"{name} -> {name}_2")
        return {(f"{name}_2" if key == name else key): value for key, value in values.items()}


def _changed(values: dict[str, Value], name: str, value: float) -> dict[str, Value]:
    return {**values, name: round(value, DIGITS)}
