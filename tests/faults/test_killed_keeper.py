"""Whatever the keeper of a history is killed in (sealing, merging, forgetting, a backup, a migration), there is the old
state or the new one: missing 0, duplicates 0, and the store is whole. FAULTS_KEEPER_KILLS sets how often.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection as PipeEnd
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine, inspect

from bridge.history.query import History
from bridge.history.spans import HOUR_US, MAX_TIME_US, RAW
from bridge.history.store import Store
from bridge.history.store_migrations import STEPS, Step, read_schema
from tests.faults.keeping import (
    NEW_STEPS,
    ROWS,
    SERIES,
    START_US,
    STEP_US,
    bring_up_to_date,
    commit,
    keep,
    start,
    values,
)
from tests.faults.ledger import SEED

KILLS = int(os.environ.get("FAULTS_KEEPER_KILLS", "20"))


@pytest.mark.timeout(60 + 3 * KILLS)
def test_a_keeper_that_is_killed_leaves_the_old_state_or_the_new_one(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    (tmp_path / "backup").mkdir()
    safe = backups = 0
    for kill in range(KILLS):
        ours, theirs = Pipe(duplex=False)
        process = start(keep, tmp_path, safe, theirs, SEED + kill)
        theirs.close()
        first = ours.recv_bytes()  # it has begun
        time.sleep(chance.uniform(0.0, 0.4))
        process.kill()
        process.join()
        assert process.exitcode == -9, "the child has failed by itself"
        told = max([int.from_bytes(first, "big"), *read_rest(ours)])
        ours.close()
        commits = check(tmp_path / "history.db", everything=kill % 5 == 0 or kill == KILLS - 1)
        assert told <= commits <= told + 1, f"{commits} commits, of which {told} were told as safe"
        safe = commits
        backups += check_backup(tmp_path / "backup", commits)
    store = Store(f"sqlite:///{tmp_path / 'history.db'}")
    with store.reading() as snapshot:
        forgotten_us = snapshot.kept_from()[RAW]
    store.close()
    forgotten = max(0, forgotten_us - START_US) // HOUR_US
    print(f"{KILLS} kills, {safe} commits, of which {forgotten} were forgotten; {backups} times there was a backup")
    assert backups


def read_rest(pipe: PipeEnd) -> list[int]:
    """Everything that the child has told before it was killed."""
    found = []
    try:
        while pipe.poll():
            found.append(int.from_bytes(pipe.recv_bytes(), "big"))
    except (EOFError, OSError):  # the end of it may be cut off
        pass
    return found


def check(path: Path, *, everything: bool, steps: Sequence[Step] = STEPS) -> int:
    """How many commits there are; all that is in them is there once, but for what was forgotten."""
    store = Store(f"sqlite:///{path}", steps)
    try:
        assert store.find_damage(everything=everything) == []
        history = History(store)
        last_us = history.span()[1]
        if last_us is None:
            return 0
        with store.reading() as snapshot:
            kept_from_us = snapshot.kept_from()[RAW]
        rows = (last_us - START_US) // STEP_US + 1
        batch = history.readings(list(SERIES), 0, MAX_TIME_US, 10**8)
        for series_id in SERIES:
            mine = batch.series_ids == series_id
            found, told = (batch.times_us[mine] - START_US) // STEP_US, batch.values[mine]
            assert bool((np.diff(found) > 0).all()), "readings are there twice"
            assert np.array_equal(told, values(series_id, found)), "readings are not what was recorded"
            missing = START_US + np.setdiff1d(np.arange(rows), found) * STEP_US
            assert bool((missing < kept_from_us).all()), "readings are missing that were not forgotten"
        assert rows % ROWS == 0, "a part of a commit"
        return rows // ROWS
    finally:
        store.close()


def check_backup(folder: Path, commits: int) -> int:
    """Whether there is a backup; a whole one, whatever a later one was killed in."""
    names = {file.name for file in folder.iterdir()}
    assert all(name == "copy.db" or name.startswith("copy.db.partial-") for name in names)
    for name in names - {"copy.db"}:
        (folder / name).unlink()
    if "copy.db" not in names:
        return 0
    assert check(folder / "copy.db", everything=True) <= commits
    return 1


@pytest.mark.timeout(120)
def test_a_migration_that_is_killed_leaves_the_old_schema_or_the_new_one(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    found = []
    for kill in range(20):
        folder = tmp_path / str(kill)
        folder.mkdir()
        url = f"sqlite:///{folder / 'history.db'}"
        store = Store(url, STEPS)
        commit(store, 0)
        store.close()
        process = start(bring_up_to_date, folder)
        began = time.monotonic()
        while not (folder / "history.db-wal").exists() and process.is_alive():
            assert time.monotonic() < began + 30
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        process.join()
        store = Store(url, STEPS if schema_of(url) == len(STEPS) else NEW_STEPS)
        with store.reading() as snapshot:
            tables = [name for name in inspect(snapshot.connection).get_table_names() if "site" in name]
            columns = {column["name"] for column in inspect(snapshot.connection).get_columns("history_series")}
        found.append(store.opened.schema)
        if store.opened.schema == len(STEPS):
            assert tables == []
            assert "site" not in columns
        else:
            assert len(tables) == 200
            assert "site" in columns
        store.close()
        bring_up_to_date(folder)
        assert check(folder / "history.db", everything=True, steps=NEW_STEPS) == 1
    print(f"schemas after the kills: {found}")


def schema_of(url: str) -> int:
    """As it lies there, without changing it."""
    engine = create_engine(url)
    with engine.connect() as connection:
        schema = read_schema(connection)
    engine.dispose()
    return schema
