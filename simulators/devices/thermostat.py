"""A room with a modulating radiator valve: raise the setpoint and watch the temperature follow."""

from __future__ import annotations

from typing import ClassVar

from simulators.chance import Chance
from simulators.devices.device import REBOOT, Command, CommandFailed, Device, Metric, Parameter, boolean, number, text
from simulators.physics import approach, clamp, decay, wander
from simulators.site import DEFAULT_SITE, Site

# A small room with a strong radiator, so that a viewer sees the answer to a command while still looking. With the
# controller's gain the closed loop is three times as quick as the room: 20 seconds.
ROOM_TAU_S = 60.0
RADIATOR_K = 40.0  # how far above its surroundings the room ends up with the valve fully open
GAIN_PER_K = 0.05
ECO_SETBACK_K = 3.0
AT_20_DEGREES = 3.3201169  # exp(0.06 * 20)
MODES = ("heat", "eco", "off")


class Thermostat(Device):
    __slots__ = (
        "_ambient",
        "_draught",
        "_moisture",
        "_room",
        "heating",
        "humidity",
        "locked",
        "mode",
        "setpoint",
        "temperature",
        "valve",
    )

    KIND = "thermostat"
    LABEL = "Thermostat"
    AREAS = ("Office 1", "Office 2", "Hall 1", "Hall 2", "Canteen", "Lab")
    METRICS: ClassVar[dict[str, Metric]] = {
        "temperature": number("Temperature", "°C", 0, 40),
        "setpoint": number("Setpoint", "°C", 5, 30),
        "humidity": number("Humidity", "%", 0, 100),
        "valve": number("Valve", "%", 0, 100, 0),
        "heating": boolean("Heating"),
        "mode": text("Mode"),
        "locked": boolean("Keypad lock"),
    }
    PARAMETERS: ClassVar[dict[str, Parameter]] = {"room_tau_s": Parameter("Time constant of the room (s)", 20, 36_000)}
    room_tau_s: ClassVar[float] = ROOM_TAU_S
    COARSE_STEP_S: ClassVar[float] = 15.0  # the closed loop takes 20 seconds
    COMMANDS: ClassVar[dict[str, Command]] = {
        "set_setpoint": Command(
            "Set the setpoint",
            "The room follows within about half a minute.",
            {"value": {"type": "number", "title": "Setpoint (°C)", "minimum": 5, "maximum": 30, "default": 21}},
        ),
        "set_mode": Command(
            "Set the mode",
            f"Eco heats to {ECO_SETBACK_K:g} K below the setpoint.",
            {"mode": {"type": "string", "title": "Mode", "enum": list(MODES), "default": "heat"}},
        ),
        "set_lock": Command(
            "Lock the keypad",
            "A locked thermostat refuses changes.",
            {"locked": {"type": "boolean", "title": "Locked", "default": False}},
        ),
        "reboot": REBOOT,
    }

    def __init__(self, rng: Chance, interval_s: float = 1.0, site: Site = DEFAULT_SITE) -> None:
        super().__init__(rng, interval_s, site)
        self.setpoint = 19.0 + 0.5 * rng.randrange(7)
        self.mode = "heat"
        self.locked = False
        self._ambient = rng.uniform(11.0, 15.0)
        self._draught = 0.0
        self._moisture = rng.uniform(38.0, 52.0)
        self._room = self.setpoint + rng.uniform(-0.3, 0.3)
        self.valve = 100.0 * (self.setpoint - self._ambient) / RADIATOR_K
        self.heating = True
        self._read()

    def _advance(self, now_s: float, dt: float) -> None:
        outdoors = self.site.at(now_s)
        # What the room would come to without the radiator: walls keep most of the weather out, the sun comes in.
        unheated = clamp(12.5 + 0.12 * (outdoors.temperature - 12.0) + outdoors.irradiance / 2000.0, 8.0, 16.0)
        self._ambient = wander(self._ambient, unheated, dt, 300.0, 0.3, self.rng)
        self._draught = wander(self._draught, 0.0, dt, 15.0, 0.08, self.rng)
        self._moisture = wander(self._moisture, 45.0, dt, 600.0, 3.0, self.rng)
        self.valve = approach(self.valve, 100.0 * self._demand(), dt, 2.0)
        self._room = approach(self._room, self._ambient + RADIATOR_K * self.valve / 100.0, dt, self.room_tau_s)
        self._read()

    def _demand(self) -> float:
        """The controller: what holds the wanted temperature, and more the further away it is."""
        if self.mode == "off":
            return 0.0
        wanted = self.setpoint - (ECO_SETBACK_K if self.mode == "eco" else 0.0)
        return clamp((wanted - self._ambient) / RADIATOR_K + (wanted - self._room) * GAIN_PER_K, 0.0, 1.0)

    def _read(self) -> None:
        self.temperature = self._room + self._draught
        # The same water in warmer air is a lower relative humidity: about 6 % less for each kelvin.
        self.humidity = self._moisture * decay(0.06 * self._room) * AT_20_DEGREES
        self.heating = self.valve > 5.0

    def do_set_setpoint(self, value: float) -> float:
        self._check_unlocked()
        self.setpoint = float(value)
        return self.setpoint

    def do_set_mode(self, mode: str) -> str:
        self._check_unlocked()
        self.mode = mode
        return mode

    def do_set_lock(self, locked: bool) -> bool:
        self.locked = locked
        return locked

    def _check_unlocked(self) -> None:
        if self.locked:
            raise CommandFailed("the keypad is locked; unlock it first")
