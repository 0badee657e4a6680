"""Redaction: nothing that was a name or a text is left, and everything that was a number or structure still is."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simulators.redact import Redactor
from simulators.redact_names import is_identifying, is_time
from simulators.redact_place import SecretOffset

PSEUDONYM = re.compile(r"x[a-z2-7]{13}")
keys = st.sampled_from(["temperature", "state", "a", "b", "values"])
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12)
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)


def redact(payload: bytes, topic: str = "t", **options: Any) -> bytes:
    return Redactor(**options).redact(topic, payload)[1]


def texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [text for item in value.values() for text in texts(item)] if isinstance(value, dict) else []


def shape(value: Any) -> Any:
    """Everything but the texts."""
    if isinstance(value, str):
        return ""
    if isinstance(value, list):
        return [shape(item) for item in value]
    return {key: shape(item) for key, item in value.items()} if isinstance(value, dict) else value


@given(values, st.booleans())
def test_no_text_survives_and_all_else_does(value: Any, ascii_only: bool) -> None:
    before = json.dumps(value, ensure_ascii=ascii_only, indent=1).encode("utf-8", "surrogatepass")
    after = json.loads(redact(before))
    assert shape(after) == shape(value)
    for old, new in zip(texts(value), texts(after), strict=True):
        assert new == old == "" or is_time(old) or PSEUDONYM.fullmatch(new)


@given(st.text(max_size=40).filter(lambda topic: "\udcff" not in topic))
def test_no_topic_segment_survives(topic: str) -> None:
    after, _ = Redactor().redact(topic, b"")
    assert [bool(level) for level in after.split("/")] == [bool(level) for level in topic.split("/")]
    assert all(not level or PSEUDONYM.fullmatch(level) for level in after.split("/"))


@given(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8))
def test_equal_stays_equal_and_different_stays_different(one: str, other: str) -> None:
    assume("/" not in one + other and not is_time(one) and not is_time(other))
    redactor = Redactor()
    topic, payload = redactor.redact(f"{one}/{other}", json.dumps([one, other, one]).encode())
    first, second = topic.split("/")
    assert json.loads(payload) == [first, second, first]
    assert (first == second) == (one == other)


def test_a_bare_text_is_the_same_pseudonym_as_in_json_and_in_a_topic() -> None:
    redactor = Redactor()
    name, payload = redactor.redact("pump-01", b"pump-01")
    assert payload.decode() == name
    assert json.loads(redactor.redact("t", b'"pump\\u002d01"')[1]) == name


def test_another_run_gives_other_pseudonyms() -> None:
    assert Redactor().redact("plant", b"")[0] != Redactor().redact("plant", b"")[0]


def test_what_is_not_text_stays_byte_for_byte() -> None:
    payload = b' {"n" : 1.50,\n "big":123456789012345678901, "e":1E5, "x":NaN, "t":true, "z":null, "l":[1,-2.0]} '
    assert redact(payload) == payload
    for bare in (b"21.50", b"true", b"null", b"-0", b""):
        assert redact(bare) == bare


def test_times_stay() -> None:
    payload = b'{"time":1750000000123,"at":"2026-03-01T12:00:00.5Z","day":"2026-03-01","said":"12 o\'clock"}'
    after = json.loads(redact(payload))
    assert (after["time"], after["at"], after["day"]) == (1750000000123, "2026-03-01T12:00:00.5Z", "2026-03-01")
    assert PSEUDONYM.fullmatch(after["said"])


def test_keys_stay_unless_they_are_addresses() -> None:
    after = json.loads(redact(b'{"temperature":1,"AA:BB:CC:DD:EE:FF":2,"0x00158d0001a2b3c4":{"v":3},"me@home.org":4}'))
    assert len(after) == 4
    assert "temperature" in after
    assert all(key == "temperature" or PSEUDONYM.fullmatch(key) for key in after)


@pytest.mark.parametrize(
    "text",
    [
        "aa:bb:cc:dd:ee:ff",
        "AA-BB-CC-DD-EE-FF",
        "aabbccddeeff",
        "0x00158d0001a2b3c4",
        "192.168.1.17",
        "fe80::1ff:fe23:4567:890a",
        "ann@example.org",
        "SN-0048213",
        "4f1c9b0e-8d8f-4a52-9c6e-0f3f6a1b2c3d",
    ],
)
def test_addresses_and_serial_numbers_are_never_kept(text: str) -> None:
    assert is_identifying(text)
    topic, payload = Redactor(keep=[text]).redact(f"devices/{text}", json.dumps({"id": text}).encode())
    assert text not in topic
    assert text.encode() not in payload


@pytest.mark.parametrize("text", ["temperature_2", "hall-12", "pm2.5", "on", "T1000", "deadbeat"])
def test_ordinary_names_do_not_look_like_addresses(text: str) -> None:
    assert not is_identifying(text)


def test_kept_words_stay_where_they_are_whole() -> None:
    redactor = Redactor(keep=["devices", "online"])
    topic, payload = redactor.redact("devices/p1/online2", b"online")
    assert topic.startswith("devices/x")
    assert "online2" not in topic
    assert payload == b"online"
    assert redactor.redact("t", b'{"s":"online","d":"online!"}')[1].startswith(b'{"s":"online","d":"x')


def test_binary_becomes_noise_of_the_same_length() -> None:
    payload = bytes(range(128, 256)) * 8
    assert len(redact(payload)) == len(payload)
    assert redact(payload) != payload
    assert redact(b"\0\1\2name\3\4\5\6") != b"\0\1\2name\3\4\5\6"


@pytest.mark.parametrize(
    "template",
    [
        '{"latitude":%s,"longitude":%s}',
        '{"gps":{"lat":%s,"lon":%s,"sats":9}}',
        '{"gps":[%s,%s,31.5]}',
        '{"gpsLatitude":%s,"GPS_LNG":%s}',
        '[{"position":{"lat": %s, "lng": %s}}]',
    ],
)
def test_places_are_moved_by_one_offset(template: str) -> None:
    redactor = Redactor()
    offsets = set()
    for latitude, longitude in (("53.540501", "9.98"), ("53.540502", "9.99"), ("-1.5", "-179.25")):
        payload = redactor.redact("t", (template % (latitude, longitude)).encode())[1].decode()
        found = re.fullmatch(re.escape(template).replace("%s", r"(-?[\d.]+)"), payload)
        assert found is not None, payload
        assert [len(number.partition(".")[2]) for number in found.groups()] == [
            len(number.partition(".")[2]) for number in (latitude, longitude)
        ]
        offsets.add(
            (round(Decimal(found[1]) - Decimal(latitude), 1), (Decimal(found[2]) - Decimal(longitude)) // 1 % 360)
        )
    assert abs(next(iter(offsets))[0]) >= 2
    assert len({offset[0] for offset in offsets}) == 1


def test_geojson_has_the_longitude_first() -> None:
    redactor = Redactor()
    redactor._offset = SecretOffset(Decimal(10), Decimal(100))
    payload = b'{"type":"Point","coordinates":[[9.98,53.54],[179.5,85.5]]}'
    assert json.loads(redactor.redact("t", payload)[1])["coordinates"] == [[109.98, 63.54], [-80.5, 75.5]]


def test_a_bare_place_is_known_by_its_topic() -> None:
    redactor = Redactor()
    redactor._offset = SecretOffset(Decimal(5), Decimal(50))
    assert redactor.redact("car/latitude", b"53.5")[1] == b"58.5"
    assert redactor.redact("car/lon", b"9.25")[1] == b"59.25"
    assert redactor.redact("car/speed", b"9.25")[1] == b"9.25"


@given(st.binary(max_size=60), st.text(max_size=20))
def test_nothing_makes_it_fail(payload: bytes, text: str) -> None:
    redact(payload)
    redact(b'{"lat":' + payload + b"}")
    redact(b'{"lat":' + text.encode("utf-8", "surrogatepass") + b"}")


@pytest.mark.parametrize(
    "payload", [b'{"lat":1e999999999}', b'{"lat":NaN}', b'{"lat":-1E-400}', b"[" * 100_000, b'{"a"']
)
def test_hostile_payloads_are_harmless(payload: bytes) -> None:
    redact(payload)
