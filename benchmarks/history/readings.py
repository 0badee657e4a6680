"""The readings that everybody keeps: the demo's fleet, through the simulator's own device models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.fleet import SimulatedFleet, phase

DEVICES = 50
BEGIN_S = 1_767_225_600  # the first of January 2026
DAY_S = 86_400
# As many readings as a batch holds: what the bridge commits together under load.
BATCH = 5_000


class Column(NamedTuple):
    """What a series is."""

    device: int
    place: int  # among the metrics of its device
    is_text: bool


class Readings(NamedTuple):
    """All readings in order of time; those of one device and moment side by side."""

    columns: list[Column]  # of each series
    series_ids: NDArray[np.uint32]
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.series_ids)

    def batches(self) -> Iterator[slice]:
        """Parts that end between two devices' messages."""
        new = np.flatnonzero(np.diff(self.times_us)) + 1
        at = 0
        while at < len(self):
            place = int(np.searchsorted(new, min(at + BATCH, len(self))))
            end = int(new[place]) if place < len(new) else len(self)
            yield slice(at, end)
            at = end


def simulate(seconds: int, every_s: float) -> Readings:
    """Every device each `every_s`, each at its own moment, with times in whole milliseconds."""
    fleet = SimulatedFleet(DEVICES)
    columns: list[Column] = []
    metrics: list[list[str]] = []
    codes: list[dict[object, float]] = []
    first: list[int] = []
    for number, device in enumerate(fleet.devices):
        names = list(device.model.METRICS)
        metrics.append(names)
        first.append(len(columns))
        for place, name in enumerate(names):
            columns.append(Column(number, place, device.model.METRICS[name].datatype == "text"))
            codes.append({})
    samples = int(seconds // every_s)
    order = sorted(range(DEVICES), key=phase)
    per_round = len(columns)
    values = np.empty((samples, per_round))
    times = np.empty((samples, per_round), np.int64)
    ids = np.concatenate([np.arange(first[one], first[one] + len(metrics[one])) for one in order])
    for sample in range(samples):
        at = 0
        for number in order:
            model = fleet.devices[number].model
            now_s = BEGIN_S + (sample + phase(number)) * every_s
            model.step(now_s, every_s, model.COARSE_STEP_S)
            row = []
            for series_id, value in enumerate(model.values().values(), first[number]):
                if isinstance(value, str):
                    value = codes[series_id].setdefault(value, float(len(codes[series_id])))
                row.append(float(value))
            values[sample, at : at + len(row)] = row
            times[sample, at : at + len(row)] = round(now_s * 1000) * 1000
            at += len(row)
    return Readings(columns, np.tile(ids.astype(np.uint32), samples), times.ravel(), values.ravel())


def save(readings: Readings, path: Path) -> None:
    np.savez(path, columns=np.array(readings.columns, np.int64), ids=readings.series_ids, times=readings.times_us,
             values=readings.values)  # fmt: skip


def load(path: Path) -> Readings:
    with np.load(path) as data:
        columns = [Column(int(device), int(place), bool(text)) for device, place, text in data["columns"]]
        return Readings(columns, data["ids"], data["times"], data["values"])
