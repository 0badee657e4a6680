"""Rewind and history in a real browser, against the real bridge, a real broker and its database."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Page, expect

from tests.e2e.conftest import OpenPage, forgive_refused_connections
from tests.support.bridge import Bridge
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_peer import MqttPeer

pytestmark = [pytest.mark.browser, pytest.mark.broker, pytest.mark.timeout(120)]

PATIENCE_MS = 20_000
VALUE = "[data-device-id='oven'] [data-metric=temperature] [data-role=value]"
READINGS = 1_200  # one a second: twenty minutes, of which the last was some seconds ago


async def bake(mosquitto: Mosquitto) -> int:
    """An oven that warmed from 0 to 1,199 °C, a degree a second; the time of its first reading in ms."""
    begin_ms = (time.time_ns() // 10**9 - READINGS - 5) * 1000
    async with MqttPeer(mosquitto.port) as oven:
        description = {
            "name": "Oven", "metrics": {"temperature": {"datatype": "float", "unit": "°C"}},
            "commands": {"reset": {"title": "Reset", "schema": {"type": "object"}}},
        }  # fmt: skip
        await oven.publish("devices/oven/description", json.dumps(description), retain=True)
        await oven.publish("devices/oven/status", "online", retain=True)
        for start in range(0, READINGS, 200):
            await oven.publish_all(
                ("devices/oven/telemetry", json.dumps({"time": begin_ms + 1000 * i, "temperature": i}))
                for i in range(start, start + 200)
            )
    return begin_ms


async def live(page: Page) -> None:
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live", timeout=PATIENCE_MS)


async def test_the_past_shows_the_value_that_was_plays_and_returns(
    bridge: Bridge, mosquitto: Mosquitto, open_page: OpenPage
) -> None:
    begin_ms = await bake(mosquitto)
    page = await open_page(f"{bridge.url}/?token={bridge.token}")
    await live(page)
    value = page.locator(VALUE).first
    await expect(value).to_have_text("1199", timeout=PATIENCE_MS)

    # A shared link opens on its moment, paused.
    at_ms = begin_ms + 600_500
    await page.evaluate("at => { location.hash = `#/?at=${at}`; }", at_ms)
    await expect(page.get_by_test_id("past-notice")).to_be_visible(timeout=PATIENCE_MS)
    await expect(value).to_have_text("600", timeout=PATIENCE_MS)

    # Reading by reading, and on at sixty times the speed.
    await page.get_by_test_id("step-forward").click()
    await expect(value).to_have_text("601", timeout=PATIENCE_MS)
    await page.get_by_test_id("speed").select_option("60")
    await page.get_by_test_id("play").click()
    await page.wait_for_function(
        "css => parseFloat(document.querySelector(css).textContent) > 640", arg=VALUE, timeout=PATIENCE_MS
    )

    # The present is there at once, and what came meanwhile was not missed.
    async with MqttPeer(mosquitto.port) as oven:
        await oven.publish("devices/oven/telemetry", json.dumps({"temperature": 5000}))
    await page.get_by_test_id("live").click()
    await expect(page.get_by_test_id("past-notice")).to_be_hidden()
    await expect(value).to_have_text("5000", timeout=PATIENCE_MS)


async def test_a_shared_link_opens_on_the_same_moment_and_nothing_can_be_sent_from_there(
    bridge: Bridge, mosquitto: Mosquitto, open_page: OpenPage
) -> None:
    begin_ms = await bake(mosquitto)
    path = f"/#/device/oven?at={begin_ms + 300_500}"
    page = await open_page(f"{bridge.url}/?token={bridge.token}")
    await live(page)
    await page.goto(bridge.url + path)
    temperature = page.locator("[data-testid=metric][data-metric=temperature] [data-role=value]")
    await expect(temperature).to_contain_text("300", timeout=PATIENCE_MS)
    send = page.locator("[data-testid=command-form][data-command=reset] button[type=submit]")
    await expect(send).to_be_disabled(timeout=PATIENCE_MS)
    await page.get_by_test_id("back-to-live").click()
    await expect(temperature).to_contain_text("1199", timeout=PATIENCE_MS)
    await expect(send).to_be_enabled()


async def test_zooming_in_asks_for_the_readings_of_the_new_span(
    bridge: Bridge, mosquitto: Mosquitto, open_page: OpenPage
) -> None:
    begin_ms = await bake(mosquitto)
    page = await open_page(f"{bridge.url}/?token={bridge.token}")
    await live(page)
    await page.wait_for_function("() => window.fleetwire.store.series.size > 0", timeout=PATIENCE_MS)
    series_id = await page.evaluate("() => [...window.fleetwire.store.series.values()][0].id")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/v1/history" in request.url else None)
    span = f"from={begin_ms}&to={begin_ms + READINGS * 1000}"
    await page.evaluate("hash => { location.hash = hash; }", f"#/explore?series={series_id}&{span}")
    plot = page.get_by_test_id("explore-plot").first
    await expect(plot.locator(".main-svg").first).to_be_visible(timeout=PATIENCE_MS)
    drawn = """() => Math.max(...[...document.querySelectorAll('.js-plotly-plot')]
        .flatMap(plot => plot.data.map(trace => trace.y.length)))"""
    await page.wait_for_function(f"() => ({drawn})() > 100", timeout=PATIENCE_MS)
    count = len(asked)
    box = await plot.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] * 0.45, box["y"] + box["height"] * 0.3)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.55, box["y"] + box["height"] * 0.6, steps=5)
    await page.mouse.up()
    for _ in range(100):
        if len(asked) > count:
            break
        await asyncio.sleep(0.1)
    assert len(asked) > count, "nothing was asked for after the zoom"
    narrow = dict(pair.split("=") for pair in asked[-1].split("?")[1].split("&") if "=" in pair)
    assert float(narrow["to"]) - float(narrow["from"]) < READINGS * 1000 / 3


@asynccontextmanager
async def counting(mosquitto: Mosquitto) -> AsyncIterator[None]:
    """A device that counts, five times a second, at QoS 1."""

    async def count() -> None:
        async with MqttPeer(mosquitto.port) as device:
            number = 0
            while True:
                reading = {"time": time.time_ns() // 10**6, "count": number}
                await device.publish("devices/counter/telemetry", json.dumps(reading), qos=1)
                number += 1
                await asyncio.sleep(0.2)

    task = asyncio.create_task(count())
    try:
        yield
    finally:
        task.cancel()


async def test_somebody_pulls_the_plug_and_nothing_is_missing_in_the_chart(
    bridge: Bridge, mosquitto: Mosquitto, open_page: OpenPage
) -> None:
    drawn = """() => [...document.querySelectorAll('.js-plotly-plot')]
        .flatMap(plot => plot.data.flatMap(trace => [...trace.y])).filter(value => value !== null)"""
    async with counting(mosquitto):
        page = await open_page(f"{bridge.url}/?token={bridge.token}")
        await live(page)
        await page.evaluate("() => { location.hash = '#/device/counter'; }")
        await page.wait_for_function(f"() => ({drawn})().length > 10", timeout=PATIENCE_MS)
        before = max(await page.evaluate(drawn))
        await bridge.kill()
        await expect(page.get_by_test_id("connection")).not_to_have_attribute("data-state", "live", timeout=PATIENCE_MS)
        await asyncio.sleep(2)
        await bridge.start()
        await page.wait_for_function(f"last => Math.max(...({drawn})()) > last + 20", arg=before, timeout=PATIENCE_MS)
        seen = sorted(set(await page.evaluate(drawn)))
    assert seen == list(range(int(seen[0]), int(seen[-1]) + 1))
    assert seen[0] < before
    forgive_refused_connections(open_page)
