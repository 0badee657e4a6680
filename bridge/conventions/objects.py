"""Plain JSON objects and lists of them: which device, which time, which metrics. The general way."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

from bridge.conventions.flatten import Flattener, Leaf, as_value_object, element_key
from bridge.conventions.limits import MAX_VALUES
from bridge.conventions.names import (
    UNNAMED_METRIC,
    Role,
    device_id_from,
    is_key,
    is_metric,
    is_named_in,
    join_path,
    role_of,
    time_rank,
)
from bridge.conventions.replies import availability_from
from bridge.conventions.routes import Route, Routes
from bridge.conventions.text import parse_text
from bridge.conventions.times import NO_TIME, LocalOffsets, ParsedTime, parse_time
from bridge.conventions.units import infer_unit, known_unit
from bridge.core.model import (
    AvailabilityChange,
    Message,
    MetricInfo,
    Observation,
    Readings,
    Reason,
    Rejection,
    SignOfLife,
    Value,
)

# Longer "units" are sentences, and would break every table.
MAX_UNIT_LENGTH = 32

# Keys of one object that are looked at: all values that count, and room for times and ids beside them.
_MOST_KEYS = 2 * MAX_VALUES

_ENVELOPES = ("data", "values", "payload", "fields", "measurements", "metrics")
_AVAILABILITY_KEYS = ("state", "status", "availability", "online", "connected")
# Alone these stand for the whole object (`as_value_object`): what they mean depends on the other keys.
_NEVER_LEARNT = frozenset({"value", "val", "v"})
_NUMBER_TYPES = frozenset((float, int))
_PLAIN_TYPES = frozenset((float, int, bool, str, type(None)))
_NOT_TAKEN = frozenset({Reason.TEXT_TOO_LONG, Reason.BINARY})


class _Record(NamedTuple):
    """One object of a message: who, when, and what is left to be taken as values."""

    device: str
    time: ParsedTime
    time_keys: Sequence[str]
    body: dict[str, Any]
    is_plain: bool  # neither an id nor an envelope: the keys are the metrics


class ObjectReader:
    """Reads objects, and teaches the route of their topic what the next message can rely on."""

    def __init__(self, routes: Routes, offsets: LocalOffsets) -> None:
        self._routes = routes
        self._offsets = offsets

    def read_object(self, route: Route, data: dict[str, Any], message: Message) -> list[Observation]:
        availability = _availability_in(data) if route.is_availability else None
        if availability is not None:
            return [AvailabilityChange(route.names.scalar_device, availability, "status")]
        flattener = Flattener(has_value_objects=True)
        return self._read_record(route, data, message, flattener)

    def read_list(self, route: Route, data: list[Any], message: Message) -> list[Observation]:
        """A list at the top: of records that have a time each, of objects with ids, or of numbers."""
        flattener = Flattener(has_value_objects=True)
        objects = [element for element in data if type(element) is dict]
        if not objects or len(objects) < len(data):
            flattener.walk((route.names.scalar_metric,), data)
            return self._observe(route, route.names.scalar_device, NO_TIME, flattener, message)
        if element_key(objects) is None and any(role_of(key) is Role.TIME for key in objects[0]):
            observations: list[Observation] = []
            for record in objects[:MAX_VALUES]:
                observations += self._read_record(route, record, message, Flattener(has_value_objects=True))
            if len(objects) > MAX_VALUES:
                observations.append(Rejection(Reason.TOO_MANY_VALUES, f"{len(objects)} records in one message"))
            return observations
        flattener.walk((), data)
        return self._observe(route, route.names.object_device, NO_TIME, flattener, message)

    def tell_unit(self, route: Route, device: str, metric: str, unit: str, source: str) -> MetricInfo | None:
        """What to say of a metric's unit, if it was not said before."""
        if unit and self._routes.learn_unit(route, device, metric, unit):
            return MetricInfo(unit=unit, unit_source=source)
        return None

    # ----- one record -------------------------------------------------------------------------------------

    def _read_record(
        self, route: Route, data: dict[str, Any], message: Message, flattener: Flattener
    ) -> list[Observation]:
        record = self._open(route, data, message, flattener)
        device = record.device
        single = as_value_object((UNNAMED_METRIC,), record.body)
        names = route.names
        if single is not None and device == names.object_device != names.scalar_device:
            # An object around one value: named by its topic, like the bare value that it stands for.
            device = names.scalar_device
            single = single._replace(path=(names.scalar_metric,))
        if single is not None:
            flattener.add(single)
        else:
            flattener.walk((), record.body)
        if len(data) > _MOST_KEYS and not flattener.is_full:
            flattener.reject(Reason.TOO_MANY_VALUES, f"{len(data)} keys in one object")
        observations = self._observe(route, device, record.time, flattener, message)
        if record.is_plain and not flattener.is_full and not route.is_availability:
            self._learn(route, data, record)
        return observations

    def _open(self, route: Route, data: dict[str, Any], message: Message, flattener: Flattener) -> _Record:
        if len(data) > _MOST_KEYS:
            # Every key is looked at several times before values are counted.
            data = dict(islice(data.items(), _MOST_KEYS))
        device, id_key = self._identify(route, data, flattener)
        body = {key: value for key, value in data.items() if key != id_key} if id_key else data
        envelope = _envelope_in(body)
        if envelope:
            body = _unwrap(body, envelope)
        time, time_keys = self._find_time(body, device, message)
        if time_keys:
            body = {key: value for key, value in body.items() if key not in time_keys}
        return _Record(device, time, time_keys, body, not id_key and not envelope)

    def _identify(self, route: Route, data: dict[str, Any], flattener: Flattener) -> tuple[str, str]:
        """The device, and the key that names it; "" when it is the topic that names it."""
        topic_device = route.names.object_device
        perhaps = ""
        for key, value in data.items():
            role = role_of(key)
            if role is Role.DEVICE:
                device = device_id_from(value)
                if not device:
                    flattener.reject(Reason.INVALID_NAME, f"{key} is no device id")
                    return topic_device, key
                return (topic_device if is_named_in(route.topic, device) else device), key
            if role is Role.PERHAPS_DEVICE and not perhaps and device_id_from(value):
                perhaps = key
        if perhaps:
            device = device_id_from(data[perhaps])
            if not is_named_in(route.topic, device) and route.observe_id(device):
                # Short ids repeat from site to site: the topic keeps them apart.
                return f"{topic_device}/{device}", perhaps
        return topic_device, ""

    def _find_time(self, body: dict[str, Any], device: str, message: Message) -> tuple[ParsedTime, list[str]]:
        """The best time of an object, and all keys that hold times: those are never metrics."""
        found: list[tuple[int, str, ParsedTime]] = []
        for key, value in body.items():
            if role_of(key) is not Role.TIME:
                continue
            time = NO_TIME if value is None else self._parse_time(value, device, message)
            if time is not None:  # else it is not a time at all, and an ordinary value
                found.append((time_rank(key), key, time))
        if not found:
            return NO_TIME, []
        return min(found)[2], [key for _, key, _ in found]

    def _parse_time(self, raw: Any, device: str, message: Message) -> ParsedTime | None:
        return parse_time(raw, message.received_us, self._offsets, device, is_live=not message.retain)

    def _learn(self, route: Route, data: dict[str, Any], record: _Record) -> None:
        """Remember the keys that hold plain values, so that the next message takes the short way."""
        if len(record.time_keys) == 1:
            route.time_key = record.time_keys[0]
        for key, value in data.items():
            if key in route.metric_names or type(value) not in _PLAIN_TYPES or key in _NEVER_LEARNT:
                continue
            if not is_key(key) or role_of(key) is not Role.VALUE:
                continue
            # The short way tells no units: a key that implies one is only learnt once a number came with it.
            if type(value) in _NUMBER_TYPES or not infer_unit(key):
                self._routes.learn_metric(route, key, join_path((key,)))

    # ----- from leaves to observations --------------------------------------------------------------------

    def _observe(
        self, route: Route, device: str, time: ParsedTime, flattener: Flattener, message: Message
    ) -> list[Observation]:
        common = Readings(device, [], time.time_us, time.flag)
        groups = {time: common}
        for leaf in flattener.leaves:
            name = join_path(leaf.path)
            if not is_metric(name):
                flattener.reject(Reason.INVALID_NAME, f"a metric name of {len(name)} characters")
                continue
            value, unit, source, is_taken = _interpret(leaf, name, flattener)
            if not is_taken:
                continue
            readings = common
            if leaf.time is not None:
                own_time = self._parse_time(leaf.time, device, message) or time
                readings = groups.setdefault(own_time, Readings(device, [], own_time.time_us, own_time.flag))
            readings.values.append((name, value))
            told = self.tell_unit(route, device, name, unit, source) if unit else None
            if told is not None:
                readings.units = {**(readings.units or {}), name: told}
        observed: list[Observation] = [readings for readings in groups.values() if readings.values]
        for problem in flattener.problems:
            problem.device = device
        return [*(observed or (SignOfLife(device),)), *flattener.problems]


