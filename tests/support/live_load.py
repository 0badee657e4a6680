"""A bridge under so much load that a slow reader is soon found, and its counters by the names of docs/protocol.md."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.support.bridge import Bridge
from tests.support.live_client import Message, Readings
from tests.support.mosquitto import Mosquitto

# The kernels hold some 500 KB that the bridge cannot see: 640 KB a second make a reader slow within a second.
METRICS, HZ = 400, 100
DEVICE = "load0"
PAYLOAD = json.dumps({"n": 0, **{f"m{i}": i / 10 for i in range(METRICS - 1)}}).replace('"n": 0', '"n": %d')
WINDOW = 16_384  # of a reader that is to be found slow
SLOW = {"web__lag_bytes": 16_384, "web__client_buffer_bytes": 65_536}


@asynccontextmanager
async def running(tmp_path: Path, mosquitto: Mosquitto, **settings: float) -> AsyncIterator[Bridge]:
    """A bridge with these settings. It must end with a clean log."""
    env = {f"FLEETWIRE_{name.upper()}": str(value) for name, value in settings.items()}
    bridge = Bridge(tmp_path / "data", mqtt_url=mosquitto.url, env=env)
    await bridge.start()
    try:
        # What is published before the bridge has subscribed would be missing.
        while (await counters(bridge)).get('source_up{source="mqtt"}') != 1:
            await asyncio.sleep(0.02)
        yield bridge
    finally:
        code = await bridge.stop()
    assert code == 0
    assert "Traceback" not in bridge.log


async def counters(bridge: Bridge) -> dict[str, float]:
    """What `/metrics` says, without prefix and `_total`."""
    async with (
        aiohttp.ClientSession(headers=bridge.headers) as http,
        http.get(f"{bridge.url}/metrics") as response,
    ):
        assert response.status == 200
        lines = (await response.text()).splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("fleetwire_"))
    return {re.sub(r"^fleetwire_|_total\b", "", name): float(value) for name, value in pairs}


async def counted(bridge: Bridge, name: str, value: float, timeout_s: float) -> None:
    """Wait until this counter has this value."""
    deadline = time.monotonic() + timeout_s
    while (found := (await counters(bridge))[name]) != value:
        assert time.monotonic() < deadline, f"{name} is {found} after {timeout_s} s"
        await asyncio.sleep(0.1)


@asynccontextmanager
async def loaded(mosquitto: Mosquitto) -> AsyncIterator[None]:
    """One device with many metrics that speaks often; in a process of its own."""
    arguments = {
        "port": mosquitto.port,
        "topic": f"devices/{DEVICE}/telemetry",
        "topics": 1,
        "payload": PAYLOAD,
        "rate": HZ,
        "count": HZ * 50,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.flood", *(f"--{name}={value}" for name, value in arguments.items()),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
        assert process.stdout is not None
        await process.stdout.read()
        await process.wait()
        await asyncio.sleep(0)  # the pipe closes in the next turn of the loop


async def until(test: Callable[[], bool], timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not test():
            await asyncio.sleep(0.01)


def by_offset(messages: Iterable[Message]) -> dict[int, bytes]:
    return {message.offset: message.raw for message in messages if isinstance(message, Readings)}


def assert_same(frames: list[Readings], others: Iterable[Message]) -> None:
    """Frame by frame the bytes that another dashboard had on the same channel."""
    theirs = by_offset(others)
    compared = [frame.raw == theirs[frame.offset] for frame in frames if frame.offset in theirs]
    assert len(compared) > 0.9 * len(frames)
    assert all(compared)
