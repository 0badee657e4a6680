"""What a power cut leaves: at any instant the files are a whole history, as far as it was recorded; and no message was
acknowledged before the disk had confirmed its readings. FAULTS_COPIES sets how many instants.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.ledger import SEED, assert_each_once, connected, ended, publishing, read_numbers, until
from tests.support.bridge import Bridge
from tests.support.live_load import counters
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_peer import MqttPeer

pytestmark = [pytest.mark.broker]

COPIES = int(os.environ.get("FAULTS_COPIES", "20"))


@pytest.mark.timeout(60 + 3 * COPIES)
async def test_the_files_of_any_instant_are_a_whole_history(mosquitto: Mosquitto, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    data = tmp_path / "data"
    bridge = Bridge(data, mqtt_url=mosquitto.url, env={"FLEETWIRE_HISTORY__SEAL_INTERVAL_S": "0.3"})
    at_least: list[int] = []
    async with ended([bridge]):
        await bridge.start()
        await connected(bridge)
        async with publishing(mosquitto.port, 500):
            for number in range(COPIES):
                await asyncio.sleep(chance.uniform(0.02, 0.3))
                at_least.append(int((await counters(bridge))["recorded"]))
                copy(bridge, data, tmp_path / f"copy-{number}")
        await bridge.stop()
    before = 0
    for number, recorded in enumerate(at_least):
        numbers = read_numbers(tmp_path / f"copy-{number}" / "history.db")  # it is whole, too
        assert sorted(numbers) == list(range(len(numbers))), "no prefix of what was recorded"
        assert len(numbers) >= max(before, recorded), "what was safe is not there"
        before = len(numbers)
    assert before > 0


def copy(bridge: Bridge, data: Path, folder: Path) -> None:
    """The database and its log as they are at one instant: nothing is written while the process stands still."""
    folder.mkdir()
    os.kill(bridge.pid, signal.SIGSTOP)
    try:
        for name in ("history.db", "history.db-wal"):
            shutil.copy(data / name, folder / name)
    finally:
        os.kill(bridge.pid, signal.SIGCONT)


# ----- what the system was asked for, and when ------------------------------------------------------------

CALLS = "recvfrom,read,sendto,write,fdatasync,fsync"
LINE = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(?: resumed>|\()(.*)$")
BYTES = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


class Call(NamedTuple):
    """One that has come back. `began`, `ended`: lines of the trace."""

    name: str
    began: int
    ended: int
    target: str
    data: bytes


@pytest.mark.timeout(120)
async def test_no_acknowledgement_leaves_before_its_readings_are_on_the_disk(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed (Debian: apt install strace)")
    bridge = Bridge(tmp_path / "data", mqtt_url=mosquitto.url)
    trace = tmp_path / "trace"
    count = 300
    async with ended([bridge]):
        await bridge.start()
        await connected(bridge)
        command = ["strace", "-f", "-y", "-xx", "-s", "70000", "-e", f"trace={CALLS}", "-o", str(trace)]
        watcher = await asyncio.create_subprocess_exec(*command, "-p", str(bridge.pid), stderr=subprocess.PIPE)
        try:
            assert watcher.stderr is not None
            said = (await watcher.stderr.readline()).decode()
            if "attached" not in said:
                pytest.skip(f"another process may not be watched here: {said.strip()}")
            async with MqttPeer(mosquitto.port) as peer:
                for number in range(0, count, 5):
                    times = range(number, number + 5)
                    await peer.publish_all(
                        [("devices/d0/telemetry", f'{{"time": {1_767_225_600_000 + n}, "number": {n}}}') for n in times]
                    )
                await until(lambda: has_acknowledged_all(bridge, count))
                await asyncio.sleep(0.2)
        finally:
            if watcher.returncode is None:
                watcher.send_signal(signal.SIGINT)
            await watcher.wait()
        assert await bridge.stop() == 0
    assert_each_once(tmp_path / "data" / "history.db", count)

    calls = list(read_trace(trace))
    synced = [call for call in calls if call.name in ("fdatasync", "fsync") and call.target.endswith("history.db-wal")]
    broker = next(call.target for call in calls if call.name in ("recvfrom", "read") and b"devices/d0" in call.data)
    arrived = dict(
        find_publishes(call for call in calls if call.target == broker and call.name in ("recvfrom", "read"))
    )
    left = dict(
        find_acknowledgements(call for call in calls if call.target == broker and call.name in ("sendto", "write"))
    )
    assert len(arrived) == count
    assert left.keys() == arrived.keys()
    for mid, came in arrived.items():
        assert any(came < sync.began and sync.ended < left[mid] for sync in synced), (
            f"message {mid} was not on the disk"
        )
    print(f"{count} acknowledgements, {len(synced)} times the disk had confirmed first")


async def has_acknowledged_all(bridge: Bridge, count: int) -> bool:
    return (await counters(bridge))["recorded"] == count


def read_trace(path: Path) -> Iterator[Call]:
    began: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(path.read_text().splitlines()):
        match = LINE.match(line)
        if match is None:
            continue
        thread, name, rest = match.groups()
        if rest.endswith("<unfinished ...>"):
            began[thread] = (number, rest)
            continue
        first, head = began.pop(thread) if " resumed>" in line else (number, "")
        target = re.match(r"\d+<([^>]*)>", head or rest)
        found = BYTES.search(head + rest)
        data = bytes.fromhex(found[1].replace("\\x", "")) if found else b""
        yield Call(name, first, number, bytes_as_text(target[1]) if target else "", data)


def bytes_as_text(escaped: str) -> str:
    """A path, which `-xx` writes in hex too."""
    return re.sub(r"\\x([0-9a-f]{2})", lambda one: chr(int(one[1], 16)), escaped)


def find_publishes(calls: Iterator[Call]) -> Iterator[tuple[int, int]]:
    """(packet identifier, line at which it had come in whole) of each PUBLISH at QoS 1."""
    for packet, call in packets(calls):
        if packet[0] >> 4 == 3 and packet[0] & 0x06 == 0x02:
            _, at = remaining_length(packet)
            length = int.from_bytes(packet[at : at + 2], "big")
            yield int.from_bytes(packet[at + 2 + length : at + 4 + length], "big"), call.ended


def find_acknowledgements(calls: Iterator[Call]) -> Iterator[tuple[int, int]]:
    """(packet identifier, line at which it began to leave) of each PUBACK."""
    for packet, call in packets(calls):
        if packet[0] == 0x40:
            yield int.from_bytes(packet[2:4], "big"), call.began


def packets(calls: Iterator[Call]) -> Iterator[tuple[bytes, Call]]:
    """MQTT packets of one direction, and the call that ended each."""
    waiting = b""
    for call in calls:
        waiting += call.data
        while len(waiting) >= 2:
            length, at = remaining_length(waiting)
            if len(waiting) < at + length:
                break
            yield waiting[: at + length], call
            waiting = waiting[at + length :]


def remaining_length(packet: bytes) -> tuple[int, int]:
    """It, and where what it counts begins."""
    length = shift = 0
    for at in range(1, 5):
        length |= (packet[at] & 0x7F) << shift
        shift += 7
        if not packet[at] & 0x80:
            return length, at + 1
    raise AssertionError("no MQTT packet")
