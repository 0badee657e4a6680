"""The `simulate` command as people run it: a process, a real broker, and somebody who watches both."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.nats import nats_server

pytestmark = pytest.mark.broker

SIMULATE = [sys.executable, "-m", "simulators"]


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


def until(condition: Callable[[], Any], seconds: float = 15.0, what: str = "") -> Any:
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or condition}"
        time.sleep(0.02)
    return result


class Mosquitto:
    """A broker of our own, on a free port."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        self._config.write_text("\n".join([f"listener {self.port} 127.0.0.1", *(options or ("allow_anonymous true",))]))
        self.url = f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> Mosquitto:
        self._process = subprocess.Popen(
            ["mosquitto", "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(lambda: answers(self.port), what="mosquitto listens")
        return self

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=10)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    mosquitto = Mosquitto(tmp_path).start()
    yield mosquitto
    mosquitto.stop()


class Watcher:
    """Sees everything under `devices/`, and sends commands."""

    def __init__(self, port: int) -> None:
        self.messages: list[MQTTMessage] = []
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe("devices/#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _userdata, message: self.messages.append(message)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def on(self, suffix: str) -> list[MQTTMessage]:
        return [message for message in list(self.messages) if message.topic.endswith(suffix)]

    def last(self, topic: str) -> Any:
        payload = self.on(topic)[-1].payload
        return payload.decode() if topic.endswith("status") else json.loads(payload)

    def send(self, device_id: str, command: dict[str, Any], retain: bool = False) -> None:
        self._client.publish(f"devices/{device_id}/commands", json.dumps(command), qos=1, retain=retain)


@pytest.fixture
def watch() -> Iterator[Callable[[int], Watcher]]:
    watchers: list[Watcher] = []

    def make(port: int) -> Watcher:
        watchers.append(Watcher(port))
        return watchers[-1]

    yield make
    for watcher in watchers:
        watcher.close()


@pytest.fixture
def simulate() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []

    def start(*args: str) -> subprocess.Popen[str]:
        process = subprocess.Popen([*SIMULATE, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def statuses(broker: Mosquitto, watch: Callable[[int], Watcher], count: int) -> set[str]:
    """What a newcomer is told: the retained statuses."""
    newcomer = watch(broker.port)
    until(lambda: len([m for m in newcomer.on("/status") if m.retain]) >= count, what="retained statuses")
    return {newcomer.last(message.topic) for message in newcomer.on("/status")}


def test_a_fleet_lives_obeys_and_leaves(
    broker: Mosquitto, watch: Callable[[int], Watcher], simulate: Callable[..., subprocess.Popen[str]]
) -> None:
    process = simulate("--devices", "20", "--rate", "5", "--broker", broker.url)
    assert process.stdout is not None
    assert "20 devices connected" in process.stdout.readline()

    early = watch(broker.port)
    until(lambda: len({m.topic for m in early.on("/telemetry")}) == 20, what="every device at work")
    late = watch(broker.port)
    until(lambda: len({m.topic for m in late.on("/description") if m.retain}) == 20, what="retained descriptions")
    until(lambda: len({m.topic for m in late.on("/telemetry")}) == 20, what="telemetry of every device")
    assert not any(message.retain for message in late.on("/telemetry"))
    assert {late.last(message.topic) for message in late.on("/status")} == {"online"}
    described = late.last("thermostat-01/description")
    assert set(described["metrics"]) == set(late.last("thermostat-01/telemetry")) - {"time"}

    before = late.last("thermostat-01/telemetry")
    wanted = 28.0 if before["setpoint"] < 24 else 10.0
    expires = int(time.time() * 1000) + 10_000
    command = {"id": "c1", "name": "set_setpoint", "args": {"value": wanted}, "expires": expires}
    late.send("thermostat-01", command)
    until(lambda: late.on("thermostat-01/results"), what="a result")
    late.send("thermostat-01", command)  # a redelivery: answered again, not executed again
    until(lambda: len(late.on("thermostat-01/results")) == 2, what="the same result")
    assert {json.dumps(json.loads(m.payload)) for m in late.on("thermostat-01/results")} == {
        json.dumps({"id": "c1", "status": "succeeded", "value": wanted})
    }
    until(lambda: late.last("thermostat-01/telemetry")["setpoint"] == wanted, what="the new setpoint in telemetry")
    until(
        lambda: abs(late.last("thermostat-01/telemetry")["temperature"] - before["temperature"]) > 0.5,
        what="the temperature follows",
    )
    late.send("pump-01", {"id": "c2", "name": "set_speed", "args": {"percent": 500}})
    until(lambda: late.on("pump-01/results"), what="a refusal")
    assert late.last("pump-01/results") == {"id": "c2", "status": "failed", "error": "percent must be at most 100"}

    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert err == ""
    assert "stopped after" in out
    assert "2 commands executed (1 refused)" in out
    assert statuses(broker, watch, 20) == {"offline"}


def test_retained_and_expired_commands_are_not_executed(
    broker: Mosquitto, watch: Callable[[int], Watcher], simulate: Callable[..., subprocess.Popen[str]]
) -> None:
    watcher = watch(broker.port)
    watcher.send("pump-01", {"id": "r1", "name": "stop"}, retain=True)
    simulate("--devices", "1", "--kinds", "pump", "--rate", "10", "--broker", broker.url)
    until(lambda: len(watcher.on("pump-01/telemetry")) > 5, what="telemetry")
    watcher.send("pump-01", {"id": "old", "name": "stop", "expires": 1_000})
    until(lambda: watcher.on("pump-01/results"), what="the answer to the expired command")
    assert "expired" in watcher.last("pump-01/results")["error"]
    assert {json.loads(m.payload)["id"] for m in watcher.on("pump-01/results")} == {"old"}
    assert watcher.last("pump-01/telemetry")["running"] is True


def test_a_killed_simulation_leaves_last_wills(
    broker: Mosquitto, watch: Callable[[int], Watcher], simulate: Callable[..., subprocess.Popen[str]]
) -> None:
    watcher = watch(broker.port)
    process = simulate("--devices", "5", "--broker", broker.url)
    until(lambda: len([m for m in watcher.on("/status") if m.payload == b"online"]) == 5, what="all online")
    process.kill()
    until(lambda: len([m for m in watcher.on("/status") if m.payload == b"offline"]) == 5, what="last wills")
    assert statuses(broker, watch, 5) == {"offline"}


def test_the_fleet_comes_back_after_the_broker_was_away(
    broker: Mosquitto, watch: Callable[[int], Watcher], simulate: Callable[..., subprocess.Popen[str]]
) -> None:
    process = simulate("--devices", "5", "--rate", "5", "--qos", "1", "--broker", broker.url)
    assert process.stdout is not None
    assert "5 devices connected" in process.stdout.readline()
    broker.stop()
    assert "lost" in process.stdout.readline()
    broker.start()
    assert "5 devices connected again" in process.stdout.readline()
    watcher = watch(broker.port)
    until(lambda: len({m.topic for m in watcher.on("/telemetry")}) == 5, what="telemetry after the return")
    assert {watcher.last(message.topic) for message in watcher.on("/status")} == {"online"}
    assert {message.qos for message in watcher.on("/telemetry")} == {1}
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 0


def test_without_a_broker_there_is_one_clear_line() -> None:
    began = time.monotonic()
    done = subprocess.run(
        [*SIMULATE, "--broker", f"127.0.0.1:{free_port()}"], capture_output=True, text=True, check=False
    )
    assert time.monotonic() - began < 15.0  # at once, but Python has to start
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "no MQTT broker at" in done.stderr
    assert "--broker" in done.stderr


@pytest.mark.parametrize("hangs_up", [True, False])
def test_something_that_is_no_broker_is_told_apart_in_time(hangs_up: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            for _ in range(2):  # once for MQTT 5, once for 3.1.1
                server.accept()[0].close()

        thread = threading.Thread(target=hang_up, daemon=True)
        if hangs_up:
            thread.start()
        began = time.monotonic()
        args = ["--broker", f"127.0.0.1:{server.getsockname()[1]}"]
        done = subprocess.run([*SIMULATE, *args], capture_output=True, text=True, check=False)
        assert time.monotonic() - began < 20.0
        if hangs_up:
            thread.join(5)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_broker_that_wants_a_password_says_so(tmp_path: Path) -> None:
    mosquitto = Mosquitto(tmp_path, "allow_anonymous false").start()
    try:
        done = subprocess.run([*SIMULATE, "--broker", mosquitto.url], capture_output=True, text=True, check=False)
    finally:
        mosquitto.stop()
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "refused" in done.stderr
    assert "USER:PASSWORD" in done.stderr


def test_a_duration_ends_by_itself_and_quiet_is_quiet(broker: Mosquitto) -> None:
    args = ["--devices", "3", "--duration", "1", "--quiet", "--broker", broker.url]
    done = subprocess.run([*SIMULATE, *args], capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--devices", "0"], "--devices"),
        (["--kinds", "toaster"], "toaster"),
        (["--broker", "http://host"], "http"),
        (["--prefix", "a/b"], "device id"),
        (["--rate", "nan"], "--rate"),
        (["--duration", "inf"], "--duration"),
        (["--unknown"], "--unknown"),
    ],
)
def test_bad_options_are_told_with_exit_code_2(args: list[str], message: str) -> None:
    done = subprocess.run([*SIMULATE, *args], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_help_has_examples() -> None:
    done = subprocess.run([*SIMULATE, "--help"], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0
    assert "simulate --devices 5 --kinds pump,tank --rate 2" in done.stdout


def test_a_broker_that_only_speaks_311_is_spoken_to_in_311(
    tmp_path: Path, watch: Callable[[int], Watcher], simulate: Callable[..., subprocess.Popen[str]]
) -> None:
    """The NATS server speaks MQTT 3.1.1 and refuses 5; it is a dependency, so it is always there."""
    port = free_port()
    with nats_server(tmp_path, port) as url:
        until(lambda: answers(port), what="nats-server listens")
        process = simulate("--devices", "3", "--kinds", "pump", "--rate", "5", "--broker", url)
        assert process.stdout is not None
        assert "(MQTT 3.1.1)" in process.stdout.readline()
        watcher = watch(port)
        until(lambda: len({m.topic for m in watcher.on("/telemetry")}) == 3, what="telemetry")
        watcher.send("pump-02", {"id": "c1", "name": "stop"})
        until(lambda: watcher.on("pump-02/results"), what="a result")
        assert watcher.last("pump-02/results")["status"] == "succeeded"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
        assert process.returncode == 0
        until(lambda: watcher.last("pump-02/status") == "offline", what="the farewell")
        watcher.close()
