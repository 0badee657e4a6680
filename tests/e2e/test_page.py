"""The page in a real browser, against the real bridge, a real broker and real simulated devices."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, expect

from tests.e2e.conftest import ARTIFACTS, OpenPage, forgive_refused_connections
from tests.support.bridge import Bridge, simulated_devices
from tests.support.mosquitto import Mosquitto
from tests.support.proxy import Proxy

pytestmark = [pytest.mark.browser, pytest.mark.broker, pytest.mark.timeout(120)]

DEVICES = 50
PATIENCE_MS = 20_000


@pytest.fixture
async def simulators(mosquitto: Mosquitto, bridge: Bridge) -> AsyncIterator[None]:
    async with simulated_devices(DEVICES, mosquitto.url, "--seed", "7"):
        yield


def link(bridge: Bridge, path: str = "") -> str:
    return f"{bridge.url}/?token={bridge.token}{path}"


async def live(page: Page) -> None:
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "live", timeout=PATIENCE_MS)


async def test_the_fleet_is_live_and_its_values_move(bridge: Bridge, simulators: None, open_page: OpenPage) -> None:
    page = await open_page(link(bridge))
    await live(page)
    assert "token" not in page.url
    await expect(page.get_by_test_id("operators")).to_contain_text("1")
    await page.wait_for_function(f"() => window.fleetwire.store.devices.size === {DEVICES}", timeout=PATIENCE_MS)
    row = page.get_by_test_id("device-row").first
    await expect(row).to_have_attribute("data-status", "online", timeout=PATIENCE_MS)
    value = row.locator("[data-role=value]").first
    before = await value.text_content()
    await expect(value).not_to_have_text(before or "", timeout=PATIENCE_MS)
    health = re.compile(r"\d+ lost · .*\d+ conflated · [\d.]+ s behind")
    await expect(page.get_by_test_id("health")).to_have_text(health, timeout=PATIENCE_MS)
    # The sparkline is drawn: some pixel of the canvas is not empty.
    await page.wait_for_function(
        """() => { const canvas = document.querySelector('[data-testid=device-row] canvas');
                   return canvas && canvas.width && canvas.getContext('2d')
                       .getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean); }""",
        timeout=PATIENCE_MS,
    )


async def test_a_setpoint_from_the_form_changes_the_chart(
    bridge: Bridge, simulators: None, open_page: OpenPage
) -> None:
    page = await open_page(link(bridge))
    await live(page)
    thermostat = await page.wait_for_function(
        "() => [...window.fleetwire.store.devices.values()].find(d => d.info.model === 'thermostat')?.id",
        timeout=PATIENCE_MS,
    )
    device_id = await thermostat.json_value()
    await page.evaluate("id => { location.hash = '#/device/' + encodeURIComponent(id); }", device_id)
    await expect(page.get_by_test_id("device-page")).to_be_visible()
    chart = page.locator("[data-testid=chart][data-unit='°C']").first
    await expect(chart.locator(".main-svg").first).to_be_visible(timeout=PATIENCE_MS)  # Plotly has drawn
    form = page.locator("[data-testid=command-form][data-command=set_setpoint]")
    await form.locator("input[type=number]").fill("28")
    await form.locator("button[type=submit]").click()
    status = page.get_by_test_id("command-status").first
    await expect(status).to_have_attribute("data-state", "succeeded", timeout=PATIENCE_MS)
    setpoint = page.locator("[data-testid=metric][data-metric=setpoint] [data-role=value]")
    await expect(setpoint).to_contain_text("28", timeout=PATIENCE_MS)
    # The chart holds the new setpoint, and the temperature rises after it.
    has_28 = """([unit, y]) => [...document.querySelectorAll('[data-testid=chart]')]
        .filter(e => e.dataset.unit === unit).flatMap(e => [...e.querySelectorAll('.js-plotly-plot'), e])
        .some(e => e.data?.some(trace => Array.from(trace.y).some(v => v === y)))"""
    await page.wait_for_function(has_28, arg=["°C", 28], timeout=PATIENCE_MS)
    temperature = page.locator("[data-testid=metric][data-metric=temperature] [data-role=value]")
    start = float(((await temperature.text_content()) or "0").split()[0].replace("−", "-"))
    await page.wait_for_function(
        """start => parseFloat(document.querySelector('[data-testid=metric][data-metric=temperature] [data-role=value]')
            .textContent) > start + 0.5""",
        arg=start,
        timeout=PATIENCE_MS,
    )


async def test_the_page_recovers_from_a_restart_without_a_reload(
    bridge: Bridge, simulators: None, open_page: OpenPage
) -> None:
    page = await open_page(link(bridge))
    await live(page)
    await page.evaluate("window.notReloaded = true")
    await bridge.stop()
    await expect(page.get_by_test_id("connection")).not_to_have_attribute("data-state", "live", timeout=PATIENCE_MS)
    await bridge.start()
    await live(page)
    assert await page.evaluate("window.notReloaded") is True
    await page.wait_for_function(f"() => window.fleetwire.store.devices.size === {DEVICES}", timeout=PATIENCE_MS)
    forgive_refused_connections(open_page)


async def test_a_page_that_cannot_keep_up_is_told_and_catches_up(
    bridge: Bridge, mosquitto: Mosquitto, open_page: OpenPage
) -> None:
    async with Proxy(bridge.port) as proxy, simulated_devices(DEVICES, mosquitto.url, "--rate", "60"):
        page = await open_page(f"http://127.0.0.1:{proxy.port}/?token={bridge.token}")
        await live(page)
        # Everything at full rate: 300 KB a second. In braces, because a function that comes back would be called.
        await page.evaluate("() => { window.fleetwire.connection.follow('log'); }")
        await page.wait_for_timeout(1_000)
        proxy.flows.clear()
        await asyncio.sleep(8)  # more than the kernel holds, less than the 10 s after which the bridge hangs up
        proxy.flows.set()
        await page.wait_for_function("() => window.fleetwire.store.health.own.merged > 0", timeout=PATIENCE_MS)
        await expect(page.get_by_text("too slowly").first).to_be_visible()
        await expect(page.get_by_text("too slowly")).to_have_count(0, timeout=PATIENCE_MS)
        assert await page.evaluate("window.fleetwire.store.health.own.restarted") == 0
        await live(page)
        assert proxy.connections < 20  # the same WebSocket all the time: it never had to come back
        assert await page.evaluate("window.fleetwire.store.health.own.resumed") == 0


async def test_markup_in_names_and_values_is_shown_as_text(
    bridge: Bridge, mosquitto: Mosquitto, open_page: OpenPage
) -> None:
    page = await open_page(link(bridge))
    await live(page)
    topic = "lab/<img src=x onerror=alert(1)>"
    payload = '{"<b>temp</b>": 21.5, "state": "<script>alert(2)</script>", "__proto__": 7}'
    publisher = await asyncio.create_subprocess_exec(
        "mosquitto_pub", "-p", str(mosquitto.port), "-t", topic, "-m", payload
    )
    await publisher.wait()
    row = page.get_by_test_id("device-row").first
    await expect(row).to_contain_text("<img src=x onerror=alert(1)>", timeout=1_500)
    await page.evaluate("id => { location.hash = '#/device/' + encodeURIComponent(id); }", topic)
    await expect(page.get_by_test_id("device-page")).to_contain_text("<b>temp</b>")
    await expect(page.get_by_test_id("device-page")).to_contain_text("<script>alert(2)</script>")
    assert await page.locator("main img, main script, main b").count() == 0
    assert await page.evaluate("({}).polluted === undefined")


async def test_notes_and_presence_reach_every_operator(bridge: Bridge, open_page: OpenPage) -> None:
    first, second = await open_page(link(bridge)), await open_page(link(bridge))
    await live(first)
    await live(second)
    await expect(first.get_by_test_id("operators")).to_contain_text("2", timeout=PATIENCE_MS)
    for page in (first, second):
        await page.get_by_role("button", name="Activity").click()
    await first.get_by_test_id("note-input").fill("Pump 3 is <b>loud</b> again")
    await first.get_by_test_id("note-input").press("Enter")
    await expect(second.get_by_test_id("note").first).to_contain_text("Pump 3 is <b>loud</b> again")


async def test_pictures_for_the_readme(bridge: Bridge, simulators: None, open_page: OpenPage) -> None:
    """Not a comparison by pixel: people look at these. CI proves that they can be made and that nothing is cut off."""
    ARTIFACTS.mkdir(exist_ok=True)
    page = await open_page(link(bridge))
    await live(page)
    await page.wait_for_function(f"() => window.fleetwire.store.devices.size === {DEVICES}", timeout=PATIENCE_MS)
    await page.wait_for_timeout(5_000)  # some history for the sparklines
    await pictures(page, "fleet")
    await page.evaluate(
        "location.hash = '#/device/' + encodeURIComponent([...window.fleetwire.store.devices.values()]"
        ".find(d => d.info.model === 'thermostat').id)"
    )
    await expect(page.locator("[data-testid=chart] .main-svg").first).to_be_visible(timeout=PATIENCE_MS)
    await pictures(page, "device")


async def pictures(page: Page, name: str) -> None:
    """The page as a wall display, a laptop and a telephone show it, by day and by night."""
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        for width, height in ((1440, 900), (1024, 768), (390, 844)):
            await page.set_viewport_size({"width": width, "height": height})
            await page.wait_for_timeout(1_200)  # two redraws
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "no sideways scrolling"
            await page.screenshot(path=ARTIFACTS / f"{name}-{width}-{theme}.png")
    await page.set_viewport_size({"width": 1440, "height": 900})
