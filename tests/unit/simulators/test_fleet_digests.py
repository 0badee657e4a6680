"""The same seed gives the same bytes, on every platform and for ever, unless somebody means to change them.

After a change that is meant, renew them and say so in the changelog, because what a seed once showed will differ:

    python -m tests.unit.simulators.test_fleet_digests > tests/contract/fleet_digests.json
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulators.backfill import backfill
from simulators.fleet import SimulatedFleet
from simulators.fleet_file import load_fleet_file, shipped_fleets

GOLDEN = Path(__file__).resolve().parents[2] / "contract" / "fleet_digests.json"
START = 1_750_000_000.0
MESSAGES = 3000
FLEETS = ("default", *shipped_fleets())


def make_fleet(name: str) -> SimulatedFleet:
    return SimulatedFleet(50 if name == "default" else load_fleet_file(name).roster())


def digest(name: str) -> str:
    """Descriptions, live messages with commands in between, and history."""
    found = hashlib.sha256()
    fleet = make_fleet(name)
    out = [message for device_no in range(len(fleet)) for message in fleet.announce(device_no)]
    now_s = START
    while len(out) < MESSAGES:
        for device_no in range(0, len(fleet), 7):
            command = {"id": f"c{len(out)}", "name": "reboot" if device_no % 2 else "stop"}
            out += fleet.receive(device_no, json.dumps(command).encode(), now_s)
        for _ in range(40):
            now_s += 0.25
            out += fleet.advance(now_s)
    out += list(backfill(make_fleet(name), START, START + 7200.0, 300.0))
    for message in out:
        found.update(f"{message.device_no} {message.topic} {message.qos} {message.retain} ".encode() + message.payload)
    return found.hexdigest()


@pytest.mark.parametrize("name", FLEETS)
def test_the_bytes_are_those_of_always(name: str) -> None:
    assert digest(name) == json.loads(GOLDEN.read_text())[name], "meant? see the top of this file"


def test_another_process_with_another_hash_seed_says_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.simulators.test_fleet_digests", "default"],
        cwd=GOLDEN.parents[2],
        env={**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": ".", "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert json.loads(done.stdout) == {"default": json.loads(GOLDEN.read_text())["default"]}


def main() -> None:
    names = sys.argv[1:] or FLEETS
    sys.stdout.write(json.dumps({name: digest(name) for name in names}, indent=2) + "\n")


if __name__ == "__main__":
    main()
