"""A history in memory and the plainest possible model of it, for tests of several modules."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from sqlalchemy import update

from bridge.core.batch import make_batch
from bridge.core.frame import encode_frame, split_by_span
from bridge.history.keeper import Keeper
from bridge.history.query import History
from bridge.history.spans import US_PER_S
from bridge.history.store import Store
from bridge.history.store_schema import chunk
from tests.unit.history.databases import drop, new_url

Reading: TypeAlias = tuple[int, int, float]  # series, time, value

START_US = 1_767_225_600 * US_PER_S
FAR_US = START_US + 10_000 * 86_400 * US_PER_S
"""A time at which every partition of the tests' readings is closed, so that merging merges all there is."""


class Scene:
    """A store, its keeper and its reader; `told` is what was appended, in order."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.keeper = Keeper(store)
        self.history = History(store)
        self.told: list[Reading] = []
        self._offsets = itertools.count(1)

    def append(self, readings: Sequence[Reading], received_us: int | None = None) -> None:
        """One commit."""
        if not readings:
            return
        columns = [list(column) for column in zip(*readings, strict=True)]
        batch = make_batch(*columns, max(columns[1]) if received_us is None else received_us)
        parts = list(split_by_span(batch))
        frames = [encode_frame(part, offset=next(self._offsets), channel_no=1) for part in parts]
        with self.store.writing() as writer:
            writer.append(frames)
        for part in parts:  # a batch over more than 71 minutes is told by its oldest part first
            self.told += zip(part.series_ids.tolist(), part.times_us.tolist(), part.values.tolist(), strict=True)

    def seal(self) -> list[tuple[int, int]]:
        """Seal all; (duplicates, conflicts) of each round."""
        counts = []
        while (sealed := self.keeper.seal()) is not None:
            counts.append((sealed.duplicates, sealed.n_conflicts))
        return counts

    def merge(self, now_us: int = FAR_US) -> None:
        assert self.keeper.merge(now_us).damaged == []

    def model(self) -> dict[int, dict[int, float]]:
        """series -> time -> value: the first one told, in order of time."""
        model: dict[int, dict[int, float]] = {}
        for series_id, time_us, value in self.told:
            model.setdefault(series_id, {}).setdefault(time_us, value)
        return {series_id: dict(sorted(model[series_id].items())) for series_id in sorted(model)}

    def everything(self) -> list[Reading]:
        """All that the store has, by series and time."""
        ids = sorted({reading[0] for reading in self.told})
        if not ids:
            return []
        times = [reading[1] for reading in self.told]
        batch = self.history.readings(ids, min(times), max(times) + 1, 10**9)
        return sorted(zip(batch.series_ids.tolist(), batch.times_us.tolist(), batch.values.tolist(), strict=True))


@contextmanager
def scene(url: str = "") -> Iterator[Scene]:
    """In a database by that name, or in one that is gone afterwards."""
    store = Store(url or new_url())
    try:
        yield Scene(store)
    finally:
        store.close()
        if not url:
            drop(store)


def flat(model: dict[int, dict[int, float]]) -> list[Reading]:
    return [(series_id, time_us, value) for series_id, values in model.items() for time_us, value in values.items()]


def naive_reduction(values: dict[int, float], from_us: int, to_us: int, width_us: int) -> list[tuple[int, float]]:
    """The first smallest and the first largest value of each pixel, in plain Python. Nulls are left out."""
    inside = [(t, v) for t, v in values.items() if from_us <= t < to_us and not math.isnan(v)]
    if not width_us:
        return inside
    answer = []
    for _, group in itertools.groupby(inside, key=lambda reading: reading[0] // width_us):
        pixel = list(group)
        answer += sorted({min(pixel, key=lambda r: (r[1], r[0])), max(pixel, key=lambda r: (r[1], -r[0]))})
    return answer


def damage_a_chunk(store: Store) -> int:
    """The first one; returns its number. It cannot be read any more."""
    with store.writing() as writer:
        victim = writer.connection.exec_driver_sql("SELECT min(chunk_id) FROM history_chunk").scalar_one()
        writer.connection.execute(update(chunk).where(chunk.c.chunk_id == victim).values(data=b"\0"))
    return int(victim)
