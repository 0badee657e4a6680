"""What the benchmarks of ingest share: a broker, a publisher, a bridge with its dashboard, and who runs on which core.

On a machine with several cores the measured process has the first one for itself; broker, publisher and dashboard
share the others. On one core, figures of CPU per message stay comparable, rates do not.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

import aiohttp
import psutil

from tests.support.bridge import Bridge
from tests.support.mosquitto import Mosquitto

# Nothing is saved, so that the disk is not measured; queues as in config/mosquitto.conf, so that QoS 1 never overflows;
# and for MQTT 3.1.1, in which a client cannot say it, as many in flight as the bridge asks for.
BROKER = (
    "persistence false",
    "max_queued_messages 1000000",
    "max_inflight_messages 2000",
    "log_type error",
    "connection_messages false",
)
TOPIC = "devices/sensor-%d/telemetry"
PAYLOAD = '{"temperature":%d.5,"humidity":40.25,"pressure":1013.2,"voltage":3.31,"rssi":-61}'
VALUES = 5  # in the payload
FILTER = "devices/#"
STALL_S = 3.0  # nothing new for so long: the rest is lost
SAMPLE_S = 0.1  # pause between two looks


class Sample(NamedTuple):
    """Of a subscriber, since it began."""

    received: int
    cpu_s: float


class Subscriber(Protocol):
    """Whatever is measured."""

    pid: int

    async def sample(self) -> Sample: ...


class Result(NamedTuple):
    """Of one publisher's run, for one subscriber."""

    sent: int
    received: int
    seconds: float  # from the first message sent to the last received
    cpu_s: float
    publisher_cpu_s: float
    publisher_rate: float

    @property
    def lost(self) -> int:
        return self.sent - self.received

    @property
    def cpu_us(self) -> float:
        """Processor time of a message, in microseconds."""
        return self.cpu_s / max(1, self.received) * 1e6


_CORES = sorted(os.sched_getaffinity(0))  # before this process leaves the first one


def pin_measured(pid: int) -> None:
    """Every thread of the process, also those that a library has started."""
    for thread in psutil.Process(pid).threads():
        os.sched_setaffinity(thread.id, _CORES[:1])


def leave_first_core() -> None:
    """This process and all that it starts, until they are pinned."""
    if len(_CORES) > 1:
        os.sched_setaffinity(0, _CORES[1:])


@contextmanager
def broker() -> Iterator[Mosquitto]:
    """A mosquitto for one case: a session that one subscriber leaves behind must not cost the next one."""
    with tempfile.TemporaryDirectory() as folder:
        mosquitto = Mosquitto(Path(folder), BROKER)
        mosquitto.start()
        try:
            yield mosquitto
        finally:
            mosquitto.stop()


async def publish(port: int, *, rate: float, count: int, qos: int, devices: int = 200) -> dict[str, float]:
    """Run the publisher once, in a process of its own; what it says at its end."""
    # Twenty thousand different packets at least, so that no cache is luckier than it would be with real values. Each
    # has a message id of its own, of which there are 65,535.
    cycle = min(65_000, max(20_000 // devices, 1) * devices)
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "tests.support.flood", "--port", str(port), "--qos", str(qos), "--topic", TOPIC],
        *["--payload", PAYLOAD, "--topics", str(devices), "--cycle", str(cycle)],
        *["--rate", str(rate), "--count", str(count)],
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = await process.stdout.readline()
        assert line, "the publisher failed"
        return json.loads(line)
    finally:
        if process.returncode is None:
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                process.kill()
                await process.wait()


async def run_once(
    subscriber: Subscriber, port: int, *, rate: float, seconds: float, qos: int, devices: int = 200
) -> Result:
    """One stream at that rate; returns when all has arrived, or nothing comes any more."""
    count = round(rate * seconds)
    before = await subscriber.sample()
    # Not looked at meanwhile, because each look costs the measured process something.
    published = await publish(port, rate=rate, count=count, qos=qos, devices=devices)
    last, changed = await subscriber.sample(), time.monotonic()
    if last.received - before.received == count:
        changed = published["began"] + published["seconds"]  # it kept pace; the publisher's farewell is not its time
    while last.received - before.received < count and time.monotonic() - changed < STALL_S:
        await asyncio.sleep(SAMPLE_S)
        new = await subscriber.sample()
        if new.received > last.received:
            changed = time.monotonic()
        last = new
    return Result(
        sent=count,
        received=last.received - before.received,
        seconds=changed - published["began"],
        cpu_s=last.cpu_s - before.cpu_s,
        publisher_cpu_s=published["cpu_s"],
        publisher_rate=published["sent"] / published["seconds"],
    )


class MeasuredBridge:
    """The whole bridge as people run it, with one dashboard."""

    def __init__(self, bridge: Bridge, http: aiohttp.ClientSession) -> None:
        self._bridge = bridge
        self._http = http
        self.pid = bridge.pid
        self._process = psutil.Process(bridge.pid)

    async def sample(self) -> Sample:
        counters = await self.counters()
        times = self._process.cpu_times()
        return Sample(counters["received"], times.user + times.system)

    async def counters(self) -> dict[str, int]:
        """All of /metrics that is a plain number."""
        async with self._http.get(f"{self._bridge.url}/metrics") as answer:
            text = await answer.text()
        return {
            name: int(float(value)) for name, value in re.findall(r"^fleetwire_(\w+?)(?:_total)? (\S+)$", text, re.M)
        }

    @property
    def rss(self) -> int:
        return int(self._process.memory_info().rss)


@asynccontextmanager
async def measured_bridge(url: str, channels: tuple[str, ...]) -> AsyncIterator[MeasuredBridge]:
    """`python -m bridge serve` on that broker, subscribed, and a dashboard that follows these channels."""
    with tempfile.TemporaryDirectory() as folder:
        bridge = Bridge(Path(folder) / "data", mqtt_url=url)
        await bridge.start()
        try:
            async with aiohttp.ClientSession(headers=bridge.headers) as http:
                await _until_ready(http, bridge.url)
                async with http.ws_connect(f"{bridge.url}/ws", protocols=("fleetwire.v1",), max_msg_size=0) as socket:
                    for channel in channels:
                        await socket.send_json({"type": "subscribe", "id": channel, "channel": channel})
                    reading = asyncio.create_task(_read(socket))
                    pin_measured(bridge.pid)
                    yield MeasuredBridge(bridge, http)
                    if reading.done():
                        raise RuntimeError("the dashboard was closed: it did not keep up, and the figures are void")
                    reading.cancel()
                    await asyncio.gather(reading, return_exceptions=True)
        finally:
            try:
                await bridge.stop()
            except TimeoutError:  # on a machine that is busy with other things; it must not outlive us
                await bridge.kill()


async def _until_ready(http: aiohttp.ClientSession, url: str) -> None:
    for _ in range(100):
        async with http.get(f"{url}/readyz") as answer:
            if answer.status == 200:
                return
        await asyncio.sleep(0.1)
    raise RuntimeError("the bridge does not become ready")


async def _read(socket: aiohttp.ClientWebSocketResponse) -> None:
    """What a page does as far as the server can see: read all, and answer when asked."""
    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT and message.data.startswith('{"type":"ping"'):
            await socket.send_json({"type": "pong"})
