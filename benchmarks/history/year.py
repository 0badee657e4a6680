"""A store with a year in it, and how long the usual questions take then.

250 series at 1 Hz: readings of the last 30 days, minutes and hours of 364, as the default limits keep them. One day is
made and repeated: its readings are 50 devices' random walks, counters and switches. Everything is stored as merging
leaves it; then an hour of new readings goes through the journal, half of it sealed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.history.load import append
from bridge.core.batch import Batch
from bridge.history.catalog import Births, DeviceRecord, SeriesRecord
from bridge.history.chunk import MAX_ROWS, Chunk, Facts, SharedTimes, Stack, make_chunks, make_rollup_chunks, read_times
from bridge.history.events import AVAILABILITY, Event
from bridge.history.keeper import Keeper
from bridge.history.merge import roll_up
from bridge.history.query import History
from bridge.history.rollup import Rollup, coarsen, roll_pieces
from bridge.history.spans import DAY_US, HOUR, HOUR_US, MINUTE, MINUTE_US, PARTITION_US, RAW, US_PER_S, WIDTH_US
from bridge.history.start import read_before
from bridge.history.store import Store, open_store

DEVICES, SERIES_OF_DEVICE = 50, 5
N_SERIES = DEVICES * SERIES_OF_DEVICE
DAY_S = 86_400
CHUNK_S = 14_400  # what a series at 1 Hz has in a full chunk, about
READING_DAYS, YEAR_DAYS = 30, 364
RECENT_US = 900 * US_PER_S  # the default of live.recent_seconds
# The end of a partition of hours, so that every partition of the year is whole.
END_US = 1_767_225_600 * US_PER_S // PARTITION_US[HOUR] * PARTITION_US[HOUR]
BEGIN_US = END_US - YEAR_DAYS * DAY_US


class Taken(NamedTuple):
    """Milliseconds; the processor time is the median."""

    name: str
    p50: float
    p99: float
    cpu: float


def walk_fleet(seconds: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Times of each device after the start, µs (devices, seconds), and values (series, seconds)."""
    rng = np.random.default_rng(1)
    times = np.arange(seconds) * US_PER_S + rng.integers(0, 5, (DEVICES, seconds)) * 1000
    values = np.empty((N_SERIES, seconds))
    for device in range(DEVICES):
        walks = np.round(20 + np.cumsum(rng.normal(0, 0.02, (3, seconds)), axis=1), 2)
        first = device * SERIES_OF_DEVICE
        values[first : first + 3] = walks
        values[first + 3] = np.arange(seconds)
        values[first + 4] = np.arange(seconds) // 977 % 2
    return times, values


def write_year(store: Store) -> None:
    """See the module. Some three minutes, and a gigabyte."""
    times, values = walk_fleet(DAY_S)
    _write_readings(store, times, values)
    _write_rollups(store, times, values)
    with store.writing() as writer:
        writer.set_kept_from(RAW, END_US - READING_DAYS * DAY_US)


def write_days(store: Store, days: int) -> None:
    """The last days of the same fleet, with their minutes and hours, merged."""
    times, values = walk_fleet(DAY_S)
    for start in range(0, DAY_S, CHUNK_S):
        here = slice(start, start + CHUNK_S)
        stack = _stack(times[:, here], values[:, here])
        chunks = [(one, read_times(one.times)) for one in roll_up(stack, 1, (), SharedTimes())]
        for day in range(1, days + 1):
            shift_us = END_US - day * DAY_US
            shared = SharedTimes()
            moved = [
                Chunk(_move(one.facts, shift_us), shared.pack(column + shift_us)[0], one.values)
                for one, column in chunks
            ]
            with store.writing() as writer:
                writer.insert_chunks(moved)
    Keeper(store).merge(END_US)


def _stack(times: NDArray[np.int64], values: NDArray[np.float64]) -> Stack:
    """Some hours of all series, one piece each."""
    return Stack(
        range(N_SERIES), [0] * N_SERIES, [RAW] * N_SERIES, np.arange(N_SERIES) * CHUNK_S,
        np.repeat(times, SERIES_OF_DEVICE, axis=0).ravel(), values.ravel(),
    )  # fmt: skip


