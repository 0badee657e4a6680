"""What comes more than once is there once, and counted: from devices that repeat themselves, and from the broker after
the bridge has died between commit and acknowledgement.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from pathlib import Path

import pytest

from tests.faults.ledger import SEED, assert_each_once, connected, count_recorded, ended, read_numbers, until
from tests.support.bridge import Bridge
from tests.support.live_load import counters
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_peer import MqttPeer

pytestmark = [pytest.mark.broker]

COUNT = 1_000
BEGIN_MS = time.time_ns() // 1_000_000 - 3_600_000


def timed(number: int, value: float) -> tuple[str, str]:
    return f"devices/d{number % 10}/telemetry", json.dumps({"time": BEGIN_MS + number, "number": value})


@pytest.mark.timeout(120)
async def test_every_repetition_is_left_out_and_counted_and_the_first_value_stays(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    # Each one to five times, in any order; and a tenth of them once more, later, with another value.
    told = [number for number in range(COUNT) for _ in range(chance.randint(1, 5))]
    chance.shuffle(told)
    changed = chance.sample(range(COUNT), COUNT // 10)
    bridge = Bridge(tmp_path / "data", mqtt_url=mosquitto.url, env={"FLEETWIRE_HISTORY__SEAL_INTERVAL_S": "0.5"})
    async with ended([bridge]):
        await bridge.start()
        await connected(bridge)
        async with MqttPeer(mosquitto.port) as peer:
            half = len(told) // 2
            await peer.publish_all(timed(number, number) for number in told[:half])
            await until(lambda: has_sealed(bridge, half))  # so that some are in chunks and some in the journal
            await peer.publish_all(timed(number, number) for number in told[half:])
            await peer.publish_all(timed(number, number + 0.5) for number in changed)
            await until(lambda: has_sealed(bridge, len(told) + len(changed)))
        counted = await counters(bridge)
        assert counted["recorded"] == len(told) + len(changed)
        assert counted["recorded_twice"] == len(told) - COUNT
        assert counted["conflicts"] == len(changed)
        assert counted["duplicates"] == 0  # the broker has not delivered anything again
        assert await bridge.stop() == 0
    assert_each_once(tmp_path / "data" / "history.db", COUNT)


async def has_sealed(bridge: Bridge, count: int) -> bool:
    return (await counters(bridge))["sealed"] == count


@pytest.mark.timeout(120)
async def test_a_reading_without_a_time_that_is_delivered_again_is_there_once(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Three bridges die one after another when it is committed and not acknowledged; the fourth lives."""
    data = tmp_path / "data"
    crash = {"CRASH_AT": "after_commit", "CRASH_AFTER": "1"}
    first = Bridge(data, mqtt_url=mosquitto.url)
    dying = [Bridge(data, mqtt_url=mosquitto.url, env=crash, module="tests.faults.crashing_bridge") for _ in range(3)]
    last = Bridge(data, mqtt_url=mosquitto.url)
    async with ended([first, *dying, last]):
        await first.start()
        await connected(first)
        await first.stop()  # the broker keeps everything from here on
        async with MqttPeer(mosquitto.port) as peer:
            for at, bridge in enumerate(dying):
                await bridge.start()
                # Devices that always say the same, and one that counts.
                some = [("devices/same/telemetry", '{"same": 21.5}')] * 10
                some += [
                    ("devices/d/telemetry", json.dumps({"number": number})) for number in range(10 * at, 10 * at + 10)
                ]
                for one in some:
                    await peer.publish(*one)
                assert await bridge.ends_by_itself(30), "it was to die"
        await last.start()
        await connected(last)
        await until(lambda: has_all(last))
        await asyncio.sleep(0.5)  # for what should not come
        assert (await counters(last))["duplicates"] > 0
        assert await count_same(last) == 30
        assert await last.stop() == 0
    assert sorted(read_numbers(data / "history.db")) == list(range(30))


async def has_all(bridge: Bridge) -> bool:
    return await count_recorded(bridge) >= 30 and await count_same(bridge) >= 30


async def count_same(bridge: Bridge) -> int:
    series = {one["metric"]: one["series_id"] for one in (await bridge.get("/api/v1/series"))["series"]}
    told = await bridge.get(f"/api/v1/statistics?series_id={series['same']}&from=0&to=4102444800000")
    return int(told["statistics"][0]["count"])
