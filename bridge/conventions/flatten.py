"""From nested JSON to leaves: each a path of keys and one value.

Knows the shapes that firmwares use for one value: `{"value": 21.5, "unit": "C", "ts": ...}` and records such as
`{"name": "temp", "value": 21.5}`. Recursion is bounded: the payload's depth was checked before it was parsed.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from bridge.conventions.limits import LARGEST_NUMBER, MAX_LIST_LENGTH, MAX_PROBLEMS, MAX_VALUES
from bridge.conventions.names import is_key
from bridge.core.model import Reason, Rejection

Path: TypeAlias = tuple[str, ...]

_VALUE_KEYS = ("value", "val", "v")
_NAME_KEYS = ("name", "metric", "key", "tag", "n")
_UNIT_KEYS = ("unit", "u", "uom", "unit_of_measurement")
_TIME_KEYS = ("ts", "time", "timestamp", "t")
_QUALITY_KEYS = ("quality", "q", "qc")
_ELEMENT_KEYS = ("id", "name", "channel", "address", "mac", "metric", "key", "tag", "n")
_COMPANIONS = frozenset((*_VALUE_KEYS, *_UNIT_KEYS, *_TIME_KEYS, *_QUALITY_KEYS, "type", "datatype"))
# Objects, lists and bad keys looked at in one message: a million empty objects hold no value, but cost their time.
_MAX_STEPS = 4 * MAX_VALUES
# Objects of one key may be values; more keys than all companions cannot be.
_MOST_COMPANIONS = 6


class Leaf(NamedTuple):
    """One value. `unit` and `time` only when the value carries its own."""

    path: Path
    value: Any
    unit: str = ""
    time: Any = None


class Flattener:
    """Collects the leaves of one message, and what had to be left out."""

    def __init__(self, *, has_value_objects: bool) -> None:
        self.leaves: list[Leaf] = []
        self.problems: list[Rejection] = []
        self.is_full = False
        self._has_value_objects = has_value_objects
        self._steps = 0

    def reject(self, reason: Reason, detail: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Rejection(reason, detail[:200]))

    def walk(self, path: Path, data: Any) -> None:
        """Add everything below `data`; `path` is how one gets there."""
        self._step()
        if self.is_full:
            return
        if isinstance(data, dict):
            self._walk_object(path, data)
        elif isinstance(data, list):
            self._walk_list(path, data)
        else:
            self.add(Leaf(path, data))

    def _walk_object(self, path: Path, data: dict[str, Any]) -> None:
        if self._has_value_objects:
            leaf = as_value_object(path, data) or as_record(path, data)
            if leaf is not None:
                self.add(leaf)
                return
        for key, value in data.items():
            self._descend(path, key, value)
            if self.is_full:
                return

    def _walk_list(self, path: Path, data: list[Any]) -> None:
        if data and all(type(element) is dict for element in data):
            self._walk_objects(path, data)
        elif len(data) > MAX_LIST_LENGTH:
            self.reject(Reason.UNSUPPORTED, f"{_show(path)}: a list of {len(data)} values")
        else:
            for index, element in enumerate(data):
                self.walk((*path, str(index)), element)

    def _walk_objects(self, path: Path, elements: list[dict[str, Any]]) -> None:
        if self._has_value_objects:
            records = [as_record(path, element) for element in elements[: MAX_VALUES + 1]]
            if None not in records:
                for record in records:
                    if record is not None:
                        self.add(record)
                return
        key = element_key(elements)
        for index, element in enumerate(elements):
            if key is None:
                self.walk((*path, str(index)), element)
            else:
                rest = {name: value for name, value in element.items() if name != key}
                self._descend(path, str(element[key]), rest)
            if self.is_full:
                return

    def _descend(self, path: Path, key: str, value: Any) -> None:
        if is_key(key):
            path = (*path, key)
            if isinstance(value, dict | list):
                self.walk(path, value)
            else:
                self.add(Leaf(path, value))
        else:
            self._step()
            self.reject(Reason.INVALID_NAME, f"{_show(path)}: a key that is empty, too long or has a NUL: {key[:40]!r}")

    def _step(self) -> None:
        self._steps += 1
        if self._steps > _MAX_STEPS:
            self._fill()

    def _fill(self) -> None:
        if not self.is_full:
            self.is_full = True
            # Told whatever else was wrong: values are missing from here on.
            self.problems.append(Rejection(Reason.TOO_MANY_VALUES, f"more than {MAX_VALUES} values in one message"))

    def add(self, leaf: Leaf) -> None:
        if len(self.leaves) >= MAX_VALUES:
            self._fill()
        elif not is_key(leaf.path[-1] if leaf.path else ""):
            self.reject(Reason.INVALID_NAME, f"a name that is empty, too long or has a NUL: {_show(leaf.path)}")
        elif type(leaf.value) is int and not -LARGEST_NUMBER <= leaf.value <= LARGEST_NUMBER:
            self.reject(Reason.OUT_OF_RANGE, f"{_show(leaf.path)}: an integer too large for a double")
            self.leaves.append(leaf._replace(value=None))
        else:
            self.leaves.append(leaf)


def as_value_object(path: Path, data: dict[str, Any]) -> Leaf | None:
    """`{"value": 21.5, "unit": "C", "ts": ..., "q": ...}`: one value with its companions."""
    return None if len(data) > _MOST_COMPANIONS or not data.keys() <= _COMPANIONS else _value_of(path, data)


def as_record(path: Path, data: dict[str, Any]) -> Leaf | None:
    """`{"name": "temp", "value": 21.5}`: one value that brings its name."""
    if not 2 <= len(data) <= _MOST_COMPANIONS:
        return None
    for key in _NAME_KEYS:
        if isinstance(data.get(key), str) and data.keys() - {key} <= _COMPANIONS:
            return _value_of((*path, data[key]), data)
    return None


def _value_of(path: Path, data: dict[str, Any]) -> Leaf | None:
    value_key = _only(data, _VALUE_KEYS)
    if value_key is None or isinstance(data[value_key], dict | list):
        return None
    unit = _text(data, _UNIT_KEYS)
    time_key = next((key for key in _TIME_KEYS if key in data), None)
    quality = next((data[key] for key in _QUALITY_KEYS if key in data), None)
    is_bad = quality is not None and quality in (0, "bad", "BAD", "Bad")
    return Leaf(path, None if is_bad else data[value_key], unit, data[time_key] if time_key else None)


def element_key(elements: list[dict[str, Any]]) -> str | None:
    """The key by which the objects of a list can be told apart, whatever their order."""
    for key in _ELEMENT_KEYS:
        if key not in elements[0]:
            continue
        ids = [element.get(key) for element in elements]
        if all(_is_id(one) for one in ids) and len(set(map(str, ids))) == len(ids):
            return key
    return None


def _is_id(value: Any) -> bool:
    return isinstance(value, str) or (type(value) is int and abs(value) < 2**64)


def _only(data: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    found = [key for key in keys if key in data]
    return found[0] if len(found) == 1 else None


def _text(data: dict[str, Any], keys: tuple[str, ...]) -> str:
    return next((data[key] for key in keys if isinstance(data.get(key), str)), "")


def _show(path: Path) -> str:
    return ".".join(path)[:80] or "message"
