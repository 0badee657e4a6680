"""What a newcomer gets before the live messages: a channel's whole state, built once and shared by all who come."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import msgspec
import numpy as np

from bridge.core.batch import Batch
from bridge.core.fleet import Fleet
from bridge.core.frame import KIND_RECENT, encode_frame
from bridge.core.recent import RecentLog
from bridge.core.series import Device, Series
from bridge.live.channel import Channel
from bridge.live.messages import DEVICE, LOG, Packet, json_packet

RECENT_POINTS_FLEET = 60  # a sparkline is some 120 pixels wide
RECENT_POINTS_DEVICE = 2_000  # a chart is some 1,000 pixels wide, and keeps two points a pixel
RECENT_POINTS_TOTAL = 60_000  # 1 MB: a fleet of thousands gets shorter sparklines rather than a slow start

# A snapshot costs some 5 us a series to build. Reused for twenty times that long, with the messages since, it takes at
# most a twentieth of the event loop, however many dashboards come at once.
REUSE_US_PER_SERIES = 100
IDS_KEPT = 2  # packets kept of one snapshot, by the id that the client chose; pages all choose the same


class CatchUp:
    """A channel's state at one offset, as packets."""

    def __init__(self, offset: int, time_us: int, series: int, body: bytes, recent: Packet | None) -> None:
        self.offset = offset
        self.until_us = time_us + REUSE_US_PER_SERIES * series
        self.recent = recent
        self._body = body
        self._packets: OrderedDict[Any, Packet] = OrderedDict()

    def packet(self, channel: Channel, subscription: Any) -> Packet:
        """The snapshot for whoever subscribed with this id."""
        packet = self._packets.get(subscription)
        if packet is None:
            head = {"type": "snapshot", "id": subscription, **head_of(channel), "offset": self.offset}
            prefix = msgspec.json.encode({**head, "recovered": False})
            packet = self._packets[subscription] = Packet(prefix[:-1] + b"," + self._body)
            if len(self._packets) > IDS_KEPT:
                self._packets.popitem(last=False)
        return packet


class Snapshots:
    """Builds and keeps them."""

    def __init__(self, fleet: Fleet, recent: RecentLog) -> None:
        self._fleet = fleet
        self._recent = recent

    def of(self, channel: Channel, *, binary: bool, now_us: int) -> CatchUp:
        """The present state; or that of a moment ago, if the channel still has every message since."""
        kept = channel.catch_ups.get(binary)
        if kept is not None and (
            kept.offset == channel.offset
            or (now_us < kept.until_us and channel.missed(channel.epoch, kept.offset) is not None)
        ):
            return kept
        devices, series = self._members(channel)
        told = {
            "devices": [device.detail() if channel.name.startswith(DEVICE) else device.summary() for device in devices],
            "series": [self._fleet.latest.describe(one) for one in series],
        }
        body = msgspec.json.encode(told)[1:]
        recent = self._recent_packet(channel, series, binary=binary, now_us=now_us)
        made = channel.catch_ups[binary] = CatchUp(channel.offset, now_us, len(series), body, recent)
        return made

    def rows(self, batch: Batch) -> list[list[Any]]:
        """The readings as the JSON subprotocol has them."""
        series = self._fleet.series
        return [
            [sid, time_us // 1000, series[sid].decode(value)]
            for sid, time_us, value in zip(
                batch.series_ids.tolist(), batch.times_us.tolist(), batch.values.tolist(), strict=True
            )
            if sid in series  # its device may have been removed since
        ]

    def _members(self, channel: Channel) -> tuple[list[Device], list[Series]]:
        fleet, selection = self._fleet, channel.selection
        if selection is not None:
            devices = selection.devices(fleet)
            return devices, [s for device in devices for s in device.series.values() if selection.has_series(s)]
        if channel.name.startswith(DEVICE):
            device = fleet.devices.get(channel.name.removeprefix(DEVICE))
            return ([device], list(device.series.values())) if device else ([], [])
        return list(fleet.devices.values()), list(fleet.series.values())

    def _recent_packet(self, channel: Channel, series: list[Series], *, binary: bool, now_us: int) -> Packet | None:
        if channel.name == LOG or channel.name.startswith(LOG + "#"):
            return None
        ids = np.fromiter((one.series_id for one in series), dtype=np.uint32)
        most = RECENT_POINTS_DEVICE if channel.name.startswith(DEVICE) else RECENT_POINTS_FLEET
        batch = self._recent.select(ids, max(2, min(most, RECENT_POINTS_TOTAL // max(1, len(ids)))), now_us)
        if batch is None:
            return None
        if binary:
            frame = encode_frame(batch, offset=0, channel_no=channel.number, kind=KIND_RECENT)
            return Packet(frame, is_text=False)
        return json_packet("recent", channel=channel.name, rows=self.rows(batch))


def head_of(channel: Channel) -> dict[str, Any]:
    """How messages about a subscription name the channel."""
    return {"channel": channel.name, "channel_no": channel.number, "epoch": channel.epoch}
