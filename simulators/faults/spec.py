"""What somebody asked for: `dropout:0.1`, `stuck:0.2@10-30/60,metric=temperature`, or the same as a table of TOML or
JSON. Reads and checks; which faults exist is passed in.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

_SHORT = re.compile(
    r"(?P<name>[A-Za-z0-9_]+)(?::(?P<probability>[^@]+))?"
    r"(?:@(?P<begin>[0-9.]+)-(?P<end>[0-9.]+)?(?:/(?P<every>[0-9.]+))?)?"
)

# The options of a fault, as in a table; `--faults` takes the last three after a comma.
_KEYS = ("name", "probability", "from_s", "to_s", "every_s", "devices", "metric", "amount")


class FaultError(ValueError):
    """What was asked for cannot be done; the text is one line for whoever asked."""


@dataclass(frozen=True, slots=True)
class Window:
    """When a fault is there, in seconds since the fleet began. `every_s` repeats it."""

    begin_s: float = 0.0
    end_s: float = math.inf
    every_s: float | None = None

    def at(self, elapsed_s: float) -> tuple[int, float, float] | None:
        """The number of the window that is open, when it opened and when it closes."""
        since = elapsed_s - self.begin_s
        if since < 0.0:
            return None
        number = 0 if self.every_s is None else int(since // self.every_s)
        opened, closes = self.opening(number)
        return (number, opened, closes) if elapsed_s < closes else None

    def opening(self, number: int) -> tuple[float, float]:
        """When the window of this number opens and closes."""
        shift = 0.0 if self.every_s is None else number * self.every_s
        return self.begin_s + shift, self.end_s + shift


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """One fault as declared. What `probability` counts (messages, commands, devices) is the fault's own matter."""

    name: str
    probability: float = 1.0
    window: Window | None = None  # None: the fault's own, usually always
    devices: str = "*"  # pattern of device ids
    metric: str | None = None  # None: the fault chooses
    amount: float | None = None  # None: the fault's own
    number: int = field(default=0, compare=False)  # its place in the list; two alike are two

    def matches(self, device_id: str) -> bool:
        return self.devices == "*" or fnmatchcase(device_id, self.devices)


def parse_faults(texts: Iterable[str], known: Sequence[str]) -> list[FaultSpec]:
    """Reads the short form; several in one text are separated by commas, options follow the fault they belong to."""
    tables: list[dict[str, Any]] = []
    for text in texts:
        first = len(tables)
        for piece in filter(None, map(str.strip, text.split(","))):
            if "=" not in piece:
                tables.append(_read_short(piece, known))
                continue
            key, _, value = piece.partition("=")
            if len(tables) == first:
                raise FaultError(f"{text!r} names no fault in front of {key}=")
            tables[-1][key.strip()] = value.strip()
    return faults_from_tables(tables, known)


def faults_from_tables(tables: Iterable[Mapping[str, Any]], known: Sequence[str]) -> list[FaultSpec]:
    """Reads `[[faults]]` of a file: name, probability, from_s, to_s, every_s, devices, metric, amount."""
    return [_read_table(table, known, number) for number, table in enumerate(tables)]


def check_name(name: str, known: Sequence[str]) -> str:
    """The name, when there is such a fault; else the error says which one may have been meant."""
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else "--faults help lists them"
    raise FaultError(f"there is no fault {name!r}; {hint}")


def _read_short(text: str, known: Sequence[str]) -> dict[str, Any]:
    match = _SHORT.fullmatch(text)
    if match is None:
        check_name(re.split("[:@]", text, maxsplit=1)[0], known)
        raise FaultError(
            f"{text!r} is not a fault; write NAME[:PROBABILITY][@FROM-TO[/EVERY]], such as stuck:0.2@10-30"
        )
    keys = {"name": "name", "probability": "probability", "begin": "from_s", "end": "to_s", "every": "every_s"}
    return {keys[key]: value for key, value in match.groupdict().items() if value is not None}


def _read_table(table: Mapping[str, Any], known: Sequence[str], number: int) -> FaultSpec:
    name = check_name(str(table.get("name", "")), known)
    for key in table:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_KEYS)}"
            raise FaultError(f"{name}: there is no option {key!r}; {hint}")
    probability = _number(name, table, "probability")
    if probability is not None and not 0.0 <= probability <= 1.0:
        raise FaultError(f"{name}: the probability {probability:g} is not between 0 and 1")
    return FaultSpec(
        name,
        1.0 if probability is None else probability,
        _read_window(name, table),
        str(table.get("devices", "*")),
        None if table.get("metric") is None else str(table["metric"]),
        _number(name, table, "amount"),
        number,
    )


def _read_window(name: str, table: Mapping[str, Any]) -> Window | None:
    begin_s, end_s = _number(name, table, "from_s"), _number(name, table, "to_s")
    every_s = _number(name, table, "every_s")
    if begin_s is None and end_s is None and every_s is None:
        return None
    window = Window(begin_s or 0.0, math.inf if end_s is None else end_s, every_s)
    if window.begin_s < 0.0 or window.end_s <= window.begin_s:
        raise FaultError(f"{name}: the time from {window.begin_s:g} to {window.end_s:g} seconds is empty")
    if every_s is not None and (end_s is None or every_s < end_s - window.begin_s):
        raise FaultError(f"{name}: what is repeated every {every_s:g} seconds must last no longer than that")
    return window


def _number(name: str, table: Mapping[str, Any], key: str) -> float | None:
    value = table.get(key)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise FaultError(f"{name}: {key} must be a number, not {value!r}")
    return number
