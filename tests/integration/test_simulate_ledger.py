"""The ledger of a run against what really came out of a real broker, counted by mosquitto's own `mosquitto_sub`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulators.ledger import Ledger, hash_payload
from tests.support.mosquitto import Mosquitto

pytestmark = pytest.mark.broker

SIMULATE = [sys.executable, "-m", "simulators"]


def until(condition: Callable[[], Any], seconds: float = 20.0, what: str = "") -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


class Subscriber:
    """`mosquitto_sub` with a session of its own that the broker keeps while it is away."""

    def __init__(self, broker: Mosquitto, file: Path, qos: int = 1) -> None:
        self._broker, self._file, self._qos = broker, file, qos
        self.start()
        until(lambda: file.exists() and self._is_subscribed(), what="mosquitto_sub is subscribed")

    def start(self) -> None:
        output = self._file.open("ab")
        # The payload as hexadecimal digits: it may be anything.
        self._process = subprocess.Popen(
            [
                *("mosquitto_sub", "-p", str(self._broker.port), "-t", "devices/#", "-q", str(self._qos)),
                *("-i", "counter", "-c", "-F", "%r %t %x"),
            ],
            stdout=output,
            stderr=subprocess.DEVNULL,
        )
        output.close()

    def _is_subscribed(self) -> bool:
        probe = ["mosquitto_pub", "-p", str(self._broker.port), "-t", "devices/probe", "-m", "x"]
        subprocess.run(probe, check=True, timeout=10)
        time.sleep(0.05)
        return b"devices/probe" in self._file.read_bytes()

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait(10)

    def received(self) -> list[tuple[str, str]]:
        """Topic and payload of every live message."""
        lines = [line.split(" ") for line in self._file.read_text().splitlines() if line.count(" ") == 2]
        return [(topic, payload) for retained, topic, payload in lines if retained == "0" and topic != "devices/probe"]

    def hashes(self) -> Counter[tuple[str, str]]:
        return Counter((topic, hash_payload(bytes.fromhex(payload))) for topic, payload in self.received())


@pytest.fixture
def subscriber(mosquitto: Mosquitto, tmp_path: Path) -> Iterator[Subscriber]:
    subscriber = Subscriber(mosquitto, tmp_path / "received")
    yield subscriber
    subscriber.stop()


def simulate(broker: Mosquitto, ledger: Path, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*SIMULATE, "--broker", broker.url, "--ledger", str(ledger), *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("qos", ["0", "1"])
def test_what_the_ledger_says_is_what_mosquitto_sub_counts(
    mosquitto: Mosquitto, subscriber: Subscriber, tmp_path: Path, qos: str
) -> None:
    path = tmp_path / "run.sqlite"
    process = simulate(mosquitto, path, "--devices", "20", "--rate", "10", "--qos", qos, "--duration", "3")
    command = {"id": "c1", "name": "set_setpoint", "args": {"value": 20}}
    until(lambda: len(subscriber.received()) > 60, what="telemetry")
    publish = ["mosquitto_pub", "-p", str(mosquitto.port), "-q", "1", "-t", "devices/thermostat-01/commands"]
    subprocess.run([*publish, "-m", json.dumps(command)], check=True, timeout=10)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    with Ledger.open(path) as ledger:
        sent = Counter((message.topic, message.payload_hash) for message in ledger.sent())
        until(lambda: sum(subscriber.hashes().values()) > sum(sent.values()), what="all of it")  # and the command
        received = subscriber.hashes()
        received.subtract({("devices/thermostat-01/commands", hash_payload(json.dumps(command).encode())): 1})
        assert +received == sent
        acked = ledger.acked()
        assert len(acked) == sum(message.qos == 1 for message in ledger.sent()), "everything was acknowledged"
        for device in {message.device for message in ledger.sent()}:
            numbers = [m.seq for m in ledger.sent() if m.device == device and m.seq is not None]
            # A reading from before the connection was up has a number too.
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert [(c.device, c.command_id, c.outcome) for c in ledger.commands()] == [
            ("thermostat-01", "c1", "succeeded")
        ]
    assert f"{sum(sent.values()):,} messages sent" in out
    assert f"{len(acked):,} acknowledged" in out
    assert "µs of processor time" in out


def test_after_a_kill_of_the_broker_acked_messages_are_there_as_far_as_it_promises(
    mosquitto: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """The broker saves every second: what it acknowledged until two seconds before the kill must be delivered."""
    path = tmp_path / "run.sqlite"
    process = simulate(mosquitto, path, "--devices", "10", "--rate", "5", "--qos", "1", "--duration", "9")
    try:
        until(lambda: len(subscriber.received()) > 20, what="telemetry")
        subscriber.stop()  # from here on the broker keeps the messages
        time.sleep(3.0)
        killed_us = int(time.time() * 1e6)
        mosquitto.kill()
        mosquitto.start()
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, err) == (0, "")
    assert "lost" in out
    assert "connected again" in out
    subscriber.start()
    with Ledger.open(path) as ledger:
        acked = ledger.acked()
    promised = [m for m in acked if m.acked_us is not None and m.acked_us < killed_us - 2_000_000]
    assert len(promised) > 20
    after = [m for m in acked if m.sent_us > killed_us]
    assert len(after) > 20
    until(lambda: not Counter((m.topic, m.payload_hash) for m in promised) - subscriber.hashes(), what="the promised")
    # What it acknowledged after its return is delivered too: this subscriber's session was saved.
    until(lambda: not Counter((m.topic, m.payload_hash) for m in after) - subscriber.hashes(), what="the later ones")
    # Nothing that we do not know of; a message whose acknowledgement was lost may have come twice.
    known = {(m.topic, m.payload_hash) for m in ledger_rows(path)}
    unknown = [key for key in subscriber.hashes() if key not in known]
    assert not [key for key in unknown if not key[0].endswith("/status")], "last wills are not ours to note"


def ledger_rows(path: Path) -> list[Any]:
    with Ledger.open(path) as ledger:
        return list(ledger.sent())


def test_an_existing_file_is_never_written_over(mosquitto: Mosquitto, tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    path.write_text("mine")
    out, err = simulate(mosquitto, path, "--devices", "1", "--duration", "1").communicate(timeout=20)
    assert out == ""
    assert err.count("\n") == 1
    assert "name another file" in err
    assert path.read_text() == "mine"
