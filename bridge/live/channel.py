"""A channel: numbered messages, who follows them, and the memory from which a returning dashboard resumes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from bridge.live.messages import Packet

if TYPE_CHECKING:
    from bridge.live.session import Session


class Entry:
    """One message of a channel. A frame has two forms; the text form is made when somebody first needs it."""

    __slots__ = ("_make_text", "_text", "binary", "offset", "time_us")

    def __init__(
        self,
        offset: int,
        time_us: int,
        *,
        binary: Packet | None = None,
        make_text: Callable[[], Packet] | None = None,
        text: Packet | None = None,
    ) -> None:
        self.offset = offset
        self.time_us = time_us
        self.binary = binary
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

    def __init__(self, name: str, number: int, epoch: str, ring_bytes: int, ring_us: int, offset: int = 0) -> None:
        self.name = name
        self.number = number
        self.epoch = epoch
        self.offset = offset
        self.followers: dict[Session, None] = {}
        self.idle_since_us: int | None = None  # when the last follower left
        # Made for the offset they were made at, and shared by all who subscribe while it lasts.
        self.snapshot_cache: tuple[int, bytes] | None = None
        self.recent_cache: dict[bool, tuple[int, Packet | None]] = {}
        self._ring: deque[Entry] = deque()
        self._ring_bytes = ring_bytes
        self._ring_us = ring_us
        self._bytes = 0

    def publish_frame(
        self, make_binary: Callable[[int], bytes], make_text: Callable[[int], Packet], now_us: int
    ) -> int:
        """Number a frame of readings, remember it, hand it to every follower; returns how many there were."""
        self.offset += 1
        offset = self.offset
        binary = Packet(make_binary(offset), is_text=False)
        return self._publish(Entry(offset, now_us, binary=binary, make_text=lambda: make_text(offset)))

    def publish_event(self, make_text: Callable[[int], Packet], now_us: int) -> int:
        """The same for a JSON message."""
        self.offset += 1
        return self._publish(Entry(self.offset, now_us, text=make_text(self.offset)))

    def missed(self, epoch: str | None, offset: int | None) -> list[Entry] | None:
        """Everything after `offset`, or None when that cannot be told in full."""
        if epoch != self.epoch or offset is None or offset > self.offset:
            return None
        oldest = self._ring[0].offset if self._ring else self.offset + 1
        if offset + 1 < oldest:
            return None
        # The ring is contiguous, so the first missed entry stands at a known place.
        return [self._ring[i] for i in range(offset + 1 - oldest, len(self._ring))]

    def _publish(self, entry: Entry) -> int:
        self._ring.append(entry)
        self._bytes += entry.size
        horizon = entry.time_us - self._ring_us
        while self._ring and (self._bytes > self._ring_bytes or self._ring[0].time_us < horizon):
            self._bytes -= self._ring.popleft().size
        for session in self.followers:
            session.send(entry.packet(binary=session.binary))
        return len(self.followers)
