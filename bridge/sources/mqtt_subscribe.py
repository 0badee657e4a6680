"""What is asked of a broker at the beginning of a connection, and what its answers mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from bridge.settings import MqttSettings
from bridge.sources.mqtt_dropped import DROPPED_TOPIC
from bridge.sources.mqtt_publish import IN_FLIGHT_LIMIT

Version = Literal["5", "3.1.1"]

Subscriptions = list[tuple[str, SubscribeOptions]] | list[tuple[str, int]]


class Limits:
    """What the broker allows on this connection (CONNACK of MQTT 5)."""

    def __init__(self, properties: Any, settings: MqttSettings) -> None:
        # The standard forbids a Receive Maximum of 0; who sends it all the same means "no limit".
        self.in_flight = min(IN_FLIGHT_LIMIT, getattr(properties, "ReceiveMaximum", 0) or IN_FLIGHT_LIMIT)
        self.max_packet_bytes: int = getattr(properties, "MaximumPacketSize", 0)  # 0 = it did not say
        self.keepalive_s = min(settings.keepalive_s, getattr(properties, "ServerKeepAlive", 0) or settings.keepalive_s)
        self.notices: list[str] = []
        kept_s = getattr(properties, "SessionExpiryInterval", None)
        if kept_s is not None and kept_s < settings.session_expiry_s:
            self.notices.append(f"the broker keeps our session for {kept_s} s only")


def make_subscriptions(filters: Sequence[str], version: Version, *, retained_again: bool) -> Subscriptions:
    """The configured topic filters, as paho takes them.

    Args:
        retained_again: ask for retained messages even if the broker still has these subscriptions.
    """
    if version == "3.1.1":
        return [(name, 1) for name in filters]
    again = SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE if retained_again else SubscribeOptions.RETAIN_SEND_IF_NEW_SUB
    return [
        # Our own commands must not come back to us; on a shared subscription the standard forbids to say so.
        (name, SubscribeOptions(qos=1, noLocal=not name.startswith("$share/"), retainHandling=again))
        for name in filters
    ]


def make_dropped_subscription(version: Version) -> Subscriptions:
    """The broker's own count of its losses. QoS 0, so that nothing of it waits in our session while we are away."""
    if version == "3.1.1":
        return [(DROPPED_TOPIC, 0)]
    # As published means retained: just when the broker drops, we may be shedding what is QoS 0 and not retained.
    return [(DROPPED_TOPIC, SubscribeOptions(qos=0, retainAsPublished=True))]


def judge(filters: Sequence[str], reasons: Sequence[ReasonCode]) -> list[str]:
    """What people should know of the broker's answer (SUBACK)."""
    notices = []
    for name, reason in zip(filters, reasons, strict=False):
        if reason.is_failure:
            notices.append(f"the broker refused the topic filter '{name}': {reason}")
        elif reason.value == 0:
            notices.append(f"the broker gives '{name}' with QoS 0 only; messages may be lost")
    return notices


def contain_dropped(filters: Sequence[str]) -> bool:
    """Whether the user's own filters ask for the broker's count of its losses already."""
    return any(paho.topic_matches_sub(_without_share(name), DROPPED_TOPIC) for name in filters)


def _without_share(name: str) -> str:
    """`$share/<group>/<filter>` -> `<filter>`."""
    return name.split("/", 2)[2] if name.startswith("$share/") and name.count("/") >= 2 else name


def make_properties(packet_type: int) -> Any:
    """MQTT 5 properties; untyped, because paho makes their attributes at run time."""
    return Properties(packet_type)  # type: ignore[no-untyped-call]


def make_connect_properties(settings: MqttSettings) -> Any:
    """What we ask for in CONNECT."""
    properties = make_properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = min(settings.session_expiry_s, 0xFFFF_FFFF)
    properties.ReceiveMaximum = settings.receive_maximum
    return properties
