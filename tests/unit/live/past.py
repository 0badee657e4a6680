"""A past as plain lists, the naive state at any time of it, and a viewer who believes only what a replay tells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bridge.core.batch import Batch, make_batch
from bridge.core.frame import KIND_READINGS, KIND_RECENT, decode_frame
from bridge.history.archive import Moment
from bridge.history.catalog import Catalog, Described, DeviceRecord, SeriesRecord
from bridge.history.events import AVAILABILITY, Event
from bridge.history.latest import State
from bridge.history.portrait import decode, describe_moment
from bridge.live.messages import Packet
from bridge.live.timeline import Feed, Wanted
from tests.unit.live.helpers import message

Reading = tuple[int, int, float]  # time, series, value


class Past(NamedTuple):
    """Everything in order of time."""

    readings: list[Reading]
    described: list[Described]
    events: list[Event]

    def moment(self, at_us: int) -> Moment:
        """As the archive tells it."""
        devices: dict[str, DeviceRecord] = {}
        series: dict[int, SeriesRecord] = {}
        for time_us, record in self.described:
            if isinstance(record, DeviceRecord):
                if time_us <= at_us or record.device_id not in devices:
                    devices[record.device_id] = record
            elif time_us <= at_us or record.series_id not in series:
                series[record.series_id] = record
        newest: dict[int, tuple[int, float]] = {}
        for time_us, series_id, value in self.readings:
            if time_us <= at_us:
                newest[series_id] = (time_us, value)
        ids = sorted(newest)
        state = State(
            np.asarray(ids, np.uint32),
            np.asarray([newest[one][0] for one in ids], np.int64),
            np.asarray([newest[one][1] for one in ids], np.float64),
            0,
        )
        available = {e.device_id: e for e in self.events if e.kind == AVAILABILITY and e.time_us <= at_us}
        return Moment(at_us, Catalog(devices, dict(sorted(series.items())), 99), state, list(available.values()))

    def between(self, from_us: int, to_us: int) -> list[Reading]:
        """Readings in [from, to)."""
        return [one for one in self.readings if from_us <= one[0] < to_us]

    def feed(self, wanted: Wanted, end_us: int) -> Feed:
        return Feed(
            wanted.from_us,
            end_us,
            2 * max(1_000_000, end_us - wanted.from_us),
            batch_of(self.between(wanted.from_us, end_us), wanted.from_us),
            [one for one in self.events if wanted.from_us <= one.time_us < end_us],
            [one for one in self.described if wanted.from_us <= one.time_us < end_us],
        )


def batch_of(readings: Sequence[Reading], server_time_us: int = 0) -> Batch:
    times, ids, values = [list(column) for column in zip(*readings, strict=True)] if readings else ([], [], [])
    return make_batch(ids, times, values, server_time_us)


class Viewer:
    """Follows one replay; fails at the first message that breaks a promise about names, offsets or order."""

    def __init__(self) -> None:
        self.offset = -1
        self.snapshot: dict[str, Any] = {}
        self.devices: dict[str, dict[str, Any]] = {}
        self.series: dict[tuple[str, str], dict[str, Any]] = {}
        self.state: dict[str, Any] = {}  # of the last `replay`
        self.told: list[Reading] = []  # since the last snapshot
        self.happened: list[dict[str, Any]] = []  # commands and notes
        self.recent: list[Reading] = []

    def read(self, packets: Sequence[Packet]) -> list[Reading]:
        """The readings among them."""
        before = len(self.told)
        for packet in packets:
            if packet.is_text:
                self.read_text(message(packet))
            else:
                self._read_frame(packet.payload)
        return self.told[before:] if before <= len(self.told) else self.told

    def read_text(self, told: dict[str, Any]) -> None:
        kind = told["type"]
        if kind == "snapshot":
            assert self.offset in (-1, told["offset"]), "the offsets go on"
            assert told["recovered"] is False
            self.offset, self.snapshot = told["offset"], told
            self.devices = {one["device_id"]: one for one in told["devices"]}
            self.series = {(one["device_id"], one["metric"]): one for one in told["series"]}
            self.told, self.happened, self.recent, self.state = [], [], [], {}
            return
        assert told["channel"] == self.snapshot["channel"]
        if "offset" in told:
            self._advance(told["offset"])
        if kind == "device":
            device = told["device"]
            self.devices[device["device_id"]] = device
            if device.get("removed"):
                del self.devices[device["device_id"]]
                self.series = {key: one for key, one in self.series.items() if key[0] != device["device_id"]}
        elif kind == "series":
            for one in told["series"]:
                assert one["device_id"] in self.devices, "a device is told before its series"
                self.series[one["device_id"], one["metric"]] = one
        elif kind in ("readings", "recent"):
            rows = [(time_ms * 1000, id_, value) for id_, time_ms, value in told["rows"]]
            if kind == "recent":
                self.recent = rows
            else:
                self.told += rows
        elif kind in ("command", "note"):
            self.happened.append(told)
        else:
            assert kind == "replay"
            assert told["id"] == self.snapshot["id"]
            self.state = told

    def _read_frame(self, payload: bytes) -> None:
        frame = decode_frame(payload)
        assert frame.channel_no == self.snapshot["channel_no"]
        rows = list(zip(frame.times_us.tolist(), frame.series_ids.tolist(), frame.values.tolist(), strict=True))
        if frame.kind == KIND_RECENT:
            self.recent = rows
            return
        assert frame.kind == KIND_READINGS
        self._advance(frame.offset)
        assert all(time_us <= frame.server_time_us for time_us, _, _ in rows), "from the future of the replay"
        self.told += rows
        known = {one["series_id"]: one for one in self.series.values()}
        for time_us, series_id, value in rows:
            series = known.get(series_id)
            if series is None:
                continue
            record = SeriesRecord(series_id, "", "", series["kind"], tuple(series["texts"]), {})
            series["value"] = decode(record, value)
            series["time_ms"] = series["received_ms"] = time_us // 1000
            series["quality"] = "bad" if math.isnan(value) else "good"

    def _advance(self, offset: int) -> None:
        assert offset == self.offset + 1, f"{offset} after {self.offset}"
        self.offset = offset

    def is_like(self, moment: Moment, device_ids: frozenset[str] | None) -> None:
        """What was told amounts to a snapshot of that moment."""
        detail = device_ids is not None and len(device_ids) == 1
        there = describe_moment(
            moment.catalog, moment.state, moment.availability, moment.at_us, device_ids=device_ids, detail=detail
        )
        assert _faces(self.devices.values()) == _faces(there["devices"])
        assert self.series == {(one["device_id"], one["metric"]): one for one in there["series"]}


def _faces(devices: Any) -> dict[str, dict[str, Any]]:
    """Devices without when they were last seen: that is told by their readings."""
    return {one["device_id"]: {**one, "last_seen_ms": None} for one in devices}
