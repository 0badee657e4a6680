"""The native convention, as docs/protocol.md promises it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.conventions import native as native_module
from bridge.conventions.native import NativeConvention
from bridge.core.model import (
    Availability,
    AvailabilityChange,
    CommandReply,
    CommandRequest,
    Ignored,
    Readings,
    Reason,
    Rejection,
    Removed,
    SignOfLife,
    TimeFlag,
)
from tests.unit.conventions.helpers import (
    RECEIVED_MS,
    RECEIVED_US,
    decode,
    message,
    metrics,
    readings,
    reasons,
    the_readings,
)

TELEMETRY = "devices/t1/telemetry"


@pytest.fixture
def native() -> NativeConvention:
    return NativeConvention()


@pytest.mark.parametrize(
    ("topic", "is_ours"),
    [
        ("devices/t1/telemetry", True),
        ("devices/t1/description", True),
        ("devices/../status", True),
        ("devices//results", True),
        ("devices/t1/other", False),
        ("devices/t1/messages/events", False),
        ("devices/telemetry", False),
        ("/devices/t1/telemetry", False),
        ("Devices/t1/telemetry", False),
        ("devices/a/b/telemetry", False),
    ],
)
def test_recognises(native: NativeConvention, topic: str, is_ours: bool) -> None:
    assert native.recognises(message(topic, b"")) is is_ours


@pytest.mark.parametrize("device", ["t1", "A.b_c:d-1", "x" * 64, "...", "1"])
def test_device_ids(native: NativeConvention, device: str) -> None:
    assert the_readings(decode(native, f"devices/{device}/telemetry", {"a": 1})).device == device


@pytest.mark.parametrize("device", ["", ".", "..", "x" * 65, "a b", "é", "a\n", "<b>", "a\0"])
@pytest.mark.parametrize("word", ["description", "status", "telemetry", "commands", "results"])
def test_other_ids_are_refused(native: NativeConvention, device: str, word: str) -> None:
    assert reasons(decode(native, f"devices/{device}/{word}", {"a": 1})) == [Reason.INVALID_NAME]


class TestTelemetry:
    def test_flat(self, native: NativeConvention) -> None:
        data = {"time": RECEIVED_MS - 10, "temperature": 21.4, "on": True, "mode": "heat", "gone": None, "n": 3}
        for _ in range(3):  # the general way first, then the short one
            assert decode(native, TELEMETRY, data) == [
                Readings(
                    "t1",
                    [("temperature", 21.4), ("on", True), ("mode", "heat"), ("gone", None), ("n", 3)],
                    RECEIVED_US - 10_000,
                )
            ]

    def test_types_are_kept(self, native: NativeConvention) -> None:
        data = {"a": 1, "b": 1.0, "c": True, "d": "21.5", "e": "ON", "f": "", "g": 2**70, "h": "unknown"}
        for _ in range(2):
            found = metrics(decode(native, TELEMETRY, data))
            assert found == data
            assert [type(value) for value in found.values()] == [type(value) for value in data.values()]

    def test_nested_objects_become_dotted_names(self, native: NativeConvention) -> None:
        data = {"env": {"temp": 1, "air": {"co2": 600}}, "a.b": 2, "axes": [1, 2]}
        expected = {"env.temp": 1, "env.air.co2": 600, "a.b": 2, "axes.0": 1, "axes.1": 2}
        assert metrics(decode(native, TELEMETRY, data)) == expected

    def test_value_objects_are_no_special_case(self, native: NativeConvention) -> None:
        assert metrics(decode(native, TELEMETRY, {"t": {"value": 1, "unit": "C"}})) == {"t.value": 1, "t.unit": "C"}

    @pytest.mark.parametrize("time", [RECEIVED_MS, "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00"])
    def test_time(self, native: NativeConvention, time: Any) -> None:
        for _ in range(2):
            one = the_readings(decode(native, TELEMETRY, {"time": time, "a": 1}))
            assert (one.time_us, one.time_flag) == (RECEIVED_US, TimeFlag.OK)

    @pytest.mark.parametrize(
        ("ahead_ms", "flag"),
        [(0, "OK"), (300_000, "OK"), (300_001, "CLOCK_SUSPECT"), (-60_000, "OK"), (-60_001, "LATE")],
    )
    def test_time_is_judged(self, native: NativeConvention, ahead_ms: int, flag: str) -> None:
        time_us = None if flag == "CLOCK_SUSPECT" else RECEIVED_US + ahead_ms * 1000
        for _ in range(2):
            one = the_readings(decode(native, TELEMETRY, {"time": RECEIVED_MS + ahead_ms, "a": 1}))
            assert (one.time_us, one.time_flag) == (time_us, TimeFlag[flag])

    def test_a_time_that_is_none_is_told(self, native: NativeConvention) -> None:
        for _ in range(2):
            observations = decode(native, TELEMETRY, {"time": "noon", "a": 1})
            assert metrics(observations) == {"a": 1}
            assert the_readings(observations).time_us is None
            assert reasons(observations) == [Reason.UNSUPPORTED]

    def test_nothing_but_life(self, native: NativeConvention) -> None:
        assert decode(native, TELEMETRY, {}) == [SignOfLife("t1")]
        assert decode(native, TELEMETRY, {"time": RECEIVED_MS}) == [SignOfLife("t1")]

    @pytest.mark.parametrize("payload", ["5", "[1]", '"text"', "null"])
    def test_only_objects(self, native: NativeConvention, payload: str) -> None:
        observations = decode(native, TELEMETRY, payload)
        assert reasons(observations) == [Reason.UNSUPPORTED]
        assert readings(observations) == []

    def test_one_bad_value_spares_the_others(self, native: NativeConvention) -> None:
        for _ in range(2):
            observations = decode(native, TELEMETRY, {"a": 1, "long": "x" * 1025, "b": 2, "c": "y" * 1024})
            assert metrics(observations) == {"a": 1, "b": 2, "c": "y" * 1024}
            assert observations[1:] == [Rejection(Reason.TEXT_TOO_LONG, "long", "t1")]

    @pytest.mark.parametrize("opening", [b"[", b'{"a":'])
    def test_deep(self, native: NativeConvention, opening: bytes) -> None:
        assert reasons(decode(native, TELEMETRY, b'{"a":' + opening * 100_000)) == [Reason.TOO_DEEP]

    def test_a_nul_in_a_text(self, native: NativeConvention) -> None:
        decode(native, TELEMETRY, {"a": "fine"})
        assert reasons(decode(native, TELEMETRY, {"a": "x\0y"})) == [Reason.BINARY]

    def test_cleared(self, native: NativeConvention) -> None:
        assert decode(native, TELEMETRY, b"", retain=True) == [Ignored("cleared")]


class TestDescription:
    TOPIC = "devices/t1/description"

    def describe(self, native: NativeConvention, data: Any) -> list[Any]:
        return decode(native, self.TOPIC, data, retain=True)

    def test_whole(self, native: NativeConvention) -> None:
        schema = {"type": "object", "properties": {"value": {"type": "number"}}, "required": ["value"]}
        (description,) = self.describe(
            native,
            {
                "name": "Thermostat hall 2",
                "manufacturer": "Fleetwire",
                "model": "thermostat",
                "sw_version": "1.0",
                "area": "Hall 2",
                "later": {"added": True},
                "metrics": {
                    "temperature": {
                        "name": "Temperature",
                        "unit": "°C",
                        "datatype": "number",
                        "min": 5,
                        "max": 35,
                        "precision": 1,
                        "later": 1,
                    },
                    "heating": {"datatype": "boolean"},
                    "mode": {"datatype": "text"},
                    "plain": {},
                },
                "commands": {
                    "set_setpoint": {"title": "Set the setpoint", "description": "°C", "schema": schema},
                    "reboot": {"danger": True},
                },
            },
        )
        assert (description.device, description.name, description.area) == ("t1", "Thermostat hall 2", "Hall 2")
        assert (description.manufacturer, description.model, description.sw_version) == (
            "Fleetwire",
            "thermostat",
            "1.0",
        )
        temperature = description.metrics["temperature"]
        assert (temperature.name, temperature.unit, temperature.unit_source) == ("Temperature", "°C", "declared")
        assert (temperature.min, temperature.max, temperature.precision) == (5.0, 35.0, 1)
        assert description.metrics["plain"].unit_source == ""
        assert [info.kind for info in description.metrics.values()] == ["number", "boolean", "text", "unknown"]
        assert description.commands["set_setpoint"].schema == schema
        assert description.commands["set_setpoint"].danger is False
        assert description.commands["reboot"].danger is True

    @pytest.mark.parametrize(
        ("datatype", "kind"),
        [
            ("number", "number"),
            ("integer", "number"),
            ("float", "number"),
            ("boolean", "boolean"),
            ("text", "text"),
            ("string", "text"),
        ],
    )
    def test_datatypes(self, native: NativeConvention, datatype: str, kind: str) -> None:
        (description,) = self.describe(native, {"metrics": {"a": {"datatype": datatype}}})
        assert description.metrics["a"].kind == kind

    @pytest.mark.parametrize(
        "bad",
        [
            {"name": 5},
            {"name": "x" * 257},
            {"area": "a\0b"},
            {"metrics": [1]},
            {"metrics": {"": {}}},
            {"metrics": {"x" * 257: {}}},
            {"metrics": {"a": 5}},
            {"metrics": {"a": {"unit": "u" * 33}}},
            {"metrics": {"a": {"datatype": "complex"}}},
            {"metrics": {"a": {"datatype": ["number"]}}},
            {"metrics": {"a": {"min": "5"}}},
            {"metrics": {"a": {"min": True}}},
            {"metrics": {"a": {"min": 5, "max": 4}}},
            {"metrics": {"a": {"max": 2**1024}}},
            {"metrics": {"a": {"precision": -1}}},
            {"metrics": {"a": {"precision": 1.5}}},
            {"metrics": {"a": {"precision": True}}},
            {"commands": "reboot"},
            {"commands": {"a": None}},
            {"commands": {"a": {"schema": []}}},
            {"commands": {"a": {"schema": {"type": "array"}}}},
            {"commands": {"a": {"schema": {"properties": {}}}}},
            {"commands": {"a": {"schema": {"type": "object", "title": "x" * 17_000}}}},
            {"commands": {"a": {"title": []}}},
            {"commands": {"a": {"description": "x" * 1025}}},
            {"commands": {"a": {"danger": 0}}},
        ],
        ids=lambda bad: json.dumps(bad)[:40],
    )
    def test_bad_parts_do_not_hide_good_ones(self, native: NativeConvention, bad: dict[str, Any]) -> None:
        good = {"model": "m", "metrics": {"good": {"unit": "V"}}, "commands": {"good": {}}}
        merged: dict[str, Any] = {**good, **bad}
        for key in ("metrics", "commands"):
            if isinstance(bad.get(key), dict):
                merged[key] = {**good[key], **bad[key]}  # type: ignore[dict-item]
        description, *rejected = self.describe(native, merged)
        assert reasons(rejected) == [Reason.INVALID_DESCRIPTION]
        assert rejected[0].device == "t1"
        assert description.model == "m"
        for key in ("metrics", "commands"):
            if isinstance(bad.get(key, {}), dict):
                assert "good" in getattr(description, key)

    def test_an_unchecked_command_is_none(self, native: NativeConvention) -> None:
        description, _ = self.describe(native, {"commands": {"a": {"schema": {"type": "array"}}}})
        assert description.commands == {}

    def test_a_doubtful_danger_is_a_danger(self, native: NativeConvention) -> None:
        description, _ = self.describe(native, {"commands": {"a": {"danger": "no"}}})
        assert description.commands["a"].danger is True

    def test_too_many(self, native: NativeConvention) -> None:
        data = {"metrics": {f"m{n}": {} for n in range(1001)}, "commands": {f"c{n}": {} for n in range(201)}}
        description, *rejected = self.describe(native, data)
        assert (len(description.metrics), len(description.commands)) == (1000, 200)
        assert len(rejected) == 2

    def test_rejections_are_bounded(self, native: NativeConvention) -> None:
        _, *rejected = self.describe(native, {"metrics": {f"m{n}": {"unit": n} for n in range(900)}})
        assert len(rejected) == 20

    @pytest.mark.parametrize("payload", ["[]", "5", "null", "text", "{"])
    def test_not_an_object(self, native: NativeConvention, payload: str) -> None:
        observations = self.describe(native, payload)
        assert len(observations) == 1
        assert isinstance(observations[0], Rejection)

    @pytest.mark.parametrize("retain", [True, False])
    def test_cleared(self, native: NativeConvention, retain: bool) -> None:
        assert decode(native, self.TOPIC, b"", retain=retain) == [Removed("t1")]


@pytest.mark.parametrize(
    ("payload", "availability", "source"),
    [
        ("online", Availability.ONLINE, "lwt"),
        ("offline", Availability.OFFLINE, "lwt"),
        (" Offline\n", Availability.OFFLINE, "lwt"),
        ('"online"', Availability.ONLINE, "lwt"),
        ('{"status": "online"}', Availability.ONLINE, "status"),
        ('{"status":"offline","since":5}', Availability.OFFLINE, "status"),
    ],
)
def test_status(native: NativeConvention, payload: str, availability: Availability, source: str) -> None:
    assert decode(native, "devices/t1/status", payload) == [AvailabilityChange("t1", availability, source)]


@pytest.mark.parametrize("payload", ["on", "5", "{}", '{"status": 1}', '{"status": ["online"]}', "[]", "null"])
def test_bad_status(native: NativeConvention, payload: str) -> None:
    assert reasons(decode(native, "devices/t1/status", payload)) == [Reason.UNSUPPORTED]


def test_cleared_status(native: NativeConvention) -> None:
    assert decode(native, "devices/t1/status", b"") == [Ignored("cleared")]


class TestResults:
    TOPIC = "devices/t1/results"

    def test_succeeded(self, native: NativeConvention) -> None:
        data = {"id": "c-1", "status": "succeeded", "value": {"setpoint": [21, None]}}
        assert decode(native, self.TOPIC, data) == [CommandReply("t1", "c-1", True, {"setpoint": [21, None]})]

    def test_failed(self, native: NativeConvention) -> None:
        data = {"id": "x" * 64, "status": "failed", "error": "too hot"}
        assert decode(native, self.TOPIC, data) == [CommandReply("t1", "x" * 64, False, None, "too hot")]

    def test_an_error_object_becomes_text(self, native: NativeConvention) -> None:
        (reply,) = decode(native, self.TOPIC, {"id": "a", "status": "failed", "error": {"code": 5}})
        assert isinstance(reply, CommandReply)
        assert json.loads(reply.error) == {"code": 5}

    def test_large_parts_are_cut(self, native: NativeConvention) -> None:
        data = {"id": "a", "status": "succeeded", "value": "x" * 20_000, "error": "y" * 600}
        reply, rejection = decode(native, self.TOPIC, data)
        assert reply == CommandReply("t1", "a", True, None, "y" * 500)
        assert rejection == Rejection(Reason.TEXT_TOO_LONG, "the value of a reply", "t1")

    @pytest.mark.parametrize(
        "data",
        [
            {"status": "succeeded"},
            {"id": "", "status": "succeeded"},
            {"id": 5, "status": "succeeded"},
            {"id": "x" * 65, "status": "succeeded"},
            {"id": "a"},
            {"id": "a", "status": "ok"},
            {"id": "a", "status": True},
            {"id": "a", "status": ["succeeded"]},
            [],
            5,
        ],
    )
    def test_invalid(self, native: NativeConvention, data: Any) -> None:
        observations = decode(native, self.TOPIC, data)
        assert reasons(observations) == [Reason.INVALID_REPLY]
        assert len(observations) == 1

    def test_not_json(self, native: NativeConvention) -> None:
        assert reasons(decode(native, self.TOPIC, "done")) == [Reason.INVALID_JSON]


class TestCommands:
    def test_on_their_way(self, native: NativeConvention) -> None:
        assert decode(native, "devices/t1/commands", {"id": "a"}) == [Ignored("command")]

    def test_encode(self, native: NativeConvention) -> None:
        publish = native.encode_command(CommandRequest("c-1", "t1", "set", {"value": 21.5}, 1_767_225_630_000_999))
        assert publish.topic == "devices/t1/commands"
        assert json.loads(publish.payload) == {
            "id": "c-1",
            "name": "set",
            "args": {"value": 21.5},
            "expires": 1_767_225_630_000,
        }
        assert (publish.qos, publish.retain, publish.expires_s) == (1, False, None)


def test_memory_is_bounded(native: NativeConvention, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_module, "MAX_TOPICS", 10)
    monkeypatch.setattr(native_module, "MAX_NAMES", 10)
    for n in range(50):
        assert metrics(decode(native, f"devices/d{n}/telemetry", {f"m{n}": n})) == {f"m{n}": n}
    assert len(native._routes) <= 10
    assert len(native._names) <= 10
