"""Shifts the times inside payloads, so that a replayed message looks as if it was measured now.

Works on the text of the payload: everything but the shifted times stays byte-identical, and what is not JSON, or has no
time under a known key, is not touched.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

KEYS = (
    *("time", "ts", "timestamp", "time_ms", "timestamp_ms", "time_us", "time_s", "datetime", "date_time"),
    *("Time", "TimeStamp", "Timestamp", "last_seen", "lastSeen", "measured_at", "source_timestamp"),
)
# A number is a time if it lies between September 2001 and 2128, read in one of these units (per second).
UNITS = (1, 1_000, 1_000_000, 1_000_000_000)
EARLIEST_S, LATEST_S = 1_000_000_000, 5_000_000_000
_FIELD = re.compile(
    rb'("(?:' + b"|".join(key.encode() for key in KEYS) + rb')"\s*+:\s*+)'
    rb'(?:(?P<number>\d{10,19}(?:\.\d{1,9})?)(?=[\s,}\]]|$)|"(?P<iso>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[^"\\]{0,16})")'
)
_ISO = re.compile(r"(?P<main>.{19})(?:(?P<comma>[.,])(?P<fraction>\d{1,9}))?(?P<zone>Z|[+-]\d\d:?\d\d)?")


def restamp(payload: bytes, shift_us: int) -> bytes:
    """`payload` with its times moved by `shift_us` microseconds."""
    if not shift_us or payload.lstrip()[:1] not in (b"{", b"["):
        return payload
    return _FIELD.sub(lambda match: _shift(match, shift_us), payload)


def _shift(match: re.Match[bytes], shift_us: int) -> bytes:
    if match["number"] is not None:
        return match[1] + shift_number(match["number"].decode(), shift_us).encode()
    return (
        match[1]
        + b'"'
        + shift_iso(match["iso"].decode("utf-8", "surrogateescape"), shift_us).encode("utf-8", "surrogateescape")
        + b'"'
    )


def shift_number(number: str, shift_us: int) -> str:
    """A time since 1970 as it is written, moved; its unit is told by its size. Anything else comes back as it is."""
    whole, point, fraction = number.partition(".")
    for per_second in UNITS:
        if EARLIEST_S * per_second <= int(whole) < LATEST_S * per_second:
            # In whole units of the last digit that is written: floats would lose the microseconds.
            scale = 10 ** len(fraction)
            moved = int(whole + fraction) + shift_us * per_second * scale // 1_000_000
            if moved < 0:
                return number
            digits = str(moved).rjust(len(fraction) + 1, "0")
            return digits[: len(digits) - len(fraction)] + point + digits[len(digits) - len(fraction) :]
    return number


def shift_iso(text: str, shift_us: int) -> str:
    """An ISO 8601 time, moved; written with the same separator, digits and zone."""
    match = _ISO.fullmatch(text)
    if match is None:
        return text
    try:
        moment = datetime.fromisoformat(match["main"])
        fraction = match["fraction"] or ""
        moment += timedelta(microseconds=int(fraction.ljust(6, "0")[:6]) + shift_us)
    except (ValueError, OverflowError):
        return text
    main = moment.strftime(f"%Y-%m-%d{text[10]}%H:%M:%S").rjust(19, "0")
    digits = f"{moment.microsecond:06d}".ljust(9, "0")[: len(fraction)]
    return main + ((match["comma"] + digits) if fraction else "") + (match["zone"] or "")
