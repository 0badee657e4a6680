"""The past, asked from the event loop: each question is answered by a thread, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from bridge.core.batch import Batch
from bridge.history.catalog import Catalog, Described
from bridge.history.events import KINDS, Event
from bridge.history.faults import HistoryError
from bridge.history.latest import State
from bridge.history.pieces import FIRST_LENGTH_US, Piece, read_piece
from bridge.history.query import Answer, History
from bridge.history.rollup import Rollup
from bridge.history.statistics import Statistics, measure
from bridge.history.store import Store
from bridge.history.store_session import BEGINNING_US

T = TypeVar("T")

# More would not answer faster: decoding holds the interpreter's lock about half of the time.
WORKERS = 2
# Questions that may wait. A page asks one or two at a time; who asks more than this gets `Busy` at once, not an answer
# in a minute that nobody waits for any more.
MAX_WAITING = 64


class Busy(HistoryError):
    """Too many questions wait already."""

    def __str__(self) -> str:
        return "too many questions about the past wait already; ask again in a moment"


class Span(NamedTuple):
    """From when to when there is anything; None where there is nothing."""

    first_us: int | None
    last_us: int | None


class Moment(NamedTuple):
    """Everything that was known at a moment. `availability`: the newest of each device at that time."""

    at_us: int
    catalog: Catalog
    state: State
    availability: list[Event]


class Archive:
    """Questions to one store. All methods are for the event loop, and raise what `History` raises, or `Busy`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.history = History(store)
        self._threads = ThreadPoolExecutor(WORKERS, "history")
        self._waiting = 0

    async def query(self, series_ids: Sequence[int], from_us: int, to_us: int, points: int) -> list[Answer]:
        """See `History.query`."""
        return await self._ask(lambda: self.history.query(series_ids, from_us, to_us, points))

    async def readings(self, series_ids: Sequence[int], from_us: int, to_us: int, limit: int) -> Batch:
        """See `History.readings`."""
        return await self._ask(lambda: self.history.readings(series_ids, from_us, to_us, limit))

    async def buckets(self, series_id: int, from_us: int, to_us: int, width_us: int) -> Rollup:
        """See `History.buckets`."""
        return await self._ask(lambda: self.history.buckets(series_id, from_us, to_us, width_us))

    async def piece(
        self, series_ids: Sequence[int], from_us: int, to_us: int, length_us: int = FIRST_LENGTH_US
    ) -> Piece:
        """See `pieces.read_piece`."""
        return await self._ask(lambda: read_piece(self.history, series_ids, from_us, to_us, length_us))

    async def statistics(self, series_ids: Sequence[int], from_us: int, to_us: int) -> list[Statistics]:
        """See `statistics.measure`."""
        return await self._ask(lambda: measure(self.history, series_ids, from_us, to_us))

    async def catalog(self, at_us: int | None = None) -> Catalog:
        """All devices and series ever known, described as at a moment; as they are now without one."""
        return await self._ask(lambda: self._catalog(at_us))

    async def described(self, from_us: int, to_us: int) -> list[Described]:
        """Which devices and series were described for the first time or anew in [from, to), in order of time."""

        def ask() -> list[Described]:
            with self._store.reading() as snapshot:
                return snapshot.find_described(from_us, to_us)

        return await self._ask(ask)

    async def moment(self, at_us: int) -> Moment:
        """The whole fleet at a moment."""
        return await self._ask(lambda: look_at(self._store, self.history, at_us))

    async def events(
        self,
        from_us: int,
        to_us: int,
        *,
        kinds: Collection[str] = KINDS,
        device_id: str | None = None,
        limit: int = 1_000,
        newest: bool = True,
    ) -> list[Event]:
        """What happened in [from, to), in order of time; of too much the newest `limit`, or the oldest."""

        def ask() -> list[Event]:
            with self._store.reading() as snapshot:
                return snapshot.find_events(
                    from_us, to_us, kinds=kinds, device_id=device_id, limit=limit, newest=newest
                )

        return await self._ask(ask)

    async def span(self) -> Span:
        """From when to when there are readings."""

        return Span(*await self._ask(self.history.span))

    async def kept_from(self) -> tuple[int | None, ...]:
        """For each resolution (readings, minutes, hours) the time before which it is no longer kept, if any."""

        def ask() -> tuple[int | None, ...]:
            with self._store.reading() as snapshot:
                return tuple(None if one == BEGINNING_US else one for one in snapshot.kept_from())

        return await self._ask(ask)

    def close(self) -> None:
        """Wait for the questions under way."""
        self._threads.shutdown(cancel_futures=True)

    def _catalog(self, at_us: int | None) -> Catalog:
        with self._store.reading() as snapshot:
            return snapshot.catalog(at_us)

    async def _ask(self, question: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise Busy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, question)
        finally:
            self._waiting -= 1


def look_at(store: Store, history: History, at_us: int) -> Moment:
    """See `Archive.moment`. Blocking."""
    state = history.state_at(at_us)
    with store.reading() as snapshot:
        return Moment(at_us, snapshot.catalog(at_us), state, snapshot.availability_at(at_us))
