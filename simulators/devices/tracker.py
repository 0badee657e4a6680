"""A battery-powered tracker on a yard vehicle: drives between stops, goes home to charge."""

from __future__ import annotations

import math
from random import Random
from typing import ClassVar

from simulators.devices.device import REBOOT, Command, CommandFailed, Device, Metric, boolean, number, text
from simulators.physics import approach, wander

DEPOT = (53.5405, 9.9820)
HALF_BOX_DEG = 0.018  # stops lie within about two kilometres of the depot
METRES_PER_DEG = 111_320.0
TOP_SPEED_KMH = 45.0
DRAIN_PER_S = 0.05  # percent while driving: a quarter of an hour of work between charges
CHARGE_PER_S = 0.4
GO_HOME_BELOW = 25.0


class Tracker(Device):
    __slots__ = (
        "_goal",
        "_wait_s",
        "battery",
        "charging",
        "heading",
        "immobilised",
        "latitude",
        "longitude",
        "report_interval",
        "satellites",
        "signal",
        "speed",
        "state",
    )

    KIND = "tracker"
    LABEL = "Tracker"
    AREAS = ("Yard", "Depot", "Gate South")
    METRICS: ClassVar[dict[str, Metric]] = {
        "latitude": number("Latitude", "°", 53.4, 53.7, 6),
        "longitude": number("Longitude", "°", 9.8, 10.2, 6),
        "speed": number("Speed", "km/h", 0, 90),
        "heading": number("Heading", "°", 0, 360, 0),
        "battery": number("Battery", "%", 0, 100),
        "signal": number("Signal", "dBm", -120, -40, 0),
        "satellites": number("Satellites", "", 0, 24, 0),
        "report_interval": number("Report interval", "s", 0.01, 3600, 2),
        "charging": boolean("Charging"),
        "immobilised": boolean("Immobilised"),
        "state": text("State"),
    }
    COMMANDS: ClassVar[dict[str, Command]] = {
        "set_report_interval": Command(
            "Set the report interval",
            "Seconds between two positions.",
            {"seconds": {"type": "number", "title": "Interval (s)", "minimum": 1, "maximum": 300, "default": 2}},
        ),
        "locate": Command("Locate now", "Answers with the position."),
        "set_immobiliser": Command(
            "Immobilise the vehicle",
            "Only while it stands still.",
            {"on": {"type": "boolean", "title": "Immobilised", "default": False}},
        ),
        "reboot": REBOOT,
    }

    def __init__(self, rng: Random, interval_s: float = 1.0) -> None:
        super().__init__(rng, interval_s)
        self.report_interval = interval_s
        self.latitude = DEPOT[0] + rng.uniform(-HALF_BOX_DEG, HALF_BOX_DEG) * 0.7
        self.longitude = DEPOT[1] + rng.uniform(-HALF_BOX_DEG, HALF_BOX_DEG)
        self.heading = rng.uniform(0.0, 360.0)
        self.speed = 0.0
        self.battery = rng.uniform(45.0, 100.0)
        self.signal = -75.0
        self.satellites = 11
        self.charging = self.immobilised = False
        self.state = "driving"
        self._wait_s = 0.0
        self._goal = DEPOT
        self._choose_goal()

    def _advance(self, now_s: float, dt: float) -> None:
        self.signal = wander(self.signal, -78.0, dt, 40.0, 6.0, self.rng)
        self.satellites = min(24, max(4, round(11.0 + (self.signal + 78.0) / 4.0)))
        if self.charging:
            self.battery = min(100.0, self.battery + CHARGE_PER_S * dt)
            if self.battery >= 99.5:
                self.charging = False
                self._choose_goal()
        self._wait_s = max(0.0, self._wait_s - dt)
        driving = self._wait_s <= 0.0 and not self.charging and not self.immobilised and self.battery > 1.0
        self._drive(driving, dt)
        # Even a parked tracker reports, which costs a little.
        self.battery = max(0.0, self.battery - (DRAIN_PER_S * self.speed / TOP_SPEED_KMH + 0.002) * dt)
        if self.battery <= 1.0:
            self.charging = True  # somebody brings it a power bank: an empty tracker would stay silent for ever
        self.state = self._state(driving)

    def _state(self, driving: bool) -> str:
        if self.charging:
            return "charging"
        if self.immobilised:
            return "immobilised"
        return "driving" if driving else "loading"

    def _drive(self, driving: bool, dt: float) -> None:
        north = (self._goal[0] - self.latitude) * METRES_PER_DEG
        east = (self._goal[1] - self.longitude) * METRES_PER_DEG * math.cos(math.radians(self.latitude))
        distance = math.hypot(north, east)
        if driving:
            wanted = math.degrees(math.atan2(east, north))
            turn = (wanted - self.heading + 180.0) % 360.0 - 180.0
            self.heading = (self.heading + turn * (1.0 - math.exp(-dt / 1.5))) % 360.0
            # Slow in bends and on the way in.
            target = min(TOP_SPEED_KMH, 4.0 + distance * 0.5) * max(0.15, math.cos(math.radians(min(abs(turn), 85.0))))
            self.speed = approach(self.speed, target, dt, 5.0)
        else:
            self.speed = approach(self.speed, 0.0, dt, 1.5)
        way = self.speed / 3.6 * dt
        angle = math.radians(self.heading)
        self.latitude += way * math.cos(angle) / METRES_PER_DEG
        self.longitude += way * math.sin(angle) / (METRES_PER_DEG * math.cos(math.radians(self.latitude)))
        if driving and distance < 12.0:
            self._arrive()

    def _arrive(self) -> None:
        if self._goal == DEPOT and self.battery < 60.0:
            self.charging = True
        else:
            self._wait_s = self.rng.uniform(8.0, 30.0)
            self._choose_goal()

    def _choose_goal(self) -> None:
        if self.battery < GO_HOME_BELOW:
            self._goal = DEPOT
            return
        north = self.rng.uniform(-HALF_BOX_DEG, HALF_BOX_DEG) * 0.7
        self._goal = (DEPOT[0] + north, DEPOT[1] + self.rng.uniform(-HALF_BOX_DEG, HALF_BOX_DEG))

    def do_set_report_interval(self, seconds: float) -> float:
        self.report_interval = self.interval_s = float(seconds)
        return self.interval_s

    def do_locate(self) -> dict[str, float]:
        return {"latitude": round(self.latitude, 6), "longitude": round(self.longitude, 6)}

    def do_set_immobiliser(self, on: bool) -> bool:
        if on and self.speed > 3.0:
            raise CommandFailed(f"the vehicle is moving at {self.speed:.0f} km/h; wait until it stands")
        self.immobilised = on
        return on
