"""The history by itself: bytes and CPU time of a reading, and the time of the usual questions.

    .venv/bin/python -m benchmarks.history_quick [--days 30] [--devices 10] [--hours 3] [--seal 900]

A synthesized fleet of five series a device at 1 Hz. The last hours go the whole way through journal, sealing and
merging, as in the bridge, and are timed; the days before are written as merging leaves them.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bridge.core.batch import Batch
from bridge.core.frame import encode_frame
from bridge.history.chunk import UNROLLED, SharedTimes, Stack
from bridge.history.keeper import Keeper
from bridge.history.merge import roll_up
from bridge.history.query import History
from bridge.history.spans import DAY_US, HOUR_US, MINUTE_US, US_PER_S
from bridge.history.store import Store, open_store

SERIES_OF_DEVICE = 5
END_US = 1_767_225_600 * US_PER_S
COMMIT_FRAMES = 20  # 5,000 readings with 50 devices, which is when the bridge commits under load


class Fleet:
    """Slow random walks at 0.01 resolution, a counter, a switch; a few milliseconds of jitter in the times."""

    def __init__(self, devices: int) -> None:
        self.devices = devices
        self.rng = np.random.default_rng(1)
        self.at = np.full((devices, 3), 20.0)

    def span(self, from_us: int, seconds: int) -> tuple[np.ndarray, list[np.ndarray]]:
        """Times of each device (devices, seconds) and its five series (seconds, devices)."""
        jitter = self.rng.integers(0, 5_000, (self.devices, seconds)) // 1000 * 1000
        times = from_us + np.arange(seconds) * US_PER_S + jitter
        steps = self.rng.normal(0, 0.02, (seconds, self.devices, 3))
        walk = self.at + np.cumsum(steps, axis=0)
        self.at = walk[-1]
        count = np.broadcast_to((from_us // US_PER_S + np.arange(seconds))[:, None], (seconds, self.devices))
        switch = np.broadcast_to((np.arange(seconds) // 977 % 2)[:, None], (seconds, self.devices))
        columns = [np.round(walk[:, :, one], 2) for one in range(3)]
        return times, [*columns, count.astype(float), switch.astype(float)]


def write_hours(store: Store, fleet: Fleet, from_us: int, hours: int, seal_s: int) -> None:
    """Through the journal, with the CPU time of each step."""
    keeper = Keeper(store)
    spent = {"append": 0.0, "seal": 0.0, "merge and roll up": 0.0}
    readings = offset = 0
    ids = np.arange(fleet.devices * SERIES_OF_DEVICE, dtype=np.uint32)

    def step(name: str, work: Callable[[], object]) -> object:
        began = time.process_time()
        done = work()
        spent[name] += time.process_time() - began
        return done

    for start in range(0, hours * 3600, seal_s):
        times, columns = fleet.span(from_us + start * US_PER_S, seal_s)
        values = np.stack(columns, axis=2).reshape(seal_s, -1)  # second, device * series
        frames: list[bytes] = []

        def commit(frames: list[bytes]) -> None:
            with store.writing() as writer:
                writer.append(frames)

        for second in range(seal_s):
            offset += 1
            batch = Batch(ids, np.repeat(times[:, second], SERIES_OF_DEVICE), values[second], int(times[0, second]))
            frames.append(encode_frame(batch, offset=offset, channel_no=1))
            readings += len(batch)
            if len(frames) == COMMIT_FRAMES or second == seal_s - 1:
                some, frames = frames, []
                step("append", functools.partial(commit, some))
        while step("seal", keeper.seal) is not None:
            pass
        step("merge and roll up", functools.partial(keeper.merge, from_us + (start + seal_s) * US_PER_S))
    for name, seconds in spent.items():
        print(f"  {name:20} {seconds / readings * 1e6:.3f} us of CPU a reading ({readings:,} readings)")
    print(f"  {'together':20} {sum(spent.values()) / readings * 1e6:.3f}")


def write_past(store: Store, fleet: Fleet, from_us: int, days: int) -> int:
    """Days of chunks as merging leaves them; returns how many readings."""
    readings = 0
    n_series, part_s = fleet.devices * SERIES_OF_DEVICE, 4 * 3600
    for start in range(0, days * 86_400, part_s):
        times, columns = fleet.span(from_us + start * US_PER_S, part_s)
        stack = Stack(
            range(n_series), [0] * n_series, [UNROLLED] * n_series, np.arange(n_series) * part_s,
            np.repeat(times, SERIES_OF_DEVICE, axis=0).ravel(), np.stack(columns, axis=2).reshape(part_s, -1).T.ravel(),
        )  # fmt: skip
        with store.writing() as writer:
            writer.insert_chunks(roll_up(stack, 1, (), SharedTimes()))
        readings += part_s * n_series
    return readings


def time_it(name: str, ask: Callable[[int], object], times: int = 100) -> None:
    taken = []
    for number in range(times):
        began = time.perf_counter()
        ask(number)
        taken.append((time.perf_counter() - began) * 1000)
    print(f"  {name:44} p50 {statistics.median(taken):6.1f} ms   p99 {sorted(taken)[int(len(taken) * 0.99)]:6.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--devices", type=int, default=10)
    parser.add_argument("--hours", type=int, default=3)
    parser.add_argument("--seal", type=int, default=900, help="seconds between sealings")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        fleet = Fleet(options.devices)
        url = f"sqlite:///{folder}/history.db"
        store = open_store(url, END_US)
        print(f"{options.hours} hours through the journal:")
        present = END_US - options.hours * HOUR_US
        write_hours(store, fleet, present, options.hours, options.seal)
        begin = present - options.days * DAY_US
        began = time.perf_counter()
        readings = write_past(store, fleet, begin, options.days)
        print(f"{options.days} days, {readings:,} readings written in {time.perf_counter() - began:.0f} s")
        keeper = Keeper(store)
        began = time.process_time()
        merged = keeper.merge(END_US)
        print(
            f"merged {merged.chunks_before:,} chunks to {merged.chunks_after:,} in "
            f"{time.process_time() - began:.1f} s CPU"
        )
        with store.reading() as snapshot:
            sizes = snapshot.sum_sizes()
        store.close()
        size = Path(folder, "history.db").stat().st_size
        print(f"  file {size / 1e6:.1f} MB: {size / readings:.3f} bytes a reading; columns by reach {sizes}")
        began = time.perf_counter()
        store = open_store(url, END_US)
        print(f"  opened in {time.perf_counter() - began:.3f} s")
        history = History(store)
        history.state_at(END_US)
        rng = np.random.default_rng(2)
        n_series = options.devices * SERIES_OF_DEVICE

        def ask(span_us: int) -> Callable[[int], object]:
            def question(_: int) -> object:
                from_us = int(rng.integers(begin, max(begin + 1, END_US - span_us)))
                return history.query([int(rng.integers(0, n_series))], from_us, from_us + span_us, 1000)

            return question

        for name, span_us in (
            ("10 minutes", 10 * MINUTE_US), ("4 hours", 4 * HOUR_US), ("8 hours", 8 * HOUR_US), ("1 day", DAY_US),
            ("30 days", 30 * DAY_US), ("1 year", 365 * DAY_US),
        ):  # fmt: skip
            time_it(f"one series, {name}, 1,000 points", ask(span_us))
        time_it("ten series, 1 day", lambda _: history.query(range(10), END_US - DAY_US, END_US, 1000), 30)
        time_it(
            f"state of {n_series} series at a moment",
            lambda _: history.state_at(int(rng.integers(begin, END_US))), 30,
        )  # fmt: skip
        store.close()


if __name__ == "__main__":
    main()
