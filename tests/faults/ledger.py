"""The two ends of every test of faults: devices that know what they have sent, and what the history has of it."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from bridge.history.arrivals import split_frames
from bridge.history.query import History
from bridge.history.spans import MAX_TIME_US
from bridge.history.store import Store
from bridge.history.store_session import BEGINNING_US
from tests.support.bridge import Bridge
from tests.support.live_client import LiveClient, Walk
from tests.support.live_load import counters

SEED = int(os.environ.get("FAULTS_SEED", "1"))
DEVICES = 10
IN_FLIGHT = 200


class Publisher:
    """All devices on one connection. Each message carries its own number, which is in the history once or missing.

    All but those of the device `untimed` carry a time. `count` messages were acknowledged by the broker when `stop`
    returns.
    """

    def __init__(self, port: int, rate_hz: float, *, untimed: bool = False) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="ledger")
        self._client.max_inflight_messages_set(IN_FLIGHT)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._stopping = threading.Event()
        self._begin_ms = time.time_ns() // 1_000_000 - 3_600_000
        self._rate_hz = rate_hz
        self._untimed = untimed
        self.count = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        began = time.monotonic()
        waiting = []
        while not self._stopping.is_set():
            while self.count < (time.monotonic() - began) * self._rate_hz:
                waiting.append(self._client.publish(*self._message(self.count), qos=1))
                self.count += 1
            time.sleep(0.005)
        for one in waiting:
            one.wait_for_publish(30)

    def _message(self, number: int) -> tuple[str, str]:
        if self._untimed and number % DEVICES == 0:
            return "devices/untimed/telemetry", f'{{"number": {number}}}'
        payload = f'{{"time": {self._begin_ms + number}, "number": {number}}}'
        return f"devices/d{number % DEVICES}/telemetry", payload

    def stop(self) -> int:
        if not self._stopping.is_set():
            self._stopping.set()
            self._thread.join()
            self._client.disconnect()
            self._client.loop_stop()
        return self.count


@asynccontextmanager
async def publishing(port: int, rate_hz: float) -> AsyncIterator[Publisher]:
    publisher = Publisher(port, rate_hz)
    try:
        yield publisher
    finally:
        await asyncio.to_thread(publisher.stop)


def read_numbers(path: Path) -> list[int]:
    """Every number that a history holds, as often as it does. It must be whole. No bridge may run."""
    store = Store(f"sqlite:///{path}")
    try:
        assert store.find_damage(everything=True) == []
        with store.reading() as snapshot:
            series = [one.series_id for one in snapshot.catalog().series.values() if one.metric == "number"]
            offsets = [offset for _, data in snapshot.read_commits(BEGINNING_US) for offset, _ in split_frames(data)]
        assert offsets == sorted(set(offsets))
        batch = History(store).readings(series, 0, MAX_TIME_US, 10**7)
        return [int(value) for value in batch.values]
    finally:
        store.close()


def assert_each_once(path: Path, count: int) -> None:
    """Missing 0, duplicates 0."""
    stored = read_numbers(path)
    missing = set(range(count)) - set(stored)
    assert not missing, f"{len(missing)} of {count} are missing: {sorted(missing)[:20]}"
    assert len(stored) == count, f"{len(stored) - count} are there twice"


async def count_recorded(bridge: Bridge) -> int:
    """How many different readings the history has of all numbers, as its own statistics tell over HTTP."""
    series = (await bridge.get("/api/v1/series"))["series"]
    wanted = [f"series_id={one['series_id']}" for one in series if one["metric"] == "number"]
    if not wanted:
        return 0
    told = await bridge.get(f"/api/v1/statistics?{'&'.join(wanted)}&from=0&to=4102444800000")
    return sum(one["count"] for one in told["statistics"])


async def connected(bridge: Bridge) -> None:
    """What is published before the bridge has subscribed would be missing the first time."""
    await until(lambda: is_connected(bridge))


async def is_connected(bridge: Bridge) -> bool:
    return (await counters(bridge)).get('source_up{source="mqtt"}') == 1


async def until(test: Callable[[], Any], timeout_s: float = 30.0) -> None:
    """Wait for something; the limit is for what never happens, not for how fast it does."""
    deadline = time.monotonic() + timeout_s
    while not await test():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.1)


@asynccontextmanager
async def ended(bridges: Iterable[Bridge]) -> AsyncIterator[None]:
    """Whatever happens, none of these is left behind."""
    try:
        yield
    finally:
        for bridge in bridges:
            with suppress(AssertionError):  # it was never started
                await bridge.kill()


class Follower:
    """A dashboard on `log` that comes back after each death of the bridge, with what it has.

    Each time it must go on where it was without a gap, or be told `recovered: false`.
    """

    def __init__(self) -> None:
        self.bridge: Bridge | None = None
        self.epochs: list[str] = []
        self.recovered = self.begun_anew = self.frames = 0
        self._offset = -1
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Raises what was wrong with the offsets, if anything was."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            if self.bridge is None:
                continue
            try:
                client = await LiveClient.connect(self.bridge)
            except (OSError, AssertionError):
                continue  # it is dead, or dies just now
            try:
                await self._follow(client)
            finally:
                client.leave()

    async def _follow(self, client: LiveClient) -> None:
        asked = self._offset
        resume = {"epoch": self.epochs[-1], "offset": asked} if self.epochs else {}
        with suppress(OSError):
            await client.say("subscribe", id="log", channel="log", **resume)
            while not client.ended:
                await client.read(timeout_s=60)
        walk = Walk("log").follow(client.messages)
        if not walk.snapshots:
            return
        (snapshot,) = walk.snapshots
        if snapshot["recovered"]:
            assert snapshot["offset"] == asked, "it goes on somewhere else than asked"
            self.recovered += 1
        else:
            self.begun_anew += 1
        self.epochs.append(snapshot["epoch"])
        self._offset = walk.offset
        self.frames += len(walk.frames)


def ids_of(epochs: Iterable[str]) -> Iterator[str]:
    """Of the history in each; what follows is the number of the run."""
    return (epoch.rpartition(".")[0] for epoch in epochs)
