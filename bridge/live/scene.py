"""The fleet at a moment of the past, as it was told, and what must be told when that moment moves on. Pure.

Everything is described by `history.portrait`: whoever follows a replay ends with what a snapshot of that moment says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bridge.core.batch import Batch
from bridge.core.model import Kind
from bridge.history.archive import Moment
from bridge.history.catalog import Catalog, Described, DeviceRecord, SeriesRecord
from bridge.history.events import AVAILABILITY
from bridge.history.latest import State
from bridge.history.portrait import decode, describe_moment
from bridge.live.timeline import Due


class News(NamedTuple):
    """What is different: devices that went, and descriptions of those that came or changed."""

    removed: list[str]
    devices: list[dict[str, Any]]
    series: list[dict[str, Any]]


NOTHING = News([], [], [])


class Scene:
    """Of all devices, or of some; `snapshot` is how it begins (`devices`, `series`), used up by whoever sends it.

    Blocking to build: some 20 µs a series.
    """

    def __init__(self, moment: Moment, device_ids: Collection[str] | None) -> None:
        """`device_ids`: None: all, also those that come later. Exactly one is described in full."""
        self.at_us = moment.at_us
        self._device_ids = device_ids
        self.has_detail = device_ids is not None and len(device_ids) == 1
        catalog = moment.catalog
        self._devices = {id_: one for id_, one in catalog.devices.items() if self.shows(id_)}
        self._series = {id_: one for id_, one in catalog.series.items() if self.shows(one.device_id)}
        self._available = {one.device_id: one for one in moment.availability if self.shows(one.device_id)}
        self._of_device: dict[str, list[int]] = {}
        for one in self._series.values():
            self._of_device.setdefault(one.device_id, []).append(one.series_id)
        # Those to come, the first to come at the end.
        born = [(_born_us(one), id_) for id_, one in self._devices.items()]
        self._unborn = sorted((one for one in born if one[0] > self.at_us), reverse=True)
        self._ids = np.asarray(sorted(self._series), np.uint32)
        self._times = np.zeros(len(self._ids), np.int64)
        self._values = np.full(len(self._ids), np.nan)
        self._seen = np.zeros(len(self._ids), bool)  # whether there was a reading
        self._texts = _count_texts(self._ids, self._series)
        self._note(Batch(moment.state.series_ids, moment.state.times_us, moment.state.values, self.at_us))
        self._told_devices: dict[str, dict[str, Any]] = {}
        self._told_series: dict[str, set[int]] = {}
        self.snapshot = self._describe(self._devices, self.at_us)
        self._tell(self.snapshot, ())

    def shows(self, device_id: str) -> bool:
        """Whether it belongs here. What belongs to no device (empty) does."""
        return self._device_ids is None or not device_id or device_id in self._device_ids

    @property
    def series_ids(self) -> list[int]:
        """All that there ever are, in order."""
        ids: list[int] = self._ids.tolist()
        return ids

    @property
    def recent_ids(self) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """The series that have had a reading, and the time of the newest of each."""
        return self._ids[self._seen], self._times[self._seen]

    def lacks_texts(self, batch: Batch) -> bool:
        """Whether there are texts in it that are not known yet: they became known after the catalog was read."""
        at, known = self._find(batch.series_ids)
        return bool((batch.values[known] >= self._texts[at]).any())

    def learn_texts(self, catalog: Catalog) -> list[Described]:
        """The series of which the catalog knows more texts, to be told as if they were described anew."""
        return [
            Described(self.at_us, one._replace(texts=catalog.series[id_].texts))
            for id_, one in self._series.items()
            if id_ in catalog.series and len(catalog.series[id_].texts) > len(one.texts)
        ]

    def advance(self, due: Due) -> News:
        """Time has passed: what changed beside the values."""
        self.at_us = due.at_us
        touched: dict[str, None] = {}
        renewed = self._take_described(due.described, touched)
        for event in due.events:
            if event.kind == AVAILABILITY and self.shows(event.device_id):
                self._available[event.device_id] = event
                touched[event.device_id] = None
        while self._unborn and self._unborn[-1][0] <= due.at_us:
            touched[self._unborn.pop()[1]] = None
        for series_id in self._note(due.batch):
            touched[self._series[series_id].device_id] = None
        if not touched:
            return NOTHING
        known = {id_: self._devices[id_] for id_ in touched if id_ in self._devices}
        return self._tell(self._describe(known, due.at_us), renewed, touched)

    def rows(self, batch: Batch) -> list[list[Any]]:
        """The readings as the JSON subprotocol has them."""
        series = self._series
        return [
            [series_id, time_us // 1000, decode(series[series_id], value)]
            for series_id, time_us, value in zip(
                batch.series_ids.tolist(), batch.times_us.tolist(), batch.values.tolist(), strict=True
            )
            if series_id in series
        ]

    # ----- what is known ----------------------------------------------------------------------------------

    def _take_described(self, described: Iterable[Described], touched: dict[str, None]) -> set[int]:
        """Remember it; the series among it."""
        renewed: set[int] = set()
        for change in described:
            record = change.record
            if not self.shows(record.device_id):
                continue
            touched[record.device_id] = None
            if isinstance(record, DeviceRecord):
                if record.device_id not in self._devices and _born_us(record) > self.at_us:
                    self._unborn = sorted([*self._unborn, (_born_us(record), record.device_id)], reverse=True)
                self._devices[record.device_id] = record
                continue
            if record.series_id not in self._series:
                self._of_device.setdefault(record.device_id, []).append(record.series_id)
            self._series[record.series_id] = record
            renewed.add(record.series_id)
        if renewed:
            self._make_room()
        return renewed

    def _make_room(self) -> None:
        """Columns for series that were not known before."""
        ids = np.asarray(sorted(self._series), np.uint32)
        at = np.searchsorted(ids, self._ids)
        for name, empty in (
            ("_times", np.zeros(len(ids), np.int64)),
            ("_values", np.full(len(ids), np.nan)),
            ("_seen", np.zeros(len(ids), bool)),
        ):
            empty[at] = getattr(self, name)
            setattr(self, name, empty)
        self._ids = ids
        self._texts = _count_texts(ids, self._series)

    def _find(self, series_ids: NDArray[np.uint32]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Where those of them stand that are known, and which these are."""
        if not len(self._ids):
            return np.empty(0, np.intp), np.zeros(len(series_ids), bool)
        at = np.searchsorted(self._ids, series_ids)
        known = self._ids[np.minimum(at, len(self._ids) - 1)] == series_ids
        return at[known], known

    def _note(self, batch: Batch) -> list[int]:
        """Remember the newest reading of each series; the series that have their first."""
        if not len(batch):
            return []
        at, known = self._find(batch.series_ids)
        # With repeated indices numpy assigns in order, so the last one stays.
        self._times[at] = batch.times_us[known]
        self._values[at] = batch.values[known]
        new = np.unique(at[~self._seen[at]])
        self._seen[new] = True
        first: list[int] = self._ids[new].tolist()
        return first

    # ----- what is told -----------------------------------------------------------------------------------

    def _describe(self, devices: dict[str, DeviceRecord], at_us: int) -> dict[str, list[dict[str, Any]]]:
        """These devices and their series as in a snapshot."""
        ids = np.asarray(sorted(id_ for one in devices for id_ in self._of_device.get(one, ())), np.uint32)
        at = np.searchsorted(self._ids, ids)
        at = at[self._seen[at]]
        return describe_moment(
            Catalog(devices, {id_: self._series[id_] for id_ in ids.tolist()}, 0),
            State(self._ids[at], self._times[at], self._values[at], 0),
            [self._available[id_] for id_ in devices if id_ in self._available],
            at_us,
            detail=self.has_detail,
        )

    def _tell(
        self, now: dict[str, list[dict[str, Any]]], renewed: Collection[int], touched: Iterable[str] = ()
    ) -> News:
        """Compare with what was told of these devices."""
        devices: list[dict[str, Any]] = []
        for device in now["devices"]:
            # When it was last seen is told by its readings.
            face = {**device, "last_seen_ms": None}
            if self._told_devices.get(device["device_id"]) != face:
                self._told_devices[device["device_id"]] = face
                devices.append(device)
        there = {device["device_id"] for device in now["devices"]}
        removed = [id_ for id_ in touched if id_ not in there and self._told_devices.pop(id_, None) is not None]
        for device_id in removed:
            self._told_series.pop(device_id, None)
        series: list[dict[str, Any]] = []
        for one in now["series"]:
            told = self._told_series.setdefault(one["device_id"], set())
            if one["series_id"] not in told or one["series_id"] in renewed:
                told.add(one["series_id"])
                series.append(one)
        return News(removed, devices, series)


def _born_us(device: DeviceRecord) -> int:
    return int(device.info.get("first_seen_ms") or 0) * 1000


def _count_texts(ids: NDArray[np.uint32], series: dict[int, SeriesRecord]) -> NDArray[np.float64]:
    """For each series the first code that stands for no text yet; infinite if its values are no codes."""
    return np.asarray([len(series[id_].texts) if series[id_].kind == Kind.TEXT else np.inf for id_ in ids.tolist()])
