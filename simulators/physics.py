"""The few laws that every simulated device is made of. Pure functions; randomness is passed in.

The same numbers on every platform: only + - * / and square roots, which IEEE 754 fixes to the last bit, never the
platform's `exp` or `cos`, which it does not. What is used in their place says how exact it is. `a ** b` is one of them.
"""

from __future__ import annotations

from math import floor, sqrt

from simulators.chance import Chance, bell

DAY_S = 86_400.0
RADIANS_PER_TURN = 6.283185307179586


def clamp(value: float, low: float, high: float) -> float:
    return low if value < low else high if value > high else value


def decay(x: float) -> float:
    """exp(-x) for x >= 0: within 0.002 % up to x = 0.5, 0.06 % up to 1, and always falling from 1 towards 0."""
    return 1.0 / (
        1.0 + x * (1.0 + x * (0.5 + x * (0.16666666666666666 + x * (0.041666666666666664 + x * 0.008333333))))
    )


def approach(value: float, target: float, dt: float, tau: float) -> float:
    """First-order lag: after `tau` seconds 63 % of the way to `target` is done."""
    x = dt / tau
    left = 1.0 + x * (1.0 + x * (0.5 + x * (0.16666666666666666 + x * (0.041666666666666664 + x * 0.008333333))))
    return target + (value - target) / left


def wander(value: float, mean: float, dt: float, tau: float, spread: float, rng: Chance) -> float:
    """A random walk that is pulled back to `mean` (Ornstein-Uhlenbeck); `spread` is its standard deviation."""
    keep = decay(dt / tau)
    return mean + (value - mean) * keep + spread * sqrt(1.0 - keep * keep) * bell(rng)


def happens(dt: float, mean_s: float, rng: Chance) -> bool:
    """Whether an event that comes every `mean_s` seconds on average came within this step."""
    return rng.random() < 1.0 - decay(dt / mean_s)


def count_of(expected: float, rng: Chance) -> int:
    """How many events there were when `expected` is the average: the whole part for sure, the rest by chance."""
    return floor(expected + rng.random())


def sine(turns: float) -> float:
    """The sine of an angle given in turns (1 = 360°), within 6e-8."""
    x = turns - floor(turns + 0.5)  # -0.5 to 0.5, exactly
    if x > 0.25:
        x = 0.5 - x
    elif x < -0.25:
        x = -0.5 - x
    a = x * RADIANS_PER_TURN
    s = a * a
    # Taylor up to the 11th power; the next term is (pi/2)**13 / 13! = 6e-8 at worst.
    return a * (1.0 - s / 6.0 * (1.0 - s / 20.0 * (1.0 - s / 42.0 * (1.0 - s / 72.0 * (1.0 - s / 110.0)))))


def cosine(turns: float) -> float:
    return sine(turns + 0.25)


def daily(local_s: float, peak_hour: float) -> float:
    """The day as a wave from -1 to 1, highest at `peak_hour`; `local_s` are seconds of local time."""
    return cosine(local_s / DAY_S - peak_hour / 24.0)


def smooth_step(x: float) -> float:
    """0 to 1 while `x` goes from 0 to 1, without a corner at either end."""
    x = clamp(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)
