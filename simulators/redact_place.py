"""Moves places by an offset that is drawn once and told to nobody: routes keep their shape and lose their town."""

from __future__ import annotations

import secrets
from decimal import Decimal, InvalidOperation

# Enough to leave the region; small enough that most latitudes stay on the globe without being folded back.
LATITUDE_DEG = (2, 12)
LONGITUDE_DEG = (5, 175)
# Drawn as whole micro-degrees, which are a tenth of a metre.
MICRO = 1_000_000


class SecretOffset:
    """Works on numbers as they are written, and keeps their number of digits after the point."""

    def __init__(self, latitude: Decimal | None = None, longitude: Decimal | None = None) -> None:
        self._latitude = _draw(*LATITUDE_DEG) if latitude is None else latitude
        self._longitude = _draw(*LONGITUDE_DEG) if longitude is None else longitude

    def latitude(self, token: str) -> str:
        value = _read(token)
        if value is None:
            return token
        moved = value + self._latitude
        if abs(moved) > 90 and abs(value) <= 90:  # over the pole: to the other side of where it was
            moved = value - self._latitude
        return _write(moved, value)

    def longitude(self, token: str) -> str:
        value = _read(token)
        if value is None:
            return token
        moved = value + self._longitude
        if moved > 180 and abs(value) <= 180:
            moved -= 360
        elif moved < -180 and abs(value) <= 180:
            moved += 360
        return _write(moved, value)


def _draw(low: int, high: int) -> Decimal:
    size = low * MICRO + secrets.randbelow((high - low) * MICRO)
    return Decimal(size if secrets.randbelow(2) else -size) / MICRO


def _read(token: str) -> Decimal | None:
    try:
        value = Decimal(token)
    except InvalidOperation:
        return None
    # NaN has no place, and an exponent that large is no place either; adding to it would write millions of digits.
    return value if value.is_finite() and -30 <= value.adjusted() <= 30 else None


def _write(moved: Decimal, like: Decimal) -> str:
    exponent = like.as_tuple().exponent
    digits = max(0, -exponent) if isinstance(exponent, int) else 0
    return f"{moved:.{min(digits, 30)}f}"
