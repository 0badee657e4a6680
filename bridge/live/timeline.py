"""The clock of a replay, and what of the past lies before it. Pure: real time comes in as `now_us`."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from bridge.core.batch import Batch
from bridge.history.catalog import Described
from bridge.history.events import Event

# What was measured in the last moments may still be on its way to the disk. A replay ends here, before the present.
SETTLE_US = 2_000_000
# Less is not worth a question: one costs some 50 ms for 250 series, however short the span is.
MIN_FETCH_US = 500_000
FIRST_FETCH_US = 60_000_000  # how long the first span is at least; the others follow what was found
AHEAD_US = 4_000_000  # of real time: the feed may be so late before the clock has to wait
MAX_BUFFERED = 150_000  # readings ahead, with one more feed on top: 5 MB
# A clock that was held up does not make up for more than this of real time.
MAX_ELAPSED_US = 500_000
MAX_STEPS = 64  # that may wait to be taken

Timed = TypeVar("Timed", Event, Described)


class Wanted(NamedTuple):
    """The span [from, to) that is needed next, or as much of its beginning as is handy; about `length_us`."""

    from_us: int
    to_us: int
    length_us: int


class Feed(NamedTuple):
    """Everything in [from, end), in order of time. `length_us`: how long the next had better be."""

    from_us: int
    end_us: int
    length_us: int
    batch: Batch
    events: Sequence[Event] = ()
    described: Sequence[Described] = ()

    def until(self, end_us: int) -> Feed:
        """The part of it before a time."""
        end = int(np.searchsorted(self.batch.times_us, end_us))
        return self._replace(
            end_us=end_us,
            batch=_cut(self.batch, slice(0, end)),
            events=[one for one in self.events if one.time_us < end_us],
            described=[one for one in self.described if one.time_us < end_us],
        )


class Due(NamedTuple):
    """What the clock has passed on its way to `at_us`, in order of time."""

    at_us: int
    batch: Batch
    events: list[Event]
    described: list[Described]


class Timeline:
    """Goes through the past: everything after the moment where it begins becomes due once, and in order.

    Public, to be read: `at_us` (the clock), `speed`, `is_paused`, `at_end` (stopped because the present was reached).
    """

    def __init__(self, at_us: int, speed: float, *, is_paused: bool, now_us: int) -> None:
        self.speed = speed
        self.is_paused = is_paused
        self._steps = 0
        self.jump(at_us, now_us)

    def jump(self, at_us: int, now_us: int) -> None:
        """Be at another moment, at most now. What became due or waits to is forgotten."""
        self.at_us = min(at_us, now_us)
        self.at_end = self.at_us > now_us - SETTLE_US
        self.is_paused = self.is_paused or self.at_end
        self._edge_us = self.at_us + 1  # everything before is fed, or stood in the snapshot of the moment
        self._length_us = 0
        self._batches: deque[Batch] = deque()
        self._events: deque[Event] = deque()
        self._described: deque[Described] = deque()
        self._buffered = 0
        self._ticked_us = now_us

    def rest(self, now_us: int) -> None:
        """No time has passed up to now."""
        self._ticked_us = now_us

    def play(self, now_us: int) -> None:
        if self.is_paused:
            self.is_paused = self.at_end = False
            self._steps = 0
            self._ticked_us = now_us

    def pause(self) -> None:
        self.is_paused = True

    def forget_steps(self) -> None:
        self._steps = 0

    def step(self) -> None:
        """Pause, and go on to the next time at which there is a reading; without one, to the end."""
        self.is_paused = True
        self._steps = min(self._steps + 1, MAX_STEPS)

    @property
    def is_busy(self) -> bool:
        """Whether time makes a difference."""
        return not self.is_paused or self._steps > 0

    def wanted(self, now_us: int) -> Wanted | None:
        """What is to be fed next; None: nothing for the moment."""
        to_us = now_us - SETTLE_US + 1
        is_ahead = self._buffered >= MAX_BUFFERED or self._edge_us - self.at_us > AHEAD_US * self.speed
        if self._steps:
            if self._batches or self._edge_us >= to_us:
                return None
        elif self.is_paused or is_ahead or to_us - self._edge_us < MIN_FETCH_US:
            return None
        # Small enough at first to come soon, large enough that a fast replay is not fed in crumbs.
        length_us = self._length_us or max(FIRST_FETCH_US, round(AHEAD_US * self.speed))
        return Wanted(self._edge_us, to_us, length_us)

    def feed(self, feed: Feed) -> None:
        """Take what was wanted. What was asked for before a jump is of no use any more, and is dropped."""
        if feed.from_us != self._edge_us:
            return
        self._edge_us = feed.end_us
        self._length_us = feed.length_us
        if len(feed.batch):
            self._batches.append(feed.batch)
            self._buffered += len(feed.batch)
        self._events += feed.events
        self._described += feed.described

    def advance(self, now_us: int) -> Due | None:
        """Let time pass; None: nothing moves. The clock waits for what is not fed yet."""
        elapsed_us = min(max(0, now_us - self._ticked_us), MAX_ELAPSED_US)
        self._ticked_us = now_us
        if self._steps:
            return self._step(now_us)
        if self.is_paused:
            return None
        fed_us = self._edge_us - 1
        target_us = min(self.at_us + round(elapsed_us * self.speed), fed_us)
        if target_us == fed_us and now_us - SETTLE_US - fed_us < MIN_FETCH_US:
            self.is_paused = self.at_end = True
        return self._pass(target_us)

    def _step(self, now_us: int) -> Due | None:
        if self._batches:
            self._steps -= 1
            return self._pass(int(self._batches[0].times_us[0]))
        if self.wanted(now_us) is not None:
            return None
        self._steps = 0
        self.at_end = True
        return self._pass(self._edge_us - 1)

    def _pass(self, at_us: int) -> Due:
        """Move the clock, and take what it passes."""
        self.at_us = at_us
        parts: list[Batch] = []
        while self._batches and self._batches[0].times_us[0] <= at_us:
            batch = self._batches.popleft()
            end = int(np.searchsorted(batch.times_us, at_us, side="right"))
            parts.append(_cut(batch, slice(0, end)))
            if end < len(batch):
                self._batches.appendleft(_cut(batch, slice(end, None)))
        batch = _join(parts, at_us)
        self._buffered -= len(batch)
        return Due(at_us, batch, _until(self._events, at_us), _until(self._described, at_us))


def _cut(batch: Batch, here: slice) -> Batch:
    return Batch(batch.series_ids[here], batch.times_us[here], batch.values[here], batch.server_time_us)


def _join(parts: Sequence[Batch], at_us: int) -> Batch:
    if not parts:
        return Batch.empty(at_us)
    columns = [np.concatenate(column) if len(parts) > 1 else column[0] for column in list(zip(*parts, strict=True))[:3]]
    return Batch(columns[0], columns[1], columns[2], at_us)


def _until(waiting: deque[Timed], at_us: int) -> list[Timed]:
    found = []
    while waiting and waiting[0].time_us <= at_us:
        found.append(waiting.popleft())
    return found
