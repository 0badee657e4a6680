"""One keeper with one set of readings, in a process of its own: python -m benchmarks.history.run NAME DATA FOLDER"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.history.keepers import KEEPERS, Keeper, Server
from benchmarks.history.load import resident_bytes
from benchmarks.history.readings import DAY_S, Readings, load

VERIFIED = 20
REPORTED = 250
QUESTIONS, LARGE_QUESTIONS = 60, 5
LONGEST_S = 30.0  # for one kind of question; who needs more is asked fewer times


@dataclass
class Outcome:
    """Processor time and bytes for one reading, milliseconds for a question (median and longest), MB."""

    name: str
    readings: int
    when: str = ""  # it was measured, and how many processes wanted a processor then
    write_us: float = 0.0
    settle_us: float = 0.0
    wall_s: float = 0.0
    bytes: float = 0.0
    free_bytes: float = 0.0
    memory_mb: float = 0.0
    asked: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def cpu_us(self) -> float:
        return self.write_us + self.settle_us


def measure(name: str, readings: Readings, folder: Path) -> Outcome:
    folder.mkdir(parents=True)
    outcome = Outcome(name, len(readings), f"{datetime.now(UTC):%H:%M} (load {os.getloadavg()[0]:.0f})")
    before = 0 if issubclass(KEEPERS[name], Server) else resident_bytes()  # our copy of the readings is not its memory
    keeper = KEEPERS[name](folder, readings)
    try:
        memory = [keeper.memory()]
        began, wall = keeper.cpu_s(), time.monotonic()
        for number, part in enumerate(readings.batches()):
            keeper.write(part)
            if number % 100 == 0:
                memory.append(keeper.memory())
        written = keeper.cpu_s()
        keeper.settle()
        outcome.write_us = (written - began) / len(readings) * 1e6
        outcome.settle_us = (keeper.cpu_s() - written) / len(readings) * 1e6
        outcome.wall_s = time.monotonic() - wall
        verify(keeper)
        for title, ask, times in questions(keeper):
            outcome.asked[title] = take(ask, times)
            memory.append(keeper.memory())
        outcome.memory_mb = (max(memory) - before) / 1e6
        size, free = keeper.disk()
        outcome.bytes, outcome.free_bytes = size / len(readings), free / len(readings)
    finally:
        keeper.close()
    return outcome


def verify(keeper: Keeper) -> None:
    """Raises: it does not have what it was given."""
    readings = keeper.readings
    chosen = np.random.default_rng(5).choice(len(readings.columns), VERIFIED, replace=False)
    for series_id in chosen.tolist():
        if readings.columns[series_id].is_text:
            continue  # codes have no smallest and largest
        values = readings.values[readings.series_ids == series_id]
        expected = len(values), float(values.min()), float(values.max())
        found = keeper.total(series_id)
        if found[0] != expected[0] or not all(
            math.isclose(one, other, rel_tol=1e-12) for one, other in zip(found[1:], expected[1:], strict=True)
        ):
            raise SystemExit(f"{keeper.title}: series {series_id} is {found}, not {expected}")


def questions(keeper: Keeper) -> list[tuple[str, Callable[[], int], int]]:
    """Title, question, how often. The same for everybody."""
    readings = keeper.readings
    rng = np.random.default_rng(6)
    numbers = [number for number, one in enumerate(readings.columns) if not one.is_text]
    begin_us, end_us = int(readings.times_us[0]), int(readings.times_us[-1])

    def one_series(span_us: int) -> Callable[[], int]:
        def ask() -> int:
            from_us = begin_us + int(rng.integers(0, max(1, end_us - begin_us - span_us)))
            return keeper.ask([int(rng.choice(numbers))], from_us, from_us + span_us)

        return ask

    day_us = DAY_S * 10**6
    whole_us = end_us - begin_us
    asked = [("10 minutes", one_series(600 * 10**6), QUESTIONS)]
    if whole_us > day_us:
        asked.append(("1 day", one_series(day_us), QUESTIONS))
    asked.append(("everything", one_series(whole_us), QUESTIONS))
    asked.append(("moment", lambda: keeper.moment(int(rng.integers(begin_us + 600 * 10**6, end_us))), QUESTIONS // 3))
    last_us = min(day_us, whole_us)
    asked.append(("report", lambda: keeper.ask(numbers[:REPORTED], end_us - last_us, end_us), LARGE_QUESTIONS))
    return asked


def take(ask: Callable[[], int], times: int) -> tuple[float, float]:
    """Median and longest, ms."""
    if not ask():
        raise SystemExit("an answer was empty")
    taken: list[float] = []
    while len(taken) < times and sum(taken) < LONGEST_S * 1e3:
        began = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken), max(taken)


if __name__ == "__main__":
    print(json.dumps(asdict(measure(sys.argv[1], load(Path(sys.argv[2])), Path(sys.argv[3])))))
