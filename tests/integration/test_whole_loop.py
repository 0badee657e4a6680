"""The main job on real input: real mosquitto, real simulated devices over MQTT, a program on the WebSocket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.support.bridge import Bridge, Dashboard, simulated_devices
from tests.support.mosquitto import Mosquitto

pytestmark = pytest.mark.broker

DEVICES = 50


@pytest.fixture
async def simulators(mosquitto: Mosquitto) -> AsyncIterator[None]:
    async with simulated_devices(DEVICES, mosquitto.url, "--seed", "7"):
        yield


async def all_devices(dashboard: Dashboard) -> list[dict[str, object]]:
    """A snapshot with the whole fleet in it; asked for again while devices are still arriving."""
    deadline = time.monotonic() + 20
    while True:
        snapshot = await dashboard.subscribe("fleet")
        described = [device for device in snapshot["devices"] if device["model"]]
        if len(described) == DEVICES:
            return described
        assert time.monotonic() < deadline, f"only {len(described)} devices"
        await dashboard.say("unsubscribe", id="fleet")
        await asyncio.sleep(0.3)


async def test_fifty_devices_come_live_obey_and_survive_the_broker(
    bridge: Bridge, simulators: None, mosquitto: Mosquitto
) -> None:
    async with bridge.dashboard() as dashboard:
        devices = await all_devices(dashboard)
        assert len({device["model"] for device in devices}) >= 6
        assert {device["availability"] for device in devices} == {"online"}

        # Readings from each.
        heard: set[str] = set()

        def note(message: dict[str, object]) -> bool:
            rows = message["rows"]
            assert isinstance(rows, list)
            heard.update(dashboard.names[row[0]][0] for row in rows)
            return len(heard) == DEVICES

        await dashboard.until("readings", note, timeout_s=15)

        # A command changes the device.
        thermostat = str(next(d["device_id"] for d in devices if d["model"] == "thermostat"))
        await dashboard.subscribe(f"device/{thermostat}")
        await dashboard.say(
            "command", id="c1", device_id=thermostat, name="set_setpoint", args={"value": 26}, ttl_ms=5000
        )
        seen = []
        record = await dashboard.until("command", lambda m: seen.append(m["state"]) or m["state"] == "succeeded")
        assert seen[0] == "accepted"
        assert set(seen) <= {"accepted", "sent", "delivered", "succeeded"}
        assert record["confirmed_by"] == "device_reply"
        assert record["times"]["accepted"] <= record["times"]["sent"] <= record["times"]["succeeded"]
        assert await dashboard.value(thermostat, "setpoint", lambda value: value == 26) == 26

        # The broker dies and comes back: the bridge returns by itself, this socket never had to.
        mosquitto.kill()
        down = await dashboard.until("source", lambda m: m["state"] == "disconnected")
        assert down["detail"]
        await dashboard.say("command", id="c2", device_id=thermostat, name="set_setpoint", args={"value": 20})
        refused = await dashboard.until("error")
        assert (refused["code"], refused["ref"]) == ("broker_unavailable", "c2")
        mosquitto.restart()
        await dashboard.until("source", lambda m: m["state"] == "connected", timeout_s=40)
        await dashboard.value(thermostat, "temperature", timeout_s=40)


async def test_a_plain_publish_becomes_a_device_within_a_second(bridge: Bridge, mosquitto: Mosquitto) -> None:
    async with bridge.dashboard() as dashboard:
        await dashboard.subscribe("fleet")
        began = time.monotonic()
        publisher = await asyncio.create_subprocess_exec(
            "mosquitto_pub", "-p", str(mosquitto.port), "-t", "lab/oven", "-m", '{"temp": 181.5, "door": "open"}'
        )
        device = await dashboard.until("device", lambda m: m["device"]["device_id"] == "lab/oven")
        await dashboard.until("readings", lambda m: any(value == 181.5 for _, _, value in m["rows"]))
        assert time.monotonic() - began < 3.0  # a second, on a machine of its own
        assert await publisher.wait() == 0
        assert device["device"]["availability"] == "online"
        assert {(s["metric"], s["value"]) for s in (await bridge.get("/api/v1/devices/lab%2Foven"))["series"]} == {
            ("temp", 181.5),
            ("door", "open"),
        }


async def test_stop_is_clean_and_tells_the_dashboards_to_come_back(bridge: Bridge) -> None:
    async with bridge.dashboard() as dashboard:
        began = time.monotonic()
        stopping = asyncio.create_task(bridge.stop())
        while not dashboard.socket.closed:
            await dashboard.socket.receive(timeout=5)
        assert dashboard.socket.close_code == 4001
        assert await stopping == 0
        assert time.monotonic() - began < 5
