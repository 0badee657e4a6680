"""Randomness for devices: small, and the same on every platform.

`random.Random` costs 2.5 KB for each device and its `gauss` asks the platform's maths library, whose last digit differs
between systems. This generator is one integer, and it only multiplies and adds. Good enough for weather and doors;
nothing here may ever protect a secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

# Knuth's multiplier for 64-bit linear congruential generators, and any odd increment. The high bits are the good ones,
# so only those are handed out.
MULTIPLIER = 6364136223846793005
INCREMENT = 1442695040888963407
MASK = (1 << 64) - 1
TO_FRACTION = 2.0**-53
# Four 12-bit numbers in one draw: their sum is nearly normal. Mean 8190, variance 4 * (4096**2 - 1) / 12.
BELL_MEAN = 8190.0
BELL_SCALE = 1.0 / 2364.8268  # 1 / standard deviation


class Chance(Protocol):
    """What devices may ask of a source of randomness; `random.Random` can do it too, which is handy in tests."""

    def random(self) -> float: ...

    def uniform(self, a: float, b: float) -> float: ...

    def getrandbits(self, k: int, /) -> int: ...

    def randrange(self, start: int, stop: Any = None, step: Any = 1) -> int: ...

    def choice(self, seq: Any) -> Any: ...


class SmallChance:
    """A linear congruential generator, begun from the hash of a text: no two devices share their luck."""

    __slots__ = ("_state",)

    def __init__(self, seed: str) -> None:
        self._state = int.from_bytes(blake2b(seed.encode(), digest_size=8).digest(), "little")

    def random(self) -> float:
        """0 to 1, 1 excluded."""
        self._state = state = (self._state * MULTIPLIER + INCREMENT) & MASK
        return (state >> 11) * TO_FRACTION

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self.random()

    def getrandbits(self, k: int, /) -> int:
        """`k` bits, at most 64."""
        self._state = state = (self._state * MULTIPLIER + INCREMENT) & MASK
        return state >> (64 - k)

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        if stop is None:
            start, stop = 0, start
        return start + step * int(self.random() * len(range(start, stop, step)))

    def choice(self, seq: Sequence[T]) -> T:
        return seq[int(self.random() * len(seq))]


def bell(rng: Chance) -> float:
    """A number from a bell curve with mean 0 and standard deviation 1; never beyond 3.5, like most sensors' noise."""
    bits = rng.getrandbits(48)
    four = (bits & 4095) + (bits >> 12 & 4095) + (bits >> 24 & 4095) + (bits >> 36)
    return (four - BELL_MEAN) * BELL_SCALE
