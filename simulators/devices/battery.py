"""A battery behind the meter: takes the sun's surplus, carries the evening, and loses a little each way.

Every kilowatt-hour is accounted for: what went in is what came out, what was lost, and what is still there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from simulators.chance import Chance
from simulators.devices.device import REBOOT, Command, CommandFailed, Device, Metric, Parameter, number, text
from simulators.physics import approach, clamp, wander
from simulators.site import DEFAULT_SITE, Site

EFFICIENCY = 0.96  # each way
CELLS_V = 400.0
MODES = ("automatic", "manual", "standby")


class Battery(Device):
    __slots__ = (
        "_stored",
        "_wanted",
        "charge",
        "current",
        "energy_in",
        "energy_out",
        "grid",
        "load",
        "losses",
        "mode",
        "power",
        "reserve",
        "solar",
        "state",
        "temperature",
        "voltage",
    )

    KIND = "battery"
    LABEL = "Battery"
    AREAS = ("Battery room", "Container 1", "Container 2")
    METRICS: ClassVar[dict[str, Metric]] = {
        "charge": number("State of charge", "%", 0, 100),
        "power": number("Power (charging is positive)", "kW", -20, 20, 2),
        "load": number("Load", "kW", 0, 30, 2),
        "solar": number("Solar power", "kW", 0, 30, 2),
        "grid": number("Grid (buying is positive)", "kW", -50, 50, 2),
        "energy_in": number("Energy charged", "kWh", 0, 10_000_000, 3),
        "energy_out": number("Energy discharged", "kWh", 0, 10_000_000, 3),
        "losses": number("Losses", "kWh", 0, 1_000_000, 3),
        "voltage": number("Voltage", "V", 300, 500),
        "current": number("Current", "A", -80, 80),
        "temperature": number("Cell temperature", "°C", -20, 70),
        "reserve": number("Reserve", "%", 0, 90, 0),
        "mode": text("Mode"),
        "state": text("State"),
    }
    COMMANDS: ClassVar[dict[str, Command]] = {
        "set_mode": Command(
            "Set the mode",
            "Automatic stores the sun's surplus and covers the load.",
            {"mode": {"type": "string", "title": "Mode", "enum": list(MODES), "default": "automatic"}},
        ),
        "set_power": Command(
            "Charge or discharge",
            "Takes the battery into manual mode; negative discharges.",
            {"kw": {"type": "number", "title": "Power (kW)", "minimum": -10, "maximum": 10, "default": 5}},
        ),
        "set_reserve": Command(
            "Set the reserve",
            "Automatic mode discharges no further than this.",
            {"percent": {"type": "number", "title": "Reserve (%)", "minimum": 0, "maximum": 90, "default": 10}},
        ),
        "reboot": REBOOT,
    }
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "capacity_kwh": Parameter("Capacity (kWh)", 1, 10_000),
        "power_kw": Parameter("Power (kW)", 0.5, 2_000),
        "solar_kw": Parameter("Solar panels it stores for (kW)", 0, 5_000),
        "load_kw": Parameter("Load on a working day (kW)", 0, 2_000),
    }
    capacity_kwh: ClassVar[float] = 30.0
    power_kw: ClassVar[float] = 10.0
    solar_kw: ClassVar[float] = 15.0
    load_kw: ClassVar[float] = 6.0

    COARSE_STEP_S: ClassVar[float] = 60.0  # within a minute no battery fills up

    def __init__(self, rng: Chance, interval_s: float = 1.0, site: Site = DEFAULT_SITE) -> None:
        super().__init__(rng, interval_s, site)
        self._stored = self.capacity_kwh * rng.uniform(0.3, 0.8)
        self._wanted = 0.0
        self.mode = "automatic"
        self.reserve = 10.0
        self.power = self.solar = self.grid = 0.0
        self.load = 0.5 * self.load_kw
        self.energy_in = self.energy_out = self.losses = 0.0
        self.temperature = 22.0
        self._read()

    @classmethod
    def metrics_at(cls, site: Site) -> dict[str, Metric]:
        """Another battery, or another load, brings other limits."""
        reach = {
            "power": 2.0 * cls.power_kw,
            "load": 1.5 * max(cls.load_kw, 0.1),
            "solar": max(cls.solar_kw, 0.1),
            "grid": cls.power_kw + 1.5 * cls.load_kw + cls.solar_kw,
            "current": 8.0 * cls.power_kw,
        }
        limits = {
            key: replace(metric, min=-reach[key] if (metric.min or 0.0) < 0.0 else 0.0, max=reach[key])
            for key, metric in cls.METRICS.items()
            if key in reach and cls is not Battery
        }
        return {**cls.METRICS, **limits}

    @classmethod
    def commands_at(cls, site: Site) -> dict[str, Command]:
        if cls.power_kw == Battery.power_kw:
            return cls.COMMANDS
        kw = {"type": "number", "title": "Power (kW)", "minimum": -cls.power_kw, "maximum": cls.power_kw}
        changed = replace(cls.COMMANDS["set_power"], properties={"kw": {**kw, "default": 0.5 * cls.power_kw}})
        return {**cls.COMMANDS, "set_power": changed}

    def _advance(self, now_s: float, dt: float) -> None:
        sky = self.site.at(now_s)
        self.solar = approach(self.solar, 0.92 * self.solar_kw * min(1.0, sky.irradiance / 1000.0), dt, 4.0)
        usual = self.load_kw * (0.2 + 0.8 * sky.activity)
        self.load = clamp(wander(self.load, usual, dt, 45.0, 0.12 * usual, self.rng), 0.0, 1.5 * self.load_kw)
        self.power = approach(self.power, self._target(), dt, 1.0)
        self._store(dt)
        self.grid = self.load + self.power - self.solar
        heat = 16.0 + 0.25 * sky.temperature + 1.2 * abs(self.power) * 10.0 / self.power_kw
        self.temperature = approach(self.temperature, heat, dt, 1200.0)
        self._read()

    def _target(self) -> float:
        if self.mode == "standby":
            return 0.0
        wanted = self._wanted if self.mode == "manual" else self.solar - self.load
        wanted = clamp(wanted, -self.power_kw, self.power_kw)
        least = self.reserve if self.mode == "automatic" else 0.0
        # Nearly full or empty, a battery takes and gives less and less.
        full = clamp((100.0 - self.charge) / 4.0, 0.0, 1.0)
        empty = clamp((self.charge - least) / 4.0, 0.0, 1.0)
        return clamp(wanted, -self.power_kw * empty, self.power_kw * full)

    def _store(self, dt: float) -> None:
        """Move the energy of this step. What would not fit, or is not there, does not flow."""
        hours = dt / 3600.0
        if self.power >= 0.0:
            room = (self.capacity_kwh - self._stored) / EFFICIENCY
            moved = min(self.power * hours, room)
            self.power = moved / hours
            self.energy_in += moved
            self._stored += moved * EFFICIENCY
            self.losses += moved * (1.0 - EFFICIENCY)
        else:
            moved = min(-self.power * hours, self._stored * EFFICIENCY)
            self.power = -moved / hours
            self.energy_out += moved
            self._stored -= moved / EFFICIENCY
            self.losses += moved * (1.0 / EFFICIENCY - 1.0)

    def _read(self) -> None:
        self.charge = 100.0 * self._stored / self.capacity_kwh
        self.voltage = CELLS_V * (0.92 + 0.14 * self.charge / 100.0) + 8.0 * self.power / self.power_kw
        self.current = 1000.0 * self.power / self.voltage
        busy = abs(self.power) > 0.05
        self.state = ("charging" if self.power > 0.0 else "discharging") if busy else "idle"

    def do_set_mode(self, mode: str) -> str:
        self.mode = mode
        self._wanted = 0.0
        return mode

    def do_set_power(self, kw: float) -> float:
        if kw > 0.0 and self.charge >= 100.0:
            raise CommandFailed("the battery is full")
        if kw < 0.0 and self.charge <= 0.0:
            raise CommandFailed("the battery is empty")
        self.mode = "manual"
        self._wanted = float(kw)
        return self._wanted

    def do_set_reserve(self, percent: float) -> float:
        self.reserve = float(percent)
        return self.reserve
