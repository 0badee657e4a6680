"""Which resolution answers which part of a question. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bridge.history.spans import HOUR, RAW, RESOLUTIONS, WIDTH_US, ceil_to, floor_to

MIN_POINTS = 4  # two pixels: fewer would not be a picture of anything
MAX_POINTS = 100_000  # in one answer for one series; a screen has 4,000 pixels, an export does not reduce


class Segment(NamedTuple):
    """Readings with `from_us <= time < to_us`, looked up at this resolution."""

    from_us: int
    to_us: int
    resolution: int


def choose_width(span_us: int, points: int) -> int:
    """Width of a pixel such that two points for each are at most `points`, wherever the span begins.

    A whole number of buckets of the coarsest resolution that is not coarser than a pixel.
    """
    pixels = max(1, min(max(points, MIN_POINTS), MAX_POINTS) // 2 - 1)  # one less: the span may begin within a pixel
    width_us = max(1, -(-span_us // pixels))
    return ceil_to(width_us, WIDTH_US[choose_resolution(width_us)])


def choose_resolution(width_us: int) -> int:
    """The coarsest resolution whose buckets fit into a pixel."""
    return max(resolution for resolution in RESOLUTIONS if WIDTH_US[resolution] <= width_us)


def plan_segments(from_us: int, to_us: int, resolution: int, kept_from: Sequence[int]) -> list[Segment]:
    """The parts of [from, to), in order, each at the resolution that answers it exactly.

    Whole buckets at `resolution`, the rest of a bucket at either end at the finer one; a coarser one only where the
    finer is no longer kept (`kept_from`, of each resolution).
    """
    if from_us >= to_us:
        return []
    if resolution < HOUR and from_us < kept_from[resolution]:
        cut_us = min(to_us, kept_from[resolution])
        return [
            *_coarser(from_us, cut_us, resolution + 1, kept_from),
            *plan_segments(cut_us, to_us, resolution, kept_from),
        ]
    if resolution == RAW:
        return [Segment(from_us, to_us, RAW)]
    first_us, end_us = ceil_to(from_us, WIDTH_US[resolution]), floor_to(to_us, WIDTH_US[resolution])
    if first_us >= end_us:
        return plan_segments(from_us, to_us, resolution - 1, kept_from)
    return [
        *plan_segments(from_us, first_us, resolution - 1, kept_from),
        Segment(first_us, end_us, resolution),
        *plan_segments(end_us, to_us, resolution - 1, kept_from),
    ]


def _coarser(from_us: int, to_us: int, resolution: int, kept_from: Sequence[int]) -> list[Segment]:
    """Of buckets at the borders those readings that lie in the span: there is nothing finer to ask."""
    if resolution == HOUR or from_us >= kept_from[resolution]:
        return [Segment(from_us, to_us, resolution)]
    cut_us = min(to_us, kept_from[resolution])
    rest = [Segment(cut_us, to_us, resolution)] if cut_us < to_us else []
    return [*_coarser(from_us, cut_us, resolution + 1, kept_from), *rest]
