"""A span of any length, read piece after piece: each as long as fits into memory, for exports that go on for hours."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from bridge.core.batch import Batch
from bridge.history.query import Answer, History
from bridge.history.spans import DAY_US, MINUTE_US, US_PER_S

# Readings of one piece, about: 2.4 MB as columns and some 10 MB as text, made in a fifth of a second.
PIECE_READINGS = 100_000
FIRST_LENGTH_US = MINUTE_US  # of the first piece, so that something comes at once; the others follow what was found
# A piece is not cut finer: so much of a whole fleet fits in any case, and a chunk would be decoded too often.
MIN_LENGTH_US = US_PER_S
# Through an empty time in large steps; but not so large that the facts about all that comes after it take seconds.
MAX_LENGTH_US = 364 * DAY_US
# Series read at once: while they are, a whole chunk of each is in memory, up to 256 KB.
SERIES_AT_ONCE = 100


class Piece(NamedTuple):
    """The readings before `end_us`, in order of time. `length_us`: how long the next piece had better be."""

    batch: Batch
    end_us: int
    length_us: int


def read_piece(
    history: History, series_ids: Sequence[int], from_us: int, to_us: int, length_us: int = FIRST_LENGTH_US
) -> Piece:
    """The readings of these series, each named once, from `from_us` on, about `PIECE_READINGS`; never beyond `to_us`.

    Blocking. Of equal times the order is that of `series_ids`. Where readings are no longer kept, those that the
    rollups name.

    Raises:
        HistoryError: a span that does not end after it begins.
        Damaged: the journal is not as it was written.
    """
    groups = [series_ids[at : at + SERIES_AT_ONCE] for at in range(0, len(series_ids), SERIES_AT_ONCE)]
    while True:
        end_us = min(to_us, from_us + length_us)
        count = sum(history.count(group, from_us, end_us) for group in groups)
        if count <= PIECE_READINGS or end_us - from_us <= MIN_LENGTH_US:
            break
        length_us = max(MIN_LENGTH_US, min(length_us // 2, length_us * PIECE_READINGS // count))
    # Without a limit: the count is a guess, and nothing may be left out because of it.
    parts = [history.readings(group, from_us, end_us, sys.maxsize) for group in groups] if count else []
    if count * 2 < PIECE_READINGS:
        length_us = min(MAX_LENGTH_US, length_us * (2 if count else 8))
    return Piece(_join(parts, from_us), end_us, length_us)


def read_pieces(history: History, series_ids: Sequence[int], from_us: int, to_us: int) -> Iterator[Piece]:
    """All of [from, to), piece after piece. See `read_piece`."""
    length_us = FIRST_LENGTH_US
    while from_us < to_us:
        piece = read_piece(history, series_ids, from_us, to_us, length_us)
        yield piece
        from_us, length_us = piece.end_us, piece.length_us


def join_answers(answers: Sequence[Answer]) -> Batch:
    """The points of several series in order of time, for a file: as in the chart, where a NaN is nothing."""
    ids = np.repeat(
        np.asarray([answer.series_id for answer in answers], np.uint32), [len(answer.times_us) for answer in answers]
    )
    times = np.concatenate([np.empty(0, np.int64), *(answer.times_us for answer in answers)])
    values = np.concatenate([np.empty(0), *(answer.values for answer in answers)])
    order = np.argsort(times, kind="stable")
    order = order[~np.isnan(values[order])]
    return Batch(ids[order], times[order], values[order], int(times[order[-1]]) if len(order) else 0)


def _join(parts: Sequence[Batch], from_us: int) -> Batch:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Batch.empty(from_us)
    times = np.concatenate([part.times_us for part in parts])
    order = np.argsort(times, kind="stable")
    return Batch(
        np.concatenate([part.series_ids for part in parts])[order],
        times[order],
        np.concatenate([part.values for part in parts])[order],
        max(part.server_time_us for part in parts),
    )
