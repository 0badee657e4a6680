"""What is known of series and devices, and the columns of latest values."""

from __future__ import annotations

import math
from operator import itemgetter
from typing import Any

import numpy as np

from bridge.core.batch import FEW, Batch
from bridge.core.model import Availability, CommandInfo, Kind, MetricInfo, Quality, Value

MAX_SAFE_INTEGER = 2**53 - 1  # beyond it a double, and so a browser, no longer counts in ones


class Device:
    """One device. `device_id` is unique in the fleet; `native_id` is what its convention calls it."""

    __slots__ = (
        "area",
        "availability",
        "availability_since_us",
        "availability_source",
        "clock_suspect",
        "commands",
        "convention",
        "device_id",
        "first_seen_us",
        "interval_us",
        "is_watched",
        "last_seen_us",
        "manufacturer",
        "model",
        "name",
        "native_id",
        "series",
        "source",
        "sw_version",
    )

    def __init__(self, device_id: str, native_id: str, convention: str, source: str, now_us: int) -> None:
        self.device_id = device_id
        self.native_id = native_id
        self.convention = convention
        self.source = source  # name of the source that carries its messages; commands go back that way
        self.name = native_id
        self.manufacturer = self.model = self.sw_version = self.area = ""
        self.series: dict[str, Series] = {}
        self.commands: dict[str, CommandInfo] = {}
        self.availability = Availability.UNKNOWN
        self.availability_source = "derived"
        self.availability_since_us = now_us
        self.first_seen_us = now_us
        self.last_seen_us = 0  # receive time of the last live message; 0 = none yet
        self.interval_us = 0.0  # usual time between live messages; 0 = not known yet
        self.clock_suspect = False
        self.is_watched = False  # set by the fleet while the device has an entry in its silence watch

    def set_availability(self, availability: Availability, source: str, now_us: int) -> bool:
        """Whether that was news."""
        changed = availability is not self.availability
        news = changed or source != self.availability_source
        if changed:
            self.availability = availability
            self.availability_since_us = now_us
        self.availability_source = source
        return news

    def summary(self) -> dict[str, Any]:
        """The device as the `fleet` channel tells it."""
        return {
            "device_id": self.device_id,
            "name": self.name,
            "convention": self.convention,
            "manufacturer": self.manufacturer,
            "model": self.model,
            "area": self.area,
            "sw_version": self.sw_version,
            "availability": self.availability,
            "availability_since_ms": self.availability_since_us // 1000,
            "availability_source": self.availability_source,
            "first_seen_ms": self.first_seen_us // 1000,
            "last_seen_ms": self.last_seen_us // 1000 or None,
            "clock_suspect": self.clock_suspect,
            "commands": list(self.commands),
        }

    def detail(self) -> dict[str, Any]:
        """The device with its commands described in full."""
        detail = self.summary()
        detail["commands"] = {
            name: {
                "title": info.title or name,
                "description": info.description,
                "schema": info.schema or {"type": "object"},
                "danger": info.danger,
            }
            for name, info in self.commands.items()
        }
        return detail


class Series:
    """One metric of one device. Its latest value lives in the columns of `Latest`, at `series_id`."""

    __slots__ = (
        "declared",
        "device",
        "kind",
        "max",
        "metric",
        "min",
        "name",
        "precision",
        "series_id",
        "text_codes",
        "texts",
        "texts_told",
        "unit",
        "unit_source",
    )

    def __init__(self, series_id: int, device: Device, metric: str) -> None:
        self.series_id = series_id
        self.device = device
        self.metric = metric
        self.name = ""
        self.kind = Kind.UNKNOWN
        self.declared = False  # the kind comes from a description and no longer follows the values
        self.unit = self.unit_source = ""
        self.min: float | None = None
        self.max: float | None = None
        self.precision: int | None = None
        self.texts: list[str] = []
        self.text_codes: dict[str, int] = {}
        self.texts_told = 0  # how many of them the channels know; set by the live plane

    def describe(self, info: MetricInfo) -> bool:
        """Take over what a description says; whether anything changed."""
        before = (self.name, self.kind, self.unit, self.unit_source, self.min, self.max, self.precision)
        self.name = info.name or self.name
        if info.kind is not Kind.UNKNOWN:
            self.kind = info.kind
            self.declared = True
        if info.unit and (info.unit_source != "inferred" or self.unit_source != "declared"):
            self.unit = info.unit
            self.unit_source = info.unit_source or "declared"
        self.min = info.min if info.min is not None else self.min
        self.max = info.max if info.max is not None else self.max
        self.precision = info.precision if info.precision is not None else self.precision
        return before != (
            self.name,
            self.kind,
            self.unit,
            self.unit_source,
            self.min,
            self.max,
            self.precision,
        )

    def take_over(self, old: Series) -> None:
        """Names and numbers of a predecessor, but neither its kind nor its texts."""
        self.name, self.unit, self.unit_source = old.name, old.unit, old.unit_source
        self.min, self.max, self.precision = old.min, old.max, old.precision

    def decode(self, number: float) -> Value:
        """What a number in a frame means for this series."""
        if math.isnan(number):
            return None
        if self.kind is Kind.BOOLEAN:
            return number != 0
        if self.kind is Kind.TEXT:
            return self.texts[int(number)] if 0 <= number < len(self.texts) else None
        if number.is_integer() and abs(number) <= MAX_SAFE_INTEGER:
            return int(number)
        return number


