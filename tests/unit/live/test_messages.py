"""What clients say: understood, or refused with the right code and the id it came with."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import ProtocolError
from bridge.live.messages import (
    ERROR_CODES,
    MAX_NOTE_LENGTH,
    TYPES,
    Auth,
    Ping,
    Pong,
    RunCommand,
    Subscribe,
    Unsubscribe,
    WriteNote,
    error_packet,
    json_packet,
    parse,
)

SUBSCRIBE = {"type": "subscribe", "id": "1", "channel": "fleet"}
COMMAND = {"type": "command", "id": "1", "device_id": "d", "name": "set", "args": {}}


@pytest.mark.parametrize(
    ("raw", "parsed", "ref"),
    [
        (SUBSCRIBE, Subscribe("1", "fleet"), "1"),
        (SUBSCRIBE | {"id": 7}, Subscribe(7, "fleet"), 7),
        (SUBSCRIBE | {"epoch": "e", "offset": 0}, Subscribe("1", "fleet", "e", 0), "1"),
        (SUBSCRIBE | {"devices": ["d"]}, Subscribe("1", "fleet", devices=["d"]), "1"),
        (SUBSCRIBE | {"series": [1]}, Subscribe("1", "fleet", series=[1]), "1"),
        (SUBSCRIBE | {"epoch": None, "offset": None}, Subscribe("1", "fleet"), "1"),
        (SUBSCRIBE | {"from the future": True}, Subscribe("1", "fleet"), "1"),
        ({"type": "unsubscribe", "id": "1"}, Unsubscribe("1"), "1"),
        (COMMAND, RunCommand("1", "d", "set"), "1"),
        (COMMAND | {"args": {"a": [1]}, "ttl_ms": 500}, RunCommand("1", "d", "set", {"a": [1]}, 500), "1"),
        ({"type": "note", "text": "x" * MAX_NOTE_LENGTH}, WriteNote("x" * MAX_NOTE_LENGTH), None),
        ({"type": "ping"}, Ping(), None),
        ({"type": "ping", "id": "p", "client_time_ms": 1.5}, Ping("p", 1.5), "p"),
        ({"type": "ping", "client_time_ms": 1767225600000}, Ping(None, 1767225600000.0), None),
        ({"type": "pong"}, Pong(), None),
        ({"type": "auth", "token": "t"}, Auth("t"), None),
        ({"type": "auth", "token": ""}, Auth(""), None),
    ],
)
def test_what_is_understood(raw: dict[str, Any], parsed: Any, ref: Any) -> None:
    assert parse(json.dumps(raw)) == (parsed, ref)
    assert parse(json.dumps(raw).encode()) == (parsed, ref)


LONG = "x" * 65
# ruff: noqa: UP031  (the texts are full of braces)
BROKEN: list[tuple[str | bytes, str, Any]] = [
    # not JSON, or not an object
    ("", "invalid_json", None),
    (" ", "invalid_json", None),
    ("hello", "invalid_json", None),
    ("{", "invalid_json", None),
    ("}", "invalid_json", None),
    ('{"type": "ping"', "invalid_json", None),
    ('{"type": "ping"} x', "invalid_json", None),
    ('{"type": "ping"}{"type": "ping"}', "invalid_json", None),
    ("{'type': 'ping'}", "invalid_json", None),
    ('{type: "ping"}', "invalid_json", None),
    ('{"type": "ping",}', "invalid_json", None),
    ('{"type": "ping", "client_time_ms": NaN}', "invalid_json", None),
    ('{"type": "ping", "client_time_ms": Infinity}', "invalid_json", None),
    ('{"type": "ping", "client_time_ms": 1e999}', "invalid_json", None),
    ('{"type": "ping", "client_time_ms": 01}', "invalid_json", None),
    ('{"type": "ping", "id": "\\ud800"}', "invalid_json", None),
    ('{"type": "ping", "id": "\x01"}', "invalid_json", None),
    ('{"type": "ping", "id": %s}' % ("9" * 5000), "invalid_json", None),
    ('\ufeff{"type": "ping"}', "invalid_json", None),
    ("\0", "invalid_json", None),
    (b"\xff\xfe", "invalid_json", None),
    (b'{"type": "ping", "id": "\xff"}', "invalid_json", None),
    ('{"type": "ping"}'.encode("utf-16"), "invalid_json", None),
    ("[" * 100_000, "invalid_json", None),
    ('{"a":' * 100_000, "invalid_json", None),
    ("null", "invalid_json", None),
    ("true", "invalid_json", None),
    ("1", "invalid_json", None),
    ('"subscribe"', "invalid_json", None),
    ("[]", "invalid_json", None),
    ('[{"type": "ping"}]', "invalid_json", None),
    # no such type
    ("{}", "unknown_type", None),
    ('{"id": "7"}', "unknown_type", "7"),
    ('{"type": null}', "unknown_type", None),
    ('{"type": 1, "id": 2}', "unknown_type", 2),
    ('{"type": ["ping"]}', "unknown_type", None),
    ('{"type": {}}', "unknown_type", None),
    ('{"type": ""}', "unknown_type", None),
    ('{"type": "PING"}', "unknown_type", None),
    ('{"type": "ping "}', "unknown_type", None),
    ('{"type": "__proto__"}', "unknown_type", None),
    ('{"type": "welcome", "id": "x"}', "unknown_type", "x"),
    ('{"Type": "ping"}', "unknown_type", None),
    ('{"type": "ping", "type": "no"}', "unknown_type", None),
    ('{"type": "%s"}' % ("x" * 10_000), "unknown_type", None),
    # an id that cannot be one is not echoed
    ('{"type": "no", "id": true}', "unknown_type", None),
    ('{"type": "no", "id": 1.5}', "unknown_type", None),
    ('{"type": "no", "id": {"a": 1}}', "unknown_type", None),
    ('{"type": "no", "id": "%s"}' % LONG, "unknown_type", None),
    ('{"type": "no", "id": %s}' % ("9" * 65), "unknown_type", None),
    # fields missing or of the wrong type
    ('{"type": "subscribe"}', "invalid_message", None),
    ('{"type": "subscribe", "id": "1"}', "invalid_message", "1"),
    ('{"type": "subscribe", "channel": "fleet"}', "invalid_message", None),
    ('{"type": "subscribe", "id": "", "channel": "fleet"}', "invalid_message", ""),
    ('{"type": "subscribe", "id": "%s", "channel": "fleet"}' % LONG, "invalid_message", None),
    ('{"type": "subscribe", "id": null, "channel": "fleet"}', "invalid_message", None),
    ('{"type": "subscribe", "id": true, "channel": "fleet"}', "invalid_message", None),
    ('{"type": "subscribe", "id": 1.5, "channel": "fleet"}', "invalid_message", None),
    ('{"type": "subscribe", "id": [], "channel": "fleet"}', "invalid_message", None),
    ('{"type": "subscribe", "id": "1", "channel": ""}', "invalid_message", "1"),
    ('{"type": "subscribe", "id": "1", "channel": 5}', "invalid_message", "1"),
    ('{"type": "subscribe", "id": "1", "channel": null}', "invalid_message", "1"),
    ('{"type": "subscribe", "id": "1", "channel": ["fleet"]}', "invalid_message", "1"),
    ('{"type": "subscribe", "id": "1", "channel": "%s"}' % ("x" * 1025), "invalid_message", "1"),
    ('{"type": "subscribe", "id": "1", "channel": "fleet", "offset": -1}', "invalid_message", "1"),
    ('{"type": "subscribe", "id": "1", "channel": "fleet", "offset": 1.5}', "invalid_message", "1"),
    ('{"type": "subscribe", "id": "1", "channel": "fleet", "offset": "1"}', "invalid_message", "1"),
    ('{"type": "subscribe", "id": "1", "channel": "fleet", "offset": true}', "invalid_message", "1"),
    ('{"type": "subscribe", "id": "1", "channel": "fleet", "epoch": 5}', "invalid_message", "1"),
    ('{"type": "subscribe", "id": "1", "channel": "fleet", "epoch": "%s"}' % LONG, "invalid_message", "1"),
    ('{"type": "unsubscribe"}', "invalid_message", None),
    ('{"type": "unsubscribe", "id": {}}', "invalid_message", None),
    ('{"type": "command", "id": "1", "device_id": "d"}', "invalid_message", "1"),
    ('{"type": "command", "device_id": "d", "name": "set"}', "invalid_message", None),
    ('{"type": "command", "id": "1", "device_id": "", "name": "set"}', "invalid_message", "1"),
    ('{"type": "command", "id": "1", "device_id": "d", "name": 5}', "invalid_message", "1"),
    ('{"type": "command", "id": "1", "device_id": "d", "name": "set", "args": []}', "invalid_message", "1"),
    ('{"type": "command", "id": "1", "device_id": "d", "name": "set", "args": null}', "invalid_message", "1"),
    ('{"type": "command", "id": "1", "device_id": "d", "name": "set", "args": "{}"}', "invalid_message", "1"),
    ('{"type": "command", "id": "1", "device_id": "d", "name": "set", "ttl_ms": "5"}', "invalid_message", "1"),
    ('{"type": "command", "id": "1", "device_id": "d", "name": "set", "ttl_ms": 1.5}', "invalid_message", "1"),
    ('{"type": "note"}', "invalid_message", None),
    ('{"type": "note", "text": ""}', "invalid_message", None),
    ('{"type": "note", "text": 5}', "invalid_message", None),
    ('{"type": "note", "text": "%s", "id": 3}' % ("x" * (MAX_NOTE_LENGTH + 1)), "invalid_message", 3),
    ('{"type": "ping", "client_time_ms": "now"}', "invalid_message", None),
    ('{"type": "ping", "client_time_ms": %s}' % ("9" * 400), "invalid_message", None),
    ('{"type": "auth"}', "invalid_message", None),
    ('{"type": "auth", "token": null}', "invalid_message", None),
    ('{"type": "auth", "token": ["t"]}', "invalid_message", None),
    ('{"type": "auth", "token": "%s"}' % ("x" * 513), "invalid_message", None),
]


@pytest.mark.parametrize(("raw", "code", "ref"), BROKEN, ids=[str(raw[:60])[:60] for raw, _, _ in BROKEN])
def test_what_is_not_understood(raw: str | bytes, code: str, ref: Any) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse(raw)
    assert (caught.value.code, caught.value.ref) == (code, ref)
    assert type(caught.value.ref) is type(ref)
    assert 0 < len(caught.value.message) < 500
    json.loads(error_packet(caught.value.code, caught.value.message, caught.value.ref).payload)  # can be answered


def test_the_table_of_broken_messages_is_long_enough() -> None:
    assert len(BROKEN) >= 60


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["id", "channel", "epoch", "offset", "device_id", "name", "args", "ttl_ms", "text", "client_time_ms", "token"]
near_messages = st.builds(
    lambda kind, fields: json.dumps({"type": kind, **fields}),
    st.sampled_from([*TYPES, "nothing"]) | json_values,
    st.dictionaries(st.sampled_from(FIELDS), json_values),
)


@given(st.one_of(st.binary(max_size=100), st.text(max_size=100), json_values.map(json.dumps), near_messages))
@settings(max_examples=100, deadline=None)
def test_anything_is_a_message_or_a_protocol_error(raw: str | bytes) -> None:
    try:
        parsed, ref = parse(raw)
    except ProtocolError as error:
        answer = json.loads(error_packet(error.code, error.message, error.ref).payload)
        assert answer["code"] in {"invalid_json", "unknown_type", "invalid_message"}
    else:
        assert type(parsed) in TYPES.values()
        assert ref is None or ref == parsed.id


def test_numbers_that_json_does_not_know_become_null() -> None:
    packet = json_packet("x", a=float("nan"), b=float("inf"), c=1.5)
    assert json.loads(packet.payload) == {"type": "x", "a": None, "b": None, "c": 1.5}
    assert packet.is_text


def test_an_undocumented_error_code_is_a_defect() -> None:
    with pytest.raises(AssertionError):
        error_packet("oops", "…")
    for code in ERROR_CODES:
        assert msgspec.json.decode(error_packet(code, "…", 5).payload) == {
            "type": "error", "code": code, "message": "…", "ref": 5,
        }  # fmt: skip
