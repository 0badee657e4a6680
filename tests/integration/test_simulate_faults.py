"""Faults of connections as a real broker sees them, shared connections, shards, and a thousand devices."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.ledger import Ledger
from tests.support.mosquitto import Mosquitto

pytestmark = pytest.mark.broker

SIMULATE = [sys.executable, "-m", "simulators"]


@pytest.fixture
def talkative(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that writes down who comes and goes."""
    broker = Mosquitto(tmp_path / "mosquitto", ["max_connections -1", "connection_messages true", "log_type notice"])
    broker.start()
    yield broker
    broker.stop()


def run(broker: Mosquitto, *args: str) -> str:
    command = [*SIMULATE, "--broker", broker.url, *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def watch(broker: Mosquitto, file: Path, topic: str) -> subprocess.Popen[bytes]:
    with file.open("wb") as output:
        process = subprocess.Popen(["mosquitto_sub", "-p", str(broker.port), "-t", topic, "-F", "%t %p"], stdout=output)
    time.sleep(0.5)
    return process


def faults(path: Path) -> Counter[str]:
    with Ledger.open(path) as ledger:
        return Counter(fault.fault for fault in ledger.faults())


def test_a_will_storm_makes_the_broker_publish_every_last_will(talkative: Mosquitto, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    watcher = watch(talkative, seen, "devices/+/status")
    ledger = tmp_path / "run.sqlite"
    out = run(talkative, "--devices", "30", "--duration", "5", "--faults", "will_storm@2-3", "--ledger", str(ledger))
    watcher.terminate()
    watcher.wait(5)
    said = Counter(tuple(line.split(" ")) for line in seen.read_text().splitlines())
    offline = {topic: count for (topic, word), count in said.items() if word == "offline"}
    assert len(offline) == 30
    assert set(offline.values()) == {2}, "once in the storm, once as a goodbye"
    assert faults(ledger) == {"will_storm": 30}
    assert "faults: will_storm 30" in out


def test_flapping_devices_come_back_each_time(talkative: Mosquitto, tmp_path: Path) -> None:
    ledger = tmp_path / "run.sqlite"
    run(
        *(talkative, "--devices", "4", "--duration", "6", "--ledger", str(ledger)),
        *("--faults", "flapping@1-,amount=1.5,devices=pump-01"),
    )
    connected = Counter(re.findall(r"New client connected from .* as sim-(\S+)", talkative.log))
    drops = faults(ledger)["flapping"]
    assert 2 <= drops <= 4
    assert connected["pump-01"] == drops + 1
    assert connected["thermostat-01"] == 1


def test_two_clients_with_the_same_id_throw_each_other_out(talkative: Mosquitto, tmp_path: Path) -> None:
    run(
        *(talkative, "--devices", "3", "--duration", "7"),
        *("--faults", "same_client_id@1-5,devices=pump-01"),
    )
    connected = Counter(re.findall(r"New client connected from .* as sim-(\S+)", talkative.log))
    # Both come back each time they were thrown out.
    assert connected["pump-01"] >= 4
    assert connected["thermostat-01"] == connected["power-meter-01"] == 1


def test_a_retained_command_is_on_the_broker_for_as_long_as_declared(talkative: Mosquitto, tmp_path: Path) -> None:
    simulation = subprocess.Popen(
        [
            *(*SIMULATE, "--broker", talkative.url, "--devices", "1", "--duration", "6", "--quiet"),
            *("--faults", "retained_command@1-4"),
        ]
    )
    time.sleep(2.8)
    probe = ["mosquitto_sub", "-p", str(talkative.port), "-t", "devices/+/commands", "-W", "1", "-F", "%r %p"]
    during = subprocess.run(probe, capture_output=True, text=True, check=False, timeout=10)
    assert during.stdout.startswith("1 ")
    assert json.loads(during.stdout[2:])["name"] == "set_setpoint"
    assert simulation.wait(20) == 0
    assert subprocess.run(probe, capture_output=True, text=True, check=False, timeout=10).stdout == ""


def test_many_devices_share_a_few_connections_and_obey(talkative: Mosquitto, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    watcher = watch(talkative, seen, "devices/+/results")
    simulation = subprocess.Popen(
        [*SIMULATE, "--broker", talkative.url, "--devices", "500", "--shared-connections", "5", "--duration", "6"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert simulation.stdout is not None
    assert "500 devices connected" in simulation.stdout.readline()
    time.sleep(0.5)
    for device in ("thermostat-100", "pump-50"):
        command = json.dumps({"id": device, "name": "no_such", "args": {}})
        topic = f"devices/{device}/commands"
        subprocess.run(["mosquitto_pub", "-p", str(talkative.port), "-t", topic, "-m", command], check=True, timeout=5)
    assert simulation.wait(20) == 0
    simulation.stdout.close()
    watcher.terminate()
    watcher.wait(5)
    answered = {line.split("/")[1] for line in seen.read_text().splitlines()}
    assert answered == {"thermostat-100", "pump-50"}
    assert len(re.findall(r"New client connected from .* as sim-shared-", talkative.log)) == 5


def test_shards_are_the_fleet_and_nothing_twice(talkative: Mosquitto) -> None:
    for part in ("1/3", "2/3", "3/3"):
        run(talkative, "--devices", "20", "--duration", "1.5", "--shard", part, "--quiet")
    connected = Counter(re.findall(r"New client connected from .* as sim-(\S+)", talkative.log))
    assert len(connected) == 20
    assert set(connected.values()) == {1}


def test_a_thousand_devices_are_ready_in_seconds(talkative: Mosquitto, tmp_path: Path) -> None:
    ledger = tmp_path / "run.sqlite"
    out = run(
        *(talkative, "--devices", "1000", "--rate", "1", "--duration", "8", "--ramp", "1", "--burst", "2"),
        *("--ledger", str(ledger)),
    )
    assert "1,000 devices connected" in out
    assert "already connected" not in talkative.log
    with Ledger.open(ledger) as book:
        assert len({message.device for message in book.sent()}) == 1000
        assert len(book.acked()) == sum(message.qos == 1 for message in book.sent()), "also the goodbyes"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--faults", "dorpout"], "did you mean 'dropout'?"),
        (["--faults", "dropout:2"], "not between 0 and 1"),
        (["--shard", "5/4"], "2/4"),
        (["--devices", "50000"], "--shared-connections"),
        (["--devices", "2", "--shard", "3/3"], "none is left"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(args: list[str], message: str) -> None:
    done = subprocess.run([*SIMULATE, *args], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_the_faults_are_listed() -> None:
    done = subprocess.run([*SIMULATE, "--faults", "help"], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0
    assert "late_burst" in done.stdout
