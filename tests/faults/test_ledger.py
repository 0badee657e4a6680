"""Nothing that the broker handed over at QoS 1 is lost, and nothing is there twice, however the bridge dies.

Devices keep a ledger: each message carries its own number, and most their time. The bridge is killed with SIGKILL again
and again, at random and at every named point of its way to the disk, while they go on. At the end the history is
compared. `make chaos` kills it 200 times; FAULTS_KILLS sets another number.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from pathlib import Path

import pytest

from tests.faults.crashing_bridge import POINTS
from tests.faults.ledger import SEED, Follower, Publisher, assert_each_once, connected, count_recorded, ended, ids_of
from tests.support.bridge import Bridge
from tests.support.mosquitto import Mosquitto

pytestmark = [pytest.mark.broker]

KILLS = int(os.environ.get("FAULTS_KILLS", "20"))
RATE_HZ = 500.0
READY_S = 3.0  # of the fastest quarter of the restarts: how busy the machine is says nothing about the program


@pytest.mark.timeout(60 + 10 * KILLS)
async def test_missing_0_and_duplicates_0(mosquitto: Mosquitto, tmp_path: Path) -> None:
    dice = random.Random(SEED)
    data_dir = tmp_path / "data"
    options = {"FLEETWIRE_HISTORY__SEAL_INTERVAL_S": "0.3"}  # so that there is always something under way

    def make(env: dict[str, str]) -> Bridge:
        return Bridge(data_dir, mqtt_url=mosquitto.url, env={**options, **env}, module="tests.faults.crashing_bridge")

    first = make({})
    bridges = [first]
    async with ended(bridges):
        await first.start()
        await connected(first)  # the broker has our session from here on
        publisher = Publisher(mosquitto.port, RATE_HZ, untimed=True)
        follower = Follower()
        follower.bridge = first
        await asyncio.sleep(0.5)
        await first.kill()

        ready_s: list[float] = []
        for kill in range(KILLS):
            point = POINTS[kill % (2 * len(POINTS))] if kill % (2 * len(POINTS)) < len(POINTS) else ""
            bridge = make({"CRASH_AT": point, "CRASH_AFTER": str(dice.randint(1, 8))})
            bridges.append(bridge)
            bridge.port = first.port  # so that the dashboard finds it
            began = time.monotonic()
            with contextlib.suppress(AssertionError):  # it may die before it says that it is ready
                await bridge.start()
                ready_s.append(time.monotonic() - began)
                follower.bridge = bridge
            await bridge.ends_by_itself(3.0 if point else dice.uniform(0.05, 0.8))
            await bridge.kill()
            follower.bridge = None

        count = await asyncio.to_thread(publisher.stop)
        last = make({})
        bridges.append(last)
        last.port = first.port
        await last.start()
        follower.bridge = last
        deadline = time.monotonic() + 60
        while await count_recorded(last) < count and time.monotonic() < deadline:
            await asyncio.sleep(0.25)
        assert await last.stop() == 0
        await asyncio.sleep(0.2)  # the end of it reaches the dashboard
        await follower.stop()
    assert_each_once(data_dir / "history.db", count)
    assert "Traceback" not in last.log
    ready_s.sort()
    told = ", ".join(f"{one:.1f}" for one in ready_s)
    print(f"{count} messages, {KILLS} kills; ready after {told} s; the dashboard went on {follower.recovered} times, ")
    print(f"began anew {follower.begun_anew} times, got {follower.frames} frames")
    assert ready_s[len(ready_s) // 4] <= READY_S
    # The history stays the same one; a dashboard goes on without a gap or is told that it does not.
    assert len(set(ids_of(follower.epochs))) == 1
    assert len(set(follower.epochs)) > KILLS // 4
    assert follower.recovered > 0
