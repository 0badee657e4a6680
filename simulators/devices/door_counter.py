"""A door that counts who comes and goes: busy in the morning and at noon, quiet at night, and it can be locked."""

from __future__ import annotations

from typing import ClassVar

from simulators.chance import Chance
from simulators.devices.device import REBOOT, Command, CommandFailed, Device, Metric, Parameter, boolean, number, text
from simulators.physics import approach, count_of, decay
from simulators.site import DEFAULT_SITE, Site

FILLING_S = 1200.0  # how slowly the building follows the hour
OPEN_S = 4.0  # a door closer's time


class DoorCounter(Device):
    __slots__ = ("_open_s", "entries", "exits", "inside", "locked", "open", "passages", "state", "traffic")

    KIND = "door-counter"
    LABEL = "Door"
    AREAS = ("Main entrance", "Loading dock", "Gate South", "Canteen", "Staff entrance")
    METRICS: ClassVar[dict[str, Metric]] = {
        "inside": number("People inside", "", 0, 500, 0),
        "entries": number("Entries", "", 0, 1_000_000_000, 0),
        "exits": number("Exits", "", 0, 1_000_000_000, 0),
        "passages": number("Passages since the last reset", "", 0, 1_000_000_000, 0),
        "traffic": number("Traffic", "1/min", 0, 200),
        "open": boolean("Open"),
        "locked": boolean("Locked"),
        "state": text("State"),
    }
    COMMANDS: ClassVar[dict[str, Command]] = {
        "set_locked": Command(
            "Lock the door",
            "Nobody comes in; whoever is inside can still leave.",
            {"locked": {"type": "boolean", "title": "Locked", "default": False}},
        ),
        "reset_passages": Command("Reset the counter of passages", "Entries and exits count on."),
        "reboot": REBOOT,
    }
    PARAMETERS: ClassVar[dict[str, Parameter]] = {
        "people": Parameter("People inside on a working day", 1, 400),
        "passages_per_min": Parameter("Passages a minute when everybody is at work", 0.1, 100),
    }
    people: ClassVar[float] = 60.0
    passages_per_min: ClassVar[float] = 6.0

    COARSE_STEP_S: ClassVar[float] = 60.0  # counting is exact for any step

    def __init__(self, rng: Chance, interval_s: float = 1.0, site: Site = DEFAULT_SITE) -> None:
        super().__init__(rng, interval_s, site)
        self.inside = int(self.people * rng.uniform(0.2, 0.5))
        self.entries = self.inside + rng.randrange(1_000, 90_000)
        self.exits = self.entries - self.inside
        self.passages = 0
        self.traffic = 0.0
        self.open = self.locked = False
        self._open_s = 0.0
        self.state = "closed"

    def _advance(self, now_s: float, dt: float) -> None:
        activity = self.site.at(now_s).activity
        # Towards as many as the hour suggests, and besides a coming and going in equal parts.
        drift = (self.people * activity - self.inside) * (1.0 - decay(dt / FILLING_S))
        both_ways = self.passages_per_min * activity * dt / 120.0
        coming = 0 if self.locked else count_of(both_ways + max(0.0, drift), self.rng)
        leaving = min(self.inside, count_of(both_ways + max(0.0, -drift), self.rng))
        coming = min(coming, 500 - self.inside + leaving)
        self.entries += coming
        self.exits += leaving
        self.passages += coming + leaving
        self.inside = self.entries - self.exits
        self.traffic = approach(self.traffic, (coming + leaving) * 60.0 / dt, dt, 60.0)
        self._open_s = OPEN_S if coming + leaving else max(0.0, self._open_s - dt)
        self.open = self._open_s > 0.0
        self._name_state()

    def _name_state(self) -> None:
        self.state = "open" if self.open else "locked" if self.locked else "closed"

    def do_set_locked(self, locked: bool) -> bool:
        if locked and self.open:
            raise CommandFailed("somebody is in the door; try again in a moment")
        self.locked = locked
        self._name_state()
        return locked

    def do_reset_passages(self) -> int:
        counted, self.passages = self.passages, 0
        return counted
