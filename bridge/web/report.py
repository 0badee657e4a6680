"""`/api/v1/report`: a span of some series as a document to download. See docs/protocol.md."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from aiohttp import web

from bridge import __version__
from bridge.errors import ProtocolError
from bridge.history.catalog import SeriesRecord
from bridge.history.faults import NotInstalled
from bridge.history.labels import name_of
from bridge.history.local_time import offset_us
from bridge.web.parameters import Parameters
from bridge.web.questions import answering, ask_points, ask_statistics
from bridge.web.report_figure import build_figure
from bridge.web.report_page import POLICY, Report, write_page
from bridge.web.selection import SELECTING, SELECTING_REPEATABLE
from bridge.web.stream import Stream

if TYPE_CHECKING:
    from bridge.web.history_api import HistoryApi
    from bridge.web.server import Server

log = logging.getLogger(__name__)

MAX_SERIES = 250  # lines in one report: a browser draws them in some seconds
# Of all series together, which a browser can zoom without stopping; and of each as many as a wide screen shows.
POINTS_IN_ALL, MIN_POINTS, MAX_POINTS = 150_000, 300, 4_000
MAX_TITLE = 200
PNG_WIDTH_PX = 1_600

# Opened from our address it is a stranger: no cookie, no storage, no window of ours, and no request at all.
SANDBOX = f"sandbox allow-scripts; {POLICY}"


class ReportApi:
    """The handler."""

    def __init__(self, server: Server, past: HistoryApi) -> None:
        self._server = server
        self._past = past

    @answering
    async def report(self, request: web.Request) -> web.StreamResponse:
        archive = self._past.archive()
        asked = Parameters(request, ("from", "to", "format", "tz", "title", *SELECTING), SELECTING_REPEATABLE)
        format_ = asked.choice("format", ("html", "png", "csv"), "html")
        if format_ == "csv":
            return await self._past.download(request, archive, asked, "csv", None)
        from_us, to_us = asked.span()
        title = asked.one("title") or ""
        if len(title) > MAX_TITLE:
            raise ProtocolError("invalid_message", f"title has at most {MAX_TITLE} characters")
        zone = await asyncio.to_thread(asked.zone)
        if format_ == "png":
            await asyncio.to_thread(find_kaleido)
        stream = Stream(request, self._server.counters)
        async with self._past.downloads.place(stream):
            records = await self._past.selector.select(archive, asked)
            if len(records) > MAX_SERIES:
                raise ProtocolError("invalid_message", f"at most {MAX_SERIES} series in a report, not {len(records)}")
            points = max(MIN_POINTS, min(MAX_POINTS, POINTS_IN_ALL // max(1, len(records))))
            table = await ask_points(archive, self._past.selector, records, from_us, to_us, points)
            statistics = await ask_statistics(archive, self._past.selector, records, from_us, to_us)
            names = self._names(records)
            report = Report(
                title or self._title(records),
                from_us,
                to_us,
                self._server.clock(),
                zone,
                offset_us(from_us, zone),
                __version__,
            )

            def make() -> bytes:
                figure = build_figure(table, names, report.offset_us)
                return draw(report, figure) if format_ == "png" else write_page(report, figure, statistics, names)

            body = await asyncio.to_thread(make)
            content_type = "image/png" if format_ == "png" else "text/html; charset=utf-8"
            headers = {"Content-Security-Policy": SANDBOX, "Content-Length": str(len(body))}
            await stream.begin(content_type, f"{report.title}.{format_}", headers)
            await stream.send(body)
            return await stream.end()

    def _title(self, records: Mapping[int, SeriesRecord]) -> str:
        devices = list(dict.fromkeys(record.device_id for record in records.values()))
        if len(devices) == 1:
            return self._past.selector.device_name(devices[0])
        return f"{len(devices)} devices"

    def _names(self, records: Mapping[int, SeriesRecord]) -> dict[int, str]:
        """Of each series; with its device where there are several."""
        alone = len({record.device_id for record in records.values()}) <= 1
        name = self._past.selector.device_name
        return {
            series_id: name_of(record) if alone else f"{name(record.device_id)} · {name_of(record)}"
            for series_id, record in records.items()
        }


def find_kaleido() -> None:
    """Raises NotInstalled: pictures cannot be made here."""
    try:
        import kaleido  # noqa: F401
    except ImportError:
        raise NotInstalled(
            "pictures need the package kaleido: pip install fleetwire[png]; the page makes them without it"
        ) from None


def draw(report: Report, figure: Mapping[str, Any]) -> bytes:
    """The charts as a picture, by the browser that kaleido finds.

    Raises:
        NotInstalled: it finds none, or the browser fails.
    """
    import kaleido

    layout = {**figure["layout"], "title": {"text": escape(report.title, quote=False)}}
    layout["margin"] = {**layout["margin"], "t": 70}
    try:
        image = kaleido.calc_fig_sync(
            {"data": figure["data"], "layout": layout},
            opts={"format": "png", "width": PNG_WIDTH_PX, "height": layout["height"]},
            kopts={"mathjax": False},  # else it would be fetched from far away
        )
    except Exception as error:
        log.exception("a picture could not be drawn")
        raise NotInstalled(
            f"the picture could not be drawn ({type(error).__name__}); it needs a Chrome or Chromium that runs here, "
            "which BROWSER_PATH may name"
        ) from None
    return bytes(image)
