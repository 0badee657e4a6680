"""A channel: numbered messages, who follows them, and the memory from which a returning dashboard resumes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from bridge.live.merge import Lag
from bridge.live.messages import Packet

if TYPE_CHECKING:
    from bridge.live.selection import Selection
    from bridge.live.session import Session
    from bridge.live.snapshots import CatchUp


class Entry:
    """One message of a channel. A frame has two forms; the text form is made when somebody first needs it."""

    __slots__ = ("_make_text", "_text", "binary", "device_ids", "offset", "removes", "series_ids", "time_us")

    def __init__(
        self,
        offset: int,
        time_us: int,
        *,
        binary: Packet | None = None,
        make_text: Callable[[], Packet] | None = None,
        text: Packet | None = None,
        device_ids: Iterable[str] = (),
        series_ids: Iterable[int] = (),
        removes: bool = False,
    ) -> None:
        self.offset = offset
        self.time_us = time_us
        self.binary = binary
        self.device_ids = device_ids  # which devices and series it is about, if it is no frame
        self.series_ids = series_ids
        self.removes = removes  # whether those devices are gone
        self._make_text = make_text
        self._text = text

    @property
    def text(self) -> Packet:
        if self._text is None:
            assert self._make_text is not None
            self._text = self._make_text()
            self._make_text = None
        return self._text

    def packet(self, *, binary: bool) -> Packet:
        return self.binary if binary and self.binary is not None else self.text

    @property
    def size(self) -> int:
        # Text that may be made later is left out: it only is while a JSON client follows the channel.
        packet = self.binary or self._text
        return len(packet.payload) if packet else 0


class Channel:
    """Numbers its messages without gaps, from `offset` + 1. The ring is bounded in bytes and in seconds."""

    def __init__(
        self,
        name: str,
        number: int,
        epoch: str,
        ring_bytes: int,
        ring_us: int,
        offset: int = 0,
        *,
        selection: Selection | None = None,
        max_lag_bytes: int = 1_000_000,
    ) -> None:
        self.name = name
        self.number = number
        self.epoch = epoch
        self.offset = offset
        self.selection = selection  # what of the readings belongs here; None: whatever is published
        self.followers: dict[Session, None] = {}
        self.laggards: dict[Session, Lag] = {}  # get no messages until they have read what they were sent
        self.idle_since_us: int | None = None  # when the last follower left
        self.catch_ups: dict[bool, CatchUp] = {}  # by form (binary): what newcomers get, shared by all who come
        self.tap: Callable[[Entry], None] | None = None  # hears every message before anybody gets it
        self._ring: deque[Entry] = deque()
        self._ring_bytes = ring_bytes
        self._ring_us = ring_us
        self._max_lag_bytes = max_lag_bytes
        self._bytes = 0

    def publish_frame(
        self, make_binary: Callable[[int], bytes], make_text: Callable[[int], Packet], now_us: int
    ) -> int:
        """Number a frame of readings, remember it, hand it to every follower; returns how many there were."""
        offset = self.offset + 1
        binary = Packet(make_binary(offset), is_text=False)
        return self._publish(Entry(offset, now_us, binary=binary, make_text=lambda: make_text(offset)))

    def publish_event(
        self,
        make_text: Callable[[int], Packet],
        now_us: int,
        *,
        device_ids: Iterable[str] = (),
        series_ids: Iterable[int] = (),
        removes: bool = False,
    ) -> int:
        """The same for a JSON message, about these devices or series."""
        offset = self.offset + 1
        text = make_text(offset)
        entry = Entry(offset, now_us, text=text, device_ids=device_ids, series_ids=series_ids, removes=removes)
        return self._publish(entry)

    def missed(self, epoch: str | None, offset: int | None) -> list[Entry] | None:
        """Everything after `offset`, or None when that cannot be told in full."""
        if epoch != self.epoch or offset is None or offset > self.offset:
            return None
        oldest = self.oldest
        if offset + 1 < oldest:
            return None
        # The ring is contiguous, so the first missed entry stands at a known place.
        return [self._ring[i] for i in range(offset + 1 - oldest, len(self._ring))]

    @property
    def oldest(self) -> int:
        """Offset of the oldest message that is still in memory; one above the newest if none is."""
        return self._ring[0].offset if self._ring else self.offset + 1

    def forget_catch_ups(self, now_us: int) -> None:
        """Let go of snapshots that nobody will get any more: those of a large fleet are large."""
        for binary, kept in list(self.catch_ups.items()):
            if kept.offset != self.offset and now_us >= kept.until_us:
                del self.catch_ups[binary]

    def _publish(self, entry: Entry) -> int:
        self.offset = entry.offset
        if self.tap is not None:
            self.tap(entry)
        self._ring.append(entry)
        self._bytes += entry.size
        horizon = entry.time_us - self._ring_us
        while self._ring and (self._bytes > self._ring_bytes or self._ring[0].time_us < horizon):
            self._bytes -= self._ring.popleft().size
        full = [session for session in self.followers if not session.offer(entry.packet(binary=session.binary))]
        for session in full:
            del self.followers[session]
            self.laggards[session] = Lag(entry.offset - 1, self._max_lag_bytes)
        return len(self.followers)
