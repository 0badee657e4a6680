"""Bytes that change behind our back: a history answers what was written, or says that something is wrong.

Copies of one history are harmed at many places, and each is opened as a bridge would open it. FAULTS_DAMAGES sets how
many (`make chaos` takes more). What is found at the start sets the file aside and begins a new history with a new
epoch; what only shows when it is read is an error or a count in the answer. No answer is ever silently wrong.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest
from sqlalchemy.exc import DatabaseError

from bridge.history.faults import Damaged
from bridge.history.keeper import Keeper
from bridge.history.query import History
from bridge.history.spans import DAY_US, US_PER_S
from bridge.history.store import Store, open_store
from tests.faults.ledger import SEED, assert_each_once, connected, count_recorded, ended, publishing, until
from tests.support.bridge import Bridge
from tests.support.live_load import counters
from tests.support.mosquitto import Mosquitto
from tests.unit.history.scene import FAR_US, START_US, Scene, flat

S = US_PER_S
DAMAGES = int(os.environ.get("FAULTS_DAMAGES", "12"))
PAGE = 8_192  # of the database; its log has a head of 24 bytes before each
SERIES = range(6)

Values: TypeAlias = dict[tuple[int, int], float]  # by series and time


class Kept(NamedTuple):
    """A history as a kill would leave it, with a log that was not carried over, and what was recorded into it."""

    folder: Path
    readings: Values
    order: list[tuple[int, int, float]]  # of commits

    def copy(self, folder: Path) -> Path:
        folder.mkdir()
        for file in self.folder.iterdir():
            shutil.copy(file, folder / file.name)
        return folder / "history.db"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("kept")
    source = tmp_path_factory.mktemp("source") / "history.db"
    store = Store(f"sqlite:///{source}")
    one = Scene(store)
    chance = random.Random(SEED)
    for number in range(60):
        times = [START_US + (number * 100 + n) * S for n in range(100)]
        one.append([(series, at, chance.random()) for at in times for series in SERIES])
        if number < 45 and number % 3 == 2:
            one.seal()
        if number == 35:
            one.keeper.merge(FAR_US)
        if number == 40:
            with store.reading() as snapshot:
                snapshot.connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    for suffix in ("", "-wal"):
        shutil.copy(f"{source}{suffix}", f"{folder / 'history.db'}{suffix}")
    readings = {(series_id, at): value for series_id, at, value in flat(one.model())}
    yield Kept(folder, readings, list(one.told))
    store.close()


Harm = Callable[[bytearray, random.Random], None]


def flip(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def zero_page(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data) // PAGE) * PAGE
    data[at : at + PAGE] = bytes(PAGE)


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def garble(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    data[at : at + 100] = chance.randbytes(len(data[at : at + 100]))


def harm_file(path: Path, harm: Harm, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    harm(data, chance)
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [flip, zero_page, cut, garble])
@pytest.mark.parametrize("suffix", ["", "-wal"])
@pytest.mark.timeout(60 + 2 * DAMAGES)
def test_every_answer_is_right_or_says_that_it_is_not(kept: Kept, tmp_path: Path, harm: Harm, suffix: str) -> None:
    outcomes = []
    for number in range(DAMAGES):
        path = kept.copy(tmp_path / str(number))
        harm_file(Path(f"{path}{suffix}"), harm, random.Random(f"{SEED} {harm.__name__} {suffix} {number}"))
        try:
            outcomes.append(judge(kept, path, is_log=suffix != ""))
        except AssertionError as error:
            raise AssertionError(f"{harm.__name__} of history.db{suffix}, number {number}: {error}") from error
        shutil.rmtree(path.parent)
    told = {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}
    print(f"{harm.__name__} of history.db{suffix}: {told}")
    if harm is cut and not suffix:
        assert told == {"set aside": DAMAGES}
    if suffix and harm in (flip, garble):
        assert told.get("a prefix, and said", 0) >= DAMAGES // 2  # all but those in the last commit


def judge(kept: Kept, path: Path, *, is_log: bool) -> str:
    """What became of a harmed history: as it was, a prefix, set aside, or said when it was read."""
    store = open_store(f"sqlite:///{path}", START_US)
    try:
        if store.opened.damage:
            aside = store.opened.set_aside
            assert aside is not None
            assert aside.exists()
            if not store.opened.is_new:
                assert is_log, "only the end of a log is left out"
                check_prefix(kept, store)
                return "a prefix, and said"
            assert Scene(store).history.span() == (None, None)
            return "set aside"
        found = read_all(store)
        whole = store.find_damage(everything=True) == []
        if isinstance(found, str):
            assert not whole, f"an error ({found}) that the check does not find"
            return "said when read"
        readings, state, damaged = found
        wrong = [key for key, value in readings.items() if kept.readings.get(key) != value]
        assert not wrong, f"{len(wrong)} readings are not what was recorded"
        wrong = [key for key, value in state.items() if kept.readings.get(key) != value]
        assert not wrong, "the state of the fleet is not what was recorded"
        if len(readings) == len(kept.readings):
            return "as it was"
        if is_log:
            check_prefix(kept, store)
            return "a prefix"
        assert damaged, "readings are missing, and nobody says so"
        return "said when read"
    finally:
        store.close()


def check_prefix(kept: Kept, store: Store) -> None:
    """A power cut may take the end of the log; what stays are the first commits, and nothing between is gone."""
    found = read_all(store)
    assert not isinstance(found, str)
    assert found[0] == {(series_id, at): value for series_id, at, value in kept.order[: len(found[0])]}


def read_all(store: Store) -> tuple[Values, Values, int] | str:
    """Every reading, the last of each series, and how many pieces are said to be damaged; or the error instead."""
    history = History(store)
    try:
        batch = history.readings(list(SERIES), START_US, START_US + DAY_US, 10**9)
        answers = history.query(list(SERIES), START_US, START_US + DAY_US, 10**6)
        state = history.state_at(START_US + DAY_US)
        Keeper(store).merge(FAR_US)  # and what is made of it is as right as what it is made of
        again = history.readings(list(SERIES), START_US, START_US + DAY_US, 10**9)
    except (Damaged, DatabaseError) as error:
        return type(error).__name__
    columns = [column.tolist() for column in batch[:3]]
    if [column.tolist() for column in again[:3]] != columns:
        return "merged otherwise"
    readings = dict(zip(zip(columns[0], columns[1], strict=True), columns[2], strict=True))
    last = dict(
        zip(zip(state.series_ids.tolist(), state.times_us.tolist(), strict=True), state.values.tolist(), strict=True)
    )
    return readings, last, sum(answer.damaged for answer in answers)


# ----- with a bridge --------------------------------------------------------------------------------------


@pytest.mark.broker
@pytest.mark.timeout(120)
async def test_a_bridge_that_finds_damage_at_its_start_says_so_everywhere_and_begins_anew(
    kept: Kept, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    path = kept.copy(tmp_path / "data")
    path.parent.chmod(0o700)
    harm_file(path, cut, random.Random(SEED))
    bridge = Bridge(path.parent, mqtt_url=mosquitto.url)
    async with ended([bridge]):
        await bridge.start()
        await connected(bridge)
        async with bridge.dashboard() as dashboard:
            welcome = dashboard.heard[0]
            (aside,) = [file for file in path.parent.glob("history.db.damaged-*") if file.suffix != ".db-wal"][:1]
            assert aside.name.partition("-wal")[0] in welcome["recording"]["notice"]
            await dashboard.say("subscribe", id="log", channel="log", epoch="0123456789abcdef.1", offset=5)
            snapshot = await dashboard.until("snapshot")
            assert not snapshot["recovered"]
        assert welcome["recording"]["notice"] in (await bridge.get("/healthz"))["notices"]
        assert "was set aside" in bridge.log
        async with publishing(mosquitto.port, 200) as publisher:
            await until(lambda: has_some(bridge))
        count = publisher.count
        await until(lambda: has_all(bridge, count))
        assert await bridge.stop() == 0
    assert_each_once(path, count)


@pytest.mark.broker
@pytest.mark.timeout(120)
async def test_damage_that_appears_while_the_bridge_runs_is_said_and_the_rest_goes_on(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    path = tmp_path / "data" / "history.db"
    env = {"FLEETWIRE_HISTORY__SEAL_INTERVAL_S": "3"}
    bridge = Bridge(path.parent, mqtt_url=mosquitto.url, env=env)
    async with ended([bridge]):
        await bridge.start()
        await connected(bridge)
        async with bridge.dashboard() as dashboard, publishing(mosquitto.port, 200) as publisher:
            await until(lambda: has_some(bridge))
            other = Store(f"sqlite:///{path}")
            with other.writing() as writer:  # as a flipped bit in a blob, of which the database knows nothing
                lost = writer.connection.exec_driver_sql(
                    "UPDATE history_journal SET checksum = 1 - checksum"
                    " WHERE last_offset = (SELECT max(last_offset) FROM history_journal) RETURNING readings"
                ).scalar_one()
            other.close()
            told = await dashboard.until("recording", lambda m: "damaged" in m["notice"], 30)
            assert told["state"] == "recording"
        count = publisher.count
        await until(lambda: has_all(bridge, count - lost))
        assert (await counters(bridge))["damaged"] == 1
        assert told["notice"] in (await bridge.get("/healthz"))["notices"]
        (aside,) = path.parent.glob("history.db.damaged-commit-*")
        assert aside.name in told["notice"]
        assert told["notice"] in bridge.log
        assert await bridge.stop() == 0
        # The next start finds a history that is whole.
        await bridge.start()
        assert (await bridge.get("/healthz")).get("notices", []) == []
        await bridge.stop()


async def has_some(bridge: Bridge) -> bool:
    return (await counters(bridge))["recorded"] > 100


async def has_all(bridge: Bridge, count: int) -> bool:
    return await count_recorded(bridge) == count
