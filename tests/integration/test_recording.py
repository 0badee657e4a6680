"""The history of a real bridge on a real broker: what survives its end, however it comes, and what a disk that refuses
does to the messages under way."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.app import App
from bridge.core.frame import decode_frame
from bridge.history.events import NOTE
from bridge.history.query import History
from bridge.history.store import Store
from bridge.settings import load_settings
from tests.support.bridge import Bridge
from tests.support.live_client import LiveClient, Message, Readings
from tests.support.live_load import counters
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_peer import MqttPeer

pytestmark = pytest.mark.broker

DESCRIPTION = {
    "name": "Pump 7",
    "manufacturer": "Acme",
    "metrics": {
        "level": {"name": "Level", "kind": "number", "unit": "m", "min": 0, "max": 4, "precision": 2},
        "mode": {"name": "Mode", "kind": "text"},
        "on": {"kind": "boolean"},
    },
    "commands": {"stop": {"title": "Stop it", "danger": True}},
}
MOVING = {"last_seen_ms", "received_ms", "quality"}


class Place:
    """One installation: its folder, its broker, and the bridges that run there one after another."""

    def __init__(self, folder: Path, mosquitto: Mosquitto) -> None:
        self.data = folder / "data"
        self.file = self.data / "history.db"
        self.mosquitto = mosquitto
        self.bridges: list[Bridge] = []

    def bridge(self, *args: str, **env: str) -> Bridge:
        settings = {f"FLEETWIRE_{name.upper()}": value for name, value in env.items()}
        self.bridges.append(Bridge(self.data, *args, mqtt_url=self.mosquitto.url, env=settings))
        return self.bridges[-1]

    def recorded(self, device: str, metric: str) -> list[float]:
        """What the history holds of a metric, in order of time. While no bridge runs."""
        store = Store(f"sqlite:///{self.file}")
        with store.reading() as snapshot:
            series = [
                one.series_id
                for one in snapshot.catalog().series.values()
                if (one.device_id, one.metric) == (device, metric)
            ]
        batch = History(store).readings(series, 0, 2**60, 10**6)
        store.close()
        return [float(value) for value in batch.values]

    def arrived(self) -> list[float]:
        """The values of the journal in order of arrival, with whatever came twice."""
        store = Store(f"sqlite:///{self.file}")
        with store.reading() as snapshot:
            frames = snapshot.read_frames(0, 10**6)
        store.close()
        return [float(value) for frame in frames for value in decode_frame(frame).values]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Another program holds the write lock: nothing can be committed."""
        other = sqlite3.connect(self.file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.close()


@pytest.fixture
async def place(tmp_path: Path, mosquitto: Mosquitto) -> AsyncIterator[Place]:
    made = Place(tmp_path, mosquitto)
    yield made
    for bridge in made.bridges:
        await bridge.kill()  # nothing to do, unless the test has failed


async def connected(bridge: Bridge) -> None:
    """What is published before the bridge has subscribed would be missing the first time."""
    while (await counters(bridge)).get('source_up{source="mqtt"}') != 1:
        await asyncio.sleep(0.02)


async def until(test: Any, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not await test():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.05)


async def has_counted(bridge: Bridge, name: str, value: float) -> bool:
    return (await counters(bridge))[name] == value


async def has_series(bridge: Bridge, count: int) -> bool:
    return len((await bridge.get("/api/v1/series"))["series"]) == count


def telemetry(number: int, device: str = "d") -> tuple[str, str]:
    """With a time of its own, so that what is delivered twice can be recognised."""
    return f"devices/{device}/telemetry", json.dumps({"time": BASE_MS + number, "n": number})


BASE_MS = int(time.time() * 1000) - 600_000


def steady(told: list[dict[str, Any]], key: str) -> dict[Any, dict[str, Any]]:
    return {one[key]: {field: value for field, value in one.items() if field not in MOVING} for one in told}


def log_values(messages: list[Message]) -> list[float]:
    frames = [one for one in messages if isinstance(one, Readings) and one.kind == 1]
    return [float(value) for frame in frames for value in frame.values]


def offsets(messages: list[Message]) -> list[int]:
    return [
        one.offset if isinstance(one, Readings) else one["offset"]
        for one in messages
        if isinstance(one, Readings) or (one.get("channel") == "log" and one["type"] != "snapshot")
    ]


# ----- what is there again --------------------------------------------------------------------------------


async def test_after_a_restart_the_fleet_is_there_before_any_device_speaks(place: Place) -> None:
    bridge = place.bridge()
    await bridge.start()
    await connected(bridge)
    async with MqttPeer(place.mosquitto.port) as peer:
        await peer.publish("devices/pump/description", json.dumps(DESCRIPTION))  # not retained: nobody repeats it
        for number, mode in enumerate(["idle", "run", "idle", "run"]):
            values = {"time": BASE_MS + number, "level": 1.25 + number, "mode": mode, "on": number % 2 == 0}
            await peer.publish("devices/pump/telemetry", json.dumps(values))
        await peer.publish("devices/other/telemetry", json.dumps({"text": "ä\u2028€", "x": None}))
        await peer.publish("devices/gone/telemetry", json.dumps({"x": 1}))
        await until(lambda: has_series(bridge, 6))
        await peer.publish("devices/gone/description", "", retain=True)  # forgotten by its owner
        await until(lambda: has_series(bridge, 5))
    async with bridge.dashboard() as dashboard:
        await dashboard.say("note", text="Pump 7 was oiled")
        note = await dashboard.until("note")

    devices = steady((await bridge.get("/api/v1/devices"))["devices"], "device_id")
    series = steady((await bridge.get("/api/v1/series"))["series"], "series_id")
    detail = await bridge.get("/api/v1/devices/pump")
    assert set(devices) == {"pump", "other"}
    assert await bridge.stop() == 0
    place.mosquitto.stop()

    await bridge.start()
    async with bridge.dashboard() as dashboard:
        notes = dashboard.heard[0]["notes"]
        snapshot = await dashboard.subscribe("fleet")
        recent = await dashboard.until("recent")
    assert steady((await bridge.get("/api/v1/devices"))["devices"], "device_id") == devices
    told = (await bridge.get("/api/v1/series"))["series"]
    assert steady(told, "series_id") == series
    assert {one["quality"] for one in told} == {"stale"}
    assert (await bridge.get("/api/v1/devices/pump"))["commands"] == detail["commands"]
    by_metric = {one["metric"]: one for one in told}
    assert (by_metric["level"]["name"], by_metric["level"]["unit"], by_metric["level"]["value"]) == ("Level", "m", 4.25)
    assert (by_metric["mode"]["value"], by_metric["on"]["value"]) == ("run", False)
    assert by_metric["text"]["value"] == "ä\u2028€"
    assert notes == [{field: note[field] for field in ("note_id", "text", "author", "time_ms")}]
    assert steady(snapshot["series"], "series_id") == series
    # The sparklines begin with the past.
    level = by_metric["level"]["series_id"]
    assert [value for series_id, _, value in recent["rows"] if series_id == level] == [1.25, 2.25, 3.25, 4.25]

    place.mosquitto.start()
    await connected(bridge)
    async with MqttPeer(place.mosquitto.port) as peer:
        await peer.publish("devices/pump/telemetry", json.dumps({"time": BASE_MS + 9, "level": 2, "new": 1}))
        await peer.publish("devices/gone/telemetry", json.dumps({"x": 2}))

    await until(lambda: has_series(bridge, 7))
    after = {(one["device_id"], one["metric"]): one for one in (await bridge.get("/api/v1/series"))["series"]}
    assert after["pump", "level"]["series_id"] == level
    assert (after["pump", "level"]["value"], after["pump", "level"]["quality"]) == (2, "good")
    # New series get ids that nobody has had, that of the device that is gone included.
    assert (after["pump", "new"]["series_id"], after["gone", "x"]["series_id"]) == (6, 7)
    async with bridge.dashboard() as dashboard:
        await dashboard.say("note", text="again")
        assert (await dashboard.until("note"))["note_id"] == note["note_id"] + 1
    assert await bridge.stop() == 0
    assert "Traceback" not in bridge.log


@pytest.mark.parametrize("protocol", ["fleetwire.v1", "fleetwire.v1.json"])
async def test_a_program_on_log_goes_on_across_a_restart(place: Place, protocol: str) -> None:
    bridge = place.bridge()
    await bridge.start()
    await connected(bridge)
    program = await LiveClient.connect(bridge, protocol=protocol)
    start = await program.subscribe("log")

    def values(messages: list[Message]) -> list[float]:
        rows = [row for m in messages if isinstance(m, dict) and m["type"] == "readings" for row in m["rows"]]
        return log_values(messages) if protocol == "fleetwire.v1" else [row[2] for row in rows]

    async with MqttPeer(place.mosquitto.port) as peer:
        for number in range(40):
            await peer.publish(*telemetry(number))
        await program.until(lambda m: 39 in values([m]))
        heard = offsets(program.messages)
        assert values(program.messages) == list(range(40))
        program.leave()
        await peer.publish_all([telemetry(number, f"d{number % 7}") for number in range(40, 300)])  # while it is away
        assert await bridge.stop() == 0
        await bridge.start()
        await connected(bridge)
        await peer.publish_all([telemetry(number) for number in range(300, 330)])
        back = await LiveClient.connect(bridge, protocol=protocol)
        snapshot = await back.subscribe("log", epoch=start["epoch"], offset=heard[-1])
        assert snapshot["recovered"]
        assert snapshot["epoch"] != start["epoch"]
        await peer.publish(*telemetry(330))
        await back.until(lambda m: 330 in values([m]))
        again = offsets(back.messages)
        assert heard + again == list(range(heard[0], again[-1] + 1))  # no gap, nothing twice
        assert values(back.messages) == list(range(40, 331))
        assert (await counters(bridge))["resumed"] == 1
        back.leave()
    assert await bridge.stop() == 0
    assert "Traceback" not in bridge.log
    assert place.arrived() == list(range(331))


# ----- a disk that refuses --------------------------------------------------------------------------------


async def test_while_nothing_can_be_written_people_see_it_and_values_go_on_and_nothing_is_lost(place: Place) -> None:
    bridge = place.bridge()
    await bridge.start()
    await connected(bridge)
    async with (
        MqttPeer(place.mosquitto.port) as peer,
        bridge.dashboard() as dashboard,
    ):
        assert dashboard.heard[0]["recording"]["state"] == "recording"
        await dashboard.subscribe("log")
        await peer.publish(*telemetry(0))
        await dashboard.until("readings", lambda m: any(row[2] == 0 for row in m["rows"]))
        assert (await bridge.get("/readyz"))["status"] == "ok"
        with place.locked():
            began = time.monotonic()
            for number in range(1, 200):
                await peer.publish(*telemetry(number))
                if number % 50 == 0:
                    await asyncio.sleep(0.2)
            await dashboard.until("readings", lambda m: any(row[2] == 199 for row in m["rows"]), 3)
            failing = await dashboard.until("recording", timeout_s=4)
            assert failing["state"] == "failing"
            assert failing["reason"]
            assert time.time() * 1000 - failing["since_ms"] < 1000 * (time.monotonic() - began) + 1000
            health = await bridge.get("/readyz")
            assert health["status"] == "failing"
            assert any("not recording" in problem for problem in health["problems"])
            assert (await bridge.get("/healthz"))["status"] == "ok"
            await peer.publish(*telemetry(200))
            await dashboard.until("readings", lambda m: any(row[2] == 200 for row in m["rows"]), 3)
            waiting = await dashboard.until("recording", lambda m: m["waiting"] >= 150)
            assert waiting["lost"] == 0
            await asyncio.sleep(max(0.0, began + 4 - time.monotonic()))
        recording = await dashboard.until("recording", lambda m: m["state"] == "recording")
        assert (recording["waiting"], recording["reason"], recording["lost"]) == (0, "", 0)
        assert (await bridge.get("/readyz"))["status"] == "ok"
    assert await bridge.stop() == 0
    assert place.arrived() == list(range(201))


async def test_what_was_not_committed_is_delivered_again_after_kill_9(place: Place) -> None:
    bridge = place.bridge()
    await bridge.start()
    await connected(bridge)
    async with MqttPeer(place.mosquitto.port) as peer:
        await peer.publish_all([telemetry(number) for number in range(100)])

        await until(lambda: has_counted(bridge, "recorded", 100))
        with place.locked():
            await peer.publish_all([telemetry(number) for number in range(100, 300)])

            await until(lambda: has_counted(bridge, "received", 300))
            await asyncio.sleep(0.3)  # acknowledged too early, they would be lost by now
            await bridge.kill()
        assert place.arrived() == list(range(100))
        await bridge.start()
        await until(lambda: has_counted(bridge, "recorded", 200))
    assert await bridge.stop() == 0
    assert place.arrived() == list(range(300))
    assert place.recorded("d", "n") == list(range(300))


async def test_an_orderly_stop_in_full_flow_loses_nothing(place: Place) -> None:
    bridge = place.bridge()
    await bridge.start()
    await connected(bridge)
    count = 3_000
    async with MqttPeer(place.mosquitto.port) as peer:
        publishing = asyncio.create_task(peer.publish_all([telemetry(number) for number in range(count)]))

        async def is_flowing() -> bool:
            return (await counters(bridge))["received"] > 200

        await until(is_flowing)
        assert await bridge.stop() == 0
        between = place.arrived()
        assert between[:200] == list(range(200))
        await bridge.start()
        await publishing
        await connected(bridge)

        async def is_quiet() -> bool:
            before = (await counters(bridge))["recorded"]
            await asyncio.sleep(0.4)
            return (await counters(bridge))["recorded"] == before > 0

        await until(is_quiet)
    assert await bridge.stop() == 0
    arrived = place.arrived()
    print(f"stopped after {len(between)} readings; {len(arrived) - count} came twice")
    assert sorted(set(arrived)) == list(range(count))
    assert len(arrived) == count  # what was recorded before the stop was acknowledged before it, too


async def test_a_note_written_while_the_bridge_stops_is_recorded(place: Place) -> None:
    """Dashboards are sent away after the last readings are safe; until then they can write."""
    app = App(load_settings({"data_dir": place.data, "mqtt": {"urls": [place.mosquitto.url]}, "web": {"port": 0}}))
    await app.start()
    assert app._recorder is not None
    assert app._pipeline is not None
    drain, hub = app._recorder.drain, app._pipeline.hub

    async def drain_and_be_told() -> None:
        await drain()
        hub.write_note("the last word", "me", int(time.time() * 1e6))

    app._recorder.drain = drain_and_be_told  # type: ignore[method-assign]
    await app.stop()
    store = Store(f"sqlite:///{place.file}")
    with store.reading() as snapshot:
        notes = snapshot.find_events(0, 2**60, kinds=[NOTE])
    store.close()
    assert [note.data["text"] for note in notes] == ["the last word"]


# ----- without a history, and with a damaged one ----------------------------------------------------------


async def test_without_a_history_the_bridge_works_as_before(place: Place) -> None:
    bridge = place.bridge(history__enabled="false")
    await bridge.start()
    await connected(bridge)
    async with MqttPeer(place.mosquitto.port) as peer, bridge.dashboard() as dashboard:
        assert dashboard.heard[0]["recording"]["state"] == "off"
        await dashboard.subscribe("log")
        await peer.publish_all([telemetry(number) for number in range(50)])
        assert await dashboard.value("d", "n", lambda value: value == 49) == 49
        assert (await bridge.get("/readyz"))["status"] == "ok"
    assert await bridge.stop() == 0
    assert not place.file.exists()
    # All of them were acknowledged: the broker has nothing left for the next.
    await bridge.start()
    await connected(bridge)
    await asyncio.sleep(0.3)
    assert (await counters(bridge))["received"] == 0
    assert (await bridge.get("/api/v1/devices"))["devices"] == []
    assert await bridge.stop() == 0


async def test_a_damaged_history_is_set_aside_and_people_are_told(place: Place) -> None:
    place.data.mkdir(mode=0o700)
    garbage = bytes(np.random.default_rng(1).integers(0, 256, 50_000, np.uint8))
    place.file.write_bytes(garbage)
    bridge = place.bridge()
    await bridge.start()
    await connected(bridge)
    async with MqttPeer(place.mosquitto.port) as peer, bridge.dashboard() as dashboard:
        recording = dashboard.heard[0]["recording"]
        assert recording["state"] == "recording"
        assert "damaged" in recording["notice"]
        (aside,) = place.data.glob("history.db.damaged-*")
        assert aside.name in recording["notice"]
        assert str(place.data) not in recording["notice"]
        assert aside.read_bytes() == garbage
        assert recording["notice"] in (await bridge.get("/healthz"))["notices"]
        await peer.publish_all([telemetry(number) for number in range(20)])
        await until(lambda: has_counted(bridge, "recorded", 20))
    assert await bridge.stop() == 0
    assert place.arrived() == list(range(20))
