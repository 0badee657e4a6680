"""Plain devices: which device, which metrics, which time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.conventions import plain as plain_module
from bridge.conventions import routes
from bridge.conventions.objects import ObjectReader
from bridge.conventions.plain import PlainConvention
from bridge.conventions.routes import Routes
from bridge.conventions.times import LocalOffsets
from bridge.core.model import (
    Availability,
    AvailabilityChange,
    CommandReply,
    CommandRequest,
    Ignored,
    Readings,
    Reason,
    Rejection,
    SignOfLife,
    TimeFlag,
    Value,
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
    units,
    values,
)

TOPIC = "lab/oven/telemetry"


@pytest.fixture
def plain() -> PlainConvention:
    return PlainConvention()


def devices(observations: list[Any]) -> set[str]:
    return {device for device, _ in values(observations)}


class TestNames:
    @pytest.mark.parametrize(
        ("topic", "device"),
        [
            ("lab/oven", "lab/oven"),
            ("lab/oven/telemetry", "lab/oven"),
            ("lab/oven/State", "lab/oven"),
            ("lab/oven/state/telemetry", "lab/oven/state"),
            ("telemetry", "telemetry"),
            ("/telemetry", "telemetry"),
            ("/lab/oven", "lab/oven"),
            ("//lab/oven", "/lab/oven"),
            ("lab//oven", "lab//oven"),
            ("oven", "oven"),
            ("lab/oven/", "lab/oven"),
            ("/", "/"),
            ("//", "/"),
            ("lab/%2e%2e/<b>/__proto__", "lab/%2e%2e/<b>/__proto__"),
        ],
    )
    def test_device_of_an_object(self, plain: PlainConvention, topic: str, device: str) -> None:
        for _ in range(2):
            assert devices(decode(plain, topic, {"a": 1})) == {device}

    @pytest.mark.parametrize(
        ("topic", "device", "metric"),
        [
            ("lab/oven/temp", "lab/oven", "temp"),
            ("lab/oven/state", "lab/oven", "state"),
            ("temp", "temp", "value"),
            ("/temp", "temp", "value"),
            ("lab/oven/", "lab/oven", "value"),
            ("lab//temp", "lab/", "temp"),
            ("a/constructor", "a", "constructor"),
        ],
    )
    def test_names_of_a_single_value(self, plain: PlainConvention, topic: str, device: str, metric: str) -> None:
        for payload in ("5", "5", "text"):
            (key,) = values(decode(plain, topic, payload))
            assert key == (device, metric)

    @pytest.mark.parametrize("topic", ["", "lab/+/temp", "lab/#", "lab/\0", "#"])
    def test_no_topics(self, plain: PlainConvention, topic: str) -> None:
        assert reasons(decode(plain, topic, "5")) == [Reason.INVALID_NAME]

    @pytest.mark.parametrize("topic", ["$SYS/broker/uptime", "$share/x", "$"])
    def test_system_topics(self, plain: PlainConvention, topic: str) -> None:
        assert decode(plain, topic, "5") == [Ignored("system")]

    @pytest.mark.parametrize(
        "topic",
        [
            *["oven/set", "oven/cmd", "oven/CMND", "oven/command", "oven/set/temp", "oven/rpc/3", "set", "oven/get"],
            *["oven/request", "oven/write/dp", "command/ack", "/command/ack"],
        ],
    )
    def test_commands_are_no_telemetry(self, plain: PlainConvention, topic: str) -> None:
        for payload in ("5", '{"a": 1}', b"", b"\xff"):
            assert decode(plain, topic, payload) == [Ignored("command")]

    @pytest.mark.parametrize("topic", ["openWB/get/power", "oven/setting", "oven/offset/temp", "set/oven/temp"])
    def test_what_only_looks_like_a_command(self, plain: PlainConvention, topic: str) -> None:
        assert len(values(decode(plain, topic, "5"))) == 1

    @pytest.mark.parametrize(
        "key", ["__proto__", "constructor", "<img src=x>", "\u202eabc", "a\u200bb", " ", "x" * 128]
    )
    def test_any_key_is_a_name(self, plain: PlainConvention, key: str) -> None:
        for _ in range(2):
            assert metrics(decode(plain, TOPIC, {key: 1, "nested": {key: 2}})) == {key: 1, f"nested.{key}": 2}

    @pytest.mark.parametrize("key", ["", "x" * 129, "a\0"])
    def test_no_keys(self, plain: PlainConvention, key: str) -> None:
        for _ in range(2):
            observations = decode(plain, TOPIC, {key: 1, "good": 2, "nested": {key: 3}})
            assert metrics(observations) == {"good": 2}
            assert reasons(observations) == [Reason.INVALID_NAME] * 2

    def test_the_whole_name_is_bounded(self, plain: PlainConvention) -> None:
        observations = decode(plain, TOPIC, {"a" * 128: {"b" * 127: 1, "c" * 128: 2}, "d": 3})
        assert metrics(observations) == {"a" * 128 + "." + "b" * 127: 1, "d": 3}
        assert reasons(observations) == [Reason.INVALID_NAME]


class TestDeviceInThePayload:
    def test_at_once(self, plain: PlainConvention) -> None:
        assert values(decode(plain, "sensors/up", {"device_id": 17, "temp": 4})) == {("17", "temp"): 4}
        assert values(decode(plain, "sensors/up", {"devEUI": "70B3", "temp": 4})) == {("70B3", "temp"): 4}

    def test_unless_the_topic_names_it_too(self, plain: PlainConvention) -> None:
        data = {"device_id": "OVEN", "temp": 4}
        assert values(decode(plain, "lab/oven/telemetry", data)) == {("lab/oven", "temp"): 4}

    @pytest.mark.parametrize("bad", ["a/+/b", "#", "", "  ", "$SYS", "x" * 129, "a\0", True, None, 1.5, [], 10**31])
    def test_bad_ids(self, plain: PlainConvention, bad: Any) -> None:
        observations = decode(plain, "sensors/up", {"device_id": bad, "temp": 4})
        assert values(observations) == {("sensors", "temp"): 4}
        assert reasons(observations) == [Reason.INVALID_NAME]

    def test_a_shared_topic_is_noticed(self, plain: PlainConvention) -> None:
        def tell(sensor: str) -> set[str]:
            return devices(decode(plain, "hall/sensors", {"sensor": sensor, "temp": 4}))

        assert [tell("a"), tell("b"), tell("a")] == [{"hall"}] * 3  # not known yet
        assert [tell("b"), tell("a"), tell("c")] == [{"hall/b"}, {"hall/a"}, {"hall/c"}]

    def test_one_sensor_is_no_reason(self, plain: PlainConvention) -> None:
        for _ in range(10):
            observations = decode(plain, "hall/state", {"sensor": "DHT22", "temp": 4})
            assert values(observations) == {("hall", "sensor"): "DHT22", ("hall", "temp"): 4}

    def test_a_counter_is_no_device(self, plain: PlainConvention) -> None:
        for n in [*range(200), *range(200)]:
            assert devices(decode(plain, "hall/state", {"id": n, "temp": 4})) == {"hall"}


class TestObjects:
    def test_nested(self, plain: PlainConvention) -> None:
        data = {"a": {"b": 1, "c": {"d": 2}}, "a.b": 3, "e\\": {"f": 4}, "e\\.f": 5, "g": {}}
        expected = {"a.b": 1, "a.c.d": 2, "a\\.b": 3, "e\\\\.f": 4, "e\\\\\\.f": 5}
        for _ in range(2):
            assert metrics(decode(plain, TOPIC, data)) == expected

    def test_lists(self, plain: PlainConvention) -> None:
        observations = decode(plain, TOPIC, {"axes": [1, 2], "wave": list(range(17)), "mixed": [1, "a", {"b": 2}]})
        assert metrics(observations) == {"axes.0": 1, "axes.1": 2, "mixed.0": 1, "mixed.1": "a", "mixed.2.b": 2}
        assert reasons(observations) == [Reason.UNSUPPORTED]
        assert len(metrics(decode(plain, TOPIC, {"full": list(range(16))}))) == 16

    def test_objects_in_lists_are_told_apart_by_id(self, plain: PlainConvention) -> None:
        data = {"s": [{"id": "b", "t": 1}, {"id": "a", "t": 2}]}
        assert metrics(decode(plain, TOPIC, data)) == {"s.b.t": 1, "s.a.t": 2}
        same = {"s": [{"id": "a", "t": 1}, {"id": "a", "t": 2}]}
        found = metrics(decode(plain, TOPIC, same))
        assert found == {"s.0.id": "a", "s.0.t": 1, "s.1.id": "a", "s.1.t": 2}

    @pytest.mark.parametrize("envelope", ["data", "values", "payload", "fields", "measurements", "metrics"])
    def test_envelopes(self, plain: PlainConvention, envelope: str) -> None:
        data = {"fw": 3, envelope: {"rpm": 900, "fw": 4, "ts": RECEIVED_MS}}
        observations = decode(plain, TOPIC, data)
        assert metrics(observations) == {"rpm": 900, "fw": 3, f"{envelope}.fw": 4}
        assert the_readings(observations).time_us == RECEIVED_US

    def test_two_envelopes_are_none(self, plain: PlainConvention) -> None:
        found = metrics(decode(plain, TOPIC, {"data": {"a": 1}, "values": {"a": 2}}))
        assert found == {"data.a": 1, "values.a": 2}

    def test_kepware(self, plain: PlainConvention) -> None:
        data = {
            "timestamp": RECEIVED_MS,
            "values": [
                {"id": "Ch.Dev.A", "v": 1, "q": True, "t": RECEIVED_MS - 1000},
                {"id": "Ch.Dev.B", "v": 2, "q": False, "t": RECEIVED_MS},
            ],
        }
        first, second = readings(decode(plain, "iotgateway", data))
        assert (first.values, first.time_us) == ([("Ch\\.Dev\\.B", None)], RECEIVED_US)
        assert (second.values, second.time_us) == ([("Ch\\.Dev\\.A", 1)], RECEIVED_US - 1_000_000)

    def test_value_objects(self, plain: PlainConvention) -> None:
        data = {"temp": {"value": 21.5, "unit": "C", "ts": RECEIVED_MS}, "v": {"val": 3, "unit": "parsecs"}}
        observations = decode(plain, TOPIC, data)
        assert metrics(observations) == {"temp": 21.5, "v": 3}
        assert units(observations) == {"temp": ("°C", "declared"), "v": ("parsecs", "declared")}

    @pytest.mark.parametrize("quality", [0, False, "bad"])
    def test_bad_quality(self, plain: PlainConvention, quality: Any) -> None:
        assert metrics(decode(plain, TOPIC, {"temp": {"value": 1, "quality": quality}})) == {"temp": None}

    @pytest.mark.parametrize("quality", [192, True, "good", [], {}])
    def test_good_quality(self, plain: PlainConvention, quality: Any) -> None:
        assert metrics(decode(plain, TOPIC, {"temp": {"value": 1, "quality": quality}})) == {"temp": 1}

    def test_a_value_object_at_the_top_is_a_single_value(self, plain: PlainConvention) -> None:
        data = {"time": RECEIVED_MS, "value": 5}
        for _ in range(2):
            assert values(decode(plain, "zwave/node/power", data)) == {("zwave/node", "power"): 5}
            assert values(decode(plain, "lab/oven/state", data)) == {("lab/oven", "value"): 5}

    def test_records(self, plain: PlainConvention) -> None:
        assert metrics(decode(plain, TOPIC, {"name": "temp", "value": 20})) == {"temp": 20}
        assert metrics(decode(plain, TOPIC, {"name": "hum", "value": 40, "unit": "%"})) == {"hum": 40}
        both = [{"name": "temp", "value": 20}, {"name": "hum", "value": 40}]
        assert metrics(decode(plain, TOPIC, {"measurements": both})) == {"temp": 20, "hum": 40}
        assert metrics(decode(plain, TOPIC, both)) == {"temp": 20, "hum": 40}

    def test_a_batch_of_records(self, plain: PlainConvention) -> None:
        data = [{"ts": RECEIVED_MS - 2000, "temp": 20}, {"ts": RECEIVED_MS - 1000, "temp": 21}]
        for _ in range(2):
            first, second = readings(decode(plain, TOPIC, data))
            assert first == Readings("lab/oven", [("temp", 20)], RECEIVED_US - 2_000_000)
            assert second == Readings("lab/oven", [("temp", 21)], RECEIVED_US - 1_000_000)

    def test_a_list_of_numbers(self, plain: PlainConvention) -> None:
        assert values(decode(plain, "lab/accel", [1, 2])) == {("lab", "accel.0"): 1, ("lab", "accel.1"): 2}
        assert reasons(decode(plain, "lab/accel", list(range(100)))) == [Reason.UNSUPPORTED]

    @pytest.mark.parametrize("payload", ["{}", "[]", '{"ts": 1767225600000}', '{"a": {}}', "null", "[[],{}]"])
    def test_life_without_values(self, plain: PlainConvention, payload: str) -> None:
        for _ in range(2):
            (life,) = decode(plain, TOPIC, payload)
            assert life == SignOfLife("lab/oven")

    def test_texts_are_read(self, plain: PlainConvention) -> None:
        data = {"relay": "ON", "lvl": "12.5", "sn": "00420", "mode": "heat", "gone": "unavailable", "fw": "1.10"}
        expected: dict[str, Value] = {**data, "relay": True, "lvl": 12.5, "gone": None}
        for _ in range(3):
            assert metrics(decode(plain, TOPIC, data)) == expected

    def test_one_bad_text_spares_the_others(self, plain: PlainConvention) -> None:
        for _ in range(3):
            observations = decode(plain, TOPIC, {"a": 1, "long": "x" * 1025, "inf": "inf", "b": 2})
            assert metrics(observations) == {"a": 1, "inf": None, "b": 2}
            assert observations[1:] == [
                Rejection(Reason.TEXT_TOO_LONG, "long", "lab/oven"),
                Rejection(Reason.NOT_FINITE, "inf", "lab/oven"),
            ]

    def test_integers(self, plain: PlainConvention) -> None:
        data = {"a": 2**63, "b": 2**70, "c": -(2**70), "d": 2**1023}
        for _ in range(2):
            assert metrics(decode(plain, TOPIC, data)) == data
            observations = decode(plain, TOPIC, {"a": 2**1024, "b": 1})
            assert metrics(observations) == {"a": None, "b": 1}
            assert reasons(observations) == [Reason.OUT_OF_RANGE]

    def test_too_many_values(self, plain: PlainConvention) -> None:
        for _ in range(2):
            observations = decode(plain, TOPIC, {f"m{n}": n for n in range(501)})
            assert len(metrics(observations)) == 500
            assert reasons(observations) == [Reason.TOO_MANY_VALUES]
            assert len(metrics(decode(plain, TOPIC, {f"m{n}": n for n in range(500)}))) == 500
            for start in range(0, 2000, 400):
                decode(plain, TOPIC, {f"m{n}": n for n in range(start, start + 400)})


class TestTime:
    @pytest.mark.parametrize(
        "key",
        [
            *["ts", "time", "timestamp", "timestamp_ms", "_time", "datetime", "date_time", "dateTime", "tst", "Time"],
            *["received_at", "measured_at", "created_at", "last_seen", "lastUpdate", "epoch", "timestamp_ns"],
        ],
    )
    def test_keys(self, plain: PlainConvention, key: str) -> None:
        for raw in (RECEIVED_MS, RECEIVED_MS, "2026-01-01T00:00:00Z", RECEIVED_MS // 1000, float(RECEIVED_MS)):
            observations = decode(plain, TOPIC, {key: raw, "temp": 1})
            assert observations == [Readings("lab/oven", [("temp", 1)], RECEIVED_US)]

    def test_the_measurement_wins(self, plain: PlainConvention) -> None:
        data = {"last_seen": "2025-12-31T00:00:00Z", "ts": RECEIVED_MS, "temp": 1}
        for _ in range(2):
            assert decode(plain, TOPIC, data) == [Readings("lab/oven", [("temp", 1)], RECEIVED_US)]

    def test_what_is_no_time_is_a_value(self, plain: PlainConvention) -> None:
        decode(plain, TOPIC, {"time": RECEIVED_MS, "temp": 1})
        for _ in range(2):
            assert metrics(decode(plain, TOPIC, {"time": "evening", "temp": 1})) == {"time": "evening", "temp": 1}

    def test_t_is_a_value(self, plain: PlainConvention) -> None:
        assert metrics(decode(plain, TOPIC, {"t": 21.5, "h": 40})) == {"t": 21.5, "h": 40}

    @pytest.mark.parametrize(
        ("raw", "flag"),
        [(0, "CLOCK_SUSPECT"), (RECEIVED_MS + 400_000, "CLOCK_SUSPECT"), (RECEIVED_MS - 90_000, "LATE")],
    )
    def test_flags(self, plain: PlainConvention, raw: int, flag: str) -> None:
        for _ in range(2):
            one = the_readings(decode(plain, TOPIC, {"ts": raw, "temp": 1}))
            assert one.time_flag is TimeFlag[flag]
            assert one.time_us == (raw * 1000 if flag == "LATE" else None)

    def test_no_time(self, plain: PlainConvention) -> None:
        for data in ({"temp": 1}, {"temp": 1}, {"ts": None, "temp": 1}):
            assert decode(plain, TOPIC, data) == [Readings("lab/oven", [("temp", 1)])]

    def test_local_times_are_learnt_by_device(self, plain: PlainConvention) -> None:
        data = {"Time": "2026-01-01T01:00:00", "temp": 1}
        assert the_readings(decode(plain, TOPIC, data, retain=True)).time_flag is TimeFlag.CLOCK_SUSPECT
        for _ in range(2):
            assert the_readings(decode(plain, TOPIC, data)).time_us == RECEIVED_US
        late = decode(plain, TOPIC, data, received_us=RECEIVED_US + 400_000_000)
        assert the_readings(late).time_us == RECEIVED_US
        assert the_readings(late).time_flag is TimeFlag.LATE


class TestUnits:
    def test_told_once(self, plain: PlainConvention) -> None:
        data = {"temp_C": 1, "co2_ppm": 2, "plain": 3}
        assert units(decode(plain, TOPIC, data)) == {"temp_C": ("°C", "inferred"), "co2_ppm": ("ppm", "inferred")}
        for _ in range(2):
            assert the_readings(decode(plain, TOPIC, data)).units is None
        assert units(decode(plain, TOPIC, {**data, "new_V": 1})) == {"new_V": ("V", "inferred")}
        assert units(decode(plain, "lab/other/telemetry", data)).keys() == {"temp_C", "co2_ppm"}

    @pytest.mark.parametrize("first", [None, "unavailable", True])
    def test_told_with_the_first_number(self, plain: PlainConvention, first: Any) -> None:
        for _ in range(2):
            assert units(decode(plain, TOPIC, {"temp_C": first})) == {}
        assert units(decode(plain, TOPIC, {"temp_C": 20})) == {"temp_C": ("°C", "inferred")}

    def test_a_changed_unit_is_told_again(self, plain: PlainConvention) -> None:
        assert units(decode(plain, "lab/wind", "5 km/h")) == {"wind": ("km/h", "declared")}
        assert units(decode(plain, "lab/wind", "6 km/h")) == {}
        assert units(decode(plain, "lab/wind", "6 mph")) == {"wind": ("mph", "declared")}

    def test_of_single_values(self, plain: PlainConvention) -> None:
        assert units(decode(plain, "lab/temp_C", "5")) == {"temp_C": ("°C", "inferred")}
        assert units(decode(plain, "lab/temp_C", "5")) == {}

    def test_texts_and_switches_have_none(self, plain: PlainConvention) -> None:
        assert units(decode(plain, TOPIC, {"mode_C": "heat", "relay_V": True, "gone_A": None})) == {}


class TestSingleValues:
    @pytest.mark.parametrize("payload", ["21.5", " 21.5\n", '"21.5"', "21.5\0"])
    def test_numbers(self, plain: PlainConvention, payload: str) -> None:
        for _ in range(2):
            assert decode(plain, "lab/temp", payload) == [Readings("lab", [("temp", 21.5)])]

    def test_all_kinds_on_one_topic(self, plain: PlainConvention) -> None:
        payloads = ["5", "ON", "6", "true", "nan", "7", "null", "open", "[1]", "-8", '{"a":1}', "9", str(2**70)]
        found = [list(values(decode(plain, "lab/x", payload)).values()) for payload in payloads]
        assert found == [[5], [True], [6], [True], [None], [7], [None], ["open"], [1], [-8], [1], [9], [2**70]]

    def test_null_before_any_value(self, plain: PlainConvention) -> None:
        assert decode(plain, "lab/temp", "null") == [SignOfLife("lab/temp")]

    @pytest.mark.parametrize("payload", [str(2**1024), "1e999", "9" * 4301])
    def test_out_of_range(self, plain: PlainConvention, payload: str) -> None:
        decode(plain, "lab/temp", "1")
        observations = decode(plain, "lab/temp", payload)
        assert metrics(observations) == {"temp": None}
        assert reasons(observations) == [Reason.OUT_OF_RANGE]

    def test_refusals_name_the_device(self, plain: PlainConvention) -> None:
        (rejection,) = decode(plain, TOPIC, '{"temp": 21.5')
        assert isinstance(rejection, Rejection)
        assert (rejection.reason, rejection.device) == (Reason.INVALID_JSON, "lab/oven")

    def test_text_too_long(self, plain: PlainConvention) -> None:
        assert decode(plain, "lab/log", "x" * 1025) == [Rejection(Reason.TEXT_TOO_LONG, "log", "lab")]

    @pytest.mark.parametrize("retain", [True, False])
    def test_cleared(self, plain: PlainConvention, retain: bool) -> None:
        decode(plain, "lab/temp", "5")
        assert decode(plain, "lab/temp", b"", retain=retain) == [Ignored("cleared")]


class TestAvailability:
    """A last will must not be taken as a sign of life."""

    @pytest.mark.parametrize("word", ["LWT", "status", "state", "availability", "connection", "online", "connected"])
    def test_words(self, plain: PlainConvention, word: str) -> None:
        for payload, availability in (("Online", Availability.ONLINE), ("offline", Availability.OFFLINE)):
            assert decode(plain, f"lab/oven/{word}", payload) == [AvailabilityChange("lab/oven", availability)]

    @pytest.mark.parametrize(
        ("payload", "availability"), [("true", "online"), ("0", "offline"), ("1", "online"), ("False", "offline")]
    )
    def test_yes_and_no(self, plain: PlainConvention, payload: str, availability: str) -> None:
        for _ in range(2):
            observations = decode(plain, "lab/oven/online", payload)
            assert observations == [AvailabilityChange("lab/oven", Availability(availability))]

    def test_as_object(self, plain: PlainConvention) -> None:
        observations = decode(plain, "lab/oven/availability", {"state": "offline"})
        assert observations == [AvailabilityChange("lab/oven", Availability.OFFLINE, "status")]

    def test_other_values_stay_values(self, plain: PlainConvention) -> None:
        assert metrics(decode(plain, "lab/oven/status", "idle")) == {"status": "idle"}
        assert metrics(decode(plain, "lab/oven/status", "1")) == {"status": 1}
        assert metrics(decode(plain, "lab/oven/state", {"state": "ON"})) == {"state": True}
        assert metrics(decode(plain, "lab/oven/mode", "offline")) == {"mode": "offline"}
        assert metrics(decode(plain, "lab/oven/online", "7")) == {"online": 7}


class TestCommands:
    @pytest.mark.parametrize(
        ("args", "rest"),
        [({"value": 1}, {"value": 1}), ({}, {}), ({"a": 1, "value": 2}, {"args": {"a": 1, "value": 2}})],
    )
    def test_encode(self, plain: PlainConvention, args: dict[str, Any], rest: dict[str, Any]) -> None:
        publish = plain.encode_command(CommandRequest("c-1", "lab/oven", "heat", args, RECEIVED_US))
        assert (publish.topic, publish.qos, publish.retain) == ("lab/oven/command", 1, False)
        assert json.loads(publish.payload) == {"id": "c-1", "name": "heat", **rest}

    @pytest.mark.parametrize("topic", ["/lab/oven/telemetry", "/lab/oven/temp"])
    def test_the_leading_slash_comes_back(self, plain: PlainConvention, topic: str) -> None:
        (device,) = devices(decode(plain, topic, '{"a": 1}' if "telemetry" in topic else "5"))
        publish = plain.encode_command(CommandRequest("c-1", device, "heat", {}, RECEIVED_US))
        assert (device, publish.topic) == ("lab/oven", "/lab/oven/command")

    @pytest.mark.parametrize(
        ("data", "succeeded"),
        [
            ({"id": "c-1"}, True),
            ({"id": "c-1", "status": "ok"}, True),
            ({"id": "c-1", "success": True}, True),
            ({"id": "c-1", "status": "Failed"}, False),
            ({"id": "c-1", "success": False}, False),
            ({"id": "c-1", "error": "too hot"}, False),
        ],
    )
    @pytest.mark.parametrize("topic", ["lab/oven/command/ack", "/lab/oven/command/ack"])
    def test_replies(self, plain: PlainConvention, topic: str, data: Any, succeeded: bool) -> None:
        (reply,) = decode(plain, topic, data)
        assert isinstance(reply, CommandReply)
        assert (reply.device, reply.command_id, reply.succeeded) == ("lab/oven", "c-1", succeeded)

    def test_a_number_is_an_id_too(self, plain: PlainConvention) -> None:
        assert decode(plain, "oven/command/ack", {"id": 5}) == [CommandReply("oven", "5", True)]

    @pytest.mark.parametrize("data", [{}, [], 5, {"id": "a", "status": "perhaps"}, {"id": None}, {"id": "x" * 65}])
    def test_bad_replies(self, plain: PlainConvention, data: Any) -> None:
        assert reasons(decode(plain, "oven/command/ack", data)) == [Reason.INVALID_REPLY]

    def test_unreadable_replies(self, plain: PlainConvention) -> None:
        assert reasons(decode(plain, "oven/command/ack", "ok")) == [Reason.INVALID_JSON]
        assert decode(plain, "oven/command/ack", b"") == [Ignored("cleared")]


class TestMemory:
    """Random topics, keys and ids cost no more than a bounded memory, and spoil nothing."""

    def test_topics(self) -> None:
        known = Routes(max_routes=10)
        for n in range(100):
            known.add(f"a/{n}")
        assert len(known.by_topic) <= 10

    def test_keys_and_units(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plain = PlainConvention()
        plain._routes._max_learnt = 50
        for n in range(300):
            data = {f"a{n}_V": n, f"b{n}": n}
            assert metrics(decode(plain, TOPIC, data)) == data
        learnt = sum(len(r.metric_names) + len(r.units_told) for r in plain._by_topic.values())
        assert learnt <= 50
        decode(plain, "lab/new", {"a": 1})  # makes room
        assert list(plain._by_topic) == ["lab/new"]

    def test_ids(self, plain: PlainConvention) -> None:
        for n in range(1000):
            decode(plain, "hall/state", {"id": f"id{n}", "temp": 4})
        assert len(plain._by_topic["hall/state"].id_counts) <= routes.MAX_IDS_IN_TOPIC

    def test_slashes(self, plain: PlainConvention, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(plain_module, "MAX_SLASHED", 10)
        for n in range(100):
            decode(plain, f"/{n}/temp", "5")
        assert len(plain._slashed) <= 12


def test_the_short_way_is_taken(plain: PlainConvention, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise everything works, ten times slower."""
    flat = message(TOPIC, {"ts": RECEIVED_MS, "temp_C": 21.5, "n": 3, "on": True, "gone": None, "mode": "heat"})
    number = message("lab/oven/temp", "21.5")
    expected = [plain.decode(flat), plain.decode(number)]
    monkeypatch.setattr(PlainConvention, "_decode_slowly", None)
    monkeypatch.setattr(ObjectReader, "read_object", None)
    flat_again, number_again = plain.decode(flat), plain.decode(number)
    expected[0][0].units = None  # type: ignore[union-attr]
    assert list(flat_again) == expected[0]
    assert list(number_again) == list(expected[1])


def test_a_reader_needs_no_convention() -> None:
    reader = ObjectReader(Routes(), LocalOffsets())
    route = Routes().add(TOPIC)
    assert metrics(reader.read_object(route, {"a": 1}, message(TOPIC, b""))) == {"a": 1}
