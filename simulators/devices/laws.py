"""How the values of a kind that is made from data alone move. One law is one class; a fleet file calls it by name."""

from __future__ import annotations

from typing import ClassVar

from simulators.chance import Chance, bell
from simulators.devices.device import Value
from simulators.physics import DAY_S, approach, cosine, happens, wander
from simulators.site import Conditions

# What of the site a law may follow.
FOLLOWED = ("activity", "temperature", "irradiance", "wind", "cloud", "rain", "pressure")


class Law:
    """Immutable and shared by all devices of the kind; what changes is `value` and `goal`, which the device keeps."""

    __slots__ = ("follows", "gain", "goal", "high", "low", "start")
    NAME: ClassVar[str]

    def __init__(self, low: float, high: float, start: float, goal: float) -> None:
        self.low = low
        self.high = high
        self.start = start
        self.goal = goal
        self.follows: str | None = None
        self.gain = 0.0  # how much one unit of what is followed adds to the goal

    def step(self, value: float, goal: float, sky: Conditions, now_s: float, dt: float, rng: Chance) -> float:
        raise NotImplementedError

    def shown(self, value: float, rng: Chance) -> Value:
        """What the device reports, before it is rounded and kept within its limits."""
        return value

    def aim(self, goal: float, sky: Conditions) -> float:
        return goal if self.follows is None else goal + self.gain * float(getattr(sky, self.follows))


class FirstOrder(Law):
    """Follows its goal as a room follows its radiator."""

    __slots__ = ("noise", "tau_s")
    NAME = "first_order"
    tau_s: float
    noise: float

    def step(self, value: float, goal: float, sky: Conditions, now_s: float, dt: float, rng: Chance) -> float:
        return approach(value, self.aim(goal, sky), dt, self.tau_s)

    def shown(self, value: float, rng: Chance) -> Value:
        return value + self.noise * bell(rng) if self.noise else value


class RandomWalk(Law):
    """Wanders about its goal."""

    __slots__ = ("spread", "tau_s")
    NAME = "random_walk"
    tau_s: float
    spread: float

    def step(self, value: float, goal: float, sky: Conditions, now_s: float, dt: float, rng: Chance) -> float:
        return wander(value, self.aim(goal, sky), dt, self.tau_s, self.spread, rng)


class Cycle(FirstOrder):
    """A wave about its goal. With a period of a day or a week it keeps local time."""

    __slots__ = ("amplitude", "peak_s", "period_s")
    NAME = "cycle"
    amplitude: float
    period_s: float
    peak_s: float

    def step(self, value: float, goal: float, sky: Conditions, now_s: float, dt: float, rng: Chance) -> float:
        # `sky` knows the local hour; whole days more or less are the same place in the wave of a day.
        local_s = now_s if self.period_s < DAY_S else sky.weekday * DAY_S + sky.hour * 3600.0
        return self.aim(goal, sky) + self.amplitude * cosine((local_s - self.peak_s) / self.period_s)


class Counter(Law):
    """Counts up at its goal, which is a rate per hour, and starts again at its lower limit."""

    __slots__ = ()
    NAME = "counter"

    def step(self, value: float, goal: float, sky: Conditions, now_s: float, dt: float, rng: Chance) -> float:
        value += max(0.0, self.aim(goal, sky)) * dt / 3600.0 * (0.5 + rng.random())
        return value if value <= self.high else self.low


class State(Law):
    """One of several states at a time; `value` is its number. It lasts `mean_s` seconds on average."""

    __slots__ = ("mean_s", "states")
    NAME = "state"
    mean_s: float
    states: tuple[str, ...] | tuple[bool, ...]

    def step(self, value: float, goal: float, sky: Conditions, now_s: float, dt: float, rng: Chance) -> float:
        if happens(dt, self.mean_s, rng):
            # Any but the present one.
            return float((int(value) + 1 + rng.randrange(len(self.states) - 1)) % len(self.states))
        return value

    def shown(self, value: float, rng: Chance) -> Value:
        return self.states[int(value)]


LAWS: dict[str, type[Law]] = {law.NAME: law for law in (FirstOrder, RandomWalk, Cycle, Counter, State)}
