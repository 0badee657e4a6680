"""A disk that refuses costs nothing but time: acknowledgements stop, people are told, the live view goes on, and when
the disk can be written to again everything is there, once. FAULTS_LOCK_S says for how long a lock is held (30 in
`make chaos`); it is longer than SQLite waits by itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.history.spans import DAY_US, HOUR, MINUTE, RAW, US_PER_S
from bridge.history.store import Store
from bridge.history.store_sqlite import BUSY_TIMEOUT_MS
from tests.faults.disks import (
    MB,
    FailingSync,
    FilesThatMayNotGrow,
    FullFileSystem,
    HeldDatabase,
    Refusal,
    small_file_system,
)
from tests.faults.ledger import Publisher, assert_each_once, connected, count_recorded, ended, publishing, until
from tests.support.bridge import Bridge
from tests.support.live_client import LiveClient, Readings, Walk, witness
from tests.support.live_load import counters
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_peer import MqttPeer
from tests.unit.history.scene import Scene

pytestmark = [pytest.mark.broker]

LOCK_S = float(os.environ.get("FAULTS_LOCK_S", "7"))
WINDOW = 1_000  # messages that our broker hands over without an acknowledgement (max_inflight_messages)
FIRST = 500


@contextmanager
def refusing(kind: str, folder: Path) -> Iterator[tuple[Path, Refusal]]:
    """Where the history goes, and what will refuse to write it."""
    history = folder / "disk" / "history.db"
    if kind == "a full file system":
        with small_file_system(history.parent, 24 * MB):
            yield history, FullFileSystem(history.parent)
    elif kind == "files that may not grow":
        yield history, FilesThatMayNotGrow(history)
    elif kind == "a disk that keeps nothing":
        yield history, FailingSync()
    else:
        yield history, HeldDatabase(history)


def make_bridge(folder: Path, history: Path, mosquitto: Mosquitto, **settings: float) -> Bridge:
    options = {"url": f"sqlite:///{history}", "min_free_bytes": "0", **settings}
    env = {f"FLEETWIRE_HISTORY__{name.upper()}": str(value) for name, value in options.items()}
    return Bridge(folder / "data", mqtt_url=mosquitto.url, env=env)


@pytest.mark.parametrize(
    "kind", ["a full file system", "files that may not grow", "a disk that keeps nothing", "a locked database"]
)
@pytest.mark.timeout(180 + 2 * LOCK_S)
async def test_nothing_is_acknowledged_or_lost_while_the_disk_refuses(
    kind: str, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    assert LOCK_S > BUSY_TIMEOUT_MS / 1000
    with refusing(kind, tmp_path) as (history, disk):
        bridge = make_bridge(tmp_path, history, mosquitto)
        async with ended([bridge]):
            await bridge.start()
            await connected(bridge)
            async with (
                witness(bridge, "log") as dashboard,
                publishing(mosquitto.port, 500) as publisher,
                MqttPeer(mosquitto.port) as probe,
            ):
                await until(lambda: is_recorded(bridge, FIRST))
                disk.refuse(bridge)
                began = time.monotonic()
                await until(lambda: says(dashboard, "failing", disk.reason))
                said_s = time.monotonic() - began
                # The window fills, and stays full: nothing that comes now is acknowledged, and no more is handed over.
                await until(lambda: is_stuck(bridge))
                stuck = await counters(bridge)
                assert stuck["unrecorded"] == 0
                # What is not at QoS 1 has no window: the live view moves on, all the time.
                slowest_s = await probe_live(
                    probe, dashboard, until_s=began + (LOCK_S if isinstance(disk, HeldDatabase) else 2)
                )
                # Nothing was written meanwhile, and the broker holds the rest.
                after = await counters(bridge)
                assert after["recorded"] == stuck["recorded"]
                assert (await bridge.get("/readyz"))["status"] == "failing"
                assert (await bridge.get("/healthz"))["status"] == "ok"
                disk.relent(bridge)
                relented = time.monotonic()
                await until(lambda: says(dashboard, "recording"), 60)
                count = await asyncio.to_thread(publisher.stop)
                await until(lambda: has_recorded(bridge, count), 60)
                drained_s = time.monotonic() - relented
                assert (await bridge.get("/readyz"))["status"] == "ok"
                walk = Walk("log").follow(dashboard.messages)  # and its offsets had no hole
            assert len(walk.snapshots) == 1
            print(f"{kind}: said after {said_s:.1f} s, live within {slowest_s:.2f} s, drained in {drained_s:.1f} s")
            assert await bridge.stop() == 0  # the process that began: it was not started again
        assert_each_once(history, count)
        assert "Traceback" not in bridge.log


async def is_recorded(bridge: Bridge, count: int) -> bool:
    return (await counters(bridge))["recorded"] >= count


async def has_recorded(bridge: Bridge, count: int) -> bool:
    return await count_recorded(bridge) == count


async def says(dashboard: LiveClient, state: str, reason: str = "") -> bool:
    """Whether the last that it was told of the recording is this."""
    told = [one for one in dashboard.messages if isinstance(one, dict) and one["type"] == "recording"]
    return bool(told) and told[-1]["state"] == state and reason in told[-1]["reason"]


async def is_stuck(bridge: Bridge) -> bool:
    """Whether nothing comes any more, although devices go on."""
    before = (await counters(bridge))["received"]
    await asyncio.sleep(1)
    return (await counters(bridge))["received"] == before


async def probe_live(probe: MqttPeer, dashboard: LiveClient, until_s: float) -> float:
    """Send a reading, see it arrive, and again; how long the slowest was on its way."""
    slowest_s, number = 0.0, 0
    while number < 5 or time.monotonic() < until_s:
        number += 1
        sent = time.monotonic()
        await probe.publish("devices/probe/telemetry", json.dumps({"probe": number + 0.5}), qos=0)
        await until(lambda value=number + 0.5: has_arrived(dashboard, value))  # type: ignore[misc]
        slowest_s = max(slowest_s, time.monotonic() - sent)
    return slowest_s


async def has_arrived(dashboard: LiveClient, value: float) -> bool:
    recent = [one for one in dashboard.messages[-200:] if isinstance(one, Readings)]
    return any(value in one.values for one in recent)


# ----- a disk that our own data fills ---------------------------------------------------------------------


def past(history: Path, days: int) -> None:
    """Some quarters of an hour of every day until now, sealed and merged, with minutes and hours."""
    now_us = time.time_ns() // 1000
    store = Store(f"sqlite:///{history}")
    scene = Scene(store)
    for day in range(days, 0, -1):
        times = range(now_us - day * DAY_US, now_us - day * DAY_US + 3_600 * US_PER_S, US_PER_S)
        scene.append([(series, at, (at * (series + 7)) % 1_000_003 / 7) for at in times for series in range(100, 104)])
    scene.seal()
    scene.merge()
    with store.writing() as writer:
        writer.set_log_offset(writer.last_offset())
    store.close()


def kept(history: Path) -> tuple[tuple[int, ...], int, dict[int, list[Any]]]:
    """From when on each resolution is kept, how many readings there are in chunks, and the rollups of the last day."""
    store = Store(f"sqlite:///{history}")
    since_us = time.time_ns() // 1000 - DAY_US
    with store.reading() as snapshot:
        found = snapshot.find_chunks(range(100, 104), RAW, 0, 2**62)
        rollups = {
            one: [chunk.facts for chunk in snapshot.find_chunks(range(100, 104), one, since_us, 2**62)]
            for one in (MINUTE, HOUR)
        }
        answer = snapshot.kept_from(), sum(one.facts.n for one in found), rollups
    store.close()
    return answer


@pytest.mark.timeout(180)
async def test_a_disk_that_is_full_gets_room_from_the_oldest_part_of_the_history(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    history = tmp_path / "disk" / "history.db"
    with small_file_system(history.parent, 96 * MB):
        past(history, 40)
        before = kept(history)
        assert all(before[2].values())
        bridge = make_bridge(tmp_path, history, mosquitto, min_free_bytes=MB, keep_readings_days=3_000)
        async with ended([bridge]):
            await bridge.start()
            await connected(bridge)
            reserve = history.with_name("history.db.reserve")
            await until(lambda: exists(reserve))
            async with witness(bridge, "log") as dashboard:
                publisher = Publisher(mosquitto.port, 500)
                await until(lambda: is_recorded(bridge, FIRST))
                FullFileSystem(history.parent).refuse(bridge)  # and nobody tidies up
                await until(lambda: says(dashboard, "failing", "the disk is full"))
                await until(lambda: says(dashboard, "recording"))
                count = await asyncio.to_thread(publisher.stop)
                await until(lambda: has_recorded(bridge, count))
            assert (await counters(bridge))["forgotten"] > 0
            assert "were forgotten to make room" in bridge.log
            assert not reserve.exists()
            assert await bridge.stop() == 0
        assert_each_once(history, count)
        after = kept(history)
        # The oldest readings went, and not many; no rollup of the last day did.
        assert after[0][RAW] > before[0][RAW]
        assert before[1] / 2 < after[1] < before[1]
        assert after[2] == before[2]
        assert "Traceback" not in bridge.log


async def exists(path: Path) -> bool:
    return path.exists()
