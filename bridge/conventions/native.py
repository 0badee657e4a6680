"""Our own convention, `devices/<device_id>/…`, as docs/protocol.md describes it.

Strict where a device can be corrected: types are taken as they come, text stays text, and what is wrong is rejected by
name. Names of metrics are those of the description, so that dots are not escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from bridge.conventions.description import parse_description
from bridge.conventions.flatten import Flattener
from bridge.conventions.limits import MAX_TEXT_LENGTH, MAX_VALUES
from bridge.conventions.names import is_metric
from bridge.conventions.payload import decode_json, read, read_json
from bridge.conventions.replies import availability_from, parse_strict_reply
from bridge.conventions.routes import CLEARED, COMMAND
from bridge.conventions.text import text_problem
from bridge.conventions.times import AHEAD_LIMIT_US, LATE_AFTER_US, NO_TIME, LocalOffsets, parse_time
from bridge.core.model import (
    AvailabilityChange,
    CommandRequest,
    Message,
    Observation,
    Publish,
    Readings,
    Reason,
    Rejection,
    Removed,
    SignOfLife,
    TimeFlag,
    Value,
)

# Topics remembered with their meaning. When full all are read anew, at a microsecond each.
MAX_TOPICS = 50_000
# Metric names known to be well formed, over all devices: fleets have many devices and few names.
MAX_NAMES = 20_000

_PREFIX = "devices"
_WORDS = ("description", "status", "telemetry", "commands", "results")
_DEVICE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_TIME = "time"
_PLAIN_INTEGER = 2**62
_OK = TimeFlag.OK


class _Route(NamedTuple):
    device: str
    is_telemetry: bool
    decode: Callable[[str, Message], Sequence[Observation]]


class NativeConvention:
    """Devices that describe themselves, and answer commands."""

    name = "native"

    def __init__(self) -> None:
        self._routes: dict[str, _Route] = {}
        self._names: set[str] = set()
        self._offsets = LocalOffsets()

    def recognises(self, message: Message) -> bool:
        prefix, _, rest = message.topic.partition("/")
        _, slash, word = rest.partition("/")
        return prefix == _PREFIX and slash == "/" and word in _WORDS

    def decode(self, message: Message) -> Sequence[Observation]:
        """The hot path is telemetry that is a flat object; `_read_telemetry` starts over for anything else."""
        route = self._routes.get(message.topic)
        if route is None:
            route = self._add_route(message.topic)
        payload = message.payload
        # No bracket after the first: flat, so that the parser does not recurse.
        if not route.is_telemetry or payload[:1] != b"{" or b"[" in payload or b"{" in payload[1:]:
            return route.decode(route.device, message)
        try:
            data = decode_json(payload)
        except ValueError:
            return route.decode(route.device, message)
        raw_time = data.pop(_TIME, None)
        names = self._names
        values: list[tuple[str, Value]] = []
        for item in data.items():
            key, value = item
            kind = type(value)
            if key in names and (
                kind is float
                or (kind is int and -_PLAIN_INTEGER < value < _PLAIN_INTEGER)
                or kind is bool
                or value is None
                or (kind is str and len(value) <= MAX_TEXT_LENGTH and text_problem(value) is None)
            ):
                values.append(item)
            else:
                return route.decode(route.device, message)
        if not values or len(values) > MAX_VALUES:
            return route.decode(route.device, message)
        if raw_time is None:
            return (Readings(route.device, values),)
        if type(raw_time) is int:
            # Milliseconds that fit the receive time need no further judgement.
            time_us = raw_time * 1000
            if -AHEAD_LIMIT_US <= message.received_us - time_us <= LATE_AFTER_US:
                return (Readings(route.device, values, time_us, _OK),)
        time = parse_time(raw_time, message.received_us, self._offsets, route.device, is_live=not message.retain)
        if time is None:
            return route.decode(route.device, message)
        return (Readings(route.device, values, time.time_us, time.flag),)

    def encode_command(self, request: CommandRequest) -> Publish:
        body = {
            "id": request.command_id,
            "name": request.name,
            "args": request.args,
            "expires": request.expires_us // 1000,
        }
        return Publish(f"{_PREFIX}/{request.device}/commands", msgspec.json.encode(body))

    # ----- the general way --------------------------------------------------------------------------------

    def _add_route(self, topic: str) -> _Route:
        _, _, rest = topic.partition("/")
        device, _, word = rest.partition("/")
        if not is_native_id(device):
            route = _Route(device, False, _reject_name)
        else:
            decoders = {
                "description": _decode_description,
                "status": _decode_status,
                "telemetry": self._decode_telemetry,
                "commands": _ignore_command,
                "results": _decode_result,
            }
            route = _Route(device, word == "telemetry", decoders[word])
        if len(self._routes) >= MAX_TOPICS:
            self._routes.clear()
        self._routes[topic] = route
        return route

    def _decode_telemetry(self, device: str, message: Message) -> Sequence[Observation]:
        if not message.payload:
            return CLEARED
        content = read_json(message.payload)
        if content.is_refused:
            return _of(device, content.problems)
        if not isinstance(content.data, dict):
            return (Rejection(Reason.UNSUPPORTED, "telemetry is an object", device),)
        data: dict[str, Any] = content.data
        time = NO_TIME
        problems = content.problems
        raw_time = data.pop(_TIME, None)
        if raw_time is not None:
            parsed = parse_time(raw_time, message.received_us, self._offsets, device, is_live=not message.retain)
            if parsed is None:
                problems.append(Rejection(Reason.UNSUPPORTED, "the time is neither milliseconds nor ISO 8601"))
            else:
                time = parsed
        flattener = Flattener(has_value_objects=False)
        flattener.walk((), data)
        values = self._take(flattener)
        problems += flattener.problems
        if not values:
            return [SignOfLife(device), *_of(device, problems)]
        return [Readings(device, values, time.time_us, time.flag), *_of(device, problems)]

    def _take(self, flattener: Flattener) -> list[tuple[str, Value]]:
        values: list[tuple[str, Value]] = []
        for leaf in flattener.leaves:
            name = ".".join(leaf.path)
            problem = text_problem(leaf.value) if isinstance(leaf.value, str) else None
            if problem is not None:
                flattener.reject(problem, name)
            elif not is_metric(name):
                flattener.reject(Reason.INVALID_NAME, f"a metric name of {len(name)} characters")
            else:
                values.append((name, leaf.value))
                if len(leaf.path) == 1 and len(self._names) < MAX_NAMES:
                    self._names.add(name)
        return values


def is_native_id(device: str) -> bool:
    """Whether a native device may be called so. Dots alone would be directories wherever an id becomes a path."""
    return _DEVICE_ID.fullmatch(device) is not None and device not in (".", "..")


def _reject_name(device: str, _message: Message) -> Sequence[Observation]:
    return (Rejection(Reason.INVALID_NAME, f"the device id {device[:80]!r}"),)


def _ignore_command(_device: str, _message: Message) -> Sequence[Observation]:
    return COMMAND


def _decode_description(device: str, message: Message) -> Sequence[Observation]:
    if not message.payload:
        # Also without the retain flag: so brokers tell those who are subscribed when it is cleared.
        return (Removed(device),)
    content = read_json(message.payload)
    if content.is_refused:
        return _of(device, content.problems)
    return [*parse_description(device, content.data), *_of(device, content.problems)]


def _decode_status(device: str, message: Message) -> Sequence[Observation]:
    if not message.payload:
        return CLEARED
    content = read(message.payload)
    if content.is_refused:
        return _of(device, content.problems)
    if isinstance(content.data, dict):
        word, source = content.data.get("status"), "status"
    else:
        word, source = content.data if content.text is None else content.text, "lwt"
    availability = availability_from(word)
    if availability is None:
        return (Rejection(Reason.UNSUPPORTED, "the status is neither online nor offline", device),)
    return (AvailabilityChange(device, availability, source),)


def _decode_result(device: str, message: Message) -> Sequence[Observation]:
    if not message.payload:
        return CLEARED
    content = read_json(message.payload)
    if content.is_refused:
        return _of(device, content.problems)
    return [*parse_strict_reply(device, content.data), *_of(device, content.problems)]


def _of(device: str, problems: list[Rejection]) -> list[Rejection]:
    for problem in problems:
        problem.device = device
    return problems
