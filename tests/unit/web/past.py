"""A server with a small past: three devices, some hours of readings, in chunks and in the journal."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from bridge.history.archive import Archive
from bridge.history.catalog import Births, DeviceRecord, SeriesRecord
from bridge.history.events import AVAILABILITY, NOTE, Event
from bridge.history.spans import US_PER_S
from tests.unit.history.scene import START_US, Reading, Scene, scene
from tests.unit.web.helpers import Site, running

S = US_PER_S
START_MS = START_US // 1000
HOUR_MS = 3_600_000
HOSTILE = "<script>alert(1)</script>"
TEMPERATURE, DOOR, MODE, HOSTILE_SERIES, LATE = 0, 1, 2, 3, 4

DEVICES = (
    DeviceRecord("hall/2", {"name": "Hall 2", "first_seen_ms": START_MS, "commands": {}}),
    DeviceRecord("door", {"name": "Door", "first_seen_ms": START_MS, "commands": {}}),
    DeviceRecord(HOSTILE, {"name": HOSTILE, "first_seen_ms": START_MS, "commands": {}}),
)
SERIES = (
    SeriesRecord(
        TEMPERATURE, "hall/2", "temperature", "number", (), {"name": "Temperature", "unit": "°C", "precision": 1}
    ),
    SeriesRecord(DOOR, "door", "open", "boolean", (), {}),
    SeriesRecord(MODE, "door", "mode", "text", ("auto", 'say "hi", then\ngo', ""), {"name": "Mode"}),
    SeriesRecord(HOSTILE_SERIES, HOSTILE, '=1+1"', "number", (), {"unit": "</script>"}),
)
LAST_S = 7_200


def temperature(second: int) -> list[Reading]:
    value = math.nan if second == 77 else 20 + round(5 * math.sin(second / 600), 2)
    return [(TEMPERATURE, START_US + second * S, value)]


def others(second: int) -> list[Reading]:
    """A minute apart, at odd microseconds; the hostile device is silent for a while."""
    rows = [
        (DOOR, START_US + second * S + 7, float(second // 60 % 2)),
        (MODE, START_US + second * S, second // 600 % 3),
    ]
    return rows + ([(HOSTILE_SERIES, START_US + second * S, 1e6 / (second + 1))] if not 3000 < second < 5000 else [])


@contextmanager
def written(url: str) -> Iterator[Scene]:
    with scene(url) as one:
        with one.store.writing() as writer:
            writer.save_births(Births(DEVICES, SERIES), START_US - S)
            writer.append_events(
                [
                    Event(START_US, AVAILABILITY, "door", {"availability": "online", "source": "lwt"}),
                    Event(START_US + 600 * S, AVAILABILITY, "door", {"availability": "offline", "source": "lwt"}),
                    Event(START_US + 1_500, NOTE, "", {"text": "hello", "author": "x"}),
                ]
            )
        for begin in range(0, LAST_S, 600):
            readings = [row for second in range(begin, begin + 600) for row in temperature(second)]
            readings += [row for second in range(begin, begin + 600, 60) for row in others(second)]
            one.append(readings)
            if begin == 3000:
                one.seal()
                one.merge()
            elif begin == 5400:
                one.seal()
        yield one


@asynccontextmanager
async def serving(dashboard: Path, one: Scene, **settings: Any) -> AsyncIterator[Site]:
    archive = Archive(one.store)
    try:
        async with running(dashboard, **settings) as site:
            site.operations.archive = archive
            yield site
    finally:
        archive.close()
