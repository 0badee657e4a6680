"""Runs the replays: a task for each, which asks the history for what its player needs, and ticks.

A replay has a share of the time that stays small however many there are and however fast they are: the live plane goes
first. Where the share is not enough, their clocks go slower than they were asked to.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Final

from bridge.core.batch import Batch
from bridge.errors import ProtocolError
from bridge.history.archive import Archive, Busy
from bridge.history.events import COMMAND, KINDS, NOTE, Event
from bridge.live.messages import Replay, Subscribe, error_packet
from bridge.live.replay import NOTES_SHOWN, RECENT_US, Player, make_view
from bridge.live.session import Session
from bridge.live.timeline import MAX_STEPS, Feed, Timeline, Wanted

log = logging.getLogger(__name__)

MAX_REPLAYS_IN_ALL = 16  # each holds up to 5 MB of readings ahead
TICK_S = 0.1
# Parts of one core, for all replays together. Ticks are on the event loop; the rest is in the history's threads, where
# it holds the interpreter's lock about half of the time.
TICK_SHARE = 0.25
FETCH_SHARE = 1 / 3
JUMP_SHARE = 0.5  # by itself: who drags the time waits for the picture, not for others' fast motion
MAX_REST_S = 2.0  # one slow answer of a busy disk must not hold up everybody for long
EVENTS_AT_ONCE = 1_000  # with one feed; where there are more, it ends earlier
# Looked through for the commands before a moment: each has some four states, and most may be of other devices.
COMMAND_EVENTS = 1_000
# Sparklines of more than this would take a third of a second to make: a fleet that measures more gets shorter ones.
MAX_RECENT = 300_000
RETRY_S = 0.5  # when too many questions wait


class Share:
    """Lets one in at a time, and all together for so large a part of the time."""

    def __init__(self, share: float) -> None:
        self._rest = 1 / share - 1
        self._lock = asyncio.Lock()
        self._free_at = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        async with self._lock:
            await asyncio.sleep(self._free_at - time.monotonic())
            began = time.monotonic()
            try:
                yield
            finally:
                ended = time.monotonic()
                self._free_at = ended + min(MAX_REST_S, (ended - began) * self._rest)


class Replays:
    """All replays of a bridge. `clock`: the present, in microseconds."""

    def __init__(self, archive: Archive, clock: Callable[[], int]) -> None:
        self.archive: Final = archive
        self.clock: Final = clock
        self.fetching: Final = Share(FETCH_SHARE)
        self.jumping: Final = Share(JUMP_SHARE)
        self.running: dict[Screening, None] = {}
        self._numbers = itertools.count(1)

    def open(self, session: Session, request: Subscribe) -> Screening:
        """Begin a replay; everything that it has to say goes to the session's outlet.

        Raises:
            ProtocolError: there are too many.
        """
        if len(self.running) >= MAX_REPLAYS_IN_ALL:
            raise ProtocolError(
                "too_many_subscriptions", f"at most {MAX_REPLAYS_IN_ALL} replays at once on this server"
            )
        screening = Screening(self, session, request, next(self._numbers))
        self.running[screening] = None
        return screening

    def tick_pause_s(self, cost_s: float) -> float:
        """How long to wait after a tick that took this long, so that all together keep to their share."""
        return max(TICK_S, len(self.running) * cost_s / TICK_SHARE)


class Screening:
    """One replay under way. Ends with `close`, and not before."""

    def __init__(self, replays: Replays, session: Session, request: Subscribe, number: int) -> None:
        assert request.at_ms is not None
        self._replays = replays
        self._archive = replays.archive
        self._session = session
        self._id = request.id
        self._device_ids = None if request.devices is None else frozenset(request.devices)
        now_us = replays.clock()
        timeline = Timeline(
            min(round(request.at_ms * 1000), now_us),
            request.speed or 1.0,
            is_paused=bool(request.paused),
            now_us=now_us,
        )
        self._timeline = timeline
        self._player = Player(request.id, number, session.epoch, timeline, is_binary=session.binary)
        self._jump_us: int | None = timeline.at_us  # where to be
        self._steps_back = 0
        self._wake = asyncio.Event()
        self._fetch: asyncio.Task[None] | None = None
        self._task = asyncio.create_task(self._run())

    def change(self, request: Replay) -> None:
        """See `ReplayControl`. Of several jumps that were asked for while one was under way, the last counts."""
        timeline = self._timeline
        if request.speed is not None:
            timeline.speed = request.speed
        if request.at_ms is not None:
            self._jump_us, self._steps_back = round(request.at_ms * 1000), 0
            timeline.forget_steps()
        if request.paused is True:
            timeline.pause()
        elif request.paused is False:
            self._steps_back = 0
            timeline.play(self._replays.clock())
        if request.step == 1:
            timeline.step()
        elif request.step == -1:
            timeline.pause()
            self._steps_back = min(self._steps_back + 1, MAX_STEPS)
        self._player.tell()
        self._wake.set()

    def close(self) -> None:
        self._task.cancel()
        self._stop_fetching()
        self._replays.running.pop(self, None)

    # ----- the task ---------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                await self._play()
            except Exception as error:
                self._complain(error)
                # Until somebody asks for something else.
                self._jump_us, self._steps_back = None, 0
                self._timeline.pause()

    async def _play(self) -> None:
        clock, player, timeline = self._replays.clock, self._player, self._timeline
        while True:
            self._wake.clear()
            pause_s: float | None = TICK_S
            if not self._session.has_room():
                pass  # the clock waits, and nothing grows
            elif self._jump_us is not None or self._steps_back:
                await self._jump()
                continue
            else:
                began = time.perf_counter()
                packets = player.tick(clock())
                if packets:
                    self._session.send_state(packets)
                pause_s = self._replays.tick_pause_s(time.perf_counter() - began) if timeline.is_busy else None
                wanted = player.wanted(clock()) if self._fetch is None else None
                if wanted is not None:
                    self._fetch = asyncio.create_task(self._feed(wanted))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()

    def _complain(self, error: Exception) -> None:
        if isinstance(error, Busy):
            packet = error_packet("busy", str(error), self._id)
        else:
            log.error("a replay could not go on", exc_info=error)
            packet = error_packet("internal", "the history could not be read; it is in the log", self._id)
        self._session.send(packet)

    # ----- jumping ----------------------------------------------------------------------------------------

    async def _jump(self) -> None:
        self._stop_fetching()
        async with self._replays.jumping.turn():
            at_us = await self._find_target()
            if at_us is None:
                return
            self._jump_us = None
            device_ids = self._device_ids
            moment = await self._archive.moment(at_us)
            happened = await self._find_happened(at_us, device_ids)
            if self._is_called_away():
                return
            view = await asyncio.to_thread(make_view, moment, happened, device_ids)
            self._session.send_state(self._player.show(view, self._replays.clock()))
            batches = await self._read_recent(at_us)
            if self._is_called_away():
                return
            self._session.send_state(await asyncio.to_thread(self._player.recent, batches))
        # The time that this took has not passed for the replay.
        self._timeline.rest(self._replays.clock())

    def _is_called_away(self) -> bool:
        """Whether somebody asked for another moment while we were on our way to one."""
        return self._jump_us is not None

    async def _find_target(self) -> int | None:
        """Where to be; None: nowhere else."""
        at_us = None if self._jump_us is None else min(self._jump_us, self._replays.clock())
        while self._steps_back:
            self._steps_back -= 1
            moment = await self._archive.moment((self._timeline.at_us if at_us is None else at_us) - 1)
            state, series = moment.state, moment.catalog.series
            times_us = [
                time_us
                for id_, time_us in zip(state.series_ids.tolist(), state.times_us.tolist(), strict=True)
                if id_ in series and (self._device_ids is None or series[id_].device_id in self._device_ids)
            ]
            if not times_us:
                break
            at_us = max(times_us)
        return at_us

    async def _find_happened(self, at_us: int, device_ids: Collection[str] | None) -> list[Event]:
        """The last commands and notes before a moment."""
        only = next(iter(device_ids)) if device_ids is not None and len(device_ids) == 1 else None
        commands = await self._archive.events(0, at_us + 1, kinds=[COMMAND], device_id=only, limit=COMMAND_EVENTS)
        notes = await self._archive.events(0, at_us + 1, kinds=[NOTE], limit=NOTES_SHOWN)
        return [*commands, *notes]

    async def _read_recent(self, at_us: int) -> list[Batch]:
        """The readings of the last minutes, as far as they are not too many."""
        scene = self._player.scene
        assert scene is not None
        ids, times_us = scene.recent_ids
        wanted = ids[times_us > at_us - RECENT_US].tolist()
        from_us, to_us = at_us - RECENT_US + 1, at_us + 1
        length_us, is_measured = RECENT_US, False
        batches: list[Batch] = []
        while wanted and from_us < to_us and not self._is_called_away():
            piece = await self._archive.piece(wanted, from_us, to_us, length_us)
            if not is_measured:
                is_measured = True
                expected = len(piece.batch) * (to_us - from_us) / (piece.end_us - from_us)
                if expected > MAX_RECENT:
                    from_us = to_us - round((to_us - from_us) * MAX_RECENT / expected)  # the end of it
                    continue
            batches.append(piece.batch)
            from_us, length_us = piece.end_us, piece.length_us
        return batches

    # ----- fetching ---------------------------------------------------------------------------------------

    def _stop_fetching(self) -> None:
        if self._fetch is not None:
            self._fetch.cancel()
            self._fetch = None

    async def _feed(self, wanted: Wanted) -> None:
        """Fetch a span and feed it. Whatever fails is told, and pauses the replay."""
        try:
            async with self._replays.fetching.turn():
                feed = await self._fetch_span(wanted)
            self._player.timeline.feed(feed)
        except Busy:
            await asyncio.sleep(RETRY_S)
        except Exception as error:
            self._timeline.pause()
            self._complain(error)
        self._fetch = None
        self._wake.set()

    async def _fetch_span(self, wanted: Wanted) -> Feed:
        archive, player = self._archive, self._player
        from_us = wanted.from_us
        described = await archive.described(from_us, min(wanted.to_us, from_us + wanted.length_us))
        piece = await archive.piece(player.series_to_feed(described), from_us, wanted.to_us, wanted.length_us)
        events = await archive.events(from_us, piece.end_us, kinds=KINDS, limit=EVENTS_AT_ONCE, newest=False)
        feed = Feed(from_us, piece.end_us, piece.length_us, piece.batch, events, described)
        if len(events) == EVENTS_AT_ONCE and events[-1].time_us > from_us:
            feed = feed._replace(end_us=events[-1].time_us)  # there may be more of that time
        feed = feed.until(feed.end_us)
        if player.lacks_texts(feed):
            feed = player.learn_texts(feed, await archive.catalog(from_us))
        return feed
