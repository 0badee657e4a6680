"""`simulate record` and `simulate replay` as people run them, with mosquitto's own tools as witnesses."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulators.capture import Captured
from simulators.capture_reader import CaptureReader
from tests.support.mosquitto import Mosquitto
from tests.support.nats import nats_server

pytestmark = pytest.mark.broker

SIMULATE = [sys.executable, "-m", "simulators"]
PAYLOADS = {
    "empty": b"",
    "binary": bytes(range(256)),
    "text": '{"grüße": 1.50}\r\n'.encode(),
    "large": os.urandom(1024 * 1024),
}


def until(condition: Callable[[], Any], seconds: float = 15.0, what: str = "") -> Any:
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or condition}"
        time.sleep(0.02)
    return result


@pytest.fixture
def other_mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A second broker, to replay into; its log tells of every packet."""
    broker = Mosquitto(tmp_path / "other", ["log_type all"])
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `simulate ...`; with `ready`, waits for the line that says so."""
    processes: list[subprocess.Popen[str]] = []

    def run(*args: object, ready: str = "") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*SIMULATE, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        processes.append(process)
        if ready:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert ready in line, (line, process.stderr and process.stderr.read())
        return process

    yield run
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> str:
    """Ask it to end; what it said."""
    process.send_signal(number)
    out, err = process.communicate(timeout=15)
    assert (process.returncode, err) == (0, "")
    return out


def simulate(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SIMULATE, *map(str, args)], capture_output=True, text=True, check=False, timeout=40)


def publish(broker: Mosquitto, topic: str, payload: bytes, *options: str) -> None:
    source = "-s" if payload else "-n"
    subprocess.run(
        ["mosquitto_pub", "-p", str(broker.port), "-t", topic, source, *options], input=payload, check=True, timeout=10
    )


def load(path: Path) -> tuple[list[Captured], CaptureReader]:
    with path.open("rb") as file:
        reader = CaptureReader(file)
        return list(reader.messages()), reader


def by_topic(messages: list[Captured]) -> dict[str, list[tuple[bytes, bool, int]]]:
    sequences: dict[str, list[tuple[bytes, bool, int]]] = defaultdict(list)
    for message in messages:
        sequences[message.topic].append((message.payload, message.retain, message.qos))
    return sequences


def test_a_fleet_recorded_and_replayed_is_the_same_fleet(
    mosquitto: Mosquitto, other_mosquitto: Mosquitto, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    publish(mosquitto, "was/there/before", b"kept", "-r", "-q", "1")
    first, second = tmp_path / "first.fwrec", tmp_path / "second.fwrec"
    recorder = start("record", first, "--broker", mosquitto.url, ready="recording #")
    fleet = simulate("--devices", "10", "--rate", "5", "--duration", "3", "--broker", mosquitto.url)
    assert fleet.returncode == 0, fleet.stderr
    said = finish(recorder, signal.SIGINT)
    messages, reader = load(first)
    assert reader.damage is None
    assert reader.end is not None
    assert len(messages) > 100
    assert re.search(rf"recorded \d+ s: {len(messages):,} messages on {len(by_topic(messages))} topics · ", said)
    assert "bytes per message · 1 were retained before" in said
    assert [message.topic for message in messages if message.stored] == ["was/there/before"]
    retained = {message.topic.rsplit("/", 1)[1] for message in messages if message.retain}
    assert retained == {"before", "description", "status"}
    assert [message.time_us for message in messages] == sorted(message.time_us for message in messages)

    again = start("record", second, "--broker", other_mosquitto.url, ready="recording #")
    replayed = simulate("replay", first, "--broker", other_mosquitto.url, "--speed", "4")
    assert (replayed.returncode, replayed.stderr) == (0, "")
    assert f": {len(messages)} messages sent · " in replayed.stdout
    finish(again)
    assert by_topic(load(second)[0]) == by_topic(messages)

    # What a newcomer to the second broker is told is what the first broker would tell.
    statuses = subprocess.run(
        ["mosquitto_sub", "-p", str(other_mosquitto.port), "-t", "devices/+/status", "-C", "10", "-W", "5"],
        capture_output=True,
        check=True,
        timeout=10,
    )
    assert statuses.stdout.split() == [b"offline"] * 10


def test_payloads_are_byte_identical_for_others_too(
    mosquitto: Mosquitto, other_mosquitto: Mosquitto, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    path = tmp_path / "bytes.fwrec"
    recorder = start("record", path, "--broker", mosquitto.url, ready="recording")
    for name, payload in PAYLOADS.items():
        for qos in ("0", "1", "2"):
            publish(mosquitto, f"bytes/{name}/{qos}", payload, "-q", qos)
    until(lambda: path.stat().st_size > 3 * 1024 * 1024, what="all of it in the file")
    finish(recorder)
    messages, _ = load(path)
    assert {(m.topic, m.payload, m.qos) for m in messages} == {
        (f"bytes/{name}/{qos}", payload, qos) for name, payload in PAYLOADS.items() for qos in (0, 1, 2)
    }

    how = ["-t", "bytes/#", "-q", "2", "-F", "%t %q %x", "-C", str(len(messages)), "-W", "20"]
    command = ["mosquitto_sub", "-p", str(other_mosquitto.port), *how]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as witness:
        until(lambda: "Sending SUBACK" in other_mosquitto.log, what="the witness listens")
        assert simulate("replay", path, "--broker", other_mosquitto.url, "--speed", "0").returncode == 0
        out, _ = witness.communicate(timeout=25)
    lines = [line.decode().split(" ") for line in out.splitlines()]
    heard = {(topic, int(qos), bytes.fromhex(payload)) for topic, qos, payload in lines}
    assert heard == {(message.topic, message.qos, message.payload) for message in messages}


def test_a_killed_recorder_leaves_a_file_that_can_be_read_and_replayed(
    mosquitto: Mosquitto, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    path = tmp_path / "killed.fwrec"
    recorder = start("record", path, "--broker", mosquitto.url, ready="recording")
    empty = path.stat().st_size
    publish(mosquitto, "t", b"before")
    until(lambda: path.stat().st_size > empty, what="the first block")
    recorder.kill()
    recorder.wait(10)
    messages, reader = load(path)
    assert [message.payload for message in messages] == [b"before"]
    assert reader.end is None
    replayed = simulate("replay", path, "--broker", mosquitto.url)
    assert replayed.returncode == 0
    assert "1 message sent" in replayed.stdout
    assert "was not closed properly" in replayed.stderr
    assert replayed.stderr.count("\n") == 1
    assert path.stat().st_mode & 0o077 == 0


def test_a_recorder_outlives_its_broker_and_says_what_is_missing(
    mosquitto: Mosquitto, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    path = tmp_path / "gap.fwrec"
    recorder = start("record", path, "--broker", mosquitto.url, ready="recording")
    size = path.stat().st_size
    publish(mosquitto, "t", b"1", "-q", "1")
    until(lambda: path.stat().st_size > size, what="the first message in the file")
    assert recorder.stdout is not None
    mosquitto.stop()
    assert "lost" in recorder.stdout.readline()
    mosquitto.start()
    assert "connected again" in recorder.stdout.readline()
    publish(mosquitto, "t", b"2", "-q", "1")
    assert "are missing" in finish(recorder)
    messages, reader = load(path)
    assert [message.payload for message in messages] == [b"1", b"2"]
    assert reader.end is not None
    assert len(reader.end.gaps_us) == 1


@pytest.fixture
def recording(mosquitto: Mosquitto, start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> Path:
    """Six messages on a/1, a/2 and b/1, over about a second."""
    path = tmp_path / "six.fwrec"
    recorder = start("record", path, "--broker", mosquitto.url, ready="recording")
    for number, topic in enumerate(["a/1", "a/2", "b/1"] * 2):
        publish(mosquitto, topic, json.dumps({"n": number, "time": 1_700_000_000_000}).encode(), "-q", "1")
        time.sleep(0.15)
    finish(recorder)
    return path


def test_speed_topic_prefix_and_restamp(
    recording: Path, other_mosquitto: Mosquitto, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    messages, _ = load(recording)
    length_s = (messages[-1].time_us - messages[0].time_us) / 1e6
    path = tmp_path / "again.fwrec"
    again = start("record", path, "--broker", other_mosquitto.url, ready="recording")
    options = ["--speed", "0.5", "--topic", "a/+", "--prefix", "test/", "--qos", "1", "--restamp"]
    assert simulate("replay", recording, "--broker", other_mosquitto.url, *options).returncode == 0
    finish(again)
    replayed, _ = load(path)
    wanted = [message for message in messages if message.topic.startswith("a/")]
    assert [(m.topic, m.qos) for m in replayed] == [(f"test/{m.topic}", 1) for m in wanted]
    steps = [(one.time_us - replayed[0].time_us) / 1e6 for one in replayed]
    assert steps == pytest.approx([(one.time_us - wanted[0].time_us) / 1e6 * 2 for one in wanted], abs=0.15)
    assert steps[-1] > length_s
    for before, after in zip(wanted, replayed, strict=True):
        said, said_before = json.loads(after.payload), json.loads(before.payload)
        assert said["n"] == said_before["n"]
        age_ms = before.time_us / 1000 - said_before["time"]
        assert after.time_us / 1000 - said["time"] == pytest.approx(age_ms, abs=500)


def test_a_loop_goes_round_until_it_is_told_to_stop(
    recording: Path, other_mosquitto: Mosquitto, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    path = tmp_path / "again.fwrec"
    again = start("record", path, "--broker", other_mosquitto.url, ready="recording")
    looping = start("replay", recording, "--broker", other_mosquitto.url, "--speed", "20", "--loop", ready="replaying")
    until(lambda: len(load(path)[0]) >= 15, what="more than two passes")
    said = finish(looping, signal.SIGINT)
    finish(again)
    assert " passes · " in said
    numbers = [json.loads(message.payload)["n"] for message in load(path)[0]]
    assert numbers == [n % 6 for n in range(len(numbers))]


def test_overlapping_filters_record_each_message_once(
    mosquitto: Mosquitto, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    publish(mosquitto, "a/b", b"old", "-r")
    path = tmp_path / "overlap.fwrec"
    filters = ["--topic", "a/+", "--topic", "+/b", "--topic", "#"]
    recorder = start("record", path, "--broker", mosquitto.url, *filters, ready="recording a/+, +/b, #")
    for topic in ("a/b", "a/c", "x/b", "x/y"):
        publish(mosquitto, topic, b"new", "-q", "1")
    finish(recorder)
    messages, _ = load(path)
    assert [(m.topic, m.payload, m.stored) for m in messages] == [
        ("a/b", b"old", True),
        *((topic, b"new", False) for topic in ("a/b", "a/c", "x/b", "x/y")),
    ]


def test_a_redacted_recording_of_a_fleet_holds_no_names(
    mosquitto: Mosquitto, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    path = tmp_path / "redacted.fwrec"
    options = ["--redact", "--keep", "devices", "--keep", "telemetry"]
    recorder = start("record", path, "--broker", mosquitto.url, *options, ready="recording")
    assert simulate("--devices", "10", "--duration", "2", "--broker", mosquitto.url).returncode == 0
    finish(recorder)
    messages, reader = load(path)
    assert reader.header.redacted
    assert (reader.header.broker, reader.header.filters) == ("", [])
    everything = b"\n".join(message.topic.encode() + b" " + message.payload for message in messages)
    assert b"devices/x" in everything
    assert b"/telemetry" in everything
    for name in (b"thermostat", b"-01", b"Fleetwire", b"Hall", b"online"):
        assert name not in everything, name
    # The site's latitude. One decimal would do for a temperature; only a position has as many as these.
    assert not re.search(rb"53\.5\d{3}", everything)
    assert b'"temperature":' in everything


def test_the_limit_on_size_ends_a_recording(
    mosquitto: Mosquitto, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    path = tmp_path / "small.fwrec"
    recorder = start("record", path, "--broker", mosquitto.url, "--max-mb", "0.3", ready="recording")
    publish(mosquitto, "noise", os.urandom(400_000))
    out, _ = recorder.communicate(timeout=10)
    assert recorder.returncode == 0
    assert "the limit of 300.0 kB is reached" in out
    assert load(path)[1].damage is None


def test_without_a_broker_there_is_one_line_and_no_file(free_port: int, recording: Path, tmp_path: Path) -> None:
    path = tmp_path / "none.fwrec"
    for args in (["record", path], ["replay", recording]):
        done = simulate(*args, "--broker", f"127.0.0.1:{free_port}")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "no MQTT broker at" in done.stderr
        assert "--broker" in done.stderr
    assert not path.exists()


def test_a_broker_that_refuses_is_told_apart(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "closed", ["allow_anonymous false"])
    broker.start()
    try:
        done = simulate("record", tmp_path / "x.fwrec", "--broker", broker.url)
    finally:
        broker.stop()
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "refused the connection" in done.stderr
    assert "USER:PASSWORD" in done.stderr


def test_a_broker_that_only_speaks_311(
    tmp_path: Path, free_port: int, start: Callable[..., subprocess.Popen[str]], recording: Path
) -> None:
    """The NATS server; it is a dependency, so it is always there. Retained messages are all it can mark."""
    with nats_server(tmp_path, free_port) as url:
        until(lambda: simulate("replay", recording, "--broker", url, "--qos", "1").returncode == 0, what="nats-server")
        path = tmp_path / "nats.fwrec"
        recorder = start("record", path, "--broker", url, ready="(MQTT 3.1.1)")
        assert "(MQTT 3.1.1)" in simulate("replay", recording, "--broker", url, "--speed", "0").stdout
        until(lambda: len(load(path)[0]) == 6, what="six messages")
        finish(recorder)
    wanted, _ = load(recording)
    assert [(m.topic, m.payload) for m in load(path)[0]] == [(m.topic, m.payload) for m in wanted]
