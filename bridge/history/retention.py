"""What may be forgotten. Pure.

Limits are for what a resolution needs: readings that no rollup stands for count for the coarsest question they answer,
and live as long. So a thermometer that reports twice an hour keeps its readings as long as others keep their hours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bridge.history.chunk import Found
from bridge.history.spans import DAY_US, HOUR_US, RAW, RESOLUTIONS, ceil_to, floor_to


class Limit(NamedTuple):
    """For one resolution: how old its data may become, and how much of it there may be (bytes of columns)."""

    max_age_us: int
    max_bytes: int


class Limits(NamedTuple):
    """Defaults: about what the demo fleet of 50 devices needs, on a disk that has a few gigabytes to spare."""

    readings: Limit = Limit(30 * DAY_US, 4 * 2**30)
    minutes: Limit = Limit(366 * DAY_US, 2 * 2**30)
    hours: Limit = Limit(3_660 * DAY_US, 1 * 2**30)

    def shrunk(self, resolution: int, sizes: Mapping[int, int], share: float) -> Limits:
        """Limits under which a share of what there is of one resolution must go. `sizes`: bytes of each, now."""
        limit = self[resolution]
        smaller = limit._replace(max_bytes=min(limit.max_bytes, int(sizes[resolution] * (1 - share))))
        return self._replace(**{self._fields[resolution]: smaller})


class Horizon(NamedTuple):
    """What goes of one resolution: all that ends before `before_us`, and, oldest first, what is too much."""

    resolution: int
    before_us: int
    never_after_us: int  # what ends at or after this stays, whatever its size
    max_bytes: int

    def choose(self, oldest: Sequence[Found], excess: int) -> list[Found]:
        """Of the oldest chunks, in order, those to remove."""
        chosen = []
        for found in oldest:
            if found.facts.end_us >= self.before_us and excess <= 0:
                break
            chosen.append(found)
            excess -= found.size
        return chosen

    def kept_from(self, chosen: Sequence[Found]) -> int:
        """The time from which this resolution is whole again: before it, the coarser one answers.

        A whole hour, so that it is a border between rollups too.
        """
        return ceil_to(max(found.facts.end_us for found in chosen) + 1, HOUR_US)


def plan_retention(limits: Limits, now_us: int) -> list[Horizon]:
    """The horizons, finest resolution first."""
    horizons = []
    for resolution, limit in zip(RESOLUTIONS, (limits.readings, limits.minutes, limits.hours), strict=True):
        # Rollups of the last day are never removed, however small the limit: a view of today must not be empty.
        never_after_us = now_us - (0 if resolution == RAW else DAY_US)
        before_us = floor_to(now_us - limit.max_age_us, HOUR_US)
        horizons.append(Horizon(resolution, min(before_us, never_after_us), never_after_us, limit.max_bytes))
    return horizons
