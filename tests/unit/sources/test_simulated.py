"""The in-process source: the fleet without a broker, through the interface every source has."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable

import pytest

from bridge.core.model import Message, Publish
from bridge.errors import PublishFailed
from bridge.sources.simulated import SimulatedSource
from bridge.sources.source import Source, SourceStatus


class Recorder:
    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.statuses: list[SourceStatus] = []

    def on_message(self, message: Message) -> None:
        self.messages.append(message)

    def on_status(self, status: SourceStatus) -> None:
        self.statuses.append(status)

    def on(self, suffix: str) -> list[Message]:
        return [message for message in self.messages if message.topic.endswith(suffix)]


def clock() -> int:
    return time.time_ns() // 1000


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
async def source() -> AsyncIterator[SimulatedSource]:
    source = SimulatedSource(10, 5.0, 1, clock)
    yield source
    await source.stop()


async def test_descriptions_come_first_then_telemetry(source: SimulatedSource) -> None:
    recorder = Recorder()
    as_source: Source = source
    await as_source.start(recorder)
    assert recorder.messages == [], "start returns at once"
    await until(lambda: len(recorder.on("/telemetry")) >= 30)
    assert [message.topic.rsplit("/")[-1] for message in recorder.messages[:20]] == ["description", "status"] * 10
    assert {message.topic for message in recorder.on("/telemetry")} == {
        message.topic.replace("description", "telemetry") for message in recorder.on("/description")
    }
    for message in recorder.messages:
        assert not message.retain
        assert message.ack_token is None
        assert abs(message.received_us - clock()) < 10_000_000
    reading = json.loads(recorder.on("/telemetry")[-1].payload)
    assert abs(reading["time"] - clock() / 1000) < 2_000


async def test_status_is_connected_while_it_runs(source: SimulatedSource) -> None:
    recorder = Recorder()
    assert source.status.state == "disconnected"
    await source.start(recorder)
    assert source.status.state == "connected"
    await source.stop()
    await source.stop()
    assert source.status.state == "disconnected"
    assert [status.state for status in recorder.statuses] == ["connected", "disconnected"]
    assert {status.name for status in recorder.statuses} == {"simulated"}


async def test_stop_before_start_is_fine(source: SimulatedSource) -> None:
    await source.stop()
    source.acknowledge([(1, 1)])


async def test_nothing_comes_after_stop(source: SimulatedSource) -> None:
    recorder = Recorder()
    await source.start(recorder)
    await until(lambda: recorder.on("/telemetry"))
    await source.stop()
    count = len(recorder.messages)
    await asyncio.sleep(0.3)
    assert len(recorder.messages) == count


async def test_a_command_is_executed_and_answered(source: SimulatedSource) -> None:
    recorder = Recorder()
    await source.start(recorder)
    payload = json.dumps({"id": "c1", "name": "set_setpoint", "args": {"value": 27}}).encode()
    handed_over = source.publish(Publish("devices/thermostat-01/commands", payload))
    assert handed_over.done()
    await handed_over
    await until(lambda: recorder.on("thermostat-01/results"))
    answer = json.loads(recorder.on("thermostat-01/results")[0].payload)
    assert answer == {"id": "c1", "status": "succeeded", "value": 27.0}
    await until(lambda: json.loads(recorder.on("thermostat-01/telemetry")[-1].payload)["setpoint"] == 27.0)


async def test_a_retained_command_is_ignored(source: SimulatedSource) -> None:
    recorder = Recorder()
    await source.start(recorder)
    payload = json.dumps({"id": "c1", "name": "reboot"}).encode()
    await source.publish(Publish("devices/thermostat-01/commands", payload, retain=True))
    await asyncio.sleep(0.4)
    assert recorder.on("/results") == []


async def test_an_unknown_topic_cannot_be_published_to(source: SimulatedSource) -> None:
    await source.start(Recorder())
    with pytest.raises(PublishFailed, match="no simulated device"):
        await source.publish(Publish("devices/nobody/commands", b"{}"))


async def test_nothing_can_be_published_while_it_does_not_run(source: SimulatedSource) -> None:
    with pytest.raises(PublishFailed, match="not running"):
        await source.publish(Publish("devices/thermostat-01/commands", b"{}"))


async def test_a_listener_that_fails_does_not_stop_the_source(
    source: SimulatedSource, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Recorder):
        def on_message(self, message: Message) -> None:
            super().on_message(message)
            raise RuntimeError("on purpose")

    recorder = Failing()
    await source.start(recorder)
    await until(lambda: len(recorder.on("/telemetry")) > 5)
    assert "the listener failed" in caplog.text


async def test_a_fleet_file_says_which_devices_there_are() -> None:
    source = SimulatedSource(0, 1.0, 1, clock, fleet="solar-park")
    recorder = Recorder()
    await source.start(recorder)
    await until(lambda: len(recorder.on("/description")) == 55)
    await source.stop()
    assert json.loads(recorder.messages[0].payload)["model"] == "pv-inverter"


def test_a_fleet_file_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="there is no fleet 'solar-prak'; did you mean 'solar-park'"):
        SimulatedSource(1, 1.0, 1, clock, fleet="solar-prak")
