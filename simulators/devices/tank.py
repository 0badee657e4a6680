"""A tank that is filled through a valve and drained by consumers: level control, and protection against spilling."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import ClassVar

from simulators.chance import Chance
from simulators.devices.device import REBOOT, Command, CommandFailed, Device, Metric, Parameter, boolean, number, text
from simulators.physics import approach, wander
from simulators.site import DEFAULT_SITE, Site

CAPACITY_M3 = 2.5  # small, so that filling is something to watch: about three minutes
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
        "volume": number("Volume", "m³", 0, CAPACITY_M3, 3),  # a larger tank brings its own maximum
        "inflow": number("Inflow", "m³/h", 0, 100),
        "outflow": number("Outflow", "m³/h", 0, 100),
        "temperature": number("Temperature", "°C", 0, 60),
        "outlet": number("Outlet", "%", 0, 100, 0),
        "inlet_open": boolean("Inlet open"),
        "control": text("Control"),
        "state": text("State"),
    }
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "capacity_m3": Parameter("Capacity (m³)", 0.5, 100),
        "inflow_m3h": Parameter("Inflow with the inlet open (m³/h)", 5, 100),
        "outflow_m3h": Parameter("Outflow of a full tank, outlet open (m³/h)", 5, 100),
    }
    capacity_m3: ClassVar[float] = CAPACITY_M3
    inflow_m3h: ClassVar[float] = 70.0
    outflow_m3h: ClassVar[float] = 55.0
    COARSE_STEP_S: ClassVar[float] = 10.0  # filling takes three minutes, and the level switches the inlet
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

    def __init__(self, rng: Chance, interval_s: float = 1.0, site: Site = DEFAULT_SITE) -> None:
        super().__init__(rng, interval_s, site)
        self._volume = self.capacity_m3 * rng.uniform(0.4, 0.75)
        self._demand = 1.0
        self.control = "automatic"
        self.inlet_open = rng.random() < 0.5
        self.outlet = float(rng.randrange(40, 71, 5))
        self.inflow = self.inflow_m3h if self.inlet_open else 0.0
        self.outflow = 20.0
        self.temperature = rng.uniform(14.0, 22.0)
        self._read()

    @classmethod
    def metrics_at(cls, site: Site) -> dict[str, Metric]:
        return {**cls.METRICS, "volume": replace(cls.METRICS["volume"], max=cls.capacity_m3)}

    def _advance(self, now_s: float, dt: float) -> None:
        conditions = self.site.at(now_s)
        self._demand = max(0.0, wander(self._demand, 0.7 + 0.5 * conditions.activity, dt, 60.0, 0.12, self.rng))
        # Torricelli: the higher the water stands, the faster it leaves.
        wanted = self.outflow_m3h * self.outlet / 100.0 * self._demand * sqrt(max(0.0, self.level) / 100.0)
        self.outflow = approach(self.outflow, wanted, dt, 1.2)
        self.inflow = approach(self.inflow, self.inflow_m3h if self.inlet_open else 0.0, dt, 1.5)
        self._flow(dt)
        # What comes in is mains water; what stays takes the temperature of the hall.
        fresh = self.inflow * dt / 3600.0 / max(0.1, self._volume)
        hall = approach(self.temperature, 15.0 + 0.4 * conditions.temperature, dt, 1800.0)
        self.temperature = hall + (12.0 - hall) * min(1.0, fresh)
        self._read()
        self._protect()

    def _flow(self, dt: float) -> None:
        """What flows in and not out stays. An empty tank gives no more than comes in, a full one takes no more."""
        net = (self.inflow - self.outflow) * dt / 3600.0
        if self._volume + net < 0.0:
            self.outflow = self.inflow + self._volume * 3600.0 / dt
            self._volume = 0.0
        elif self._volume + net > self.capacity_m3:
            self.inflow = self.outflow + (self.capacity_m3 - self._volume) * 3600.0 / dt
            self._volume = self.capacity_m3
        else:
            self._volume += net

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
        self.level = 100.0 * self._volume / self.capacity_m3
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
