"""Broker URLs: what is understood, what is refused, and that passwords stay where they are."""

from __future__ import annotations

import pytest

from bridge.errors import ConfigError
from bridge.sources.mqtt_url import BrokerUrl, parse_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://broker", BrokerUrl("broker", 1883)),
        ("mqtt://broker:1884", BrokerUrl("broker", 1884)),
        ("mqtt://broker/", BrokerUrl("broker", 1883)),
        ("mqtts://broker", BrokerUrl("broker", 8883, tls=True)),
        ("mqtt://[::1]:1883", BrokerUrl("::1", 1883)),
        ("mqtt://me@broker", BrokerUrl("broker", 1883, username="me")),
        ("mqtt://me:secret@broker", BrokerUrl("broker", 1883, username="me", password="secret")),
        (
            "mqtt://a%40b:p%2F%3A%23%25@broker",
            BrokerUrl("broker", 1883, username="a@b", password="p/:#%"),
        ),
    ],
)
def test_url_is_taken_apart(url: str, expected: BrokerUrl) -> None:
    assert parse_url(url) == expected


def test_settings_fill_in_what_the_url_does_not_say() -> None:
    assert parse_url("mqtt://broker", "user", "pass") == BrokerUrl("broker", 1883, username="user", password="pass")
    assert parse_url("mqtt://me@broker", "user", "pass") == BrokerUrl("broker", 1883, username="me", password="pass")
    assert parse_url("mqtt://me:own@broker", "user", "pass").password == "own"


@pytest.mark.parametrize(
    "url",
    [
        "http://broker",
        "broker:1883",
        "mqtt://",
        "mqtt://:1883",
        "mqtt://broker:0",
        "mqtt://broker:70000",
        "mqtt://broker:port",
        "mqtt://broker/path",
        "mqtt://broker?x=1",
        "mqtt://me:sec#ret@broker",
        "mqtt://me:sec/ret@broker",
        "mqtt://[::1",
    ],
)
def test_unusable_url_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_url(url)
    assert caught.value.path == "mqtt.urls"
    assert "sec" not in str(caught.value)
    assert "broker" not in str(caught.value)


def test_password_is_not_shown() -> None:
    url = parse_url("mqtts://me:secret@broker")
    assert url.address == "mqtts://broker:8883"
    assert "secret" not in repr(url)
    assert parse_url("mqtt://[::1]").address == "mqtt://[::1]:1883"
