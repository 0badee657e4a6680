"""Lengths of time as people write them: `90d`, or `90d/5m` for ninety days with a reading every five minutes."""

from __future__ import annotations

import re
from typing import NamedTuple

UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
# A reading a minute is what history is usually kept in.
DEFAULT_STEP_S = 60.0
LONGEST_S = 10.0 * 366.0 * 86_400.0
_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


class Span(NamedTuple):
    """How far back, and how far apart the readings are."""

    length_s: float
    step_s: float = DEFAULT_STEP_S


def parse_span(text: str) -> Span:
    """Reads `90d`, `36h`, or with the distance of the readings `90d/15m`. `ValueError` says what is wrong."""
    length, _, step = text.partition("/")
    span = Span(_seconds(length), _seconds(step) if step else DEFAULT_STEP_S)
    if span.length_s > LONGEST_S:
        raise ValueError(f"{length!r} is more than ten years")
    if span.step_s > span.length_s:
        raise ValueError(f"{text!r}: the readings would be further apart than the whole is long")
    return span


def _seconds(text: str) -> float:
    match = _SPAN.fullmatch(text.strip())
    if match is None or float(match[1]) == 0.0:
        raise ValueError(
            f"{text!r} is no length of time; write 90d, 12h, 30m or 4w; 90d/5m is a reading every 5 minutes"
        )
    return float(match[1]) * UNITS_S[match[2]]
