"""Reads one table of a fleet file, key by key, and complains in one line that names the file, the table and the key."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

# Metric and command names go into payloads and onto buttons.
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_MISSING = object()


class FleetFileError(ValueError):
    """A fleet file that cannot be used. The text is one line for whoever wrote the file."""


def suggest(word: str, known: Collection[str]) -> str:
    """What may have been meant."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"


class Table:
    """`take_*` reads a key once; `finish` refuses whatever nobody asked for."""

    def __init__(self, file: str, where: str, content: Any) -> None:
        self._where = f"{file}: {where}" if where else file
        self._file = file
        self._place = where
        if not isinstance(content, Mapping):
            raise FleetFileError(f"{self._where} must be a table, not {_shown(content)}")
        self._content = content
        self._taken: dict[str, None] = {}

    def name_it(self, name: str) -> None:
        """From here on the table is called by a name in complaints, not only by its number."""
        self._place = f"{self._place} ({name})"
        self._where = f"{self._file}: {self._place}"

    def fail(self, problem: str) -> FleetFileError:
        return FleetFileError(f"{self._where}: {problem}")

    def has(self, key: str) -> bool:
        return key in self._content

    def take(self, key: str, default: Any = _MISSING) -> Any:
        self._taken[key] = None
        if key in self._content:
            return self._content[key]
        if default is _MISSING:
            raise self.fail(f"{key} is missing")
        return default

    def take_text(self, key: str, default: Any = _MISSING, longest: int = 200) -> str:
        value = self.take(key, default)
        if not isinstance(value, str) or len(value) > longest or not value.isprintable():
            raise self.fail(f"{key} must be a line of text, not {_shown(value)}")
        return value

    def take_one_of(self, key: str, known: Collection[str], default: Any = _MISSING) -> str:
        value = self.take_text(key, default)
        if value not in known:
            raise self.fail(f"{key}: there is no {value!r}; {suggest(value, known)}")
        return value

    def take_number(self, key: str, low: float, high: float, default: Any = _MISSING) -> float:
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.fail(f"{key} must be a number, not {_shown(value)}")
        if not low <= value <= high:
            raise self.fail(f"{key} must be from {low:g} to {high:g}, not {value:g}")
        return float(value)

    def take_whole(self, key: str, low: int, high: int, default: Any = _MISSING) -> int:
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.fail(f"{key} must be a whole number from {low} to {high}, not {_shown(value)}")
        return value

    def take_bool(self, key: str, default: bool) -> bool:
        value = self.take(key, default)
        if not isinstance(value, bool):
            raise self.fail(f"{key} must be true or false, not {_shown(value)}")
        return value

    def take_texts(self, key: str, default: Sequence[str] = ()) -> tuple[str, ...]:
        value = self.take(key, list(default))
        good = isinstance(value, list) and all(isinstance(text, str) and 1 <= len(text) <= 100 for text in value)
        if not good:
            raise self.fail(f"{key} must be a list of texts, not {_shown(value)}")
        return tuple(value)

    def take_table(self, key: str) -> Table:
        """The table `key`, empty when there is none."""
        return Table(self._file, f"{self._place} {key}".strip(), self.take(key, {}))

    def take_named(self, key: str) -> list[tuple[str, Table]]:
        """The tables inside of table `key`, by name."""
        named = self.take_table(key)
        for name in named._content:
            if not NAME.fullmatch(name):
                raise named.fail(f"{_shown(name)} is no name: a letter, then letters, digits or _ . -")
        return [(name, named.take_table(name)) for name in named._content]

    def take_list(self, key: str) -> list[Table]:
        """The tables `[[key]]`, numbered from 1 in complaints."""
        value = self.take(key, [])
        if not isinstance(value, list):
            raise self.fail(f"{key} must be written as [[{key}]], once for each")
        return [Table(self._file, f"[[{key}]] {number}", content) for number, content in enumerate(value, 1)]

    def names(self) -> list[str]:
        return list(self._content)

    def finish(self) -> None:
        for key in self._content:
            if key not in self._taken:
                raise self.fail(f"there is no key {key[:64]!r} here; {suggest(key, self._taken)}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
