"""What a bridge does with its history, without the bridge: for children that are killed in the midst of it.

Readings are numbered, and their number says what they are; so whoever looks at a history afterwards knows what it must
hold.
"""

from __future__ import annotations

import random
from multiprocessing import get_context
from multiprocessing.connection import Connection as PipeEnd
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from bridge.core.batch import make_batch
from bridge.core.frame import encode_frame, split_by_span
from bridge.history.keeper import Keeper
from bridge.history.retention import Limit, Limits
from bridge.history.spans import DAY_US, HOUR_US, US_PER_S
from bridge.history.store import Store
from bridge.history.store_migrations import STEPS

START_US = 1_767_225_600 * US_PER_S
SERIES = (1, 2)
ROWS = 300  # of a commit, for each series
STEP_US = HOUR_US // ROWS  # a commit is an hour
LIMITS = Limits()._replace(readings=Limit(DAY_US, 2**40))
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])


def values(series_id: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    return (rows * series_id * 2_654_435_761 % 2**32) / 7


def commit(store: Store, number: int) -> None:
    """Commit so and so many: rows of all series, with values that take room."""
    rows = np.arange(number * ROWS, (number + 1) * ROWS)
    ids = np.tile(SERIES, ROWS).tolist()
    times_us = np.repeat(START_US + rows * STEP_US, len(SERIES)).tolist()
    told_values = np.stack([values(series_id, rows) for series_id in SERIES], axis=1).ravel().tolist()
    with store.writing() as writer:
        offset = writer.last_offset()
        parts = split_by_span(make_batch(ids, times_us, told_values, times_us[-1]))
        frames = [encode_frame(part, offset=offset + at, channel_no=1) for at, part in enumerate(parts, start=1)]
        writer.append(frames)
        writer.set_log_offset(offset + len(frames))


def keep(folder: Path, first: int, told: PipeEnd, seed: int) -> None:
    """Record, seal, merge, forget and back up, in any order, until killed; tells each commit that is safe."""
    store = Store(f"sqlite:///{folder / 'history.db'}")
    told.send_bytes(first.to_bytes(4, "big"))  # from here on
    keeper, chance, number = Keeper(store), random.Random(seed), first
    steps = ["commit", "commit", "commit", "seal", "merge", "forget", "backup"]
    while True:
        now_us = START_US + number * HOUR_US
        match chance.choice(steps):
            case "commit":
                commit(store, number)
                number += 1
                told.send_bytes(number.to_bytes(4, "big"))
            case "seal":
                keeper.seal()
            case "merge":
                keeper.merge(now_us)
            case "forget":
                keeper.forget(LIMITS, now_us)
            case _:
                store.backup(folder / "backup" / "copy.db")


def slowly_add_sites(connection: Connection) -> None:
    """A migration of many statements, which may be cut off after each."""
    connection.exec_driver_sql("ALTER TABLE history_series ADD COLUMN site TEXT")
    for number in range(200):
        connection.exec_driver_sql(f"CREATE TABLE history_site_{number} (name TEXT)")
        connection.exec_driver_sql(f"INSERT INTO history_site_{number} VALUES ('{'x' * 5_000}')")


NEW_STEPS = (*STEPS, slowly_add_sites)


def bring_up_to_date(folder: Path) -> None:
    Store(f"sqlite:///{folder / 'history.db'}", NEW_STEPS).close()


def start(function: Any, *args: Any) -> ForkServerProcess:
    process = CONTEXT.Process(target=function, args=args, daemon=True)
    process.start()
    return process
