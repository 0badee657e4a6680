"""The few laws that every simulated device is made of. Pure functions; randomness is passed in.

All of them are exact for any step, so a slow reporting rate changes how often we look, not what happens.
"""

from __future__ import annotations

import math
from random import Random

DAY_S = 86_400.0


def clamp(value: float, low: float, high: float) -> float:
    return low if value < low else high if value > high else value


def approach(value: float, target: float, dt: float, tau: float) -> float:
    """First-order lag: after `tau` seconds 63 % of the way to `target` is done."""
    return target + (value - target) * math.exp(-dt / tau)


def wander(value: float, mean: float, dt: float, tau: float, spread: float, rng: Random) -> float:
    """A random walk that is pulled back to `mean` (Ornstein-Uhlenbeck); `spread` is its standard deviation."""
    keep = math.exp(-dt / tau)
    return mean + (value - mean) * keep + spread * math.sqrt(1.0 - keep * keep) * rng.gauss(0.0, 1.0)


def daily(now_s: float, peak_hour: float) -> float:
    """The day as a wave from -1 to 1, highest at `peak_hour` UTC."""
    return math.cos(2.0 * math.pi * (now_s / DAY_S - peak_hour / 24.0))


def daylight(now_s: float) -> float:
    """How high the sun is: 0 from 18 to 6 o'clock UTC, 1 at noon."""
    return max(0.0, daily(now_s, 12.0))


def happens(dt: float, mean_s: float, rng: Random) -> bool:
    """Whether an event that comes every `mean_s` seconds on average came within this step."""
    return rng.random() < 1.0 - math.exp(-dt / mean_s)
