"""Bad input, each with its counter or error, and a healthy device and dashboard beside it that notice nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.support.bridge import Bridge, Dashboard
from tests.support.mosquitto import Mosquitto

pytestmark = pytest.mark.broker

DEEP = b"[" * 10_000 + b"]" * 10_000


async def publish(mosquitto: Mosquitto, topic: str, payload: bytes) -> None:
    """With mosquitto_pub, so that nothing of ours stands between the bytes and the broker."""
    source = "-s" if payload else "-n"  # standard input must not be empty
    publisher = await asyncio.create_subprocess_exec(
        "mosquitto_pub", "-p", str(mosquitto.port), "-t", topic, source, stdin=asyncio.subprocess.PIPE
    )
    await publisher.communicate(payload)
    assert publisher.returncode == 0


async def healthy(mosquitto: Mosquitto, dashboard: Dashboard, value: float) -> None:
    """A reading of the good device arrives, and is the one that was sent."""
    await publish(mosquitto, "good/device", json.dumps({"t": value}).encode())
    assert await dashboard.value("good/device", "t", lambda v: v == value) == value


async def settled(bridge: Bridge, received: int) -> dict[str, Any]:
    """The counters, once so many messages have been received."""
    for _ in range(100):
        text = await _metrics(bridge)
        if text["fleetwire_received_total"] >= received:
            return text
        await asyncio.sleep(0.05)
    raise AssertionError(f"only {text['fleetwire_received_total']} of {received} messages")


async def _metrics(bridge: Bridge) -> dict[str, float]:
    async with (
        aiohttp.ClientSession(headers=bridge.headers) as http,
        http.get(f"{bridge.url}/metrics") as response,
    ):
        lines = (await response.text()).splitlines()
    return {
        line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line and not line.startswith("#")
    }


# One bridge for all: starting one costs more than all that is sent to it.
UNUSABLE = {
    "bad/truncated": (b'{"temp": 21.5', "invalid_json"),
    "bad/mebibyte": (b'{"a": "' + b"x" * 1_048_576 + b'"}', "payload_too_large"),
    "bad/arrays": (DEEP, "too_deep"),
    "bad/objects": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "too_deep"),
    "bad/encoding": (b'{"t": "\xff\xfe"}', "invalid_utf8"),
    "bad/picture": (b"\x89PNG\r\n\x1a\n\x00\x00", "binary"),
}


async def test_a_payload_that_cannot_be_used_is_counted(bridge: Bridge, mosquitto: Mosquitto) -> None:
    async with bridge.dashboard() as dashboard:
        await dashboard.subscribe("fleet")
        await healthy(mosquitto, dashboard, 0.5)
        before = await settled(bridge, 1)
        for number, (topic, (payload, reason)) in enumerate(UNUSABLE.items(), start=1):
            await publish(mosquitto, topic, payload)
            await healthy(mosquitto, dashboard, number)
            counters = await settled(bridge, 1 + 2 * number)
            counter = f'fleetwire_rejected_total{{reason="{reason}"}}'
            assert counters[counter] == before.get(counter, 0) + 1, topic
            before = counters
            rejection = (await bridge.get("/api/v1/rejections"))["rejections"][-1]
            assert (rejection["reason"], rejection["topic"]) == (reason, topic)
            assert topic not in {d["device_id"] for d in (await bridge.get("/api/v1/devices"))["devices"]}


async def test_odd_values_are_kept_apart_from_good_ones(bridge: Bridge, mosquitto: Mosquitto) -> None:
    async with bridge.dashboard() as dashboard:
        await dashboard.subscribe("fleet")
        await publish(mosquitto, "odd/numbers", b'{"nan": NaN, "inf": -Infinity, "big": 1e999, "good": 5}')
        await publish(mosquitto, "odd/huge", str(2**70).encode())
        await publish(mosquitto, "odd/empty", b"")
        await publish(mosquitto, "odd/proto", b'{"__proto__": {"polluted": 1}, "constructor": 2, "toString": "x"}')
        await publish(mosquitto, "odd/<img src=x onerror=alert(1)>", b'{"<b>name</b>": "<script>alert(2)</script>"}')
        await healthy(mosquitto, dashboard, 1.5)
        counters = await settled(bridge, 6)
        devices = {device["device_id"] for device in (await bridge.get("/api/v1/devices"))["devices"]}
        series = {(s["device_id"], s["metric"]): s for s in (await bridge.get("/api/v1/series"))["series"]}
    for metric in ("nan", "inf", "big"):
        assert series["odd/numbers", metric]["value"] is None, metric
        assert series["odd/numbers", metric]["quality"] == "bad"
    assert series["odd/numbers", "good"]["value"] == 5
    assert series["odd", "huge"]["value"] == float(2**70)
    assert counters["fleetwire_inexact_total"] == 1
    assert counters["fleetwire_ignored_total"] == 1  # the empty one
    assert series["odd/proto", "__proto__.polluted"]["value"] == 1
    assert series["odd/proto", "constructor"]["value"] == 2
    markup = series["odd/<img src=x onerror=alert(1)>", "<b>name</b>"]
    assert markup["value"] == "<script>alert(2)</script>"
    assert "odd/<img src=x onerror=alert(1)>" in devices


BROKEN = [
    "", " ", "x", "{", "}", "[]", "[1]", "null", "1", '"text"', "true", "NaN", "{}", '{"type"}', '{"type":}',
    '{"type": null}', '{"type": 5}', '{"type": []}', '{"type": {}}', '{"type": ""}', '{"type": "nothing"}',
    '{"type": "__proto__"}', '{"type": "Subscribe"}', '{"type": "subscribe"}', '{"type": "subscribe", "id": 1}',
    '{"type": "subscribe", "id": "", "channel": "fleet"}', '{"type": "subscribe", "id": "a", "channel": 5}',
    '{"type": "subscribe", "id": "a", "channel": ""}', '{"type": "subscribe", "id": "a", "channel": "nothing"}',
    '{"type": "subscribe", "id": "a", "channel": "device/nobody"}', '{"type": "subscribe", "id": {}, "channel": "log"}',
    '{"type": "subscribe", "id": "a", "channel": "fleet", "offset": -1}',
    '{"type": "subscribe", "id": "a", "channel": "fleet", "offset": 1.5}',
    '{"type": "subscribe", "id": "a", "channel": "fleet", "offset": "1"}',
    '{"type": "subscribe", "id": "a", "channel": "fleet", "epoch": 5}',
    '{"type": "subscribe", "id": "' + "a" * 65 + '", "channel": "fleet"}',
    '{"type": "subscribe", "id": "a", "channel": "' + "c" * 2000 + '"}',
    '{"type": "unsubscribe"}', '{"type": "unsubscribe", "id": "nothing"}', '{"type": "unsubscribe", "id": []}',
    '{"type": "command"}', '{"type": "command", "id": "a"}', '{"type": "command", "id": "a", "device_id": "nobody"}',
    '{"type": "command", "id": "a", "device_id": "nobody", "name": "x"}',
    '{"type": "command", "id": "a", "device_id": "good/device", "name": "x"}',
    '{"type": "command", "id": "a", "device_id": "good/device", "name": "x", "args": []}',
    '{"type": "command", "id": "a", "device_id": "good/device", "name": "x", "args": "y"}',
    '{"type": "command", "id": "a", "device_id": "good/device", "name": 5}',
    '{"type": "command", "id": "a", "device_id": "good/device", "name": "x", "ttl_ms": "1"}',
    '{"type": "command", "id": null, "device_id": "good/device", "name": "x"}',
    '{"type": "command", "id": "a", "device_id": "../good/device", "name": "x"}',
    '{"type": "command", "id": "a", "device_id": "#", "name": "x"}',
    '{"type": "note"}', '{"type": "note", "text": ""}', '{"type": "note", "text": 5}',
    '{"type": "note", "text": "' + "x" * 501 + '"}', '{"type": "auth", "token": "again"}', '{"type": "auth"}',
    '{"type": "ping", "client_time_ms": "now"}', '{"type": "ping", "id": []}', "[" * 5000 + "]" * 5000,
    '{"type": "subscribe", "id": "a", "channel": "fleet"', '{"type":"ping"}{"type":"ping"}',
]  # fmt: skip


async def test_broken_messages_from_a_dashboard_are_answered_and_hurt_nobody(
    bridge: Bridge, mosquitto: Mosquitto
) -> None:
    assert len(BROKEN) >= 60
    async with bridge.dashboard() as beside, bridge.dashboard() as dashboard:
        await beside.subscribe("fleet")
        await healthy(mosquitto, beside, 1.5)
        for text in BROKEN:
            await dashboard.socket.send_str(text)
            error = await dashboard.until("error")
            assert error["code"] not in ("", "internal"), text
            assert error["message"], text
        await dashboard.socket.send_bytes(b"\x00\x01")
        assert (await dashboard.until("error"))["code"] == "unsupported_binary"
        await dashboard.subscribe("fleet")  # the session goes on
        await healthy(mosquitto, beside, 2.5)
        await healthy(mosquitto, dashboard, 3.5)


async def test_the_door_stays_shut(bridge: Bridge) -> None:
    for headers, status in (
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 403),
    ):
        async with aiohttp.ClientSession(headers={**bridge.headers, **headers}) as http:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                await http.ws_connect(f"{bridge.url}/ws")
            assert refusal.value.status == status, headers
        async with bridge.dashboard() as beside:  # the right one still gets in
            await beside.subscribe("fleet")


async def test_the_token_in_the_first_message_opens_or_closes_for_good(bridge: Bridge) -> None:
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{bridge.url}/ws") as socket:
        assert (await socket.receive_json())["type"] == "auth_required"
        await socket.send_json({"type": "auth", "token": "wrong"})
        assert (await socket.receive_json())["code"] == "unauthorized"
        await socket.receive()
        assert socket.close_code == 4500
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{bridge.url}/ws") as socket:
        assert (await socket.receive_json())["type"] == "auth_required"
        await socket.send_json({"type": "auth", "token": bridge.token})
        assert (await socket.receive_json())["type"] == "welcome"
