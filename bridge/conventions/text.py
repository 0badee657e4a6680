"""What a piece of text means as a value: a number, a switch, "no value", or just text."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from bridge.conventions.limits import MAX_TEXT_LENGTH
from bridge.conventions.payload import is_in_range
from bridge.conventions.units import known_unit
from bridge.core.model import Reason, Value

# "None" only as Python prints it: "none" is what an alarm or an effect may well be.
_NO_VALUE = frozenset({"", "unavailable", "unknown", "null", "nan", "-nan", "nan(ind)", "-nan(ind)", "n/a", "---"})
_INFINITE = frozenset({"inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"})
_SWITCH = {"on": True, "true": True, "off": False, "false": False}
# ASCII only: Python's own float() and int() also read "1_000", "١٢" and "infinity".
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+", re.ASCII)
# "0012" is more likely an identifier than twelve; a number would lose the zeros.
_LEADING_ZERO = re.compile(r"[+-]?0\d", re.ASCII)
_WITH_UNIT = re.compile(r"([+-]?[\d.,]+)(?:\s+(\S.{0,7})|([%°µΩ℃℉].{0,7}))", re.ASCII)
_DATA_URL = re.compile(r"data:[\w.+-]+/[\w.+-]+[;,]", re.ASCII)
_LONGEST_NUMBER = 400  # a longer run of digits is out of range for a double in any case, or no number

# Names whose values are labels even when they look like numbers: version 1.10 is not 1.1.
_LABEL_WORDS = frozenset(
    (
        *("version", "ver", "fw", "sw", "hw", "firmware", "software", "serial", "sn", "mac", "imei", "iccid", "ssid"),
        *("bssid", "ip", "uuid", "guid", "uid", "phone", "color", "colour", "hash", "name", "title", "code"),
        *("barcode", "rfid", "tag"),
    )
)
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


class Meaning(NamedTuple):
    value: Value
    unit: str = ""
    # Set when the text was not taken; `value` is then None.
    reason: Reason | None = None


_NOTHING = Meaning(None)


def text_problem(text: str) -> Reason | None:
    """Why a text cannot be shown as a value, if so."""
    if "\0" in text or (text[:5] == "data:" and _DATA_URL.match(text)):
        return Reason.BINARY
    return Reason.TEXT_TOO_LONG if len(text) > MAX_TEXT_LENGTH else None


def parse_text(text: str, name: str = "") -> Meaning:
    """What `text` means as the value of a metric called `name`."""
    problem = text_problem(text)
    if problem is not None:
        # A digit sequence of that length is a number that nobody can hold, not a document.
        if problem is Reason.TEXT_TOO_LONG and _NUMBER.fullmatch(text):
            problem = Reason.OUT_OF_RANGE
        return Meaning(None, "", problem)
    text = text.strip()
    word = text.lower()
    if word in _NO_VALUE or text == "None":
        return _NOTHING
    if word in _SWITCH:
        return Meaning(_SWITCH[word])
    if word in _INFINITE:
        return Meaning(None, "", Reason.NOT_FINITE)
    if text[0].isalpha() or is_label(name):
        return Meaning(text)
    return _parse_number(text) or _parse_with_unit(text) or Meaning(text)


@lru_cache(maxsize=4096)  # asked for every text value, and names repeat
def is_label(name: str) -> bool:
    """Whether a metric's name says that its values are not quantities."""
    return any(word.lower() in _LABEL_WORDS for word in _WORDS.findall(name))


def _parse_number(text: str) -> Meaning | None:
    if _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    elif not _NUMBER.fullmatch(text):
        return None
    if _LEADING_ZERO.match(text):
        return None
    if len(text) > _LONGEST_NUMBER or not is_in_range(text):
        return Meaning(None, "", Reason.OUT_OF_RANGE)
    return Meaning(int(text) if text.lstrip("+-").isdigit() else float(text))


def _parse_with_unit(text: str) -> Meaning | None:
    match = _WITH_UNIT.fullmatch(text)
    if match is None:
        return None
    unit = known_unit(match[2] or match[3])
    number = _parse_number(match[1]) if unit else None
    return number._replace(unit=unit) if number is not None else None
