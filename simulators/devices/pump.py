"""A centrifugal pump with a discharge valve: stop it and vibration dies away; shut the valve and it overheats."""

from __future__ import annotations

from random import Random
from typing import ClassVar

from simulators.devices.device import REBOOT, Command, CommandFailed, Device, Metric, boolean, number, text
from simulators.physics import approach, happens, wander

RATED_RPM = 2900.0
RATED_FLOW = 42.0
SHUT_OFF_BAR = 6.5
TRIP_TEMPERATURE = 95.0
TRIP_VIBRATION = 11.0
TRIP_AFTER_S = 5.0
# Without somebody who looks after them, a demo that runs for a day would end with every pump in fault.
SERVICE_AFTER_S = 150.0


class Pump(Device):
    __slots__ = (
        "_fault_s",
        "_rough_s",
        "_shaking_s",
        "_wear",
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
    )

    KIND = "pump"
    LABEL = "Pump"
    AREAS = ("Hall 1", "Hall 2", "Hall 3", "Cooling loop")
    METRICS: ClassVar[dict[str, Metric]] = {
        "flow": number("Flow", "m³/h", 0, 60),
        "pressure": number("Pressure", "bar", 0, 10, 2),
        "vibration": number("Vibration", "mm/s", 0, 25, 2),
        "speed": number("Speed", "rpm", 0, 3200, 0),
        "speed_setpoint": number("Speed setpoint", "%", 0, 100, 0),
        "motor_temperature": number("Motor temperature", "°C", 0, 140),
        "power": number("Power", "kW", 0, 20, 2),
        "running": boolean("Running"),
        "valve_open": boolean("Valve open"),
        "state": text("State"),
        "fault": text("Fault"),
    }
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
        "reboot": REBOOT,
    }

    def __init__(self, rng: Random, interval_s: float = 1.0) -> None:
        super().__init__(rng, interval_s)
        self.speed_setpoint = float(rng.randrange(65, 96, 5))
        self.running = True
        self.valve_open = True
        self.state = "running"
        self.fault = "none"
        self.valve = 1.0  # how far the valve really is: it takes a second to move
        self._wear = rng.uniform(0.3, 1.6)
        self._fault_s = self._rough_s = self._shaking_s = 0.0
        self.speed = RATED_RPM * self.speed_setpoint / 100.0
        share = self.speed / RATED_RPM
        self.flow = RATED_FLOW * share
        self.pressure = SHUT_OFF_BAR * share * share * 0.7
        self.power = 8.0 * share**3
        self.vibration = 1.0 + self._wear
        self.motor_temperature = 24.0 + 4.5 * self.power

    def _advance(self, now_s: float, dt: float) -> None:
        rng = self.rng
        wanted_rpm = RATED_RPM * self.speed_setpoint / 100.0 if self.running else 0.0
        # Run up against the inertia of the rotor, slow down by the drag of the water.
        self.speed = approach(self.speed, wanted_rpm, dt, 2.0 if wanted_rpm > self.speed else 1.5)
        self.valve = approach(self.valve, 1.0 if self.valve_open else 0.0, dt, 1.0)
        share = self.speed / RATED_RPM
        # Affinity laws: flow goes with the speed, pressure with its square, power with its cube.
        through = share * self.valve
        ripple = 1.0 + (rng.gauss(0.0, 0.006) if share > 0.02 else 0.0)
        self.flow = approach(self.flow, RATED_FLOW * through * ripple, dt, 0.8)
        self.pressure = approach(self.pressure, SHUT_OFF_BAR * share**2 * (1.0 - 0.3 * self.valve) * ripple, dt, 0.5)
        self.power = approach(self.power, 8.0 * share**3 * (0.45 + 0.55 * self.valve) * ripple, dt, 0.5)
        # The water that flows through carries the heat away; churned against a closed valve it only gets hotter.
        heat = 24.0 + 4.5 * self.power + 130.0 * share**3 * (1.0 - self.valve) ** 2
        self.motor_temperature = approach(self.motor_temperature, heat, dt, 25.0)
        self._shake(share, dt)
        self._protect(dt)

    def _shake(self, share: float, dt: float) -> None:
        self._wear = max(0.1, wander(self._wear, 1.0, dt, 3600.0, 0.5, self.rng))
        self._rough_s = max(0.0, self._rough_s - dt)
        if self.running and happens(dt, 2400.0, self.rng):
            self._rough_s = self.rng.uniform(6.0, 16.0)  # a bearing that grumbles; the long ones end in a trip
        rough = 11.5 if self._rough_s > 0.0 else 0.0
        cavitation = 2.5 * (1.0 - self.valve)
        level = (1.0 + self._wear + cavitation + rough) * share**2
        self.vibration = approach(self.vibration, level * (1.0 + self.rng.gauss(0.0, 0.05)), dt, 0.8)

    def _protect(self, dt: float) -> None:
        self._shaking_s = self._shaking_s + dt if self.vibration > TRIP_VIBRATION else 0.0
        if self.fault != "none":
            self._fault_s += dt
            if self._fault_s >= SERVICE_AFTER_S:
                self.do_reset_fault()
                self.valve_open = True
                self.do_start()
        elif self.motor_temperature > TRIP_TEMPERATURE:
            self._trip("overheated")
        elif self._shaking_s >= TRIP_AFTER_S:
            self._trip("bearing vibration")

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
