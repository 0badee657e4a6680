"""A meter with a relay and an overload trip: machines switch on and off behind it."""

from __future__ import annotations

from typing import ClassVar

from simulators.chance import Chance
from simulators.devices.device import REBOOT, Command, CommandFailed, Device, Metric, Parameter, boolean, number, text
from simulators.physics import approach, clamp, happens, wander
from simulators.site import DEFAULT_SITE, Site

# A breaker rides through inrush currents; only a lasting overload opens it.
TRIP_AFTER_S = 3.0
LINE_OHM = 0.15


class PowerMeter(Device):
    __slots__ = (
        "_base_kw",
        "_grid_v",
        "_machine_kw",
        "_machine_on",
        "_overload_s",
        "current",
        "energy",
        "frequency",
        "limit",
        "power",
        "power_factor",
        "relay",
        "state",
        "voltage",
    )

    KIND = "power-meter"
    LABEL = "Power meter"
    AREAS = ("Hall 1", "Hall 2", "Hall 3", "Workshop", "Server room")
    METRICS: ClassVar[dict[str, Metric]] = {
        "power": number("Power", "kW", 0, 15, 2),
        "current": number("Current", "A", 0, 100, 2),
        "voltage": number("Voltage", "V", 200, 250),
        "frequency": number("Frequency", "Hz", 49, 51, 2),
        "power_factor": number("Power factor", "", 0, 1, 2),
        "energy": number("Energy", "kWh", 0, 1_000_000, 3),
        "limit": number("Overload limit", "kW", 1, 15),
        "relay": boolean("Relay closed"),
        "state": text("State"),
    }
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "base_kw": Parameter("Load without machines (kW)", 0.3, 5),
        "machine_kw": Parameter("Load of the machine (kW)", 0.1, 8),
    }
    base_kw: ClassVar[float] = 2.0
    machine_kw: ClassVar[float] = 3.2
    COMMANDS: ClassVar[dict[str, Command]] = {
        "set_relay": Command(
            "Switch the relay",
            "Open cuts the machines off.",
            {"closed": {"type": "boolean", "title": "Closed", "default": True}},
        ),
        "set_limit": Command(
            "Set the overload limit",
            f"More than this for {TRIP_AFTER_S:g} seconds trips the relay.",
            {"limit": {"type": "number", "title": "Limit (kW)", "minimum": 1, "maximum": 15, "default": 12}},
        ),
        "reset_trip": Command("Reset the trip", "Makes a tripped relay ready to be closed again."),
        "reboot": REBOOT,
    }

    def __init__(self, rng: Chance, interval_s: float = 1.0, site: Site = DEFAULT_SITE) -> None:
        super().__init__(rng, interval_s, site)
        self._base_kw = rng.uniform(0.5, 1.5) * self.base_kw
        self._machine_kw = rng.uniform(0.5, 1.5) * self.machine_kw
        self._machine_on = rng.random() < 0.5
        self._grid_v = 231.0
        self._overload_s = 0.0
        self.limit = 12.0
        self.relay = True
        self.state = "closed"
        self.energy = round(rng.uniform(800.0, 9000.0), 3)
        self.frequency = 50.0
        self.power_factor = 0.95
        self.power = self._base_kw
        self._read()

    def _advance(self, now_s: float, dt: float) -> None:
        rng = self.rng
        activity = self.site.at(now_s).activity
        # Machines run half of a working day's time and now and then at night.
        if happens(dt, 25.0 if self._machine_on else 25.0 / (0.15 + 0.85 * activity), rng):
            self._machine_on = not self._machine_on
        self._base_kw = wander(self._base_kw, self.base_kw * (0.6 + 0.7 * activity), dt, 60.0, 0.25, rng)
        self._grid_v = wander(self._grid_v, 232.0 - 2.5 * activity, dt, 30.0, 1.0, rng)
        self.frequency = wander(self.frequency, 50.0, dt, 20.0, 0.02, rng)
        wanted = max(0.2, self._base_kw) + (self._machine_kw if self._machine_on else 0.0)
        self.power = approach(self.power, wanted if self.relay else 0.0, dt, 0.6)
        self.energy += self.power * dt / 3600.0
        self._protect(dt)
        self._read()

    def _protect(self, dt: float) -> None:
        self._overload_s = self._overload_s + dt if self.relay and self.power > self.limit else 0.0
        if self._overload_s >= TRIP_AFTER_S:
            self.relay = False
            self.state = "tripped"
            self._overload_s = 0.0

    def _read(self) -> None:
        # A motor that runs is inductive; what remains without it is electronics with a good power factor.
        share = self._machine_kw / (self._machine_kw + self._base_kw) if self._machine_on and self.relay else 0.0
        self.power_factor = clamp(0.98 - 0.16 * share, 0.0, 1.0)
        self.current = 1000.0 * self.power / (self._grid_v * self.power_factor)
        self.voltage = self._grid_v - LINE_OHM * self.current

    def do_set_relay(self, closed: bool) -> bool:
        if closed and self.state == "tripped":
            raise CommandFailed("tripped by an overload; reset the trip first")
        self.relay = closed
        if self.state != "tripped":
            self.state = "closed" if closed else "open"
        return closed

    def do_set_limit(self, limit: float) -> float:
        self.limit = float(limit)
        return self.limit

    def do_reset_trip(self) -> str:
        if self.state == "tripped":
            self.state = "open"
        return self.state
