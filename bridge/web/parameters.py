"""The parameters of a request: every one known, named once unless it may be repeated, and within its limits."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import tzinfo

from aiohttp import web

from bridge.errors import ProtocolError
from bridge.history.faults import HistoryError
from bridge.history.local_time import MAX_SHOWN, find_zone, parse_time

_WHOLE = re.compile(r"-?\d{1,15}", re.ASCII)


class Parameters:
    """Reads the query of a request. Whatever is wrong is a ProtocolError `invalid_message` that names it."""

    def __init__(self, request: web.Request, known: Collection[str], repeatable: Collection[str] = ()) -> None:
        self._query = request.query
        for name in dict.fromkeys(self._query):
            if name not in known and name not in repeatable:
                raise _wrong(f"there is no parameter {_shown(name)} here")  # a misspelt limit is no limit
            if name not in repeatable and len(self._query.getall(name)) > 1:
                raise _wrong(f"{name} is given twice")

    def all(self, name: str) -> list[str]:
        return self._query.getall(name, [])

    def one(self, name: str) -> str | None:
        return self._query.get(name)

    def number(self, name: str, low: int, high: int, default: int | None = None) -> int | None:
        text = self.one(name)
        return default if text is None else parse_number(name, text, low, high)

    def numbers(self, name: str, low: int, high: int) -> list[int]:
        return [parse_number(name, text, low, high) for text in self.all(name)]

    def choice(self, name: str, choices: Collection[str], default: str) -> str:
        text = self._query.get(name, default)
        if text not in choices:
            raise _wrong(f"{name} is one of {', '.join(choices)}, not {_shown(text)}")
        return text

    def time_us(self, name: str) -> int | None:
        text = self.one(name)
        return None if text is None else parse_time_of(name, text)

    def span(self) -> tuple[int, int]:
        """`from` and `to`, which are both needed."""
        from_us, to_us = self.time_us("from"), self.time_us("to")
        if from_us is None or to_us is None:
            raise _wrong(f"{'from' if from_us is None else 'to'} is missing")
        if from_us >= to_us:
            raise _wrong("to must be later than from")
        return from_us, to_us

    def zone(self) -> tzinfo:
        """`tz`; UTC without it. May read a file: for a thread."""
        try:
            return find_zone(self._query.get("tz", "UTC"))
        except HistoryError as error:
            raise _wrong(f"tz: {error}") from None


def parse_number(name: str, text: str, low: int, high: int) -> int:
    if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
        raise _wrong(f"{name} is a whole number from {low} to {high}, not {_shown(text)}")
    return int(text)


def parse_time_of(name: str, text: str) -> int:
    try:
        return parse_time(text)
    except HistoryError as error:
        raise _wrong(f"{name}: {error}") from None


def _shown(text: str) -> str:
    return repr(text[:MAX_SHOWN])


def _wrong(message: str) -> ProtocolError:
    return ProtocolError("invalid_message", message)
