"""Questions to the history as the HTTP API asks them: within limits, fair to others, with its errors in our words."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import wraps
from typing import TypeVar

import numpy as np
from aiohttp import web

from bridge.errors import ProtocolError
from bridge.history.archive import Archive, Busy
from bridge.history.catalog import SeriesRecord
from bridge.history.faults import Damaged, HistoryError, NotInstalled
from bridge.history.labels import has_grown
from bridge.history.query import MAX_SERIES, Answer
from bridge.history.statistics import Statistics
from bridge.web.columns import Table
from bridge.web.responses import error_response
from bridge.web.selection import Selector

MIN_POINTS, MAX_POINTS = 2, 20_000  # of one series; more than any screen can show
# Of all series of one answer: 32 MB as columns, which a browser can still draw and a server hold.
MAX_POINTS_IN_ANSWER = 2_000_000
# Series asked for at once. Others' questions come between, and a thousand series cannot keep a reader for seconds.
SERIES_AT_ONCE = 50
RETRY_AFTER_S = 1

NO_STORE = {"Cache-Control": "no-store"}

T = TypeVar("T")
Api = TypeVar("Api")


def answering(
    method: Callable[[Api, web.Request], Awaitable[web.StreamResponse]],
) -> Callable[[Api, web.Request], Awaitable[web.StreamResponse]]:
    """What the history says went wrong, in the one error shape."""

    @wraps(method)
    async def answered(self: Api, request: web.Request) -> web.StreamResponse:
        try:
            return await method(self, request)
        except Busy as error:
            return error_response("busy", str(error), 503, {"Retry-After": str(RETRY_AFTER_S)})
        except NotInstalled as error:
            raise ProtocolError("not_available", str(error)) from None
        except Damaged as error:
            raise ProtocolError("internal", f"the history is {error}; see fleetwire check-history") from None
        except HistoryError as error:
            raise ProtocolError("invalid_message", str(error)) from None

    return answered


async def ask_points(
    archive: Archive,
    selector: Selector,
    records: Mapping[int, SeriesRecord],
    from_us: int,
    to_us: int,
    points: int,
) -> Table:
    """These series over a span."""
    check_size(records, points)
    ids = list(records)
    answers: list[Answer] = []
    for at in range(0, len(ids), SERIES_AT_ONCE):
        answers += await archive.query(ids[at : at + SERIES_AT_ONCE], from_us, to_us, points)
    if any(has_grown(records[answer.series_id], answer.values) for answer in answers):
        records = await selector.again(archive, records)
    return Table(from_us, to_us, points, [(records[answer.series_id], answer) for answer in answers])


async def ask_statistics(
    archive: Archive, selector: Selector, records: Mapping[int, SeriesRecord], from_us: int, to_us: int
) -> list[tuple[SeriesRecord, Statistics]]:
    """The same in numbers."""
    check_size(records, 1)
    ids = list(records)
    found: list[Statistics] = []
    for at in range(0, len(ids), SERIES_AT_ONCE):
        found += await archive.statistics(ids[at : at + SERIES_AT_ONCE], from_us, to_us)
    if any(has_grown(records[one.series_id], np.array([one.first, one.last])) for one in found):
        records = await selector.again(archive, records)
    return [(records[one.series_id], one) for one in found]


def check_size(series: Sequence[int] | Mapping[int, SeriesRecord], points: int) -> None:
    """Raises ProtocolError: the answer would be too large."""
    if len(series) > MAX_SERIES:
        raise ProtocolError("invalid_message", f"at most {MAX_SERIES} series at once, not {len(series)}")
    if len(series) * points > MAX_POINTS_IN_ANSWER:
        raise ProtocolError(
            "invalid_message",
            f"{len(series)} series of {points} points are more than {MAX_POINTS_IN_ANSWER} in one answer",
        )


async def encode(work: Callable[[], T], *, is_large: bool) -> T:
    """What takes more than a millisecond or two is done beside the event loop."""
    return await asyncio.to_thread(work) if is_large else work()
