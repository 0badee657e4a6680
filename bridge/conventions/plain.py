"""Devices that follow no convention: a JSON object, a number, a word on a topic of their own.

The first message of a topic is read the general way (`objects`, `text`) and teaches the topic's route; a flat object of
known keys and plain numbers then costs one JSON parse and one pass over its items.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from bridge.conventions.limits import LARGEST_NUMBER
from bridge.conventions.objects import ObjectReader
from bridge.conventions.payload import decode_json, read, read_json
from bridge.conventions.replies import availability_from, parse_lenient_reply
from bridge.conventions.routes import CLEARED, Route, Routes
from bridge.conventions.text import parse_text
from bridge.conventions.times import AHEAD_LIMIT_US, LATE_AFTER_US, LocalOffsets, parse_time
from bridge.conventions.units import infer_unit
from bridge.core.model import (
    Availability,
    AvailabilityChange,
    CommandRequest,
    Message,
    Observation,
    Publish,
    Readings,
    Reason,
    Rejection,
    SignOfLife,
    TimeFlag,
    Value,
)

# Devices whose topics begin with a slash, which their names lack: commands must find the way back. More than any plant
# has; those beyond get their commands without the slash.
MAX_SLASHED = 20_000

# Far within what a double and 64 bits hold: no further look is needed at such an integer.
_PLAIN_INTEGER = 2**62
_DIGITS = b"-0123456789"
_COMMAND = "/command"
_ACK = "/command/ack"
_OK = TimeFlag.OK


class PlainConvention:
    """Everything that no other convention recognises. Plain devices describe nothing, not even their commands."""

    name = "plain"

    def __init__(self) -> None:
        self._routes = Routes()
        self._by_topic = self._routes.by_topic
        self._offsets = LocalOffsets()
        self._objects = ObjectReader(self._routes, self._offsets)
        self._slashed: set[str] = set()

    def recognises(self, message: Message) -> bool:
        return True

    def decode(self, message: Message) -> Sequence[Observation]:
        """The hot path: anything unusual goes to `_decode_slowly`, which starts over."""
        route = self._by_topic.get(message.topic)
        if route is None:
            route = self._add_route(message.topic)
        if route.answer is not None:
            return route.answer
        payload = message.payload
        # No bracket after the first: flat, so that the parser does not recurse.
        if payload[:1] != b"{" or b"[" in payload or b"{" in payload[1:]:
            return self._decode_number(route, message)
        try:
            data = decode_json(payload)
        except ValueError:
            return self._decode_slowly(route, message)
        metric_names = route.metric_names
        values: list[tuple[str, Value]] = []
        raw_time = None
        for key, value in data.items():
            name = metric_names.get(key)
            if name is None:
                if key != route.time_key:
                    return self._decode_slowly(route, message)
                raw_time = value
                continue
            kind = type(value)
            if kind is float or (kind is int and -_PLAIN_INTEGER < value < _PLAIN_INTEGER):
                values.append((name, value))
            elif kind is str:
                meaning = parse_text(value, key)
                if meaning.unit or meaning.reason is not None:
                    return self._decode_slowly(route, message)
                values.append((name, meaning.value))
            elif kind is bool or value is None:
                values.append((name, value))
            else:
                return self._decode_slowly(route, message)
        if not values:
            return self._decode_slowly(route, message)
        if raw_time is None:
            return (Readings(route.names.object_device, values),)
        if type(raw_time) is int:
            # Milliseconds that fit the receive time need no further judgement.
            time_us = raw_time * 1000
            if -AHEAD_LIMIT_US <= message.received_us - time_us <= LATE_AFTER_US:
                return (Readings(route.names.object_device, values, time_us, _OK),)
        time = parse_time(
            raw_time, message.received_us, self._offsets, route.names.object_device, is_live=not message.retain
        )
        if time is None:
            return self._decode_slowly(route, message)
        return (Readings(route.names.object_device, values, time.time_us, time.flag),)

    def encode_command(self, request: CommandRequest) -> Publish:
        """Our own envelope: plain devices have no common one. A single argument `value` travels bare."""
        body: dict[str, Any] = {"id": request.command_id, "name": request.name}
        if request.args.keys() == {"value"}:
            body["value"] = request.args["value"]
        elif request.args:
            body["args"] = request.args
        slash = "/" if request.device in self._slashed else ""
        return Publish(f"{slash}{request.device}{_COMMAND}", msgspec.json.encode(body))

    # ----- the general way --------------------------------------------------------------------------------

    def _add_route(self, topic: str) -> Route:
        route = self._routes.add(topic)
        if topic.startswith("/") and len(self._slashed) < MAX_SLASHED:
            self._slashed.update(route.names[:2])
        return route

    def _decode_number(self, route: Route, message: Message) -> Sequence[Observation]:
        """The short way of a topic that has carried numbers before."""
        if route.is_number and message.payload[:1] in _DIGITS:
            try:
                value = decode_json(message.payload)
            except ValueError:
                return self._decode_slowly(route, message)
            if type(value) is float or (type(value) is int and -_PLAIN_INTEGER < value < _PLAIN_INTEGER):
                return (Readings(route.names.scalar_device, [(route.names.scalar_metric, value)]),)
        return self._decode_slowly(route, message)

    def _decode_slowly(self, route: Route, message: Message) -> Sequence[Observation]:
        if not message.payload:
            # A retained message was removed. Brokers tell subscribers of the moment without the retain flag.
            return CLEARED
        if route.is_reply:
            return self._decode_reply(message)
        content = read(message.payload)
        for problem in content.problems:
            problem.device = route.names.object_device
        if content.is_refused:
            return content.problems
        data = content.data if content.text is None else content.text
        if isinstance(data, dict):
            return [*self._objects.read_object(route, data, message), *content.problems]
        if isinstance(data, list):
            return [*self._objects.read_list(route, data, message), *content.problems]
        return self._decode_scalar(route, data)

    def _decode_reply(self, message: Message) -> Sequence[Observation]:
        device = message.topic.removeprefix("/").removesuffix(_ACK)
        content = read_json(message.payload)
        if content.is_refused:
            return content.problems
        return parse_lenient_reply(device, content.data)

    def _decode_scalar(self, route: Route, data: Value) -> Sequence[Observation]:
        device, metric = route.names.scalar_device, route.names.scalar_metric
        if data is None and not route.is_scalar:
            return (SignOfLife(route.names.object_device),)
        availability = _availability_of(metric, data) if route.is_availability else None
        if availability is not None:
            return (AvailabilityChange(device, availability),)
        if not isinstance(data, str):
            return self._observe_number(route, data)
        meaning = parse_text(data, metric)
        if meaning.reason in (Reason.TEXT_TOO_LONG, Reason.BINARY):
            return (Rejection(meaning.reason, metric, device),)
        route.is_scalar = True
        readings = Readings(device, [(metric, meaning.value)])
        self._tell_unit(route, readings, meaning.unit)
        if meaning.reason is not None:
            return readings, Rejection(meaning.reason, data[:40], device)
        return (readings,)

    def _observe_number(self, route: Route, value: Value) -> Sequence[Observation]:
        names = route.names
        route.is_scalar = True
        if type(value) is int and not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
            problem = Rejection(Reason.OUT_OF_RANGE, "an integer too large for a double", names.scalar_device)
            return Readings(names.scalar_device, [(names.scalar_metric, None)]), problem
        readings = Readings(names.scalar_device, [(names.scalar_metric, value)])
        self._tell_unit(route, readings, "")
        route.is_number = not route.is_availability and not isinstance(value, bool)
        return (readings,)

    def _tell_unit(self, route: Route, readings: Readings, unit: str) -> None:
        ((metric, value),) = readings.values
        source = "declared" if unit else "inferred"
        if not unit and isinstance(value, int | float) and not isinstance(value, bool):
            unit = infer_unit(metric)
        told = self._objects.tell_unit(route, readings.device, metric, unit, source)
        if told is not None:
            readings.units = {metric: told}


def _availability_of(metric: str, data: Value) -> Availability | None:
    """What a single value on a topic such as `lab/oven/status` or `lab/oven/online` says of the connection."""
    if metric.lower() not in ("online", "connected"):
        return availability_from(data)
    if isinstance(data, str):
        data = {"true": True, "false": False}.get(data.strip().lower(), data)
    if data == 0 or data == 1:
        return Availability.ONLINE if data else Availability.OFFLINE
    return availability_from(data)
