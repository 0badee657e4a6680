"""A tank that is filled through a valve and drained by consumers: level control, and protection against spilling."""

from __future__ import annotations

import math
from random import Random
from typing import ClassVar

from simulators.devices.device import REBOOT, Command, CommandFailed, Device, Metric, boolean, number, text
from simulators.physics import approach, clamp, daily, wander

CAPACITY_M3 = 2.5  # small, so that filling is something to watch: about three minutes
INFLOW_M3H = 70.0
OUTFLOW_M3H = 55.0  # full tank, outlet fully open
FILL_BELOW = 35.0
FULL_ABOVE = 80.0
OVERFILL = 95.0


class Tank(Device):
    __slots__ = (
        "_demand",
        "_volume",
        "control",
        "inflow",
        "inlet_open",
        "level",
        "outflow",
        "outlet",
        "state",
        "temperature",
        "volume",
    )

    KIND = "tank"
    LABEL = "Tank"
    AREAS = ("Tank farm", "Hall 3", "Yard")
    METRICS: ClassVar[dict[str, Metric]] = {
        "level": number("Level", "%", 0, 100),
        "volume": number("Volume", "m³", 0, CAPACITY_M3, 3),
        "inflow": number("Inflow", "m³/h", 0, 100),
        "outflow": number("Outflow", "m³/h", 0, 100),
        "temperature": number("Temperature", "°C", 0, 60),
        "outlet": number("Outlet", "%", 0, 100, 0),
        "inlet_open": boolean("Inlet open"),
        "control": text("Control"),
        "state": text("State"),
    }
    COMMANDS: ClassVar[dict[str, Command]] = {
        "set_inlet": Command(
            "Move the inlet valve",
            "Takes the tank out of automatic control.",
            {"open": {"type": "boolean", "title": "Open", "default": False}},
        ),
        "set_outlet": Command(
            "Set the outlet",
            properties={
                "percent": {"type": "number", "title": "Outlet (%)", "minimum": 0, "maximum": 100, "default": 50}
            },
        ),
        "set_control": Command(
            "Set the control",
            properties={
                "control": {
                    "type": "string",
                    "title": "Control",
                    "enum": ["automatic", "manual"],
                    "default": "automatic",
                }
            },
        ),
        "reboot": REBOOT,
    }

    def __init__(self, rng: Random, interval_s: float = 1.0) -> None:
        super().__init__(rng, interval_s)
        self._volume = CAPACITY_M3 * rng.uniform(0.4, 0.75)
        self._demand = 1.0
        self.control = "automatic"
        self.inlet_open = rng.random() < 0.5
        self.outlet = float(rng.randrange(40, 71, 5))
        self.inflow = INFLOW_M3H if self.inlet_open else 0.0
        self.outflow = 20.0
        self.temperature = rng.uniform(14.0, 22.0)
        self._read()

    def _advance(self, now_s: float, dt: float) -> None:
        self._demand = max(0.0, wander(self._demand, 1.0 + 0.15 * daily(now_s, 11.0), dt, 60.0, 0.12, self.rng))
        # Torricelli: the higher the water stands, the faster it leaves.
        wanted = OUTFLOW_M3H * self.outlet / 100.0 * self._demand * math.sqrt(max(0.0, self.level) / 100.0)
        self.outflow = approach(self.outflow, wanted, dt, 1.2)
        self.inflow = approach(self.inflow, INFLOW_M3H if self.inlet_open else 0.0, dt, 1.5)
        filled = self._volume + (self.inflow - self.outflow) * dt / 3600.0
        self._volume = clamp(filled, 0.0, CAPACITY_M3)
        # What comes in is mains water; what stays takes the temperature of the hall.
        fresh = self.inflow * dt / 3600.0 / max(0.1, self._volume)
        hall = approach(self.temperature, 21.0 + 2.0 * daily(now_s, 15.0), dt, 1800.0)
        self.temperature = hall + (12.0 - hall) * min(1.0, fresh)
        self._read()
        self._protect()

    def _protect(self) -> None:
        if self.level > OVERFILL and self.inlet_open:
            self.inlet_open = False
        elif self.control == "automatic":
            if self.level < FILL_BELOW:
                self.inlet_open = True
            elif self.level > FULL_ABOVE:
                self.inlet_open = False

    def _read(self) -> None:
        self.volume = self._volume
        self.level = 100.0 * self._volume / CAPACITY_M3
        self.state = "high" if self.level > 90.0 else "low" if self.level < 15.0 else "normal"

    def do_set_inlet(self, open: bool) -> bool:
        if open and self.level > OVERFILL - 5.0:
            raise CommandFailed(f"overfill protection: the tank is at {self.level:.0f} %")
        self.control = "manual"
        self.inlet_open = open
        return open

    def do_set_outlet(self, percent: float) -> float:
        self.outlet = float(percent)
        return self.outlet

    def do_set_control(self, control: str) -> str:
        self.control = control
        return control