def _interpret(leaf: Leaf, name: str, flattener: Flattener) -> tuple[Value, str, str, bool]:
    """The value of a leaf, its unit, where the unit comes from, and whether there is a value at all."""
    value: Value = leaf.value
    unit = leaf.unit
    if unit:
        unit = known_unit(unit) or (unit if len(unit) <= MAX_UNIT_LENGTH else "")
    key = leaf.path[-1]
    if isinstance(value, str):
        meaning = parse_text(value, key)
        if meaning.reason is not None:
            flattener.reject(meaning.reason, name)
            if meaning.reason in _NOT_TAKEN:
                return None, "", "", False
        value = meaning.value
        unit = unit or meaning.unit
    if unit or isinstance(value, bool | str) or value is None:
        return value, unit, "declared", True
    return value, infer_unit(key), "inferred", True


def _envelope_in(body: dict[str, Any]) -> str:
    """The one key that wraps the values; "" if there is none, or no single one."""
    found = [key for key in _ENVELOPES if _as_object(body.get(key)) is not None]
    return found[0] if len(found) == 1 else ""


def _as_object(content: Any) -> dict[str, Any] | None:
    """The content of an envelope: an object, or a list of objects that each bring their name."""
    if isinstance(content, dict):
        return content
    if not isinstance(content, list) or not content or not all(type(element) is dict for element in content):
        return None
    key = element_key(content)
    return {str(one[key]): {name: one[name] for name in one if name != key} for one in content} if key else None


def _unwrap(body: dict[str, Any], envelope: str) -> dict[str, Any]:
    """The object with the envelope's content in its place. What exists outside too keeps its whole path."""
    inner = _as_object(body[envelope]) or {}
    unwrapped = {key: value for key, value in body.items() if key != envelope}
    clashes = {key: value for key, value in inner.items() if key in unwrapped}
    if clashes:
        unwrapped[envelope] = clashes
    unwrapped.update((key, value) for key, value in inner.items() if key not in clashes and key != envelope)
    return unwrapped


def _availability_in(data: dict[str, Any]) -> Any:
    if len(data) != 1:
        return None
    key, value = next(iter(data.items()))
    return availability_from(value) if key in _AVAILABILITY_KEYS else None
