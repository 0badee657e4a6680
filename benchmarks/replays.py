"""What those who look at the past cost those who look at the present. Run: python -m benchmarks.replays --write

A bridge has six hours of 250 series at 1 Hz. Ten devices send 200 messages a second that a dashboard follows live,
while nobody, one or four others play the six hours. Each live reading carries the time at which it was sent.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from benchmarks.history.load import append
from benchmarks.history.year import DEVICES, N_SERIES, SERIES_OF_DEVICE, walk_fleet
from benchmarks.report import machine, table, write_section
from bridge.core.batch import Batch
from bridge.history.catalog import Births, DeviceRecord, SeriesRecord
from bridge.history.keeper import Keeper
from bridge.history.spans import US_PER_S
from bridge.history.store import open_store
from tests.support.bridge import Bridge
from tests.support.live_client import LiveClient, Readings, witness
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_peer import MqttPeer

PAST_S = 6 * 3_600
SEAL_S = 900
RATE_HZ = 200
CASES = ((0, 0.0), (1, 60.0), (1, 1000.0), (4, 1000.0))  # how many play it, and how fast


class Outcome(NamedTuple):
    """Of one case. Delays in ms; `speed`: what each replay reached, in the mean."""

    players: int
    asked: float
    speed: float
    p50: float
    p99: float
    worst: float
    cpu: float  # of a core


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=12.0, help="how long each case is measured")
    parser.add_argument("--write", action="store_true", help="write the table into docs/performance.md")
    options = parser.parse_args()
    outcomes = asyncio.run(_measure_all(options.seconds))
    rows = [
        [
            f"{one.players} at {one.asked:,.0f}x" if one.players else "nobody",
            f"{one.speed:,.0f}x" if one.players else "",
            f"{one.p50:.1f}", f"{one.p99:.1f}", f"{one.worst:.0f}", f"{one.cpu:.0%}",
        ]
        for one in outcomes
    ]  # fmt: skip
    columns = ["playing the past", "reached", "live p50 ms", "live p99 ms", "longest ms", "bridge of a core"]
    text = f"{machine()}.\n\nCommand: `python -m benchmarks.replays --write`.\n\n{table(columns, rows)}"
    print(text)
    if options.write:
        write_section("replays", text)


async def _measure_all(seconds: float) -> list[Outcome]:
    with tempfile.TemporaryDirectory(prefix="replays-") as name:
        folder = Path(name)
        begin_us = _write_past(folder / "history.db")
        broker = Mosquitto(folder / "broker")
        broker.start()
        env = {"FLEETWIRE_HISTORY__URL": f"sqlite:///{folder / 'history.db'}"}
        bridge = Bridge(folder / "data", mqtt_url=broker.url, env=env)
        try:
            await bridge.start()
            async with witness(bridge, "log") as dashboard, _sending(broker):
                await asyncio.sleep(3)
                return [await _measure(bridge, dashboard, begin_us, *case, seconds) for case in CASES]
        finally:
            await bridge.stop()
            broker.stop()


async def _measure(
    bridge: Bridge, dashboard: LiveClient, begin_us: int, players: int, speed: float, seconds: float
) -> Outcome:
    process = psutil.Process(bridge.pid)
    async with contextlib.AsyncExitStack() as stack:
        past = {"at_ms": begin_us / 1000, "speed": speed}
        replays = [await stack.enter_async_context(witness(bridge, "replay", **past)) for _ in range(players)]
        await asyncio.sleep(2)
        seen, where, spent, began = len(dashboard.messages), [_at_ms(one) for one in replays], _cpu_s(process), _now()
        await asyncio.sleep(seconds)
        took_s = _now() - began
        moved = [_at_ms(one) - before for one, before in zip(replays, where, strict=True)]
        spent = _cpu_s(process) - spent
    delays = [
        (one.arrived - sent) * 1e3
        for one in dashboard.messages[seen:] if isinstance(one, Readings)
        for sent in one.values.tolist()
    ]  # fmt: skip
    assert len(delays) > RATE_HZ * seconds * 0.9, f"only {len(delays)} live readings arrived"
    return Outcome(
        players, speed, float(np.mean(moved)) / 1000 / took_s if moved else 0.0,
        *np.percentile(delays, [50, 99, 100]).tolist(), spent / took_s,
    )  # fmt: skip


def _write_past(path: Path) -> int:
    """Sealed and merged as the bridge would have done; returns when it begins."""
    now_us = time.time_ns() // 1000
    begin_us = (now_us // US_PER_S - PAST_S - 60) * US_PER_S
    store = open_store(f"sqlite:///{path}", now_us)
    since = {"device_since_ms": begin_us // 1000}
    series = (
        SeriesRecord(n, f"d{n // SERIES_OF_DEVICE}", f"m{n % SERIES_OF_DEVICE}", "number", (), since)
        for n in range(N_SERIES)
    )
    devices = (
        DeviceRecord(f"d{n}", {"name": f"Device {n}", "first_seen_ms": begin_us // 1000}) for n in range(DEVICES)
    )
    with store.writing() as writer:
        writer.save_births(Births(tuple(devices), tuple(series)), begin_us)
    times, values = walk_fleet(PAST_S)
    ids, keeper, offset = np.arange(N_SERIES, dtype=np.uint32), Keeper(store), 0
    for minute in range(0, PAST_S, 60):
        batches = [
            Batch(
                ids, begin_us + np.repeat(times[:, at], SERIES_OF_DEVICE), values[:, at].copy(),
                begin_us + int(times[0, at]),
            )
            for at in range(minute, minute + 60)
        ]  # fmt: skip
        offset = append(store, batches, offset + 1)
        if (minute + 60) % SEAL_S == 0:
            keeper.seal()
            keeper.merge(begin_us + minute * US_PER_S)
    with store.writing() as writer:
        writer.set_log_offset(writer.last_offset())
    store.close()
    return begin_us


@contextlib.asynccontextmanager
async def _sending(broker: Mosquitto) -> AsyncIterator[None]:
    async def send() -> None:
        async with MqttPeer(broker.port) as devices:
            began, number = _now(), 0
            while True:
                await devices.publish(f"devices/live{number % 10}/telemetry", json.dumps({"sent": _now()}), qos=0)
                number += 1
                await asyncio.sleep(max(0.0, began + number / RATE_HZ - _now()))

    task = asyncio.create_task(send())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()


def _at_ms(replay: LiveClient) -> float:
    """Where it was told last to be."""
    told = [one for one in replay.messages if isinstance(one, dict) and one["type"] == "replay"]
    return float(told[-1]["at_ms"])


def _cpu_s(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return float(spent.user + spent.system)


_now = time.monotonic


if __name__ == "__main__":
    main()
