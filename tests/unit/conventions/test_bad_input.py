"""What mad devices send. Whatever it is: no exception, only observations, every value fit for disk and page.

Run through the whole registry, where a defect would show as `decoder_failed`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.conventions.plain import PlainConvention
from bridge.conventions.registry import Registry, default_registry
from bridge.core.model import Description, Observation, Readings, Reason, Rejection
from tests.unit.conventions.helpers import RECEIVED_MS, RECEIVED_US, decode, message, metrics, reasons

LARGE = 20_000_000  # a limit that lets everything through, to see what the decoders themselves stand
TOPICS = ["lab/oven/telemetry", "lab/oven", "lab/oven/status", "lab/oven/command/ack", "/x", "sensors/up"]
TOPICS += [f"devices/t1/{word}" for word in ("telemetry", "description", "status", "results")]

quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


def check(observations: Sequence[Observation]) -> None:
    """Everything that the rest of the bridge relies on."""
    assert len(observations) <= 523  # 500 values, each with a time of its own, and 20 problems and one life at most
    total = 0
    for one in observations:
        assert isinstance(one, Observation)
        if isinstance(one, Rejection):
            assert one.reason is not Reason.DECODER_FAILED, one.detail
            assert len(one.detail) <= 250
        elif isinstance(one, Readings):
            assert one.device
            assert one.values
            assert one.time_us is None or 1_420_070_400_000_000 <= one.time_us <= RECEIVED_US + 300_000_000
            total += len(one.values)
            for metric, value in one.values:
                check_value(metric, value)
            for metric, info in (one.units or {}).items():
                assert 0 < len(info.unit) <= 32
                assert metric in dict(one.values)
        elif isinstance(one, Description):
            assert len(one.metrics) <= 1000
            assert len(one.commands) <= 200
    assert total <= 500


def check_value(metric: str, value: Any) -> None:
    assert 0 < len(metric) <= 1024
    assert "\0" not in metric
    if isinstance(value, float):
        assert math.isfinite(value)
    elif isinstance(value, int):
        assert math.isfinite(float(value))
    elif isinstance(value, str):
        assert len(value) <= 1024
        value.encode()  # no lone surrogates
        assert "\0" not in value
    else:
        assert value is None


def feed(topic: str, payload: Any, registry: Registry | None = None) -> list[Observation]:
    """Twice, so that the short way is seen too."""
    registry = registry or default_registry(LARGE)
    first = decode(registry, topic, payload)
    check(first)
    again = decode(registry, topic, payload)
    check(again)
    assert reasons(again) == reasons(first)
    return first


# ----- a table of known horrors --------------------------------------------------------------------------------

DEEP = {f"deep-{depth}": b'{"a":' * depth + b"1" + b"}" * depth for depth in (10, 17, 1_000, 100_000)}
DEEP |= {f"brackets-{depth}": b"[" * depth for depth in (10, 17, 1_000, 1_000_000)}
HORRORS: dict[str, bytes] = {
    **DEEP,
    "lists-in-object": b'{"a":' + b"[" * 100_000,
    "many-keys": json.dumps({f"k{n}": n for n in range(100_000)}).encode(),
    "many-bad-keys": json.dumps({"x" * 129 + str(n): n for n in range(2_000)}).encode(),
    "many-elements": b"[" + b"1," * 999_999 + b"1]",
    "many-objects": b"[" + b"{}," * 29_999 + b"{}]",
    "many-records": json.dumps([{"ts": RECEIVED_MS, "a": n} for n in range(5_000)]).encode(),
    "many-ids": json.dumps([{"id": n, "a": n} for n in range(5_000)]).encode(),
    "many-lists": json.dumps({"a": [[1]] * 16, "b": [[[2] * 16] * 16] * 16}).encode(),
    "long-string": json.dumps({"a": "x" * 10_000_000}).encode(),
    "long-text": b"x" * 10_000_000,
    "long-number": b"9" * 1_000_000,
    "duplicate-keys": b'{"a":1,"a":{"b":2},"a":3}',
    "nan": b'{"a":NaN,"b":Infinity,"c":-Infinity,"d":1e999,"e":-0,"f":-0.0}',
    "integer-4301": b'{"a":' + b"9" * 4301 + b',"id":' + b"9" * 4301 + b',"ts":' + b"9" * 4301 + b"}",
    "integer-300": b'{"a":' + b"9" * 300 + b',"id":' + b"9" * 300 + b',"ts":' + b"9" * 300 + b"}",
    "integer-2-63": b'{"a":9223372036854775808,"b":-9223372036854775809,"c":1180591620717411303424}',
    "lone-surrogate": b'{"a":"\\ud800"}',
    "raw-surrogate": b'{"a":"\xed\xa0\x80"}',
    "nul": b'{"a\\u0000b":1,"c":"d\\u0000e"}',
    "raw-nul": b'{"a":\x001}',
    "bom": b'\xef\xbb\xbf{"a":1}',
    "utf-16": '{"a":1}'.encode("utf-16"),
    "utf-32": '{"a":1}'.encode("utf-32"),
    "latin-1": '{"ä":"ö"}'.encode("latin-1"),
    "overlong": b'{"a":"\xc0\xaf"}',
    "right-to-left": '{"\u202eabc":"\u202e123","a\u200bb":1,"e\u0301":2,"\ufeff":3}'.encode(),
    "prototype": b'{"__proto__":{"polluted":1},"constructor":{"prototype":{"x":1}},"a":{"__proto__":2}}',
    "markup": b'{"<img src=x onerror=alert(1)>":"<script>alert(1)</script>"}',
    "formula": b'{"=1+1":"=cmd|x","+":"-5","@a":"\\t"}',
    "all-roles": b'{"id":[],"device_id":[],"ts":[],"time":[],"value":[],"name":[],"data":[],"unit":[]}',
    "objects-in-roles": b'{"id":{"a":1},"device_id":{"a":1},"ts":{"a":1},"value":{"a":1},"name":{"a":1},"q":{"a":1}}',
    "truncated": b'{"a":1,"b":"',
    "backslashes": b'{"' + b"\\" * 100_001,
    "spaces": b" " * 1_000_000,
    "nuls": b"\0" * 1_000_000,
    "only-bom": b"\xef\xbb\xbf",
    "only-quote": b'"',
    "description": json.dumps({"metrics": {"a": {"min": "x"}}, "commands": {"b": {"schema": {"type": 5}}}}).encode(),
    "reply": b'{"id":"a","status":"succeeded","value":' + b"9" * 300 + b"}",
}


@pytest.mark.parametrize("horror", HORRORS)
def test_horrors(horror: str) -> None:
    payload = HORRORS[horror]
    # The megabytes only once: what they show does not depend on the topic.
    for topic in TOPICS if len(payload) < 100_000 else TOPICS[:1]:
        assert feed(topic, payload)


@pytest.mark.parametrize("horror", ["many-keys", "many-records", "many-ids", "many-lists"])
def test_the_first_values_count(horror: str) -> None:
    observations = feed("lab/oven/telemetry", HORRORS[horror])
    assert sum(len(one.values) for one in observations if isinstance(one, Readings)) == 500
    assert reasons(observations) == [Reason.TOO_MANY_VALUES]


@pytest.mark.parametrize(
    ("horror", "expected"),
    [
        ("deep-17", Reason.TOO_DEEP),
        ("deep-100000", Reason.TOO_DEEP),
        ("brackets-1000000", Reason.TOO_DEEP),
        ("lists-in-object", Reason.TOO_DEEP),
        ("many-elements", Reason.UNSUPPORTED),
        ("many-objects", Reason.TOO_MANY_VALUES),
        ("long-string", Reason.TEXT_TOO_LONG),
        ("long-text", Reason.TEXT_TOO_LONG),
        ("lone-surrogate", Reason.INVALID_JSON),
        ("raw-surrogate", Reason.INVALID_UTF8),
        ("raw-nul", Reason.BINARY),
        ("utf-16", Reason.BINARY),
        ("utf-32", Reason.BINARY),
        ("latin-1", Reason.INVALID_UTF8),
        ("overlong", Reason.INVALID_UTF8),
        ("truncated", Reason.INVALID_JSON),
        ("long-number", Reason.OUT_OF_RANGE),
    ],
)
def test_reasons(horror: str, expected: Reason) -> None:
    assert reasons(feed("lab/oven/telemetry", HORRORS[horror])) == [expected]


def test_missing_values_are_always_told() -> None:
    bad = {"x" * 129 + str(n): n for n in range(3_000)}
    for topic in ("devices/t1/telemetry", "lab/oven/telemetry"):
        observations = feed(topic, {"a": {"b": bad, "c": 1}})
        assert set(reasons(observations)) == {Reason.INVALID_NAME, Reason.TOO_MANY_VALUES}
        assert len(observations) <= 22


def test_what_is_kept() -> None:
    def kept(horror: str) -> dict[str, Any]:
        return metrics(feed("lab/oven/telemetry", HORRORS[horror]))

    assert kept("duplicate-keys") == {"a": 3}
    assert kept("bom") == {"a": 1}
    assert kept("integer-2-63") == {"a": 2**63, "b": -(2**63) - 1, "c": 2**70}
    assert kept("nan") == {"a": None, "b": None, "c": None, "d": None, "e": 0, "f": 0.0}
    assert kept("prototype") == {"__proto__.polluted": 1, "constructor.prototype.x": 1, "a.__proto__": 2}
    assert kept("markup") == {"<img src=x onerror=alert(1)>": "<script>alert(1)</script>"}
    assert kept("right-to-left") == {"\u202eabc": "\u202e123", "a\u200bb": 1, "e\u0301": 2, "\ufeff": 3}


# ----- fuzz ------------------------------------------------------------------------------------------------------

KEYS = st.sampled_from(
    [
        *("a", "temp_C", "ts", "time", "id", "device_id", "value", "v", "name", "data", "values", "unit", "sensor"),
        *("state", "status", "metrics", "commands", "schema", "type", "a.b", "", "__proto__", "version", "last_seen"),
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(RECEIVED_MS - 10**6, RECEIVED_MS + 10**6)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["ON", "online", "21.5", "12 km/h", "nan", "inf", "2026-01-01T01:00:00", "succeeded", "object"])
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=6)
)


@quick
@given(st.sampled_from(TOPICS), st.binary(max_size=300), st.booleans())
def test_random_bytes(topic: str, payload: bytes, retain: bool) -> None:
    check(decode(default_registry(), topic, payload, retain=retain))


@quick
@given(st.sampled_from(TOPICS), VALUES)
def test_random_json(topic: str, data: Any) -> None:
    check(decode(default_registry(), topic, data))


@quick
@given(st.sampled_from(TOPICS), VALUES, st.integers(0, 300), st.binary(max_size=3))
def test_damaged_json(topic: str, data: Any, at: int, damage: bytes) -> None:
    payload = json.dumps(data).encode()
    at = min(at, len(payload))
    check(decode(default_registry(), topic, payload[:at] + damage + payload[at + 1 :]))


@quick
@given(
    st.text(max_size=40) | st.lists(st.sampled_from(["devices", "a", "", "set", "telemetry", "$", "+"])).map("/".join),
    VALUES,
)
def test_random_topics(topic: str, data: Any) -> None:
    check(decode(default_registry(), topic, data))


@quick
@given(st.text(max_size=30) | st.from_regex(r"[+-]?[0-9.,eE ]{1,20}(km/h|°C|%)?", fullmatch=True))
def test_random_texts(text: str) -> None:
    check(decode(default_registry(), "lab/oven", text))
    check(decode(default_registry(), "lab/oven/telemetry", {"a": text, "time": text}))


FLAT = st.dictionaries(
    st.sampled_from(["a", "b", "temp_C", "ts", "time", "value", "name", "data", "state", "version"]),
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["ON", "21.5", "5 V", "nan", "heat", "2026-01-01T00:00:00Z", RECEIVED_MS, {"x": 1}, [1, 2]]),
    max_size=5,
)


@quick
@given(st.lists(FLAT, min_size=2, max_size=6))
def test_the_short_way_means_the_same(messages: list[dict[str, Any]]) -> None:
    """What a topic has taught changes the cost of a message, never its meaning."""
    taught = PlainConvention()
    for data in messages:
        one = message("lab/oven/telemetry", data)
        assert without_units(taught.decode(one)) == without_units(PlainConvention().decode(one))


def without_units(observations: Sequence[Observation]) -> list[Observation]:
    for one in observations:
        if isinstance(one, Readings):
            one.units = None
    return list(observations)
