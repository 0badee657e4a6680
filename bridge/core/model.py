"""The canonical model: what every convention is translated into, whatever the device speaks.

A convention turns one MQTT message into *observations*. The pipeline applies them to the fleet. Device data
that cannot be used becomes a `Rejection` (counted by reason), never an exception.

Times are integers: microseconds since 1970 UTC, and say so in their names (`_us`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

Value: TypeAlias = int | float | bool | str | None
"""What a metric may hold. Integers are exact; floats are finite; None means "no value" (quality bad)."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """One MQTT message as it arrived. The only form in which device data enters the bridge."""

    topic: str
    payload: bytes
    received_us: int
    qos: int = 0
    retain: bool = False
    duplicate: bool = False
    # What the source needs to acknowledge this message later; None when there is nothing to acknowledge.
    ack_token: tuple[int, int] | None = None


class Publish(msgspec.Struct, frozen=True):
    """One MQTT message to send. Commands are never retained: a retained command runs again at every reconnect."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    # Seconds after which the broker must no longer deliver it (MQTT 5 message expiry); None = no limit.
    expires_s: int | None = None


class Kind(StrEnum):
    """What a metric holds. Decided by its description or by its first value, then kept."""

    UNKNOWN = "unknown"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TEXT = "text"


class Quality(StrEnum):
    """How far a value can be trusted (Sparkplug: GOOD 192, BAD 0, STALE 500)."""

    GOOD = "good"
    BAD = "bad"
    STALE = "stale"


class Availability(StrEnum):
    """What we know of a device's connection. `STALE`: it has been silent for longer than it usually is."""

    ONLINE = "online"
    OFFLINE = "offline"
    STALE = "stale"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why a message, or one value of it, was not taken. Each reason is a counter that the page shows."""

    PAYLOAD_TOO_LARGE = "payload_too_large"
    TOPIC_TOO_LONG = "topic_too_long"
    INVALID_UTF8 = "invalid_utf8"
    INVALID_JSON = "invalid_json"
    TOO_DEEP = "too_deep"
    TOO_MANY_VALUES = "too_many_values"
    INVALID_NAME = "invalid_name"
    TEXT_TOO_LONG = "text_too_long"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"
    BINARY = "binary"
    UNSUPPORTED = "unsupported"
    INVALID_DESCRIPTION = "invalid_description"
    INVALID_REPLY = "invalid_reply"
    KIND_CHANGED = "kind_changed"
    TOO_MANY_TEXTS = "too_many_texts"
    TOO_MANY_DEVICES = "too_many_devices"
    TOO_MANY_METRICS = "too_many_metrics"
    DECODER_FAILED = "decoder_failed"
    UNKNOWN_COMMAND_ID = "unknown_command_id"


class MetricInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a description says of one metric. All optional: plain devices describe nothing."""

    name: str = ""
    kind: Kind = Kind.UNKNOWN
    unit: str = ""
    unit_source: str = ""  # declared | inferred | "" (no unit known)
    min: float | None = None
    max: float | None = None
    precision: int | None = None  # digits after the decimal point


class CommandInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """A command that a device says it accepts. `schema` is a JSON Schema (2020-12) of the arguments object."""

    title: str = ""
    description: str = ""
    schema: dict[str, Any] = {}
    danger: bool = False  # the page asks before it sends (reboot, reset)


class TimeFlag(StrEnum):
    """What is wrong with the time that a device gave."""

    OK = ""
    CLOCK_SUSPECT = "clock_suspect"  # before 2015 or in the future: the receive time was taken instead
    LATE = "late"  # an old measurement, delivered late


# ----- observations: what one message means -----------------------------------------------------------------


class Readings(msgspec.Struct, gc=False):
    """Values of one device, measured at one time."""

    device: str
    values: list[tuple[str, Value]]
    # Measurement time that can be trusted; None: the message carries none (or a wrong one), use the receive time.
    time_us: int | None = None
    time_flag: TimeFlag = TimeFlag.OK
    # Units that the message itself tells or implies, by metric; None for most messages.
    units: dict[str, MetricInfo] | None = None


class Description(msgspec.Struct):
    """What a device is and can do (birth, discovery, description). Replaces what was known."""

    device: str
    name: str = ""
    manufacturer: str = ""
    model: str = ""
    sw_version: str = ""
    area: str = ""
    metrics: dict[str, MetricInfo] = {}
    commands: dict[str, CommandInfo] = {}


class AvailabilityChange(msgspec.Struct):
    """The device, or the broker on its behalf (last will), says whether it is connected."""

    device: str
    availability: Availability
    source: str = "lwt"  # lwt | birth | status


class CommandReply(msgspec.Struct):
    """A device's own answer to a command. Only counts when `device` is the one that was commanded."""

    device: str
    command_id: str
    succeeded: bool
    value: Any = None
    error: str = ""


class SignOfLife(msgspec.Struct):
    """A message that carries no value but proves that the device lives (such as `{}`)."""

    device: str


class Removed(msgspec.Struct):
    """Somebody cleared the retained description of the device."""

    device: str


class Ignored(msgspec.Struct):
    """A message that is not telemetry and not an error (a command on its way to a device, a cleared topic)."""

    why: str  # command | cleared | system


class Rejection(msgspec.Struct):
    """A message, or one metric of it, that could not be used."""

    reason: Reason
    detail: str = ""
    device: str = ""


Observation: TypeAlias = (
    Readings | Description | AvailabilityChange | CommandReply | SignOfLife | Removed | Ignored | Rejection
)


class CommandRequest(msgspec.Struct, frozen=True):
    """A command that has been checked and is about to be sent."""

    command_id: str
    device: str  # the id as the convention names it
    name: str
    args: dict[str, Any]
    expires_us: int