def _write_readings(store: Store, times: NDArray[np.int64], values: NDArray[np.float64]) -> None:
    first_us = END_US - READING_DAYS * DAY_US
    for start in range(0, DAY_S, CHUNK_S):
        here = slice(start, start + CHUNK_S)
        stack = _stack(times[:, here], values[:, here])
        chunks = make_chunks(stack, 2, SharedTimes())
        for day in range(READING_DAYS):
            shift_us = first_us + day * DAY_US
            shared = SharedTimes()
            moved = []
            for one in chunks:
                device_times = times[one.facts.series_id // SERIES_OF_DEVICE, here] + shift_us
                packed = shared.pack(device_times)[0]
                moved.append(Chunk(_move(one.facts, shift_us), packed, one.values))
            with store.writing() as writer:
                writer.insert_chunks(moved)


def _write_rollups(store: Store, times: NDArray[np.int64], values: NDArray[np.float64]) -> None:
    starts = np.arange(N_SERIES) * DAY_S
    minutes, minute_rows = roll_pieces(
        np.repeat(times, SERIES_OF_DEVICE, axis=0).ravel(), values.ravel(), starts, WIDTH_US[MINUTE]
    )
    hours, hour_rows = coarsen(minutes, minute_rows, WIDTH_US[HOUR])
    for resolution, rollup, rows in ((MINUTE, minutes, minute_rows), (HOUR, hours, hour_rows)):
        days = PARTITION_US[resolution] // DAY_US
        per_day = int(rows[1])
        cuts = -(-days * per_day // MAX_ROWS[resolution])
        edges = [cut * days * per_day // cuts for cut in range(cuts + 1)]
        made: list[Chunk] = []
        starts_us: list[NDArray[np.int64]] = []
        for series_id in range(N_SERIES):
            day = rollup.select(slice(int(rows[series_id]), int(rows[series_id]) + per_day))
            part = Rollup._make(np.tile(column, days) for column in day)
            shift = np.repeat(np.arange(days) * DAY_US, per_day)
            part = part._replace(
                starts_us=part.starts_us + shift,
                min_times_us=part.min_times_us + shift,
                max_times_us=part.max_times_us + shift,
            )
            pieces = [(series_id, slice(*edges[cut : cut + 2]), US_PER_S) for cut in range(cuts)]
            made += make_rollup_chunks(part, pieces, resolution, 3)
            starts_us += [part.starts_us[here] for _, here, _ in pieces]
        # Partition after partition, as a year of merging writes them: what was at one time lies together in the file.
        for shift_us in range(BEGIN_US, END_US, PARTITION_US[resolution]):
            with store.writing() as writer:
                writer.insert_chunks(
                    [
                        Chunk(_move(one.facts, shift_us), _packed_starts(column + shift_us), one.values)
                        for one, column in zip(made, starts_us, strict=True)
                    ]
                )


_starts: dict[tuple[int, int], bytes] = {}


def _packed_starts(column: NDArray[np.int64]) -> bytes:
    """The starts of a rollup's rows, which all series share."""
    key = int(column[0]), len(column)
    if key not in _starts:
        _starts[key] = SharedTimes().pack(column)[0]
    return _starts[key]


def _move(facts: Facts, shift_us: int) -> Facts:
    start_us = facts.start_us + shift_us
    return facts._replace(
        part=start_us // PARTITION_US[facts.resolution], start_us=start_us, end_us=facts.end_us + shift_us
    )


def write_present(store: Store, seconds: int = 3_600) -> None:
    """An hour through the journal; its first half is sealed."""
    times, values = walk_fleet(seconds)
    ids = np.arange(N_SERIES, dtype=np.uint32)
    keeper = Keeper(store)
    for second in range(seconds):
        now_us = END_US + int(times[0, second])
        batch = Batch(ids, END_US + np.repeat(times[:, second], SERIES_OF_DEVICE), values[:, second].copy(), now_us)
        append(store, [batch], second + 1)
        if second in (seconds // 4, seconds // 2):
            keeper.seal()


def write_catalog(store: Store, n_series: int = 10_000, events: int = 500_000) -> None:
    """Names for 10,000 series of 2,000 devices, and what happened to them in the year."""
    devices = tuple(DeviceRecord(f"device-{n}", {"name": f"Device {n}"}) for n in range(n_series // 5))
    records = tuple(
        SeriesRecord(n, f"device-{n // 5}", f"m{n % 5}", "number", (), {"name": f"M {n % 5}", "unit": "°C"})
        for n in range(n_series)
    )
    with store.writing() as writer:
        writer.save_births(Births(devices, records), BEGIN_US)
        step_us = YEAR_DAYS * DAY_US // events
        writer.append_events(
            [
                Event(BEGIN_US + n * step_us, AVAILABILITY, f"device-{n * 7919 % len(devices)}", {"value": "online"})
                for n in range(events)
            ]
        )


def take(name: str, ask: Callable[[], object], times: int, before: Callable[[], object] = lambda: None) -> Taken:
    """How long a question takes."""
    taken, spent = [], []
    for _ in range(times):
        before()
        began, cpu = time.perf_counter(), time.process_time()
        ask()
        spent.append((time.process_time() - cpu) * 1e3)
        taken.append((time.perf_counter() - began) * 1e3)
    taken.sort()
    p99 = taken[min(len(taken) - 1, int(len(taken) * 0.99))]
    return Taken(name, statistics.median(taken), p99, statistics.median(spent))


SPANS = (
    ("10 minutes", 10 * MINUTE_US),
    ("4 hours", 4 * HOUR_US),
    ("1 day", DAY_US),
    ("30 days", 30 * DAY_US),
    ("1 year", YEAR_DAYS * DAY_US),
)


def measure(path: Path, times: int = 100) -> tuple[list[Taken], dict[str, float]]:
    """All questions; and other figures: seconds to start, megabytes of the file."""
    figures: dict[str, float] = {"file MB": path.stat().st_size / 1e6}
    forget_pages(path)
    began = time.perf_counter()
    store = open_store(f"sqlite:///{path}", END_US)
    history = History(store)
    read_before(store, history, END_US + HOUR_US, RECENT_US)  # what the bridge reads before it serves
    figures["start s"] = time.perf_counter() - began
    rng = np.random.default_rng(2)

    def one_series(span_us: int) -> Callable[[], object]:
        def ask() -> object:
            latest = END_US + HOUR_US - span_us
            # Of readings only the last 30 days are kept: short spans lie there.
            earliest = max(BEGIN_US, END_US - READING_DAYS * DAY_US) if span_us < DAY_US else BEGIN_US
            from_us = int(rng.integers(min(earliest, latest - 1), latest))
            return history.query([int(rng.integers(0, N_SERIES))], from_us, from_us + span_us, 1_000)

        return ask

    def forget() -> None:
        """Cold: neither the system nor SQLite has a page in memory. What the journal holds is decoded already."""
        store.close()  # its connections; it opens others
        forget_pages(path)

    results = []
    for name, span_us in SPANS:
        results.append(take(f"one series, {name}, warm", one_series(span_us), times))
        results.append(take(f"one series, {name}, cold", one_series(span_us), max(10, times // 5), forget))
    history.state_at(END_US)
    results.append(
        take(
            f"{N_SERIES} series at a moment of the year",
            lambda: history.state_at(int(rng.integers(BEGIN_US, END_US))), max(10, times // 5),
        )
    )  # fmt: skip
    results.append(
        take(
            f"{N_SERIES} series at a moment of the last 30 days",
            lambda: history.state_at(END_US - int(rng.integers(0, READING_DAYS * DAY_US))), max(10, times // 5),
        )
    )  # fmt: skip
    results.append(take(f"{N_SERIES} series now", lambda: history.state_at(END_US + HOUR_US), max(10, times // 5)))
    results.append(
        take(
            f"{N_SERIES} series, the last day, 1,000 points each",
            lambda: history.query(range(N_SERIES), END_US + HOUR_US - DAY_US, END_US + HOUR_US, 1_000), 5,
        )
    )  # fmt: skip

    def ask_store(name: str) -> Callable[[], object]:
        def ask() -> object:
            with store.reading() as snapshot:
                if name == "span":
                    return snapshot.span()
                if name == "catalog":
                    return snapshot.catalog(END_US - 100 * DAY_US)
                if name == "events":
                    return snapshot.find_events(END_US - 30 * DAY_US, END_US)
                if name == "device":
                    return snapshot.find_events(BEGIN_US, END_US, device_id="device-77")
                if name == "availability":
                    return snapshot.availability_at(END_US - 100 * DAY_US)
                if name == "sizes":
                    return snapshot.sum_sizes()
                return snapshot.find_groups(END_US)

        return ask

    for title, name in (
        ("span of everything", "span"), ("catalog of 10,000 series", "catalog"),
        ("the newest 1,000 of 500,000 events in 30 days", "events"), ("the events of one device in the year", "device"),
        ("availability of 2,000 devices at a moment", "availability"), ("sizes by resolution", "sizes"),
        ("what is to be merged", "groups"),
    ):  # fmt: skip
        results.append(take(title, ask_store(name), 10))
    store.close()
    return results, figures


def forget_pages(path: Path) -> None:
    """Ask the system to keep nothing of the file in memory."""
    for name in (path, Path(f"{path}-wal")):
        if name.exists():
            descriptor = os.open(name, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def measure_memory(folder: Path) -> dict[str, list[float]]:
    """By how much there is: megabytes of a process before it opens the store, after it, and after the questions."""
    found: dict[str, list[float]] = {}
    for title, days in (("a day", 1), ("30 days", READING_DAYS), ("a year", YEAR_DAYS)):
        path = folder / ("history.db" if days == YEAR_DAYS else f"{days}.db")
        if not path.exists():
            store = open_store(f"sqlite:///{path}", END_US)
            write_days(store, days)
            write_present(store)
            store.close()
        command = [sys.executable, "-m", "benchmarks.history.memory", str(path), str(END_US - days * DAY_US)]
        found[title] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return found


if __name__ == "__main__":
    target = Path(sys.argv[1], "history.db")
    if not target.exists():
        year = open_store(f"sqlite:///{target}", END_US)
        write_year(year)
        write_present(year)
        write_catalog(year)
        year.close()
        # Measured in a process of its own, whose memory nobody used before.
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.history.year", sys.argv[1]])
    taken, figures = measure(target)
    print(json.dumps({"taken": taken, "figures": figures, "memory": measure_memory(target.parent)}))
