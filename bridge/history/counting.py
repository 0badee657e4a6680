"""How much there is, told from the facts about chunks: before anybody reads what would not fit into memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bridge.history.chunk import Facts
from bridge.history.segments import plan_segments
from bridge.history.spans import RAW, WIDTH_US, floor_to
from bridge.history.store_session import Snapshot
from bridge.history.tail import Recent

POINTS_PER_ROW = 2  # a row of a rollup names two readings


def count_readings(snapshot: Snapshot, tail: Recent, series_ids: Sequence[int], from_us: int, to_us: int) -> int:
    """About how many readings of these series there are in [from, to). No column is read.

    Of a chunk that reaches beyond the span the part is counted that lies in it if its readings are evenly spread.
    """
    total = 0.0
    for segment in plan_segments(from_us, to_us, RAW, snapshot.kept_from()):
        begin_us = floor_to(segment.from_us, WIDTH_US[segment.resolution])
        for found in snapshot.find_chunks(series_ids, segment.resolution, begin_us, segment.to_us):
            total += _readings_within(found.facts, begin_us, segment.to_us)
    for series_id in series_ids:
        recent = tail.find(series_id, from_us, to_us)
        total += 0 if recent is None else len(recent[0])
    return math.ceil(total)


def _readings_within(facts: Facts, from_us: int, to_us: int) -> float:
    length_us = facts.end_us - facts.start_us + WIDTH_US[facts.resolution]
    inside_us = min(facts.end_us + WIDTH_US[facts.resolution], to_us) - max(facts.start_us, from_us)
    rows = facts.n * min(1.0, inside_us / length_us)
    return rows if facts.resolution == RAW else rows * POINTS_PER_ROW
