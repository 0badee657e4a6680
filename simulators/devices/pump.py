"""A centrifugal pump with a discharge valve: stop it and vibration dies away; shut the valve and it overheats."""

from __future__ import annotations

from math import sqrt
from typing import ClassVar

from simulators.chance import Chance, bell
from simulators.devices.device import REBOOT, Command, CommandFailed, Device, Metric, Parameter, boolean, number, text
from simulators.physics import approach, happens, wander
from simulators.site import DEFAULT_SITE, Site

RATED_RPM = 2900.0
RATED_FLOW = 42.0
SHUT_OFF_BAR = 6.5
TRIP_TEMPERATURE = 95.0
TRIP_VIBRATION = 11.0
TRIP_AFTER_S = 5.0
WORN_OUT = 100.0
# Without somebody who looks after them, a demo that runs for a day would end with every pump in fault.
SERVICE_AFTER_S = 150.0


class Pump(Device):
    __slots__ = (
        "_fault_s",
        "_rough_s",
        "_shaking_s",
        "_unbalance",
        "fault",
        "flow",
        "motor_temperature",
        "power",
        "pressure",
        "running",
        "speed",
        "speed_setpoint",
        "state",
        "valve",
        "valve_open",
        "vibration",
        "vibration_high",
        "vibration_low",
        "wear",
    )

    KIND = "pump"
    LABEL = "Pump"
    AREAS = ("Hall 1", "Hall 2", "Hall 3", "Cooling loop")
    METRICS: ClassVar[dict[str, Metric]] = {
        "flow": number("Flow", "m³/h", 0, 60),
        "pressure": number("Pressure", "bar", 0, 10, 2),
        "vibration": number("Vibration", "mm/s", 0, 25, 2),
        "vibration_low": number("Vibration 10-200 Hz", "mm/s", 0, 25, 2),
        "vibration_high": number("Vibration 1-10 kHz", "mm/s", 0, 25, 2),
        "wear": number("Bearing wear", "%", 0, WORN_OUT, 2),
        "speed": number("Speed", "rpm", 0, 3200, 0),
        "speed_setpoint": number("Speed setpoint", "%", 0, 100, 0),
        "motor_temperature": number("Motor temperature", "°C", 0, 140),
        "power": number("Power", "kW", 0, 20, 2),
        "running": boolean("Running"),
        "valve_open": boolean("Valve open"),
        "state": text("State"),
        "fault": text("Fault"),
    }
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "rated_flow": Parameter("Flow at full speed (m³/h)", 1, 60),
        "bearing_life_h": Parameter("Life of a bearing at full speed (h)", 1, 100_000),
    }
    rated_flow: ClassVar[float] = RATED_FLOW
    bearing_life_h: ClassVar[float] = 700.0  # a month, so that months of history show some bearings wear out
    # A grumble may be shorter than a coarse step: how long it shook is counted, not guessed.
    COARSE_STEP_S: ClassVar[float] = 20.0
    COMMANDS: ClassVar[dict[str, Command]] = {
        "start": Command("Start"),
        "stop": Command("Stop", "Flow and vibration die away within seconds."),
        "set_speed": Command(
            "Set the speed",
            properties={
                "percent": {"type": "number", "title": "Speed (%)", "minimum": 20, "maximum": 100, "default": 80}
            },
        ),
        "set_valve": Command(
            "Move the discharge valve",
            "A pump that runs against a closed valve overheats and trips.",
            {"open": {"type": "boolean", "title": "Open", "default": True}},
        ),
        "reset_fault": Command("Reset the fault"),
        "replace_bearing": Command("Replace the bearing", "Only while the pump stands still."),
        "reboot": REBOOT,
    }

    def __init__(self, rng: Chance, interval_s: float = 1.0, site: Site = DEFAULT_SITE) -> None:
        super().__init__(rng, interval_s, site)
        self.speed_setpoint = float(rng.randrange(65, 96, 5))
        self.running = True
        self.valve_open = True
        self.state = "running"
        self.fault = "none"
        self.valve = 1.0  # how far the valve really is: it takes a second to move
        self.wear = rng.uniform(2.0, 75.0)
        self._unbalance = rng.uniform(0.6, 1.5)
        self._fault_s = self._rough_s = self._shaking_s = 0.0
        self.speed = RATED_RPM * self.speed_setpoint / 100.0
        share = self.speed / RATED_RPM
        self.flow = self.rated_flow * share
        self.pressure = SHUT_OFF_BAR * share * share * 0.7
        self.power = 8.0 * share * share * share
        self.vibration_low = self._unbalance * share * share
        self.vibration_high = 0.4 * share * share
        self.vibration = _together(self.vibration_low, self.vibration_high)
        self.motor_temperature = 24.0 + 4.5 * self.power

    def _advance(self, now_s: float, dt: float) -> None:
        rng = self.rng
        wanted_rpm = RATED_RPM * self.speed_setpoint / 100.0 if self.running else 0.0
        # Run up against the inertia of the rotor, slow down by the drag of the water.
        self.speed = approach(self.speed, wanted_rpm, dt, 2.0 if wanted_rpm > self.speed else 1.5)
        self.valve = approach(self.valve, 1.0 if self.valve_open else 0.0, dt, 1.0)
        share = self.speed / RATED_RPM
        # Affinity laws: flow goes with the speed, pressure with its square, power with its cube.
        through, squared, cubed = share * self.valve, share * share, share * share * share
        around = 20.0 + 0.25 * self.site.at(now_s).temperature
        ripple = 1.0 + (0.006 * bell(rng) if share > 0.02 else 0.0)
        self.flow = approach(self.flow, self.rated_flow * through * ripple, dt, 0.8)
        self.pressure = approach(self.pressure, SHUT_OFF_BAR * squared * (1.0 - 0.3 * self.valve) * ripple, dt, 0.5)
        self.power = approach(self.power, 8.0 * cubed * (0.45 + 0.55 * self.valve) * ripple, dt, 0.5)
        # The water that flows through carries the heat away; churned against a closed valve it only gets hotter.
        heat = around + 4.5 * self.power + 130.0 * cubed * (1.0 - self.valve) * (1.0 - self.valve)
        self.motor_temperature = approach(self.motor_temperature, heat, dt, 25.0)
        self._shake(share, dt)
        self._protect(dt)

    def _shake(self, share: float, dt: float) -> None:
        """Two bands, as an inspector measures them: unbalance at the speed of the shaft, the bearing far above it."""
        # Wear goes with the way the balls have rolled, and a worn bearing wears faster.
        self.wear = min(WORN_OUT, self.wear + WORN_OUT * share * (0.5 + self.wear / WORN_OUT) * dt / self._life_s())
        worn = self.wear / WORN_OUT
        self._unbalance = max(0.1, wander(self._unbalance, 1.0, dt, 3600.0, 0.3, self.rng))
        if self.running and self._rough_s <= 0.0 and happens(dt, 1200.0 / (0.1 + worn), self.rng):
            self._rough_s = self.rng.uniform(4.0, 9.0)  # a bearing that grumbles; the long ones end in a trip
        rough = 11.5 if self._rough_s > 0.0 else 0.0
        shaken_s = min(dt, self._rough_s)
        self._rough_s = max(0.0, self._rough_s - dt)
        cavitation = 2.5 * (1.0 - self.valve)
        low = (self._unbalance + cavitation) * share * share * (1.0 + 0.05 * bell(self.rng))
        high = (0.4 + 6.0 * worn * worn * worn + rough) * share * share * (1.0 + 0.05 * bell(self.rng))
        self.vibration_low = approach(self.vibration_low, low, dt, 0.8)
        self.vibration_high = approach(self.vibration_high, high, dt, 0.8)
        self.vibration = _together(self.vibration_low, self.vibration_high)
        self._shaking_s = self._shaking_s + shaken_s if self.vibration > TRIP_VIBRATION else 0.0

    def _life_s(self) -> float:
        return self.bearing_life_h * 3600.0

    def _protect(self, dt: float) -> None:
        if self.fault != "none":
            self._fault_s += dt
            if self._fault_s >= SERVICE_AFTER_S:
                if self.wear >= WORN_OUT:
                    self.wear = 0.0
                self.do_reset_fault()
                self.valve_open = True
                self.do_start()
        elif self.motor_temperature > TRIP_TEMPERATURE:
            self._trip("overheated")
        elif self._shaking_s >= TRIP_AFTER_S:
            self._trip("bearing vibration")
        elif self.wear >= WORN_OUT:
            self._trip("bearing worn out")

    def _trip(self, reason: str) -> None:
        self.fault = reason
        self.state = "fault"
        self.running = False
        self._fault_s = self._rough_s = self._shaking_s = 0.0

    def do_start(self) -> str:
        self._check_no_fault()
        self.running = True
        self.state = "running"
        return self.state

    def do_stop(self) -> str:
        self.running = False
        if self.fault == "none":
            self.state = "stopped"
        return self.state

    def do_set_speed(self, percent: float) -> float:
        self.speed_setpoint = float(percent)
        return self.speed_setpoint

    def do_set_valve(self, open: bool) -> bool:
        if open:
            self._check_no_fault()
        self.valve_open = open
        return open

    def do_replace_bearing(self) -> str:
        if self.running:
            raise CommandFailed("the pump is running; stop it first")
        self.wear = 0.0
        return "replaced"

    def do_reset_fault(self) -> str:
        if self.fault != "none":
            # Cool enough to start again: the crew has let it rest.
            self.motor_temperature = min(self.motor_temperature, 60.0)
            self.fault = "none"
            self.state = "stopped"
        return self.state

    def _check_no_fault(self) -> None:
        if self.fault != "none":
            raise CommandFailed(f"the pump is in fault ({self.fault}); reset the fault first")


def _together(low: float, high: float) -> float:
    """Independent vibrations add up like the sides of a right angle."""
    return sqrt(low * low + high * high)
