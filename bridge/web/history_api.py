"""The HTTP API of the past: readings, statistics, the fleet at a moment, events. See docs/protocol.md."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from bridge.errors import ProtocolError
from bridge.history.archive import Archive, Moment
from bridge.history.catalog import SeriesRecord
from bridge.history.events import KINDS, Event
from bridge.history.portrait import decode, describe_moment
from bridge.history.statistics import Statistics
from bridge.web.columns import RESOLUTION_NAMES, as_ms, encode_columns, encode_json
from bridge.web.download import ROW_TYPES, Downloads
from bridge.web.parameters import Parameters
from bridge.web.questions import MAX_POINTS, MIN_POINTS, NO_STORE, answering, ask_points, ask_statistics, encode
from bridge.web.responses import json_response
from bridge.web.selection import SELECTING, SELECTING_REPEATABLE, Selector
from bridge.web.stream import Stream

if TYPE_CHECKING:
    from bridge.web.server import Server

DEFAULT_POINTS = 1_000  # half a screen: two points a pixel
# Points, and objects, up to which it takes a millisecond to write them down.
FEW_POINTS, FEW_OBJECTS = 2_000, 100
DEFAULT_EVENTS, MAX_EVENTS = 1_000, 10_000

MEDIA_TYPES = {"json": "application/json", "binary": "application/vnd.fleetwire.columns", **ROW_TYPES}


class HistoryApi:
    """The handlers."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.selector = Selector()
        self.downloads = Downloads(self.selector)

    @answering
    async def history(self, request: web.Request) -> web.StreamResponse:
        archive = self.archive()
        asked = Parameters(request, ("from", "to", "points", "format", "tz", *SELECTING), SELECTING_REPEATABLE)
        format_ = asked.choice("format", MEDIA_TYPES, preferred(request.headers.get("Accept", "")))
        from_us, to_us = asked.span()
        points = asked.number("points", MIN_POINTS, MAX_POINTS)
        if format_ in ROW_TYPES:
            return await self.download(request, archive, asked, format_, points)
        records = await self.selector.select(archive, asked)
        table = await ask_points(archive, self.selector, records, from_us, to_us, points or DEFAULT_POINTS)
        write = encode_json if format_ == "json" else encode_columns
        body = await encode(lambda: write(table), is_large=table.size > FEW_POINTS)
        return web.Response(body=body, headers={"Content-Type": MEDIA_TYPES[format_], "Vary": "Accept", **NO_STORE})

    async def download(
        self, request: web.Request, archive: Archive, asked: Parameters, format_: str, points: int | None
    ) -> web.StreamResponse:
        """As a file: every reading, or as many points as a chart would show."""
        from_us, to_us = asked.span()
        zone: tzinfo = await asyncio.to_thread(asked.zone)
        records = await self.selector.select(archive, asked)
        stream = Stream(request, self._server.counters)
        if points is None:
            return await self.downloads.send_readings(stream, archive, records, from_us, to_us, format_, zone)
        table = await ask_points(archive, self.selector, records, from_us, to_us, points)
        return await self.downloads.send_points(stream, table, format_, zone)

    @answering
    async def statistics(self, request: web.Request) -> web.StreamResponse:
        archive = self.archive()
        asked = Parameters(request, ("from", "to", *SELECTING), SELECTING_REPEATABLE)
        from_us, to_us = asked.span()
        records = await self.selector.select(archive, asked)
        found = await ask_statistics(archive, self.selector, records, from_us, to_us)
        told = [describe_statistics(record, one) for record, one in found]
        return json_response({"from_ms": as_ms(from_us), "to_ms": as_ms(to_us), "statistics": told}, headers=NO_STORE)

    @answering
    async def fleet(self, request: web.Request) -> web.StreamResponse:
        archive = self.archive()
        at_us = Parameters(request, ("at",)).time_us("at")
        if at_us is None:
            raise ProtocolError("invalid_message", "at is missing")
        moment = await archive.moment(at_us)
        body = await encode(lambda: encode_moment(moment), is_large=len(moment.catalog.series) > FEW_OBJECTS)
        return web.Response(body=body, content_type="application/json", headers=NO_STORE)

    @answering
    async def events(self, request: web.Request) -> web.StreamResponse:
        archive = self.archive()
        asked = Parameters(request, ("from", "to", "device_id", "limit", "order"), ("kind",))
        from_us, to_us = asked.span()
        kinds = asked.all("kind")
        for kind in kinds:
            if kind not in KINDS:
                raise ProtocolError("invalid_message", f"kind is one of {', '.join(KINDS)}")
        newest = asked.choice("order", ("newest", "oldest"), "newest") == "newest"
        limit = asked.number("limit", 1, MAX_EVENTS) or DEFAULT_EVENTS
        device_id = asked.one("device_id")
        found = await archive.events(
            from_us, to_us, kinds=kinds or KINDS, device_id=device_id, limit=limit, newest=newest
        )
        body = await encode(lambda: encode_events(found[::-1] if newest else found), is_large=len(found) > FEW_OBJECTS)
        return web.Response(body=body, content_type="application/json", headers=NO_STORE)

    @answering
    async def span(self, request: web.Request) -> web.StreamResponse:
        archive = self.archive()
        Parameters(request, ())
        span, kept_from = await archive.span(), await archive.kept_from()
        told = {
            "first_ms": as_ms(span.first_us),
            "last_ms": as_ms(span.last_us),
            "now_ms": self._server.clock() // 1000,
            "kept_from_ms": dict(zip(RESOLUTION_NAMES, map(as_ms, kept_from), strict=True)),
        }
        return json_response(told, headers=NO_STORE)

    def archive(self) -> Archive:
        """Raises ProtocolError: there is none."""
        archive = self._server.operations.archive
        if archive is None:
            raise ProtocolError("no_history", "this bridge keeps no history (history.enabled)")
        return archive


