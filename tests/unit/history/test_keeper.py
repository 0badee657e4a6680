"""What sealing and merging leave behind, apart from the readings (which test_query compares)."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import event, func, select, update

from bridge.history import keeper
from bridge.history.chunk import FULL_ROWS, Found
from bridge.history.merge import FANOUT
from bridge.history.spans import DAY_US, MINUTE, PARTITION_US, RAW, US_PER_S
from bridge.history.store_schema import chunk as chunk_table
from bridge.history.store_schema import times
from tests.unit.history.scene import FAR_US, START_US, Reading, Scene, flat, scene

S = US_PER_S


def minutes(number: int, count: int = 1, series: tuple[int, ...] = (0, 1, 2)) -> list[Reading]:
    seconds = range(number * 60, (number + count) * 60)
    return [(s, START_US + n * S, float(n + s)) for n in seconds for s in series]


def chunks(one: Scene, resolution: int = RAW) -> list[Found]:
    with one.store.reading() as snapshot:
        return [
            found
            for found in snapshot.find_chunks([0, 1, 2], resolution, START_US - 400 * DAY_US, FAR_US)
            if found.facts.resolution == resolution
        ]


def count_times(one: Scene) -> int:
    with one.store.reading() as snapshot:
        return int(snapshot.connection.execute(select(func.count()).select_from(times)).scalar_one())


def test_the_series_of_a_device_share_one_column_of_times() -> None:
    with scene() as one:
        one.append(minutes(0))
        one.seal()

        assert len(chunks(one)) == 3
        assert count_times(one) == 1


def test_columns_of_times_go_with_the_last_chunk_that_needs_them() -> None:
    with scene() as one:
        for number in range(FANOUT):
            one.append(minutes(number, series=(0, 1)))
            one.append(minutes(number, series=(2,)))
            one.seal()
        assert count_times(one) == FANOUT
        mine = [found for found in chunks(one) if found.facts.series_id == 0]
        with one.store.writing() as writer:
            writer.delete_chunks(mine)
        assert count_times(one) == FANOUT  # the others still need them

        one.merge(START_US)

        # One for the readings of both, one for their minutes, one for their hours.
        assert count_times(one) == 3
        assert one.store.find_damage(everything=True) == []


def test_two_that_are_long_enough_are_merged_at_once_and_what_is_full_is_never_small() -> None:
    half = FULL_ROWS[RAW] // 2
    with scene() as one:
        for number in range(2):
            assert len(chunks(one)) == number
            one.append([(0, START_US + (number * half + n) * S, 1.0) for n in range(half)])
            one.seal()
            one.merge(START_US)
        assert [(found.facts.n, found.facts.level) for found in chunks(one)] == [(2 * half, 1)]

        one.append([(0, START_US + (2 * half + n) * S, 1.0) for n in range(2 * half)])
        one.seal()  # full at once: compressed and rolled up without another step

        assert [(found.facts.n, found.facts.level, found.facts.reach) for found in chunks(one)] == [
            (2 * half, 1, RAW), (2 * half, 1, RAW),
        ]  # fmt: skip
        minutes = sum(found.facts.n_values for found in chunks(one, MINUTE))
        assert minutes == 4 * half
        assert one.everything() == flat(one.model())


def test_the_journal_is_dropped_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "DROP_COMMITS", 2)
    with scene() as one:
        for number in range(5):
            one.append(minutes(number))
        steps: list[str] = []
        event.listen(one.store._engine, "before_cursor_execute", lambda *args: steps.append(args[2]))

        one.seal()

        assert sum("DELETE FROM history_journal" in statement for statement in steps) == 3
        with one.store.reading() as snapshot:
            assert snapshot.read_frames(0, 100) == []


def test_twelve_small_chunks_become_one_with_rollups_and_eleven_do_not() -> None:
    with scene() as one:
        for number in range(FANOUT - 1):
            one.append(minutes(number))
            one.seal()
        one.merge(START_US)
        assert len(chunks(one)) == 3 * (FANOUT - 1)

        one.append(minutes(FANOUT - 1))
        one.seal()
        one.merge(START_US)

        assert [found.facts.n for found in chunks(one)] == [60 * FANOUT] * 3
        assert [found.facts.n for found in chunks(one, MINUTE)] == [FANOUT] * 3


def test_a_week_border_cuts_a_chunk() -> None:
    with scene() as one:
        border = (START_US // PARTITION_US[RAW] + 1) * PARTITION_US[RAW]
        one.append([(0, border + n * S, 1.0) for n in range(-3, 4)])
        one.seal()

        assert [(found.facts.start_us, found.facts.n) for found in chunks(one)] == [(border - 3 * S, 3), (border, 4)]


def test_duplicates_are_found_in_small_and_in_large_chunks_and_counted_once() -> None:
    with scene() as one:
        one.append(minutes(0, 2))
        one.seal()
        one.merge()
        one.append(minutes(1, 2))
        one.seal()

        one.append(minutes(0, 4))

        assert one.seal() == [(3 * 180, 0)]
        assert one.everything() == flat(one.model())


def test_sealing_goes_on_in_rounds_until_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "SEAL_READINGS", 20_000)
    with scene() as one:
        count = keeper.SEAL_READINGS // 2 + 1
        for part in range(3):
            block = np.arange(count) + part * count
            one.append([(0, START_US + int(n) * 1000, 1.0) for n in block])
            assert one.keeper.is_full() == (part >= 1)

        first, second = one.keeper.seal(), one.keeper.seal()

        assert first is not None
        assert second is not None
        assert (first.readings, second.readings) == (2 * count, count)
        assert not one.keeper.is_full()
        assert one.keeper.seal() is None


def test_a_damaged_chunk_is_left_alone_reported_and_counted_in_answers() -> None:
    with scene() as one:
        for number in range(FANOUT):
            one.append(minutes(number))
            one.seal()
        victim = chunks(one)[3]
        with one.store.writing() as writer:
            mine = chunk_table.c.chunk_id == victim.chunk_id
            writer.connection.execute(update(chunk_table).where(mine).values(data=b"\0" * 100))

        merged = one.keeper.merge(START_US)

        assert merged.damaged == [f"chunk {victim.chunk_id}"]
        assert one.store.find_damage(everything=True) == [f"history_chunk {victim.chunk_id}"]
        damaged, whole = one.history.query([0, 1], START_US, START_US + 3600 * S, 10_000)
        assert (damaged.damaged, whole.damaged) == (1, 0)
        assert np.count_nonzero(~np.isnan(damaged.values)) == 60 * (FANOUT - 1)
        assert len(whole.times_us) == 60 * FANOUT
        assert one.history.state_at(victim.facts.start_us + 5).damaged == 1
        # What it held can be told again.
        one.append([(0, victim.facts.start_us, 5.0)])
        assert one.seal() == [(0, 0)]
