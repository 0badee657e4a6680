"""Times as people write them: ISO 8601 with the offset of a time zone, read one by one, written as whole columns."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from bridge.history.faults import HistoryError
from bridge.history.spans import HOUR_US, US_PER_S

# Within these `datetime` can tell what time it was anywhere: the years 2 to 9998.
MIN_TIME_US = -62_104_060_800 * US_PER_S
MAX_TIME_US = 253_370_764_800 * US_PER_S

MAX_SHOWN = 60  # characters of a wrong text that its error repeats

_MILLISECONDS = re.compile(r"-?\d{1,15}(\.\d{1,3})?", re.ASCII)
_LOST_PLUS = re.compile(r"(T.*) (\d\d:?\d\d)$", re.ASCII)  # in a URL, a "+" that was not percent-encoded is a space
_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,64}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(text: str) -> int:
    """Microseconds since 1970: from milliseconds, or from ISO 8601 (in UTC where it names no offset).

    Raises:
        HistoryError: it is neither, or too far away to be written down again.
    """
    if _MILLISECONDS.fullmatch(text):
        milliseconds, _, fraction = text.partition(".")
        extra_us = int(fraction.ljust(3, "0"))
        time_us = int(milliseconds) * 1000 + (-extra_us if text.startswith("-") else extra_us)
    else:
        try:
            time = datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", text))
        except ValueError:
            raise HistoryError(
                f"a time is in milliseconds since 1970, or like 2026-01-31T13:00:00+01:00, not {text[:MAX_SHOWN]!r}"
            ) from None
        if time.tzinfo is None:
            time = time.replace(tzinfo=UTC)
        time_us = (time - _EPOCH) // timedelta(microseconds=1)
    if not MIN_TIME_US <= time_us <= MAX_TIME_US:
        raise HistoryError("a time is between the years 2 and 9998")
    return time_us


def find_zone(name: str) -> tzinfo:
    """A time zone by its IANA name. May read a file.

    Raises:
        HistoryError: there is none of that name.
    """
    try:
        if _ZONE.fullmatch(name):
            return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass  # no such name; no name at all; the name of a folder
    raise HistoryError(f"there is no time zone {name[:MAX_SHOWN]!r}; they are called like Europe/Berlin")


def offset_us(time_us: int, zone: tzinfo) -> int:
    """What the clocks of a zone are ahead of UTC at a time."""
    seconds, _ = divmod(time_us, US_PER_S)
    offset = (_EPOCH + timedelta(seconds=seconds)).astimezone(zone).utcoffset()
    return 0 if offset is None else offset // timedelta(microseconds=1)


def write_offset(offset: int) -> str:
    """`+01:00`; with seconds where an old local time had them."""
    sign = "-" if offset < 0 else "+"
    minutes, seconds = divmod(abs(offset) // US_PER_S, 60)
    text = f"{sign}{minutes // 60:02}:{minutes % 60:02}"
    return f"{text}:{seconds:02}" if seconds else text


def write_times(times_us: NDArray[np.int64], zone: tzinfo) -> list[str]:
    """`2026-01-01T13:00:00.250000+01:00` for each time, all of one length."""
    if not len(times_us):
        return []
    offsets = _offsets(times_us, zone)
    local = np.datetime_as_string((times_us + offsets).astype("datetime64[us]"), unit="us").tolist()
    if (offsets == offsets[0]).all():
        suffix = write_offset(int(offsets[0]))
        return [time + suffix for time in local]
    suffixes = {offset: write_offset(offset) for offset in np.unique(offsets).tolist()}
    return [time + suffixes[offset] for time, offset in zip(local, offsets.tolist(), strict=True)]


def _offsets(times_us: NDArray[np.int64], zone: tzinfo) -> NDArray[np.int64]:
    """Asked once for each hour; where clocks are changed within one, for each second of it."""
    offsets = _ask(times_us // HOUR_US, HOUR_US, zone)
    changing = offsets != _ask(times_us // HOUR_US + 1, HOUR_US, zone)
    if changing.any():
        offsets[changing] = _ask(times_us[changing] // US_PER_S, US_PER_S, zone)
    return offsets


def _ask(units: NDArray[np.int64], unit_us: int, zone: tzinfo) -> NDArray[np.int64]:
    different, which = np.unique(units, return_inverse=True)
    return np.array([offset_us(unit * unit_us, zone) for unit in different.tolist()], np.int64)[which]