def preferred(accept: str) -> str:
    """The format that an `Accept` header names first; JSON if it names none that we have."""
    ours = {media_type.partition(";")[0]: name for name, media_type in MEDIA_TYPES.items()}
    for part in accept.split(","):
        name = ours.get(part.partition(";")[0].strip().lower())
        if name is not None:
            return name
    return "json"


def describe_statistics(record: SeriesRecord, found: Statistics) -> dict[str, Any]:
    """As the protocol tells it; a code of a text has no mean, and is neither small nor large."""
    is_text = record.kind == "text"

    def number(value: float) -> Any:
        return None if is_text else decode(record, value)

    return {
        "series_id": record.series_id,
        "device_id": record.device_id,
        "metric": record.metric,
        "count": found.n,
        "min": number(found.smallest),
        "max": number(found.largest),
        "mean": None if is_text or math.isnan(found.mean) else found.mean,
        "first": decode(record, found.first),
        "last": decode(record, found.last),
        "min_time_ms": None if is_text else as_ms(found.min_time_us),
        "max_time_ms": None if is_text else as_ms(found.max_time_us),
        "first_time_ms": as_ms(found.first_time_us),
        "last_time_ms": as_ms(found.last_time_us),
    }


def encode_moment(moment: Moment) -> bytes:
    told = describe_moment(moment.catalog, moment.state, moment.availability, moment.at_us)
    devices, series = _encode_list(told["devices"]), _encode_list(told["series"])
    at_ms = msgspec.json.encode(as_ms(moment.at_us))
    return b'{"at_ms":%b,"devices":%b,"series":%b}' % (at_ms, devices, series)


def encode_events(events: Collection[Event]) -> bytes:
    told = [
        {
            "event_id": one.event_id,
            "time_ms": as_ms(one.time_us),
            "kind": one.kind,
            "device_id": one.device_id,
            "data": one.data,
        }
        for one in events
    ]
    return b'{"events":%b}' % _encode_list(told)


def _encode_list(objects: Sequence[dict[str, Any]]) -> bytes:
    """One by one: a single call for a large fleet would hold everybody else up."""
    return b"[" + b",".join([msgspec.json.encode(one) for one in objects]) + b"]"
