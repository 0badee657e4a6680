"""A cold room with a compressor, a door that people leave open, and a defrost cycle."""

from __future__ import annotations

from typing import ClassVar

from simulators.chance import Chance, bell
from simulators.devices.device import REBOOT, Command, CommandFailed, Device, Metric, Parameter, boolean, number, text
from simulators.physics import approach, clamp, happens, wander
from simulators.site import DEFAULT_SITE, Site

HYSTERESIS_K = 0.8
WALLS_TAU_S = 500.0  # how slowly the closed room warms
DOOR_TAU_S = 200.0  # and with the door open
COOLING_K = 50.0  # how far below its surroundings the running compressor would take the room in the end ...
COOLING_TAU_S = 280.0  # ... and how fast: 3 K a minute at -18 °C


class ColdStorage(Device):
    __slots__ = (
        "_defrost_s",
        "_door_s",
        "compressor",
        "door_open",
        "evaporator",
        "humidity",
        "power",
        "setpoint",
        "state",
        "temperature",
    )

    KIND = "cold-storage"
    LABEL = "Cold room"
    AREAS = ("Cold store 1", "Cold store 2", "Dispatch")
    METRICS: ClassVar[dict[str, Metric]] = {
        "temperature": number("Temperature", "°C", -40, 30),
        "setpoint": number("Setpoint", "°C", -25, 8),
        "evaporator": number("Evaporator", "°C", -50, 40),
        "humidity": number("Humidity", "%", 0, 100),
        "power": number("Power", "kW", 0, 5, 2),
        "compressor": boolean("Compressor"),
        "door_open": boolean("Door open"),
        "state": text("State"),
    }
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "start_setpoint": Parameter("Setpoint at the start; 9 for a mixture", -25, 9),
        "door_every_s": Parameter("Seconds between door openings when everybody is at work", 20, 86_400),
    }
    start_setpoint: ClassVar[float] = 9.0
    door_every_s: ClassVar[float] = 150.0
    COARSE_STEP_S: ClassVar[float] = 10.0  # the compressor makes 3 K a minute, and the door stands open for seconds
    COMMANDS: ClassVar[dict[str, Command]] = {
        "set_setpoint": Command(
            "Set the setpoint",
            properties={
                "value": {"type": "number", "title": "Setpoint (°C)", "minimum": -25, "maximum": 8, "default": -18}
            },
        ),
        "defrost": Command(
            "Defrost",
            "Stops the compressor and heats the evaporator.",
            {"minutes": {"type": "number", "title": "Duration (min)", "minimum": 0.5, "maximum": 10, "default": 1}},
        ),
        "reboot": REBOOT,
    }

    def __init__(self, rng: Chance, interval_s: float = 1.0, site: Site = DEFAULT_SITE) -> None:
        super().__init__(rng, interval_s, site)
        self.setpoint = self.start_setpoint
        if self.setpoint > 8.0:
            self.setpoint = float(rng.choice((-20, -18, -18, 2, 4)))
        self.temperature = self.setpoint + rng.uniform(-HYSTERESIS_K, HYSTERESIS_K)
        self.compressor = rng.random() < 0.5
        self.evaporator = self.temperature - (8.0 if self.compressor else 1.0)
        self.power = 1.9 if self.compressor else 0.1
        self.humidity = 72.0
        self.door_open = False
        self.state = "cooling" if self.compressor else "idle"
        self._door_s = self._defrost_s = 0.0

    def _advance(self, now_s: float, dt: float) -> None:
        rng = self.rng
        conditions = self.site.at(now_s)
        # The hall around the room is sheltered: it follows the weather half way.
        outside = 12.0 + 0.5 * conditions.temperature
        self._move_door(conditions.activity, dt)
        self._defrost_s = max(0.0, self._defrost_s - dt)
        self._control()
        self.temperature = approach(self.temperature, outside, dt, DOOR_TAU_S if self.door_open else WALLS_TAU_S)
        if self.compressor:
            self.temperature = approach(self.temperature, outside - COOLING_K, dt, COOLING_TAU_S)
        self.evaporator = approach(self.evaporator, self._evaporator_target(), dt, 8.0)
        running = 1.6 + 0.015 * (outside - self.temperature) if self.compressor else 0.1
        heater = 1.2 if self._defrost_s > 0.0 else 0.0
        self.power = approach(self.power, (running + heater) * (1.0 + 0.01 * bell(rng)), dt, 0.8)
        # Moist air comes in with every opening and freezes out on the evaporator.
        moist = 88.0 if self.door_open else 62.0 if self.compressor else 74.0
        self.humidity = wander(self.humidity, moist, dt, 25.0, 0.8, rng)
        self.state = self._state()

    def _evaporator_target(self) -> float:
        if self._defrost_s > 0.0:
            return 12.0
        return self.temperature - (8.0 if self.compressor else 0.5)

    def _move_door(self, activity: float, dt: float) -> None:
        if self.door_open:
            self._door_s -= dt
            self.door_open = self._door_s > 0.0
        # Busy at noon, quiet at night, never dead.
        elif happens(dt, self.door_every_s / (0.25 + activity), self.rng):
            self.door_open = True
            self._door_s = self.rng.uniform(6.0, 25.0)
            # Heating ice with the door open would fill the room with fog.
            self._defrost_s = 0.0

    def _control(self) -> None:
        if self._defrost_s > 0.0:
            self.compressor = False
        elif self.temperature > self.setpoint + HYSTERESIS_K:
            self.compressor = True
        elif self.temperature < self.setpoint - HYSTERESIS_K:
            self.compressor = False

    def _state(self) -> str:
        if self.door_open:
            return "door open"
        if self._defrost_s > 0.0:
            return "defrosting"
        return "cooling" if self.compressor else "idle"

    def do_set_setpoint(self, value: float) -> float:
        self.setpoint = float(value)
        return self.setpoint

    def do_defrost(self, minutes: float) -> str:
        if self.door_open:
            raise CommandFailed("the door is open; close it before defrosting")
        self._defrost_s = 60.0 * clamp(minutes, 0.5, 10.0)
        self.compressor = False
        self.state = self._state()
        return self.state
