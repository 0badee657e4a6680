"""A replay: history played as if live, to one session, with the same messages. Pure; `bridge/replays.py` runs it.

It says which span of the past it needs next (`wanted`), is fed, and gives what to send at each tick. A moment that it
is to jump to comes as a `View`, which can be made by another thread.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import msgspec

from bridge.core.batch import Batch
from bridge.core.frame import KIND_RECENT, encode_frame, split_by_span
from bridge.core.recent import RecentLog
from bridge.history.archive import Moment
from bridge.history.catalog import Catalog, Described, DeviceRecord
from bridge.history.events import COMMAND, NOTE, Event
from bridge.live.merge import merge
from bridge.live.messages import REPLAY, Packet, json_packet
from bridge.live.scene import News, Scene
from bridge.live.snapshots import RECENT_POINTS_DEVICE, RECENT_POINTS_FLEET, RECENT_POINTS_TOTAL
from bridge.live.timeline import Due, Feed, Timeline, Wanted

RECENT_US = 15 * 60_000_000  # the past that a snapshot brings along
COMMANDS_SHOWN = NOTES_SHOWN = 50  # as in `welcome`
# Of one tick. What is more is merged: 48 KB ten times a second is as much as a wireless network takes with ease.
MERGE_ABOVE = 3_000
TELL_US = 150_000  # with ten ticks a second, at every second one: five times a second
# Numbers of channels that no live channel ever has: those begin at 1.
FIRST_CHANNEL_NO = 2**31


class View(NamedTuple):
    """A moment to jump to, ready to be sent. `body`: devices, series, commands and notes as JSON, without the "{"."""

    scene: Scene
    body: bytes


def make_view(moment: Moment, happened: Sequence[Event], device_ids: Collection[str] | None) -> View:
    """`happened`: commands and notes before the moment, in order of time. Blocking: some 30 µs a series."""
    scene = Scene(moment, device_ids)
    shown = [event for event in happened if scene.shows(event.device_id)]
    commands = _last_states(shown)[-COMMANDS_SHOWN:]
    notes = [event.data for event in shown if event.kind == NOTE][-NOTES_SHOWN:]
    body = msgspec.json.encode({**scene.snapshot, "commands": commands, "notes": notes})
    scene.snapshot = {}
    return View(scene, body[1:])


class Player:
    """One replay. `id_`: of the subscription. Its name, number and epoch are those of its channel."""

    def __init__(
        self,
        id_: str | int,
        number: int,
        epoch: str,
        timeline: Timeline,
        *,
        is_binary: bool,
        merge_above: int = MERGE_ABOVE,
    ) -> None:
        self.name = f"{REPLAY}/{number}"
        self.timeline = timeline
        self._id = id_
        self._number = FIRST_CHANNEL_NO + number
        self._epoch = epoch
        self._is_binary = is_binary
        self._merge_above = merge_above
        self._offset = 0
        self._scene: Scene | None = None  # None: nothing has been shown yet
        self._series_ids: list[int] = []  # of the scene, and of what is fed but not due
        self._told: tuple[float, bool, bool] | None = None  # speed, paused, at_end
        self._told_us = 0  # real time

    # ----- jumps ------------------------------------------------------------------------------------------

    def show(self, view: View, now_us: int) -> list[Packet]:
        """Be at the moment of the view. `recent` may follow, and then `tick`."""
        self._scene = view.scene
        self._series_ids = view.scene.series_ids
        timeline = self.timeline
        timeline.jump(view.scene.at_us, now_us)
        self._told = None
        head = {
            "type": "snapshot",
            "id": self._id,
            "channel": self.name,
            "channel_no": self._number,
            "epoch": self._epoch,
            "offset": self._offset,
            "recovered": False,
            "at_ms": timeline.at_us / 1000,
            "speed": timeline.speed,
            "paused": timeline.is_paused,
        }
        return [Packet(msgspec.json.encode(head)[:-1] + b"," + view.body)]

    def recent(self, batches: Sequence[Batch]) -> list[Packet]:
        """The readings of the last `RECENT_US`, oldest first, thinned. Blocking: some 0.1 µs a reading."""
        scene = self._scene
        assert scene is not None
        at_us = scene.at_us
        log = RecentLog(2**62, RECENT_US / 1e6)
        for batch in batches:
            log.append(Batch(batch.series_ids, batch.times_us, batch.values, at_us))
        ids = scene.recent_ids[0]
        most = RECENT_POINTS_DEVICE if scene.has_detail else RECENT_POINTS_FLEET
        thinned = log.select(ids, max(2, min(most, RECENT_POINTS_TOTAL // max(1, len(ids)))), at_us)
        if thinned is None:
            return []
        if self._is_binary:
            frame = encode_frame(thinned, offset=0, channel_no=self._number, kind=KIND_RECENT)
            return [Packet(frame, is_text=False)]
        return [json_packet("recent", channel=self.name, rows=scene.rows(thinned))]

    # ----- feeding ----------------------------------------------------------------------------------------

    @property
    def scene(self) -> Scene | None:
        """What is shown; None before the first jump."""
        return self._scene

    def wanted(self, now_us: int) -> Wanted | None:
        """See `Timeline.wanted`."""
        return None if self._scene is None else self.timeline.wanted(now_us)

    def series_to_feed(self, described: Sequence[Described]) -> list[int]:
        """Whose readings belong to a feed, if this is what is described in its span."""
        assert self._scene is not None
        new = {
            one.record.series_id
            for one in described
            if not isinstance(one.record, DeviceRecord) and self._scene.shows(one.record.device_id)
        }
        if not new.issubset(self._series_ids):
            self._series_ids = sorted(new.union(self._series_ids))
        return self._series_ids

    def lacks_texts(self, feed: Feed) -> bool:
        """Whether the catalog must be asked again before this can be shown; see `learn_texts`."""
        return self._scene is not None and self._scene.lacks_texts(feed.batch)

    def learn_texts(self, feed: Feed, catalog: Catalog) -> Feed:
        """The feed with the news that there are more texts, in front."""
        assert self._scene is not None
        news = [one._replace(time_us=feed.from_us) for one in self._scene.learn_texts(catalog)]
        return feed._replace(described=[*news, *feed.described])

    # ----- playing ----------------------------------------------------------------------------------------

    def tick(self, now_us: int) -> list[Packet]:
        """Let time pass: everything to send, in order. Call it only while the client has room."""
        packets: list[Packet] = []
        if self._scene is None:
            return packets
        due = self.timeline.advance(now_us)
        if due is not None:
            packets += self._happenings(due, self._scene.advance(due))
            packets += self._frames(due.batch)
        timeline = self.timeline
        now = (timeline.speed, timeline.is_paused, timeline.at_end)
        if now != self._told or (due is not None and (timeline.is_paused or now_us - self._told_us >= TELL_US)):
            self._told, self._told_us = now, now_us
            packets.append(self._state())
        return packets

    def tell(self) -> None:
        """Say with the next tick how it stands, whatever that brings."""
        self._told = None

    def _state(self) -> Packet:
        timeline = self.timeline
        return json_packet(
            "replay",
            id=self._id,
            channel=self.name,
            at_ms=timeline.at_us / 1000,
            speed=timeline.speed,
            paused=timeline.is_paused,
            at_end=timeline.at_end,
        )

    def _happenings(self, due: Due, news: News) -> list[Packet]:
        """Births before the readings that refer to them; of a command that changed several times the last state."""
        packets = [self._event("device", device={"device_id": id_, "removed": True}) for id_ in news.removed]
        packets += [self._event("device", device=device) for device in news.devices]
        if news.series:
            packets.append(self._event("series", series=news.series))
        if due.events:
            assert self._scene is not None
            shown = [event for event in due.events if self._scene.shows(event.device_id)]
            packets += [json_packet("command", channel=self.name, **record) for record in _last_states(shown)]
            packets += [json_packet("note", channel=self.name, **event.data) for event in shown if event.kind == NOTE]
        return packets

    def _event(self, type_: str, **fields: Any) -> Packet:
        self._offset += 1
        return json_packet(type_, channel=self.name, offset=self._offset, **fields)

    def _frames(self, batch: Batch) -> list[Packet]:
        packets: list[Packet] = []
        if len(batch) > self._merge_above:
            batch = merge([batch])
        for part in split_by_span(batch):
            self._offset += 1
            if self._is_binary:
                frame = encode_frame(part, offset=self._offset, channel_no=self._number)
                packets.append(Packet(frame, is_text=False))
            else:
                assert self._scene is not None
                rows = self._scene.rows(part)
                packets.append(json_packet("readings", channel=self.name, offset=self._offset, rows=rows))
        return packets


def _last_states(events: Sequence[Event]) -> list[Any]:
    """Of each command the last record, where the first stood."""
    return list({event.data.get("id"): event.data for event in events if event.kind == COMMAND}.values())
