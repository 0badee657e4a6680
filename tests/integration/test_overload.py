"""More messages than we can take, from a real broker: what is lost is known, and it is over soon."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from bridge.core.model import Message
from bridge.settings import MqttSettings
from bridge.sources.mqtt import DROPPED_INTERVAL_S, MqttSource
from bridge.sources.mqtt_dropped import DROPPED_TOPIC
from bridge.sources.source import SourceStatus
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_peer import MqttPeer
from tests.support.recorder import Recorder
from tests.support.servers import tcp_server

pytestmark = [pytest.mark.broker, pytest.mark.usefixtures("nothing_blocks"), pytest.mark.alone]

MESSAGE_S = 0.001  # what a message costs the slow listener
BACKLOG_BYTES = 262_144  # so that what waits is worked off in seconds, slow as the listener is
PAYLOAD_BYTES = 150


def clock() -> int:
    return time.time_ns() // 1000


class SlowListener:
    """Takes a millisecond for each message, and acknowledges at once. Remembers numbers, not messages."""

    def __init__(self) -> None:
        self.source: MqttSource | None = None
        self.status: SourceStatus | None = None
        self.numbers: dict[str, list[int]] = {"sensor": [], "meter": []}
        self.shed = 0

    def on_message(self, message: Message) -> None:
        until = time.perf_counter() + MESSAGE_S
        self.numbers[message.topic.split("/")[0]].append(int(message.payload.split()[0]))
        if message.ack_token is not None:
            assert self.source is not None
            self.source.acknowledge([message.ack_token])
        while time.perf_counter() < until:
            pass

    def on_status(self, status: SourceStatus) -> None:
        self.status = status

    def on_shed(self, count: int) -> None:
        self.shed += count

    @property
    def connected(self) -> bool:
        return self.status is not None and self.status.state == "connected"


@asynccontextmanager
async def flood(port: int, **options: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """A publisher as a child process, connected; it begins with a line on its standard input."""
    arguments = [f"--{name}={value}" for name, value in {"port": port, **options}.items()]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.flood", "--wait", *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 10) == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await process.stdout.read()
        await asyncio.sleep(0)  # the pipes close in the next turn of the loop


def begin(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")


async def result(process: asyncio.subprocess.Process) -> dict[str, float]:
    assert process.stdout is not None
    answer: dict[str, float] = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
    return answer


async def until(condition: Any, timeout_s: float) -> float:
    """Seconds until it held."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout_s
        await asyncio.sleep(0.01)
    return time.monotonic() - began


@asynccontextmanager
async def connected(url: str, **values: Any) -> AsyncIterator[SlowListener]:
    listener = SlowListener()
    source = listener.source = MqttSource(MqttSettings(**values), clock, "fleetwire-test", [url])
    await source.start(listener)
    try:
        await until(lambda: listener.connected, 5)
        yield listener
    finally:
        await source.stop()


async def test_three_times_too_much_is_shed_oldest_first_and_counted(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "mosquitto", ["sys_interval 1"])
    broker.start()
    payload = "%d " + "x" * PAYLOAD_BYTES
    sensors = {"client-id": "sensors", "topic": "sensor/%d", "payload": payload, "rate": 3_000, "count": 9_000}
    meters = {"client-id": "meters", "topic": "meter/%d", "payload": payload, "rate": 100, "count": 300, "qos": 1}
    memory = psutil.Process()
    try:
        async with (
            connected(broker.url, backlog_bytes=BACKLOG_BYTES) as listener,
            flood(broker.port, **sensors) as many,
            flood(broker.port, **meters) as certain,
        ):
            before = highest = memory.memory_info().rss
            begin(many)
            begin(certain)
            done = asyncio.create_task(result(many))
            while not done.done():
                highest = max(highest, memory.memory_info().rss)
                await asyncio.sleep(0.05)
            assert done.result()["sent"] == 9_000
            received, kept = listener.numbers["sensor"], listener.numbers["meter"]
            assert await until(lambda: received[-1] == 8_999, 5) < 5
            assert (await result(certain))["acked"] == 300
            await until(lambda: len(kept) == 300, 5)
            await asyncio.sleep(1.5)  # until the broker has told its losses
            assert listener.source is not None
            lost_there = listener.source._drops.total or 0
            assert listener.shed + lost_there == 9_000 - len(received)
            assert listener.shed > 3_000
            assert kept == list(range(300))
            assert received == sorted(received)
            assert highest - before < 20_000_000
            assert listener.connected
    finally:
        broker.stop()


async def test_losses_of_the_broker_are_told(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "mosquitto", ["sys_interval 1", "max_queued_messages 100"])
    broker.start()
    recorder = Recorder()
    source = MqttSource(MqttSettings(), clock, "fleetwire-test", [broker.url])
    try:
        async with MqttPeer(broker.port, "absent", clean=False) as absent:
            await absent.subscribe("a")
        await source.start(recorder)
        await recorder.wait_status("connected")
        await asyncio.sleep(1.2)  # the broker's count has been heard
        async with MqttPeer(broker.port) as peer:
            await peer.publish_all([("a", b"%d" % n) for n in range(300)])
        await recorder.wait(lambda: recorder.statuses[-1].dropped, timeout_s=DROPPED_INTERVAL_S + 4)
        assert recorder.statuses[-1].dropped == 200
        assert [status.dropped for status in recorder.statuses[:2]] == [None, None]
        assert len(recorder.statuses) <= 4
        assert {status.state for status in recorder.statuses[1:]} == {"connected"}
        assert {message.topic for message in recorder.messages} == {"a"}
        assert recorder.statuses[-1].detail == ""
    finally:
        await source.stop()
        broker.stop()


async def test_count_that_the_user_asked_for_is_delivered_as_well(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "mosquitto", ["sys_interval 1"])
    broker.start()
    recorder = Recorder()
    source = MqttSource(MqttSettings(topics=["$SYS/broker/publish/#"]), clock, "fleetwire-test", [broker.url])
    try:
        await source.start(recorder)
        await recorder.wait(lambda: any(message.topic == DROPPED_TOPIC for message in recorder.messages))
        assert source._drops.total == 0
    finally:
        await source.stop()
        broker.stop()


async def test_broker_that_hangs_up_on_the_question_is_not_asked_again() -> None:
    questions: list[bytes] = []

    async def strict(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            first, length = await reader.readexactly(2)
            body = await reader.readexactly(length)
            if first == 0x10:
                writer.write(b"\x20\x03\x00\x00\x00")
            elif first == 0x82:
                questions.append(body)
                if b"$SYS" in body:
                    return
                writer.write(bytes([0x90, 4, *body[:2], 0, 1]))

    recorder = Recorder()
    async with tcp_server(strict) as port:
        source = MqttSource(
            MqttSettings(reconnect_min_s=0.05, reconnect_max_s=0.2), clock, "test", [f"mqtt://127.0.0.1:{port}"]
        )
        await source.start(recorder)
        await recorder.wait(lambda: len(questions) == 3)
        await recorder.wait_status("connected")
        await asyncio.sleep(0.5)
        await source.stop()
    assert [b"$SYS" in question for question in questions] == [False, True, False]
    assert [status.state for status in recorder.statuses] == [
        "connecting", "connected", "disconnected", "connected", "disconnected",
    ]  # fmt: skip
