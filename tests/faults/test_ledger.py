"""Nothing that the broker handed over at QoS 1 is lost, and nothing is there twice, however the bridge dies.

Devices keep a ledger: each message carries its own number and time. The bridge is killed with SIGKILL again and again,
at random and at every named point of its way to the disk, while they go on. At the end the history is compared.
`make chaos` kills it 200 times; FAULTS_KILLS sets another number.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from bridge.history.arrivals import split_frames
from bridge.history.query import History
from bridge.history.spans import MAX_TIME_US
from bridge.history.store import Store
from bridge.history.store_session import BEGINNING_US
from tests.faults.crashing_bridge import POINTS
from tests.support.bridge import Bridge
from tests.support.mosquitto import Mosquitto

pytestmark = [pytest.mark.broker, pytest.mark.alone]

KILLS = int(os.environ.get("FAULTS_KILLS", "20"))
SEED = int(os.environ.get("FAULTS_SEED", "1"))
DEVICES = 10
RATE_HZ = 500.0
IN_FLIGHT = 200
READY_S = 3.0  # of a restart, at the median: a machine may be busy once


class Publisher:
    """All devices on one connection; `count` messages were acknowledged by the broker when `stop` returns."""

    def __init__(self, port: int) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="ledger")
        self._client.max_inflight_messages_set(IN_FLIGHT)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._stopping = threading.Event()
        self._begin_ms = time.time_ns() // 1_000_000 - 3_600_000
        self.count = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        began = time.monotonic()
        waiting = []
        while not self._stopping.is_set():
            while self.count < (time.monotonic() - began) * RATE_HZ:
                number = self.count
                payload = f'{{"time": {self._begin_ms + number}, "number": {number}}}'
                waiting.append(self._client.publish(f"devices/d{number % DEVICES}/telemetry", payload, qos=1))
                self.count += 1
            time.sleep(0.005)
        for one in waiting:
            one.wait_for_publish(10)

    def stop(self) -> int:
        self._stopping.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()
        return self.count


def read_history(data_dir: Path) -> Iterator[list[int]]:
    """The numbers that the history has of each device."""
    store = Store(f"sqlite:///{data_dir / 'history.db'}")
    try:
        assert store.find_damage(everything=True) == []
        with store.reading() as snapshot:
            catalog = snapshot.catalog()
            offsets = [offset for _, data in snapshot.read_commits(BEGINNING_US) for offset, _ in split_frames(data)]
        assert offsets == sorted(set(offsets))
        history = History(store)
        series_of: dict[str, list[int]] = {}
        for series in catalog.series.values():
            series_of.setdefault(series.device_id, []).append(series.series_id)
        for series_ids in series_of.values():
            batch = history.readings(series_ids, 0, MAX_TIME_US, 10**7)
            yield [int(value) for value in batch.values]
    finally:
        store.close()


@pytest.mark.timeout(60 + 10 * KILLS)
async def test_missing_0_and_duplicates_0(mosquitto: Mosquitto, tmp_path: Path) -> None:
    dice = random.Random(SEED)
    data_dir = tmp_path / "data"
    options = {"FLEETWIRE_HISTORY__SEAL_INTERVAL_S": "0.3"}  # so that there is always something under way

    def make(env: dict[str, str]) -> Bridge:
        return Bridge(data_dir, mqtt_url=mosquitto.url, env={**options, **env}, module="tests.faults.crashing_bridge")

    first = make({})
    await first.start()  # the broker has our session from here on
    publisher = Publisher(mosquitto.port)
    await asyncio.sleep(0.5)
    await first.kill()

    ready_s: list[float] = []
    for kill in range(KILLS):
        point = POINTS[kill % (2 * len(POINTS))] if kill % (2 * len(POINTS)) < len(POINTS) else ""
        bridge = make({"CRASH_AT": point, "CRASH_AFTER": str(dice.randint(1, 8))})
        began = time.monotonic()
        with contextlib.suppress(AssertionError):  # it may die before it says that it is ready
            await bridge.start()
            ready_s.append(time.monotonic() - began)
        await bridge.ends_by_itself(3.0 if point else dice.uniform(0.05, 0.8))
        await bridge.kill()

    count = await asyncio.to_thread(publisher.stop)
    last = make({})
    await last.start()
    deadline = time.monotonic() + 30
    while (left := count - await recorded_numbers(last)) > 0 and time.monotonic() < deadline:
        await asyncio.sleep(0.25)
    assert await last.stop() == 0
    assert left <= 0

    stored = [number for numbers in read_history(data_dir) for number in numbers]
    missing = set(range(count)) - set(stored)
    assert not missing, f"{len(missing)} of {count} are missing: {sorted(missing)[:20]}"
    assert len(stored) == count, f"{len(stored) - count} are there twice"
    assert "Traceback" not in last.log
    print(f"{count} messages, {KILLS} kills, ready after {statistics.median(ready_s):.1f} s (median)")
    assert statistics.median(ready_s) <= READY_S


async def recorded_numbers(bridge: Bridge) -> int:
    """How many different numbers the history has, as its own statistics tell over HTTP."""
    series = (await bridge.get("/api/v1/series"))["series"]
    wanted = [f"series_id={one['series_id']}" for one in series if one["metric"] == "number"]
    if not wanted:
        return 0
    told = await bridge.get(f"/api/v1/statistics?{'&'.join(wanted)}&from=0&to=4102444800000")
    return sum(one["count"] for one in told["statistics"])
