"""All channels and sessions: what the pipeline publishes, every dashboard that follows gets, encoded once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np

from bridge.core.batch import Batch
from bridge.core.counters import Counters
from bridge.core.fleet import Changes, Fleet
from bridge.core.frame import KIND_MERGED, KIND_READINGS, MAX_SPAN_US, decode_frame, encode_frame
from bridge.core.recent import RecentLog
from bridge.core.series import Series
from bridge.errors import ProtocolError
from bridge.live.channel import Channel
from bridge.live.merge import Lag
from bridge.live.messages import DEVICE, FLEET, LOG, STATS, Packet, Subscribe, json_packet
from bridge.live.selection import Selection
from bridge.live.session import Session
from bridge.live.snapshots import Snapshots, head_of
from bridge.live.watch import Watch

NOTES_KEPT = 50  # what a newcomer needs to follow the conversation, no archive
COMMANDS_IN_WELCOME = 50  # likewise
MAX_IDLE_CHANNELS = 1_000  # device channels kept for who may come back; one client must not open as many as it likes


class LiveLimits(NamedTuple):
    """Bounds of the live plane."""

    ring_bytes: int = 8_000_000
    ring_us: int = 60_000_000
    max_subscriptions: int = 64
    max_selections: int = 200
    max_lag_bytes: int = 1_000_000  # merged readings kept for one slow dashboard on one channel


Logged = tuple[int, bytes, bool]
"""Something of the log that is on disk: its offset, its bytes, whether it is a frame of readings."""


class Hub:
    """The live plane. Pure but for the sessions' outlets: time comes in as `now_us`."""

    def __init__(
        self,
        epoch: str,
        fleet: Fleet,
        recent: RecentLog,
        counters: Counters,
        limits: LiveLimits,
        *,
        log_offset: int = 0,
        read_log: Callable[[str, int, int], list[Logged] | None] | None = None,
    ) -> None:
        """`log_offset`: from which the log goes on, if an earlier run began it. `read_log(epoch, after, to)`: what of
        it is no longer in memory, or None if that cannot be told in full."""
        self.epoch = epoch
        self.max_subscriptions = limits.max_subscriptions
        self.sessions: dict[Session, None] = {}
        self.notes: deque[dict[str, Any]] = deque(maxlen=NOTES_KEPT)
        self.stats: Callable[[], dict[str, Any]] = counters.as_dict  # the pipeline knows more, and puts itself here
        self.on_note: Callable[[dict[str, Any]], None] = lambda _: None
        self._fleet = fleet
        self._counters = counters
        self._limits = limits
        self._snapshots = Snapshots(fleet, recent)
        self._watch = Watch()
        self._channels: dict[str, Channel] = {}
        self._device_channels: dict[int, Channel] = {}  # by number
        self._selections: dict[str, Channel] = {}
        self._next_channel_no = 0
        self._first_offset = 0  # of channels opened from now on: above those of all that were closed
        self._note_no = 0
        self._operators_told = 0
        self.fleet_channel = self._open(FLEET)
        self._first_offset = log_offset
        self.log_channel = self._open(LOG)
        self._first_offset = 0
        self._read_log = read_log
        self.stats_channel = self._open(STATS)

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
        self.on_note(note)

    def restore_notes(self, notes: Iterable[dict[str, Any]]) -> None:
        """Those of an earlier run, oldest first."""
        self.notes.extend(notes)
        self._note_no = max((note["note_id"] for note in self.notes), default=0)

    def tick(self, now_us: int) -> None:
        """Serve those who fell behind, tell who is here if that changed, close what nobody followed for long."""
        if len(self.sessions) != self._operators_told:
            # Told at the tick, not at each join: a thousand dashboards that return at once would be a million messages.
            self._operators_told = len(self.sessions)
            self.broadcast(json_packet("presence", operators=self._operators_told))
        for channel in list(self._channels.values()):
            if channel.laggards:
                self._serve_laggards(channel, now_us)
            channel.forget_catch_ups(now_us)
            idle = channel.idle_since_us
            if idle is not None and now_us - idle > self._limits.ring_us:
                self._close(channel)

    # ----- channels ---------------------------------------------------------------------------------------

    def channel(self, request: Subscribe, now_us: int) -> Channel:
        """The channel that is asked for, opened if need be.

        Raises:
            ProtocolError: `unknown_channel`, `unknown_device`, `invalid_message` or `too_many_subscriptions`.
        """
        name = request.channel
        if request.devices is not None or request.series is not None:
            return self._selected(request, now_us)
        channel = self._channels.get(name)
        if channel is not None and channel.selection is None:
            return channel
        if not name.startswith(DEVICE):
            raise ProtocolError("unknown_channel", f"there is no channel {name[:100]!r}")
        device = self._fleet.devices.get(name.removeprefix(DEVICE))
        if device is None:
            raise ProtocolError("unknown_device", f"there is no device {name.removeprefix(DEVICE)[:100]!r}")
        self._make_room(self._device_channels.values(), MAX_IDLE_CHANNELS)
        channel = self._open(name)
        channel.idle_since_us = now_us
        self._device_channels[channel.number] = channel
        self._watch.add(device.series.values(), channel.number)
        return channel

    def follow(self, channel: Channel, session: Session) -> None:
        channel.followers[session] = None
        channel.idle_since_us = None

    def leave(self, channel: Channel, session: Session, now_us: int) -> None:
        channel.followers.pop(session, None)
        channel.laggards.pop(session, None)
        if not channel.followers and not channel.laggards and self._may_close(channel):
            channel.idle_since_us = now_us

    def catch_up(self, channel: Channel, request: Subscribe, *, binary: bool, now_us: int) -> list[Packet]:
        """What a new follower needs before the live messages: the missed ones, or the whole state."""
        missed = channel.missed(request.epoch, request.offset)
        if missed is not None:
            self._counters.resumed += 1
            head = {"id": request.id, **head_of(channel), "offset": request.offset}
            return [json_packet("snapshot", **head, recovered=True), *(e.packet(binary=binary) for e in missed)]
        if channel is self.log_channel:
            packets = self._from_disk(channel, request, binary=binary)
            if packets is not None:
                self._counters.resumed += 1
                return packets
        if request.offset is not None:
            self._counters.not_resumed += 1
        return self._snapshot(channel, request.id, binary=binary, now_us=now_us)

    # ----- publishing -------------------------------------------------------------------------------------

    def publish_changes(self, changes: Changes, now_us: int) -> None:
        """Births, descriptions, availability. Before the readings that refer to them."""
        both = (self.fleet_channel, self.log_channel)
        for device_id in changes.removed:
            gone = {"device_id": device_id, "removed": True}
            watching = self._watching(device_id)
            channels = (*both, *self._selecting(device_id), *watching)
            self._event(channels, now_us, "device", [device_id], removes=True, device=gone)
        for device in changes.devices:
            name = device.device_id
            self._event((*both, *self._selecting(name)), now_us, "device", [name], device=device.summary())
            watching = self._watching(name)
            if watching:
                self._event(watching, now_us, "device", [name], device=device.detail())
        if changes.series:
            self._publish_series(changes.series, now_us)

    def publish_readings(self, batch: Batch, now_us: int) -> int:
        """A batch at full rate: to `log`, and to the devices that somebody watches; how many writes that took."""
        writes = self._frame(self.log_channel, batch, now_us) + self._frame_selections(LOG, batch, now_us)
        for number, part in self._watch.split(batch):
            channel = self._device_channels.get(number)
            if channel is not None:  # else closed since, while its device was gone
                writes += self._frame(channel, part, now_us)
        return writes

    def publish_fleet(self, batch: Batch, now_us: int) -> int:
        """The conflated batch: the latest value of each series that changed; how many writes that took."""
        return self._frame(self.fleet_channel, batch, now_us) + self._frame_selections(FLEET, batch, now_us)

    def publish_stats(self, now_us: int) -> None:
        """What every hop counted, for those who follow `stats`."""
        self._event((self.stats_channel,), now_us, "stats", time_ms=now_us // 1000, counters=self.stats())

    # ----- opening and closing ----------------------------------------------------------------------------

    def _open(self, name: str, selection: Selection | None = None) -> Channel:
        self._next_channel_no += 1
        limits = self._limits
        channel = self._channels[name] = Channel(
            name,
            self._next_channel_no,
            self.epoch,
            limits.ring_bytes,
            limits.ring_us,
            self._first_offset,
            selection=selection,
            max_lag_bytes=limits.max_lag_bytes,
        )
        return channel

    def _selected(self, request: Subscribe, now_us: int) -> Channel:
        if request.channel not in (FLEET, LOG):
            raise ProtocolError("invalid_message", f"only {FLEET!r} and {LOG!r} can be narrowed")
        if request.devices is not None and request.series is not None:
            raise ProtocolError("invalid_message", "either devices or series, not both")
        selection = Selection(request.devices, request.series, self._fleet)
        name = f"{request.channel}#{selection.key}"
        channel = self._channels.get(name)
        if channel is None:
            if len(self._selections) >= self._limits.max_selections:
                self._make_room(self._selections.values(), 1)  # whichever nobody follows
            if len(self._selections) >= self._limits.max_selections:
                raise ProtocolError(
                    "too_many_subscriptions", f"at most {self._limits.max_selections} different selections at once"
                )
            channel = self._selections[name] = self._open(name, selection)
            channel.idle_since_us = now_us
        return channel

    def _may_close(self, channel: Channel) -> bool:
        return channel.number in self._device_channels or channel.name in self._selections

    def _make_room(self, channels: Iterable[Channel], limit: int) -> None:
        """Close the one that has been idle for longest, if there are as many as there may be."""
        idle = [channel for channel in channels if channel.idle_since_us is not None]
        if len(idle) >= limit:
            self._close(min(idle, key=lambda channel: channel.idle_since_us or 0))

    def _close(self, channel: Channel) -> None:
        del self._channels[channel.name]
        self._selections.pop(channel.name, None)
        if self._device_channels.pop(channel.number, None) is not None:
            self._watch.forget(channel.number)
        # Opened again it must not count through offsets that its followers of before remember.
        self._first_offset = max(self._first_offset, channel.offset + 1)

    def _watching(self, device_id: str) -> tuple[Channel, ...]:
        channel = self._channels.get(DEVICE + device_id)
        return (channel,) if channel else ()

    def _selecting(self, device_id: str) -> list[Channel]:
        return [c for c in self._selections.values() if c.selection and c.selection.has_device(device_id)]

    # ----- slow readers -----------------------------------------------------------------------------------

    def _serve_laggards(self, channel: Channel, now_us: int) -> None:
        for session, lag in list(channel.laggards.items()):
            if not lag.is_lost:  # else there is nothing to add to
                lag.add(channel.missed(self.epoch, lag.offset))
            if not session.has_room():
                continue
            session.send_state(self._after_lag(channel, session, lag, now_us))
            del channel.laggards[session]
            channel.followers[session] = None

    def _after_lag(self, channel: Channel, session: Session, lag: Lag, now_us: int) -> list[Packet]:
        """What takes a session that has read its backlog to where the channel is."""
        batch = lag.batch or Batch.empty(now_us)
        if lag.is_lost or (len(batch) and int(batch.times_us.max() - batch.times_us.min()) > MAX_SPAN_US):
            self._counters.dropped += channel.offset - lag.after
            subscription = session.subscription(channel)
            return self._snapshot(channel, subscription, binary=session.binary, now_us=now_us)
        self._counters.lagged += 1
        self._counters.merged += lag.merged
        told = json_packet(
            "lag",
            channel=channel.name,
            after=lag.after,
            offset=lag.offset,
            messages=lag.offset - lag.after,
            conflated=lag.merged,
            devices=[told for id_ in lag.device_ids for told in self._device_as_told(channel, id_, lag.removed_ids)],
            series=[
                self._fleet.latest.describe(self._fleet.series[series_id])
                for series_id in lag.series_ids
                if series_id in self._fleet.series
            ],
        )
        known = self._fleet.series  # a device that is gone took its series along
        batch = batch.select(np.fromiter((id_ in known for id_ in batch.series_ids.tolist()), bool, len(batch)))
        if session.binary:
            frame = encode_frame(batch, offset=lag.offset, channel_no=channel.number, kind=KIND_MERGED)
            return [told, Packet(frame, is_text=False)]
        rows = self._snapshots.rows(batch)
        return [told, json_packet("readings", channel=channel.name, offset=lag.offset, merged=True, rows=rows)]

    def _device_as_told(self, channel: Channel, device_id: str, removed_ids: set[str]) -> Iterator[dict[str, Any]]:
        """Gone, there, or first gone and then there again, without the series that it had."""
        device = self._fleet.devices.get(device_id)
        if device is None or device_id in removed_ids:
            yield {"device_id": device_id, "removed": True}
        if device is not None:
            yield device.detail() if channel.name.startswith(DEVICE) else device.summary()

    # ----- what is no longer in memory ------------------------------------------------------------------------

    def _from_disk(self, channel: Channel, request: Subscribe, *, binary: bool) -> list[Packet] | None:
        """What was missed, from disk and then from memory, across a restart if need be; None: not in full."""
        epoch, after = request.epoch, request.offset
        in_memory_after = channel.oldest - 1
        if self._read_log is None or epoch is None or after is None or after > in_memory_after:
            return None
        logged = self._read_log(epoch, after, in_memory_after)
        if logged is None:
            return None
        since = channel.missed(channel.epoch, in_memory_after)
        assert since is not None
        head = {"id": request.id, **head_of(channel), "offset": after}
        return [
            json_packet("snapshot", **head, recovered=True),
            *(self._logged(channel, *one, binary=binary) for one in logged),
            *(entry.packet(binary=binary) for entry in since),
        ]

    def _logged(self, channel: Channel, offset: int, data: bytes, is_frame: bool, *, binary: bool) -> Packet:
        if not is_frame:
            return Packet(data)
        frame = decode_frame(data)
        batch = Batch(frame.series_ids, frame.times_us, frame.values, frame.server_time_us)
        if binary:
            # The run that wrote it may have numbered its channels otherwise.
            return Packet(encode_frame(batch, offset=offset, channel_no=channel.number), is_text=False)
        return json_packet("readings", channel=channel.name, offset=offset, rows=self._snapshots.rows(batch))

    # ----- encoding ---------------------------------------------------------------------------------------

    def _snapshot(self, channel: Channel, subscription: Any, *, binary: bool, now_us: int) -> list[Packet]:
        if channel is self.stats_channel:
            head = {"id": subscription, **head_of(channel), "offset": channel.offset}
            return [json_packet("snapshot", **head, recovered=False, counters=self.stats())]
        state = self._snapshots.of(channel, binary=binary, now_us=now_us)
        since = channel.missed(self.epoch, state.offset)
        assert since is not None
        packets = [state.packet(channel, subscription)]
        if state.recent is not None:
            packets.append(state.recent)
        return [*packets, *(entry.packet(binary=binary) for entry in since)]

    def _publish_series(self, changed: list[Series], now_us: int) -> None:
        told: dict[Series, Any] = {}
        by_device: dict[str, list[Series]] = {}
        for series in changed:
            told[series] = self._fleet.latest.describe(series, texts_from=series.texts_told)
            series.texts_told = len(series.texts)
            by_device.setdefault(series.device.device_id, []).append(series)

        def tell(channels: Iterable[Channel], some: Iterable[Series]) -> None:
            about = [series.series_id for series in some]
            self._event(channels, now_us, "series", (), about, series=[told[series] for series in some])

        tell((self.fleet_channel, self.log_channel), told)
        for channel in self._selections.values():
            selection = channel.selection
            assert selection is not None
            strangers = {
                s.device: None for s in told if selection.has_series(s) and not selection.has_device(s.device.device_id)
            }
            for device in strangers:  # a series on the list that is known from now on: its device first
                self._event((channel,), now_us, "device", [device.device_id], device=device.summary())
            mine = selection.take_in(told)
            if mine:
                tell((channel,), mine)
        for device_id, group in by_device.items():
            for channel in self._watching(device_id):
                self._watch.add(group, channel.number)
                tell((channel,), group)

    def _event(
        self,
        channels: Iterable[Channel],
        now_us: int,
        type_: str,
        device_ids: Iterable[str] = (),
        series_ids: Iterable[int] = (),
        *,
        removes: bool = False,
        **fields: Any,
    ) -> None:
        body = msgspec.json.encode(fields)[1:]

        def make(channel: Channel) -> Callable[[int], Packet]:
            head = {"type": type_, "channel": channel.name}
            return lambda offset: Packet(msgspec.json.encode({**head, "offset": offset})[:-1] + b"," + body)

        for channel in channels:
            channel.publish_event(make(channel), now_us, device_ids=device_ids, series_ids=series_ids, removes=removes)

    def _frame_selections(self, base: str, batch: Batch, now_us: int) -> int:
        writes = 0
        for name, channel in self._selections.items():
            if channel.selection is not None and name.startswith(base):
                mine = channel.selection.pick(batch)
                if len(mine):
                    writes += self._frame(channel, mine, now_us)
        return writes

    def _frame(self, channel: Channel, batch: Batch, now_us: int) -> int:
        return channel.publish_frame(
            lambda offset: encode_frame(batch, offset=offset, channel_no=channel.number, kind=KIND_READINGS),
            lambda offset: json_packet(
                "readings", channel=channel.name, offset=offset, rows=self._snapshots.rows(batch)
            ),
            now_us,
        )
