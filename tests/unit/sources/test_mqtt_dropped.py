"""The broker's count of its own losses."""

from __future__ import annotations

import pytest

from bridge.sources.mqtt_dropped import BrokerDrops
from bridge.sources.mqtt_subscribe import contain_dropped

BROKER = "mqtt://a:1883"


def test_growth_is_counted_from_the_first_time() -> None:
    drops = BrokerDrops()
    assert drops.total is None
    changes = [drops.hear(BROKER, payload) for payload in (b"500", b"500", b"520")]
    assert (changes, drops.total) == ([True, False, True], 20)


def test_broker_that_was_started_again_counts_from_zero() -> None:
    drops = BrokerDrops()
    for payload in (b"500", b"510", b"3", b"4"):
        drops.hear(BROKER, payload)
    assert drops.total == 14


def test_each_broker_has_a_count_of_its_own() -> None:
    drops = BrokerDrops()
    for address, payload in ((BROKER, b"5"), ("mqtt://b:1883", b"900"), (BROKER, b"6"), ("mqtt://b:1883", b"902")):
        drops.hear(address, payload)
    assert drops.total == 3


@pytest.mark.parametrize("payload", [b"", b"-1", b"1.5", b"many", b"9" * 10_000, "٣".encode()])
def test_nonsense_changes_nothing(payload: bytes) -> None:
    drops = BrokerDrops()
    assert not drops.hear(BROKER, payload)
    assert drops.total is None


@pytest.mark.parametrize(
    ("topic_filter", "contained"),
    [
        ("#", False),  # everything except topics with a dollar sign
        ("devices/#", False),
        ("$SYS/#", True),
        ("$SYS/broker/publish/messages/dropped", True),
        ("$share/group/$SYS/#", True),
        ("$share/group/#", False),
        ("$share/x", False),
    ],
)
def test_filters_of_the_user_that_contain_it(topic_filter: str, contained: bool) -> None:
    assert contain_dropped(["a/b", topic_filter]) is contained
