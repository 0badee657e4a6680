"""A battery-powered tracker on a yard vehicle: drives along streets from stop to stop, goes home to charge."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from simulators.chance import Chance
from simulators.devices.device import REBOOT, Command, CommandFailed, Device, Metric, boolean, number, text
from simulators.physics import approach, cosine, wander
from simulators.site import DEFAULT_SITE, Site

HALF_BOX_DEG = 0.018  # stops lie within about two kilometres of the depot, which is at the middle of the site
METRES_PER_DEG = 111_320.0
TOP_SPEED_KMH = 45.0
DRAIN_PER_S = 0.05  # percent while driving: a quarter of an hour of work between charges
CHARGE_PER_S = 0.4
GO_HOME_BELOW = 25.0


class Tracker(Device):
    __slots__ = (
        "_activity",
        "_homewards",
        "_legs",
        "_metres_per_deg_east",
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

    COARSE_STEP_S: ClassVar[float] = 60.0  # the way along the streets is exact for any step

    def __init__(self, rng: Chance, interval_s: float = 1.0, site: Site = DEFAULT_SITE) -> None:
        super().__init__(rng, interval_s, site)
        self.report_interval = interval_s
        self.latitude = site.latitude + rng.uniform(-HALF_BOX_DEG, HALF_BOX_DEG) * 0.7
        self.longitude = site.longitude + rng.uniform(-HALF_BOX_DEG, HALF_BOX_DEG)
        self._metres_per_deg_east = METRES_PER_DEG * max(0.05, cosine(site.latitude / 360.0))
        self.heading = 0.0
        self.speed = 0.0
        self.battery = rng.uniform(45.0, 100.0)
        self.signal = -75.0
        self.satellites = 11
        self.charging = self.immobilised = False
        self.state = "driving"
        self._wait_s = 0.0
        self._activity = 1.0
        self._legs: list[tuple[float, float]] = []  # what is left of the way: metres north, metres east
        self._homewards = False
        self._choose_goal()

    def _advance(self, now_s: float, dt: float) -> None:
        self._activity = self.site.at(now_s).activity
        self.signal = wander(self.signal, -78.0, dt, 40.0, 6.0, self.rng)
        self.satellites = min(24, max(4, round(11.0 + (self.signal + 78.0) / 4.0)))
        if self.charging:
            self.battery = min(100.0, self.battery + CHARGE_PER_S * dt)
            if self.battery >= 99.5:
                self.charging = False
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
        if not driving:
            self.speed = approach(self.speed, 0.0, dt, 1.5)
            return
        # Slow on the way into a corner or a stop.
        ahead = self._legs[0]
        target = min(TOP_SPEED_KMH, 6.0 + 0.35 * (abs(ahead[0]) + abs(ahead[1])))
        self.speed = approach(self.speed, target, dt, 5.0 if target > self.speed else 2.0)
        way = self.speed / 3.6 * dt
        while self._legs and way > 0.0:
            way = self._follow(way)
        if not self._legs:
            self.speed = max(0.0, self.speed - way * 3.6 / dt)
            self._arrive()

    def _follow(self, way: float) -> float:
        """Go `way` metres along the street; returns what is left of them at its end. Exact for steps of any length."""
        north, east = self._legs[0]
        distance = abs(north) + abs(east)
        share = 1.0 if way >= distance else way / distance
        self.latitude += north * share / METRES_PER_DEG
        self.longitude += east * share / self._metres_per_deg_east
        if distance > 0.0:
            self.heading = (0.0 if north > 0.0 else 180.0) if north != 0.0 else (90.0 if east > 0.0 else 270.0)
        if share < 1.0:
            self._legs[0] = (north - north * share, east - east * share)
            return 0.0
        self._legs.pop(0)
        return way - distance

    def _arrive(self) -> None:
        if self._homewards and self.battery < 60.0:
            self.charging = True
        else:
            # Less to do at night and on the weekend.
            self._wait_s = self.rng.uniform(8.0, 30.0) / self._activity
        self._choose_goal()

    def _choose_goal(self) -> None:
        """A stop, and the way there: along one street, around the corner, along another."""
        self._homewards = self.battery < GO_HOME_BELOW
        reach = 0.0 if self._homewards else METRES_PER_DEG * HALF_BOX_DEG
        north = self.rng.uniform(-reach, reach) * 0.7
        east = self.rng.uniform(-reach, reach) * 0.7
        north -= (self.latitude - self.site.latitude) * METRES_PER_DEG
        east -= (self.longitude - self.site.longitude) * self._metres_per_deg_east
        if self.rng.random() < 0.5:
            self._legs = [(north, 0.0), (0.0, east)]
        else:
            self._legs = [(0.0, east), (north, 0.0)]

    @classmethod
    def metrics_at(cls, site: Site) -> dict[str, Metric]:
        here: dict[str, Metric] = {}
        for key, middle, reach in (("latitude", site.latitude, 0.15), ("longitude", site.longitude, 0.2)):
            low, high = round(middle - reach, 1), round(middle + reach, 1)
            here[key] = replace(cls.METRICS[key], min=low, max=high)
        return {**cls.METRICS, **here}

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
