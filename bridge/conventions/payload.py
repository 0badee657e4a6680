"""From bytes to JSON values or text: the only place that parses what a device sent.

Strict first; what real firmwares get wrong (`nan`, `Infinity`, `1e999`) is forgiven once, by turning it into null. The
depth of nesting is measured before any parser that recurses sees the payload.
"""

from __future__ import annotations

import re
from array import array
from itertools import accumulate
from typing import Any, NamedTuple

import msgspec

from bridge.conventions.limits import LARGEST_NUMBER, MAX_DEPTH
from bridge.core.model import Reason, Rejection

# Bare words and huge numbers are searched with a call per string; larger payloads are not worth that much forgiveness.
LENIENT_MAX_BYTES = 65_536

decode_json = msgspec.json.Decoder().decode

_BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n"
# JPEG, PNG, GIF, RIFF (WebP, WAV, AVI), gzip, ZIP: cameras and file transfers share brokers with sensors.
_BINARY_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"\x1f\x8b", b"PK\x03\x04")

# Possessive, and satisfied with a missing end: no payload can make it backtrack.
_STRING = rb'"(?:[^"\\]++|\\.)*+"?'
_STRINGS = re.compile(_STRING, re.DOTALL)
_BRACKETS = b"[]{}"
_NOT_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))
_AS_STEPS = bytes.maketrans(_BRACKETS, bytes((1, 255, 1, 255)))
_FORGIVABLE = re.compile(
    _STRING + rb"|(?<![\w.])[+-]?(?P<nan>nan)(?:\(\w*\))?(?![\w.])"
    rb"|(?<![\w.])[+-]?(?P<infinity>inf(?:inity)?)(?![\w.])"
    rb"|(?P<number>-?(?:\d++(?:\.\d++)?[eE][+-]?\d++|\d{300,}+(?:\.\d++)?))",
    re.DOTALL | re.IGNORECASE,
)


class Content(NamedTuple):
    """What a payload holds: `data` if it is JSON, else `text`; neither when it was refused (see `problems`)."""

    data: Any
    text: str | None
    problems: list[Rejection]
    is_refused: bool = False


def refused(reason: Reason, detail: str) -> Content:
    return Content(None, None, [Rejection(reason, detail)], True)


def read_json(payload: bytes) -> Content:
    """A payload that must be JSON."""
    content = read(payload)
    if content.text is not None:
        return refused(Reason.INVALID_JSON, "not JSON")
    return content


def read(payload: bytes) -> Content:
    """A payload that may be anything. Bare text is only returned when it cannot have been meant as JSON."""
    # Firmwares send their C strings with the terminator, editors their files with a byte order mark.
    payload = payload.removeprefix(_BOM).rstrip(_BLANK + b"\0").lstrip(_BLANK)
    if payload.startswith(_BINARY_STARTS) or b"\0" in payload:
        return refused(Reason.BINARY, "binary data")
    is_container = payload.startswith((b"{", b"["))
    if is_container and is_too_deep(payload):
        return refused(Reason.TOO_DEEP, f"nested deeper than {MAX_DEPTH}")
    try:
        return Content(decode_json(payload), None, [])
    except UnicodeDecodeError:
        return refused(Reason.INVALID_UTF8, "not UTF-8")
    except msgspec.MsgspecError as error:
        fault = str(error)
    if is_container:
        return _read_leniently(payload, fault)
    try:
        return Content(None, payload.decode(), [])
    except UnicodeDecodeError:
        return refused(Reason.INVALID_UTF8, "not UTF-8")


def is_too_deep(payload: bytes) -> bool:
    """Whether a JSON text nests deeper than we read, without parsing it."""
    if payload.count(b"[") + payload.count(b"{") <= MAX_DEPTH:
        return False
    brackets = _STRINGS.sub(b"", payload).translate(_AS_STEPS, _NOT_BRACKETS)
    return max(accumulate(array("b", brackets)), default=0) > MAX_DEPTH


def _read_leniently(payload: bytes, fault: str) -> Content:
    if len(payload) > LENIENT_MAX_BYTES:
        return refused(Reason.INVALID_JSON, fault)
    reasons: dict[Reason, str] = {}

    def forgive(match: re.Match[bytes]) -> bytes:
        token = match[0]
        if match["nan"]:
            return b"null"  # "not a number" says itself that there is no value: no reason to count it
        if match["infinity"]:
            reasons[Reason.NOT_FINITE] = token.decode()
            return b"null"
        if match["number"] and not is_in_range(token.decode()):
            reasons[Reason.OUT_OF_RANGE] = token[:40].decode()
            return b"null"
        return token

    forgiven = _FORGIVABLE.sub(forgive, payload)
    try:
        data = decode_json(forgiven)
    except UnicodeDecodeError:
        return refused(Reason.INVALID_UTF8, "not UTF-8")
    except msgspec.MsgspecError:
        return refused(Reason.INVALID_JSON, fault)
    return Content(data, None, [Rejection(reason, detail) for reason, detail in reasons.items()])


def is_in_range(number: str) -> bool:
    """Whether a double can hold the number that this text spells."""
    return abs(float(number)) <= LARGEST_NUMBER
