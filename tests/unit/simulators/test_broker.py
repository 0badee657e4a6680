"""Addresses of brokers, and what is said when there is none."""

from __future__ import annotations

import pytest

from simulators.broker import Broker, BrokerUnreachable, parse_broker


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://127.0.0.1:1883", Broker("127.0.0.1", 1883)),
        ("mqtt://broker.local", Broker("broker.local", 1883)),
        ("broker.local:2883", Broker("broker.local", 2883)),
        ("mqtts://broker.local/", Broker("broker.local", 8883, tls=True)),
        ("mqtt://me:p%40ss@host", Broker("host", 1883, username="me", password="p@ss")),
        ("mqtt://[::1]:1884", Broker("::1", 1884)),
    ],
)
def test_addresses_are_read(url: str, expected: Broker) -> None:
    assert parse_broker(url) == expected


@pytest.mark.parametrize("url", ["", "http://host", "mqtt://", "mqtt://host:0", "mqtt://host:99999", "mqtt://host/x"])
def test_bad_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"cannot speak|names no host|no valid port|after the port"):
        parse_broker(url)


def test_the_password_is_never_shown() -> None:
    broker = parse_broker("mqtt://me:secret@host")
    for text in (repr(broker), broker.address, str(BrokerUnreachable(broker, "Connection refused", False))):
        assert "secret" not in text


def test_errors_are_one_line_that_says_what_to_do() -> None:
    broker = parse_broker("mqtt://[::1]:1884")
    nobody = str(BrokerUnreachable(broker, "Connection refused", refused=False))
    assert "mqtt://[::1]:1884" in nobody
    assert "--broker" in nobody
    assert "mosquitto" in nobody
    unwanted = str(BrokerUnreachable(broker, "Not authorized", refused=True))
    assert "USER:PASSWORD" in unwanted
    assert "\n" not in nobody + unwanted
