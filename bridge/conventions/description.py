"""Native descriptions: what a device says of itself, checked part by part. A bad part never hides the good ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from bridge.conventions.limits import LARGEST_NUMBER, MAX_KEY_LENGTH, MAX_PROBLEMS, MAX_TEXT_LENGTH
from bridge.conventions.names import is_metric
from bridge.conventions.objects import MAX_UNIT_LENGTH
from bridge.core.model import CommandInfo, Description, Kind, MetricInfo, Observation, Reason, Rejection

# What the fleet keeps for one device; each metric is a row on the page.
MAX_METRICS = 1_000
# Each is a form on the page.
MAX_COMMANDS = 200
# Names and titles are labels.
MAX_LABEL_LENGTH = 256
# A form of some dozen fields. The schema is kept, sent to every dashboard and run for every command.
MAX_SCHEMA_BYTES = 16_384
# What a double can show.
MAX_PRECISION = 15

_KINDS = {
    "number": Kind.NUMBER,
    "integer": Kind.NUMBER,
    "float": Kind.NUMBER,
    "boolean": Kind.BOOLEAN,
    "text": Kind.TEXT,
    "string": Kind.TEXT,
}


def parse_description(device: str, data: Any) -> list[Observation]:
    """The description, and a rejection for each part of it that could not be used."""
    return _Reader(device).read(data)


class _Reader:
    """Reads one description, collecting what is wrong with it."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._problems: list[Rejection] = []

    def read(self, data: Any) -> list[Observation]:
        if not isinstance(data, dict):
            self._reject("the description is not an object")
            return [*self._problems]
        description = Description(
            self._device,
            name=self._text(data, "name", ""),
            manufacturer=self._text(data, "manufacturer", ""),
            model=self._text(data, "model", ""),
            sw_version=self._text(data, "sw_version", ""),
            area=self._text(data, "area", ""),
            metrics=self._entries(data, "metrics", MAX_METRICS, is_metric, self._metric),
            commands=self._entries(data, "commands", MAX_COMMANDS, _is_command_name, self._command),
        )
        return [description, *self._problems]

    def _reject(self, detail: str) -> None:
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(Rejection(Reason.INVALID_DESCRIPTION, detail[:200], self._device))

    def _entries(
        self,
        data: dict[str, Any],
        key: str,
        limit: int,
        is_name: Callable[[str], bool],
        read: Callable[[dict[str, Any], str], Any],
    ) -> dict[str, Any]:
        entries = data.get(key)
        if entries is None:
            return {}
        if not isinstance(entries, dict):
            self._reject(f"{key} is not an object")
            return {}
        if len(entries) > limit:
            self._reject(f"{key} has {len(entries)} entries, {limit} are taken")
        taken = {}
        for name, entry in list(entries.items())[:limit]:
            where = f"{key}.{name[:60]}"
            if not is_name(name):
                self._reject(f"{where}: not a name")
            elif not isinstance(entry, dict):
                self._reject(f"{where} is not an object")
            elif (info := read(entry, where)) is not None:
                taken[name] = info
        return taken

    def _metric(self, entry: dict[str, Any], where: str) -> MetricInfo:
        unit = self._text(entry, "unit", where, MAX_UNIT_LENGTH)
        low, high = self._number(entry, "min", where), self._number(entry, "max", where)
        if low is not None and high is not None and low > high:
            self._reject(f"{where}: min is greater than max")
            low = high = None
        return MetricInfo(
            name=self._text(entry, "name", where),
            kind=self._kind(entry, where),
            unit=unit,
            unit_source="declared" if unit else "",
            min=low,
            max=high,
            precision=self._precision(entry, where),
        )

    def _command(self, entry: dict[str, Any], where: str) -> CommandInfo | None:
        schema = entry.get("schema", {})
        if not isinstance(schema, dict) or (schema and schema.get("type") != "object"):
            # Without it nothing would check the arguments: rather no command than an unchecked one.
            self._reject(f'{where}.schema is not an object schema with "type": "object"')
            return None
        if len(msgspec.json.encode(schema)) > MAX_SCHEMA_BYTES:
            self._reject(f"{where}.schema is larger than {MAX_SCHEMA_BYTES} bytes")
            return None
        danger = entry.get("danger", False)
        if not isinstance(danger, bool):
            self._reject(f"{where}.danger is not true or false")
            danger = True  # asking once too often does no harm
        return CommandInfo(
            title=self._text(entry, "title", where),
            description=self._text(entry, "description", where, MAX_TEXT_LENGTH),
            schema=schema,
            danger=danger,
        )

    def _text(self, data: dict[str, Any], key: str, where: str, limit: int = MAX_LABEL_LENGTH) -> str:
        value = data.get(key)
        if value is None:
            return ""
        if isinstance(value, str) and len(value) <= limit and "\0" not in value:
            return value
        self._reject(f"{_join(where, key)} is not a text of at most {limit} characters")
        return ""

    def _number(self, data: dict[str, Any], key: str, where: str) -> float | None:
        value = data.get(key)
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER:
            return float(value)
        self._reject(f"{_join(where, key)} is not a number")
        return None

    def _kind(self, data: dict[str, Any], where: str) -> Kind:
        datatype = data.get("datatype")
        if datatype is None:
            return Kind.UNKNOWN
        kind = _KINDS.get(datatype) if isinstance(datatype, str) else None
        if kind is None:
            self._reject(f"{_join(where, 'datatype')} is none of {', '.join(_KINDS)}")
        return kind or Kind.UNKNOWN

    def _precision(self, data: dict[str, Any], where: str) -> int | None:
        value = data.get("precision")
        if value is None or (type(value) is int and 0 <= value <= MAX_PRECISION):
            return value
        self._reject(f"{_join(where, 'precision')} is not an integer from 0 to {MAX_PRECISION}")
        return None


def _is_command_name(name: str) -> bool:
    return 0 < len(name) <= MAX_KEY_LENGTH and "\0" not in name


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
