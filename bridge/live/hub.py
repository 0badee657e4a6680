"""All channels and sessions: what the pipeline publishes, every dashboard that follows gets, encoded once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from bridge.core.batch import Batch
from bridge.core.counters import Counters
from bridge.core.fleet import Changes, Fleet
from bridge.core.frame import KIND_READINGS, KIND_RECENT, encode_frame
from bridge.core.recent import RecentLog
from bridge.errors import ProtocolError
from bridge.live.channel import Channel
from bridge.live.messages import Packet, Subscribe, json_packet
from bridge.live.session import Session

FLEET, LOG, DEVICE = "fleet", "log", "device/"

NOTES_KEPT = 50  # what a newcomer needs to follow the conversation, no archive
COMMANDS_IN_WELCOME = 50  # likewise
RECENT_POINTS_FLEET = 60  # a sparkline is some 120 pixels wide
RECENT_POINTS_DEVICE = 2_000  # a chart is some 1,000 pixels wide, and keeps two points a pixel
RECENT_POINTS_TOTAL = 60_000  # 1 MB: a fleet of thousands gets shorter sparklines rather than a slow start


class LiveLimits(NamedTuple):
    """Bounds of the live plane."""

    ring_bytes: int = 8_000_000
    ring_us: int = 60_000_000
    max_subscriptions: int = 64


class Hub:
    """The live plane. Pure but for the sessions' `send`: time comes in as `now_us`."""

    def __init__(self, epoch: str, fleet: Fleet, recent: RecentLog, counters: Counters, limits: LiveLimits) -> None:
        self.epoch = epoch
        self.max_subscriptions = limits.max_subscriptions
        self.sessions: dict[Session, None] = {}
        self.notes: deque[dict[str, Any]] = deque(maxlen=NOTES_KEPT)
        self._fleet = fleet
        self._recent = recent
        self._counters = counters
        self._limits = limits
        self._channels: dict[str, Channel] = {}
        self._next_channel_no = 0
        self._first_offset = 0  # of channels opened from now on: above those of all that were closed
        self._note_no = 0
        self._operators_told = 0
        self.fleet_channel = self._open(FLEET)
        self.log_channel = self._open(LOG)

    # ----- sessions ---------------------------------------------------------------------------------------

    def join(self, session: Session) -> None:
        self.sessions[session] = None

    def part(self, session: Session, now_us: int) -> None:
        session.close(now_us)
        self.sessions.pop(session, None)

    def broadcast(self, packet: Packet) -> None:
        """To every session, whatever it follows."""
        for session in self.sessions:
            session.send(packet)

    def write_note(self, text: str, author: str, now_us: int) -> None:
        self._note_no += 1
        note = {"note_id": self._note_no, "text": text, "author": author, "time_ms": now_us // 1000}
        self.notes.append(note)
        self.broadcast(json_packet("note", **note))

    def tick(self, now_us: int) -> None:
        """Tell who is here, if that changed, and close device channels that nobody followed for a while."""
        if len(self.sessions) != self._operators_told:
            # Told at the tick, not at each join: a thousand dashboards that return at once would be a million messages.
            self._operators_told = len(self.sessions)
            self.broadcast(json_packet("presence", operators=self._operators_told))
        for channel in list(self._channels.values()):
            idle = channel.idle_since_us
            if idle is not None and now_us - idle > self._limits.ring_us and channel.name.startswith(DEVICE):
                del self._channels[channel.name]
                # Opened again it must not count through offsets that its followers of before remember.
                self._first_offset = max(self._first_offset, channel.offset + 1)

    # ----- channels ---------------------------------------------------------------------------------------

    def channel(self, name: str, now_us: int) -> Channel:
        """The channel of that name, opened if need be.

        Raises:
            ProtocolError: `unknown_channel` or `unknown_device`.
        """
        channel = self._channels.get(name)
        if channel is not None:
            return channel
        if not name.startswith(DEVICE):
            raise ProtocolError("unknown_channel", f"there is no channel {name[:100]!r}")
        if name.removeprefix(DEVICE) not in self._fleet.devices:
            raise ProtocolError("unknown_device", f"there is no device {name.removeprefix(DEVICE)[:100]!r}")
        channel = self._open(name)
        channel.idle_since_us = now_us
        return channel

    def leave(self, channel: Channel, session: Session, now_us: int) -> None:
        channel.followers.pop(session, None)
        if not channel.followers:
            channel.idle_since_us = now_us

    def catch_up(self, channel: Channel, request: Subscribe, *, binary: bool, now_us: int) -> list[Packet]:
        """What a new follower needs before the live messages: the missed ones, or the whole state."""
        head = {
            "id": request.id,
            "channel": channel.name,
            "channel_no": channel.number,
            "epoch": channel.epoch,
            "offset": channel.offset,
        }
        missed = channel.missed(request.epoch, request.offset)
        if missed is not None:
            self._counters.resumed += 1
            resumed = json_packet("snapshot", **{**head, "offset": request.offset, "recovered": True})
            return [resumed, *(entry.packet(binary=binary) for entry in missed)]
        if request.offset is not None:
            self._counters.not_resumed += 1
        prefix = msgspec.json.encode({"type": "snapshot", **head, "recovered": False})
        packets = [Packet(prefix[:-1] + b"," + self._snapshot_body(channel))]
        recent = self._recent_packet(channel, binary=binary, now_us=now_us)
        return packets if recent is None else [*packets, recent]

    # ----- publishing -------------------------------------------------------------------------------------

    def publish_changes(self, changes: Changes, now_us: int) -> None:
        """Births, descriptions, availability. Before the readings that refer to them."""
        both = (self.fleet_channel, self.log_channel)
        for device_id in changes.removed:
            gone = {"device_id": device_id, "removed": True}
            self._event((*both, *self._watched(device_id)), now_us, "device", device=gone)
        for device in changes.devices:
            self._event(both, now_us, "device", device=device.summary())
            self._event(self._watched(device.device_id), now_us, "device", device=device.detail())
        if changes.series:
            by_device: dict[str, list[Any]] = {}
            for series in changes.series:
                told = self._fleet.latest.describe(series, texts_from=series.texts_told)
                series.texts_told = len(series.texts)
                by_device.setdefault(series.device.device_id, []).append(told)
            self._event(both, now_us, "series", series=[told for group in by_device.values() for told in group])
            for device_id, group in by_device.items():
                self._event(self._watched(device_id), now_us, "series", series=group)

    def publish_readings(self, batch: Batch, now_us: int) -> None:
        """A batch at full rate: to `log`, and to the devices that somebody watches."""
        self._frame(self.log_channel, batch, now_us)
        for name, channel in self._channels.items():
            if not name.startswith(DEVICE):
                continue
            device = self._fleet.devices.get(name.removeprefix(DEVICE))
            if device is None or not device.series:
                continue
            ids = np.fromiter((series.series_id for series in device.series.values()), dtype=np.uint32)
            mine = batch.select(np.isin(batch.series_ids, ids))
            if len(mine):
                self._frame(channel, mine, now_us)

    def publish_fleet(self, batch: Batch, now_us: int) -> None:
        """The conflated batch: the latest value of each series that changed."""
        self._frame(self.fleet_channel, batch, now_us)

    # ----- inner workings ---------------------------------------------------------------------------------

    def _open(self, name: str) -> Channel:
        self._next_channel_no += 1
        channel = Channel(
            name,
            self._next_channel_no,
            self.epoch,
            self._limits.ring_bytes,
            self._limits.ring_us,
            self._first_offset,
        )
        self._channels[name] = channel
        return channel

    def _watched(self, device_id: str) -> tuple[Channel, ...]:
        channel = self._channels.get(DEVICE + device_id)
        return (channel,) if channel else ()

    def _event(self, channels: Sequence[Channel], now_us: int, type_: str, **fields: Any) -> None:
        if not channels:
            return
        body = msgspec.json.encode(fields)[1:]

        def make(channel: Channel) -> Callable[[int], Packet]:
            head = {"type": type_, "channel": channel.name}
            return lambda offset: Packet(msgspec.json.encode({**head, "offset": offset})[:-1] + b"," + body)

        for channel in channels:
            channel.publish_event(make(channel), now_us)

    def _frame(self, channel: Channel, batch: Batch, now_us: int) -> None:
        channel.publish_frame(
            lambda offset: encode_frame(batch, offset=offset, channel_no=channel.number, kind=KIND_READINGS),
            lambda offset: json_packet("readings", channel=channel.name, offset=offset, rows=self._rows(batch)),
            now_us,
        )

    def _rows(self, batch: Batch) -> list[list[Any]]:
        series = self._fleet.series
        return [
            [sid, time_us // 1000, series[sid].decode(value)]
            for sid, time_us, value in zip(
                batch.series_ids.tolist(), batch.times_us.tolist(), batch.values.tolist(), strict=True
            )
            if sid in series  # its device may have been removed since
        ]

    def _snapshot_body(self, channel: Channel) -> bytes:
        cached = channel.snapshot_cache
        if cached is not None and cached[0] == channel.offset:
            return cached[1]
        latest = self._fleet.latest
        if channel.name.startswith(DEVICE):
            device = self._fleet.devices.get(channel.name.removeprefix(DEVICE))
            devices = [device.detail()] if device else []
            series = [latest.describe(s) for s in device.series.values()] if device else []
        else:
            devices = [device.summary() for device in self._fleet.devices.values()]
            series = [latest.describe(s) for s in self._fleet.series.values()]
        body = msgspec.json.encode({"devices": devices, "series": series})[1:]
        channel.snapshot_cache = (channel.offset, body)
        return body

    def _recent_packet(self, channel: Channel, *, binary: bool, now_us: int) -> Packet | None:
        if channel.name == LOG:
            return None
        cached = channel.recent_cache.get(binary)
        if cached is not None and cached[0] == channel.offset:
            return cached[1]
        if channel is self.fleet_channel:
            ids = np.fromiter(self._fleet.series, dtype=np.uint32)
            points = max(2, min(RECENT_POINTS_FLEET, RECENT_POINTS_TOTAL // max(1, len(ids))))
        else:
            device = self._fleet.devices.get(channel.name.removeprefix(DEVICE))
            members = device.series.values() if device else ()
            ids = np.fromiter((series.series_id for series in members), dtype=np.uint32)
            points = max(2, min(RECENT_POINTS_DEVICE, RECENT_POINTS_TOTAL // max(1, len(ids))))
        batch = self._recent.select(ids, points, now_us)
        packet = None
        if batch is not None and binary:
            frame = encode_frame(batch, offset=0, channel_no=channel.number, kind=KIND_RECENT)
            packet = Packet(frame, is_text=False)
        elif batch is not None:
            packet = json_packet("recent", channel=channel.name, rows=self._rows(batch))
        channel.recent_cache[binary] = (channel.offset, packet)
        return packet
