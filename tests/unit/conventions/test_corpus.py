"""Every generic line of the corpus: what real devices publish, and what it must become.

`expect` is what must be there; more is allowed unless a line forbids it. Lines marked optional are met as well: where
such a line expects nothing, nothing may come out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.conventions.registry import Registry, default_registry
from bridge.core.model import CommandReply, CommandRequest, Message, Observation, Rejection
from tests.unit.conventions.helpers import RECEIVED_US, readings

LINES = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "contract" / "conventions_generic.jsonl").read_text().splitlines()
]
MESSAGES = [line for line in LINES if line["kind"] == "message"]
COMMANDS = [line for line in LINES if line["kind"] == "command"]


def ids(line: dict[str, Any]) -> str:
    return str(line["id"])


def payload_of(line: dict[str, Any]) -> bytes:
    return bytes.fromhex(line["payload_hex"]) if "payload_hex" in line else line["payload_text"].encode()


def run(line: dict[str, Any], registry: Registry) -> list[Observation]:
    message = Message(line["topic"], payload_of(line), RECEIVED_US, retain=line.get("retain", False))
    convention, observations = registry.decode(message)
    assert convention.name == "plain"
    return list(observations)


def samples(observations: list[Observation]) -> dict[tuple[str, str], tuple[Any, int | None]]:
    found: dict[tuple[str, str], tuple[Any, int | None]] = {}
    for one in readings(observations):
        for metric, value in one.values:
            found[one.device, metric] = (value, None if one.time_us is None else one.time_us // 1000)
    return found


def check_sample(line: dict[str, Any], wanted: dict[str, Any], observations: list[Observation]) -> None:
    found = samples(observations)
    key = (wanted["device"], wanted["metric"])
    if key not in found and "metric_alt" in line:
        key = (wanted["device"], line["metric_alt"])
    assert key in found, f"{key} is not in {sorted(found)}"
    value, time_ms = found[key]
    assert (type(value) is bool) == (type(wanted["value"]) is bool)
    assert value == wanted["value"]
    assert time_ms == wanted["time_ms"]
    if wanted["unit"] is not None:
        (told,) = [one.units[key[1]] for one in readings(observations) if one.units and key[1] in one.units]
        assert told.unit == wanted["unit"]
        assert told.unit_source in ("declared", "inferred")


@pytest.mark.parametrize("repeated", [False, True], ids=["first", "repeated"])
@pytest.mark.parametrize("line", MESSAGES, ids=ids)
def test_message(line: dict[str, Any], repeated: bool) -> None:
    registry = default_registry()
    observations = run(line, registry)
    if repeated:
        # The second message of a topic takes the short way and must mean the same, except that units were told.
        again = run(line, registry)
        assert samples(again) == samples(observations)
        assert [type(one) for one in again] == [type(one) for one in observations]
        assert all(one.units is None for one in readings(again))
        return
    for wanted in line["expect"]:
        check_sample(line, wanted, observations)
    found = samples(observations)
    if line.get("expect_none") or (line.get("optional") and not line["expect"]):
        assert found == {}
    for forbidden in line.get("forbid", ()):
        assert (forbidden["device"], forbidden["metric"]) not in found
    for forbidden in line.get("forbid_values", ()):
        assert forbidden not in [str(value).capitalize() for value, _ in found.values()]
    if line.get("expect_error"):
        assert any(isinstance(one, Rejection) for one in observations)
    if "expect_flag" in line:
        assert [one.time_flag for one in readings(observations)] == [line["expect_flag"]]
    if "expect_distinct" in line:
        assert len(found) == line["expect_distinct"]
        assert sum(len(one.values) for one in readings(observations)) == line["expect_distinct"]
    if "expect_binary" in line:
        assert [one.reason for one in observations if isinstance(one, Rejection)] == ["binary"]


@pytest.mark.parametrize("line", COMMANDS, ids=ids)
def test_command(line: dict[str, Any]) -> None:
    registry = default_registry()
    plain = registry.by_name("plain")
    command = line["command"]
    request = CommandRequest("b-4", command["device"], command["name"], {"value": command["value"]}, RECEIVED_US)
    publish = plain.encode_command(request)
    expected = line["expect_publish"]
    assert publish.topic == expected["topic"]
    assert json.loads(publish.payload) == json.loads(expected["payload_text"])
    assert publish.retain is expected["retain"]
    assert publish.qos == 1
    assert publish.expires_s is None
    for ack in line["ack_messages"]:
        (reply,) = registry.decode(Message(ack["topic"], ack["payload_text"].encode(), RECEIVED_US))[1]
        assert isinstance(reply, CommandReply)
        assert (reply.device, reply.command_id, reply.succeeded) == (command["device"], "b-4", True)


def test_the_whole_corpus_is_here() -> None:
    assert len(MESSAGES) == 46
    assert len(COMMANDS) == 1
