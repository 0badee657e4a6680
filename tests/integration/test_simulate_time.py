"""History and fast time against a real broker: a subscriber gets it complete, in order, and never from the future."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from itertools import pairwise

import pytest

from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_peer import MqttPeer

pytestmark = pytest.mark.broker


def simulate(port: int, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "simulators", "--broker", f"mqtt://127.0.0.1:{port}", *options],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


def stamps_of(peer: MqttPeer) -> dict[str, list[int]]:
    stamps: dict[str, list[int]] = {}
    for topic, payload in list(peer.messages):
        if topic.endswith("/telemetry"):
            stamps.setdefault(topic, []).append(json.loads(payload)["time"])
    return stamps


async def test_history_arrives_complete_and_in_order_before_the_live_part(mosquitto: Mosquitto) -> None:
    async with MqttPeer(mosquitto.port) as peer:
        await peer.subscribe("devices/#", qos=1)
        began_ms = time.time() * 1000
        done = simulate(mosquitto.port, "--fleet", "small-plant", "--backfill", "4h/1m", "--duration", "1.5")
        assert done.returncode == 0, done.stderr
        assert "history written: 5,280 messages" in done.stdout
        async with asyncio.timeout(10.0):
            while sum(map(len, stamps_of(peer).values())) < 5280:
                await asyncio.sleep(0.05)
        stamps = stamps_of(peer)
        assert len(stamps) == 22
        assert peer.messages[0][0].endswith("/description"), "who it is comes before what it measured"
        for of_device in stamps.values():
            # The live part has QoS 0 and may overtake what the broker still holds of the past for this subscriber.
            assert all(before < after for before, after in pairwise(s for s in of_device if s < began_ms))
            assert sum(stamp < began_ms for stamp in of_device) >= 239
            assert min(of_device) < began_ms - 4 * 3_600_000 + 130_000
            assert max(of_device) <= time.time() * 1000
        # One publisher wrote the past: in order over all devices. The live part comes from others, and may overtake.
        past = [json.loads(payload)["time"] for topic, payload in peer.messages if topic.endswith("/telemetry")]
        past = [stamp for stamp in past if stamp < began_ms]
        assert past == sorted(past)


async def test_fast_time_ends_in_the_present_and_is_never_ahead_of_it(mosquitto: Mosquitto) -> None:
    async with MqttPeer(mosquitto.port) as peer:
        await peer.subscribe("devices/#", qos=1)
        began_ms = time.time() * 1000
        done = simulate(mosquitto.port, "--devices", "10", "--speed", "60", "--duration", "4")
        ended_ms = time.time() * 1000
        assert done.returncode == 0, done.stderr
        assert "60 times as fast" in done.stdout
        stamps = [stamp for of_device in stamps_of(peer).values() for stamp in of_device]
        assert 25 <= len(stamps) <= 50, "one a second for each device, as without --speed"
        assert max(stamps) <= ended_ms
        assert began_ms - 240_000 < min(stamps)
        assert max(stamps) - min(stamps) > 120_000


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--fleet", "nope"], "there is no fleet 'nope'"),
        (["--fleet", "no/such.toml"], "no/such.toml: No such file"),
        (["--fleet", "chaos", "--devices", "3"], "does not go with --devices"),
        (["--fleet", "chaos", "--kinds", "pump"], "does not go with --kinds"),
        (["--backfill", "soon"], "no length of time"),
        (["--backfill", "1d", "--speed", "2"], "does not go with --speed"),
        (["--backfill", "1d"], "no MQTT broker"),
    ],
)
def test_what_cannot_be_done_is_said_at_once(options: list[str], complaint: str) -> None:
    done = simulate(1, *options)
    assert done.returncode == 2
    assert complaint in done.stderr