# Codes of Latest.quality.
_GOOD, _BAD, _STALE, _NEVER = 0, 1, 2, 3
_QUALITY = (Quality.GOOD, Quality.BAD, Quality.STALE, Quality.STALE)


class Latest:
    """The latest value of every series, as columns: one vector operation a batch, whatever its size."""

    def __init__(self) -> None:
        self._size = 1024
        self.values = np.full(self._size, np.nan)
        self.times_us = np.zeros(self._size, dtype=np.int64)  # 0: of unknown age, or never
        self.received_us = np.zeros(self._size, dtype=np.int64)
        self.quality = np.full(self._size, _NEVER, dtype=np.uint8)
        self.dirty = np.zeros(self._size, dtype=bool)  # changed since the fleet channel last told it

    def reserve(self, series_id: int) -> None:
        """Make room for this id."""
        if series_id < self._size:
            return
        added = self._size
        self._size *= 2
        self.values = np.concatenate((self.values, np.full(added, np.nan)))
        self.times_us = np.concatenate((self.times_us, np.zeros(added, dtype=np.int64)))
        self.received_us = np.concatenate((self.received_us, np.zeros(added, dtype=np.int64)))
        self.quality = np.concatenate((self.quality, np.full(added, _NEVER, dtype=np.uint8)))
        self.dirty = np.concatenate((self.dirty, np.zeros(added, dtype=bool)))
        self.reserve(series_id)

    def apply(self, batch: Batch) -> int:
        """Take the newest of each series; returns how many readings were late.

        Late data never replaces newer data, within the batch or before it; a tie goes to the later arrival.
        """
        if len(batch) <= FEW:
            return self._apply_few(batch)
        ids, times, values = batch.series_ids, batch.times_us, batch.values
        current = times >= self.times_us[ids]
        late = len(ids) - int(np.count_nonzero(current))
        if late:
            ids, times, values = ids[current], times[current], values[current]
        if len(ids) > 1:
            order = np.argsort(times, kind="stable")
            ids, times, values = ids[order], times[order], values[order]
        # With repeated ids numpy assigns in order, so the newest of each series stays.
        self.values[ids] = values
        self.times_us[ids] = times
        self.received_us[ids] = batch.server_time_us
        self.quality[ids] = np.where(np.isnan(values), _BAD, _GOOD)
        self.dirty[ids] = True
        return late

    def _apply_few(self, batch: Batch) -> int:
        """The same, row by row: the message of one device, on a quiet line, costs a quarter that way."""
        known_us = self.times_us
        rows = zip(batch.times_us.tolist(), batch.series_ids.tolist(), batch.values.tolist(), strict=True)
        current = [row for row in rows if row[0] >= known_us[row[1]]]
        current.sort(key=itemgetter(0))
        for time_us, series_id, value in current:
            self.values[series_id] = value
            known_us[series_id] = time_us
            self.received_us[series_id] = batch.server_time_us
            self.quality[series_id] = _BAD if value != value else _GOOD
            self.dirty[series_id] = True
        return len(batch) - len(current)

    def set_retained(self, series_id: int, value: float, time_us: int, received_us: int) -> bool:
        """Show a retained value, unless a live one is known; whether it was taken."""
        if self.quality[series_id] in (_GOOD, _BAD):
            return False
        if time_us < self.times_us[series_id]:
            return False  # a newer one is known from an earlier run; or one with its age, which this cannot tell
        self.values[series_id] = value
        # A time of our own would pretend to know the age: the live value that follows must win in any case.
        self.times_us[series_id] = time_us
        self.received_us[series_id] = received_us
        self.quality[series_id] = _STALE
        return True

    def forget(self, series_id: int) -> None:
        """Clear the value: the series changed its kind, or is gone."""
        self.values[series_id] = np.nan
        self.times_us[series_id] = 0
        self.received_us[series_id] = 0
        self.quality[series_id] = _NEVER
        self.dirty[series_id] = False

    def take_dirty(self, server_time_us: int) -> Batch | None:
        """The latest value of every series that changed since the last call."""
        ids = np.flatnonzero(self.dirty).astype(np.uint32)
        if not len(ids):
            return None
        self.dirty[ids] = False
        return Batch(ids, self.times_us[ids], self.values[ids], server_time_us)

    def describe(self, series: Series, texts_from: int = 0) -> dict[str, Any]:
        """The series with its latest value, as snapshots and `series` messages tell it.

        `texts_from`: how many texts the reader knows already. A dictionary that grows by one is not sent whole.
        """
        at = series.series_id
        return {
            "series_id": at,
            "device_id": series.device.device_id,
            "metric": series.metric,
            "name": series.name or series.metric,
            "kind": series.kind,
            "unit": series.unit,
            "unit_source": series.unit_source,
            "precision": series.precision,
            "min": series.min,
            "max": series.max,
            "texts_from": texts_from,
            "texts": series.texts[texts_from:],
            "value": series.decode(float(self.values[at])),
            "time_ms": int(self.times_us[at]) // 1000 or None,
            "received_ms": int(self.received_us[at]) // 1000 or None,
            "quality": _QUALITY[self.quality[at]],
        }
