"""The bytes of the probe."""

from __future__ import annotations

import pytest

from bridge.sources.mqtt_probe import is_connack, make_connect


def test_connect_is_what_the_standard_says() -> None:
    assert make_connect("abc") == b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x0a\x00\x03abc"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"\x20\x02\x00\x00", True),
        (b"\x20\x02\x01\x00", True),
        (b"\x20\x02\x00\x05", True),  # refuses us, and is a broker all the same
        (b"\x20\x03\x00\x84", True),  # a broker that speaks MQTT 5 only
        (b"HTTP", False),
        (b"\x15\x03\x01\x00", False),  # a TLS alert
        (b"\x20\x02\x77\x00", False),
        (b"\x20\x02", False),
        (b"", False),
    ],
)
def test_connack_is_recognised(answer: bytes, expected: bool) -> None:
    assert is_connack(answer) is expected
