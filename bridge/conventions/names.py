"""Names of plain devices and metrics: what the topic and the keys of an object say about who speaks and of what."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

from bridge.conventions.limits import MAX_KEY_LENGTH, MAX_METRIC_LENGTH

# The last word of a topic that says "here come values" and is no part of the device's name.
_VALUE_WORDS = frozenset(
    (
        *("state", "status", "telemetry", "data", "sensor", "sensors", "json", "up", "values", "attributes"),
        *("properties", "measurement", "measurements", "info", "uplink"),
    )
)
_COMMAND_WORDS = frozenset(("set", "cmd", "command", "cmnd", "commands", "req", "request", "rpc", "write"))
_AVAILABILITY_WORDS = frozenset(
    ("lwt", "availability", "available", "status", "state", "connection", "connected", "online")
)
# Metric of a topic that has no further segment to name it.
UNNAMED_METRIC = "value"


class Names(NamedTuple):
    """What a topic says. Which of the two names applies depends on the payload."""

    object_device: str  # of a JSON object
    scalar_device: str  # of a single value
    scalar_metric: str


def names_of(topic: str) -> Names:
    """The names that a topic gives; `topic` is not empty."""
    # Some firmwares begin with a slash; an empty first level is no name for people.
    topic = topic.removeprefix("/") or topic
    head, _, tail = topic.rpartition("/")
    if not head:
        return Names(topic, topic, UNNAMED_METRIC)
    if not tail:
        return Names(head, head, UNNAMED_METRIC)
    return Names(head if tail.lower() in _VALUE_WORDS else topic, head, tail)


def is_command(topic: str) -> bool:
    """Whether messages on this topic go to a device. `get` as the last word asks; before the last it is a state."""
    last_two = topic.lower().split("/")[-2:]
    return last_two[-1] == "get" or not _COMMAND_WORDS.isdisjoint(last_two)


def is_command_reply(topic: str) -> bool:
    """Whether a device answers a command here; `encode_command` of the plain convention sends to `…/command`."""
    return topic.endswith("/command/ack") and topic.removeprefix("/") != "command/ack"


def is_availability(topic: str) -> bool:
    """Whether "online" and "offline" on this topic speak of the device: where last wills usually go."""
    head, _, tail = topic.rpartition("/")
    return bool(head.strip("/")) and tail.lower() in _AVAILABILITY_WORDS


class Role(Enum):
    """What a key of a plain object is for, if not for a value."""

    VALUE = 0
    TIME = 1
    DEVICE = 2  # names the device, always
    PERHAPS_DEVICE = 3  # names the device if it is one of several that share the topic


# In order of preference: when it was measured, then when something else happened to it.
_TIME_KEYS = (
    *("measuredat", "timestamp", "timestampms", "timestampus", "timestampns", "timestamps", "@timestamp"),
    *("ts", "tsms", "time", "timems", "timeus", "timens", "datetime", "tst", "epoch", "unixtime"),
    *("createdat", "receivedat", "lastupdate", "lastupdated", "lastseen"),
)
_TIME_RANK = {key: rank for rank, key in enumerate(_TIME_KEYS)}
_DEVICE_KEYS = frozenset({"deviceid", "deveui"})
_PERHAPS_DEVICE_KEYS = frozenset({"device", "id", "mac", "serial", "node", "sensor"})


@lru_cache(maxsize=4096)  # keys repeat in every message; each is at most MAX_KEY_LENGTH long
def _plain_key(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")


def role_of(key: str) -> Role:
    """What a key of a plain object is for."""
    if len(key) > MAX_KEY_LENGTH:
        return Role.VALUE
    plain = _plain_key(key)
    if plain in _TIME_RANK:
        return Role.TIME
    if plain in _DEVICE_KEYS:
        return Role.DEVICE
    return Role.PERHAPS_DEVICE if plain in _PERHAPS_DEVICE_KEYS else Role.VALUE


def time_rank(key: str) -> int:
    """Which of two time keys to prefer: the lower."""
    return _TIME_RANK[_plain_key(key)]


def device_id_from(value: Any) -> str:
    """The device id that a payload carries; empty if the value cannot be one."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    # A device's serial number has at most some twenty digits; longer ones cost time to print.
    text = value.strip() if isinstance(value, str) else str(value) if abs(value) < 10**30 else ""
    return text if is_device_id(text) else ""


def is_device_id(text: str) -> bool:
    """Whether a payload may name a device so. Commands go to `<id>/command`: a valid topic, and not a broker's own."""
    return 0 < len(text) <= MAX_KEY_LENGTH and is_topic(text) and not text.startswith("$")


def is_topic(text: str) -> bool:
    """Whether one may publish to this topic."""
    return bool(text) and not any(char in text for char in "+#\0")


def is_named_in(topic: str, device: str) -> bool:
    """Whether a topic has a segment that is this id, in whatever case."""
    return device.lower() in topic.lower().split("/")


def is_key(key: str) -> bool:
    """Whether a key may become (a part of) a metric name."""
    return 0 < len(key) <= MAX_KEY_LENGTH and "\0" not in key


@lru_cache(maxsize=4096)  # paths repeat in every message; the longest has MAX_DEPTH keys
def join_path(path: tuple[str, ...]) -> str:
    """One name for a path of keys. Dots inside keys are escaped, so that different paths never share a name."""
    if len(path) == 1 and "." not in path[0] and "\\" not in path[0]:
        return path[0]
    return ".".join(key.replace("\\", "\\\\").replace(".", "\\.") for key in path)


def is_metric(name: str) -> bool:
    """Whether a whole metric name is acceptable."""
    return 0 < len(name) <= MAX_METRIC_LENGTH and "\0" not in name
