"""The history in a real PostgreSQL: nothing is lost when the bridge is killed, or the database goes away."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.history.query import History
from bridge.history.store import Store
from tests.support.bridge import Bridge
from tests.support.live_load import counters
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_peer import MqttPeer
from tests.support.postgres import PASSWORD, Postgres, running_postgres

pytestmark = [pytest.mark.broker, pytest.mark.postgres, pytest.mark.timeout(180)]

BEGIN_MS = time.time_ns() // 1_000_000 - 3_600_000
PATIENCE_S = 30.0


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    with running_postgres(tmp_path / "postgres", is_durable=True) as server:
        yield server


def make_bridge(folder: Path, mosquitto: Mosquitto, url: str) -> Bridge:
    return Bridge(folder / "data", mqtt_url=mosquitto.url, env={"FLEETWIRE_HISTORY__URL": url})


def message(number: int) -> tuple[str, str]:
    return f"devices/d{number % 3}/telemetry", json.dumps({"time": BEGIN_MS + number, "n": number})


async def publish(mosquitto: Mosquitto, numbers: range) -> None:
    async with MqttPeer(mosquitto.port) as peer:
        await peer.publish_all(message(number) for number in numbers)


async def connected(bridge: Bridge) -> None:
    await until(lambda told: told.get('source_up{source="mqtt"}') == 1, bridge)


async def showing(bridge: Bridge, value: float) -> None:
    """The broker hands it over a little after its publisher was told that it was there."""
    deadline = time.monotonic() + PATIENCE_S
    while all(one["value"] != value for one in (await bridge.get("/api/v1/series"))["series"]):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def until(test: Any, bridge: Bridge) -> dict[str, float]:
    deadline = time.monotonic() + PATIENCE_S
    while not test(told := await counters(bridge)):
        assert time.monotonic() < deadline, told
        await asyncio.sleep(0.05)
    return told


def recorded(url: str) -> list[int]:
    """The numbers that the history has, in order."""
    store = Store(url)
    try:
        with store.reading() as snapshot:
            series = list(snapshot.catalog().series)
        return sorted(int(value) for value in History(store).readings(series, 0, 2**60, 10**6).values)
    finally:
        store.close()


async def fleetwire(folder: Path, url: str, *args: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bridge", *args, "--data-dir", str(folder / "data"),
        env={**os.environ, "FLEETWIRE_HISTORY__URL": url},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(child.communicate(), PATIENCE_S)
    assert child.returncode is not None
    return child.returncode, out.decode(), err.decode()


async def test_nothing_is_missing_or_twice_when_the_bridge_or_the_database_dies(
    mosquitto: Mosquitto, postgres: Postgres, tmp_path: Path
) -> None:
    url = postgres.new_database()
    bridge = make_bridge(tmp_path, mosquitto, url)
    await bridge.start()
    await connected(bridge)
    publishing = asyncio.create_task(publish(mosquitto, range(1_000)))
    await until(lambda told: told["recorded"] > 100, bridge)
    await bridge.kill()
    await publishing

    bridge = make_bridge(tmp_path, mosquitto, url)
    await bridge.start()
    async with bridge.dashboard() as dashboard:
        await publish(mosquitto, range(1_000, 1_100))
        await asyncio.to_thread(postgres.kill)
        await publish(mosquitto, range(1_100, 1_200))
        failing = await dashboard.until("recording", lambda m: m["state"] == "failing", PATIENCE_S)
        assert failing["reason"]
        assert PASSWORD not in failing["reason"]
        await publish(mosquitto, range(1_200, 1_300))  # the live view goes on
        await dashboard.subscribe("log")
        await showing(bridge, 1_299)
        await asyncio.to_thread(postgres.start)
        await dashboard.until("recording", lambda m: m["state"] == "recording", PATIENCE_S)
    await asyncio.sleep(0.2)
    assert await bridge.stop() == 0
    assert recorded(url) == list(range(1_300))
    assert "Traceback" not in bridge.log
    assert PASSWORD not in bridge.log


async def test_the_commands_of_the_history_work_there_or_say_what_does(
    mosquitto: Mosquitto, postgres: Postgres, tmp_path: Path
) -> None:
    url = postgres.new_database()
    bridge = make_bridge(tmp_path, mosquitto, url)
    await bridge.start()
    await connected(bridge)
    await publish(mosquitto, range(30))
    await until(lambda told: told["recorded"] == 30, bridge)
    code, out, _ = await fleetwire(tmp_path, url, "export", "--device", "d1", "--format", "json")
    assert (code, [json.loads(line)["value"] for line in out.splitlines()]) == (0, list(range(1, 30, 3)))
    assert (await fleetwire(tmp_path, url, "check-history"))[0] == 0
    code, _, err = await fleetwire(tmp_path, url, "backup", str(tmp_path / "copy"))
    assert (code, "pg_dump" in err) == (2, True)
    assert await bridge.stop() == 0

    nobody = url.replace(PASSWORD, "wrong-password")
    for args in (("serve", "--port", "0"), ("export",)):
        code, out, err = await fleetwire(tmp_path, nobody, *args)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "password authentication failed" in err
        assert "wrong-password" not in err
    postgres.stop()
    code, _, err = await fleetwire(tmp_path, url, "serve", "--port", "0")
    assert (code, err.count("\n")) == (2, 1)
    assert "does not answer" in err
    assert PASSWORD not in err
