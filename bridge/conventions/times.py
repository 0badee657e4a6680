"""When was it measured? Every way in which devices write a time, and whether to believe it.

A time that cannot be right is worse than none: it would put a point where no chart shows it, or block every later
value. Then there is no time, and a flag. Integers stay integers: nanoseconds do not fit a double.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from bridge.core.model import TimeFlag

# Radios, retries and slow clocks add up to some seconds; a minute means that the device kept the value back.
LATE_AFTER_US = 60_000_000
# Clocks drift by seconds a day, and many devices never correct theirs; more than this ahead is a wrong clock.
AHEAD_LIMIT_US = 300_000_000
# Nobody measured before: clocks without battery or network start in 1970, 2000 or 2010.
EARLIEST_US = 1_420_070_400_000_000  # 2015-01-01T00:00:00Z
# Local times differ from UTC by multiples of this, everywhere on Earth.
OFFSET_STEP_US = 900_000_000
# UTC+14 is the furthest (Kiribati).
OFFSET_LIMIT_US = 14 * 3_600_000_000
# How far a local time may be from a possible offset and still teach it; a delayed message would teach a wrong one.
OFFSET_TOLERANCE_US = 120_000_000
# Messages that must agree before a learnt offset changes: one delayed message is no end of summer time.
OFFSET_CONFIRMATIONS = 3
# Devices whose offset is remembered, a hundred bytes each. When full all is learnt anew, by one message each.
MAX_OFFSETS = 20_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = _EPOCH.replace(tzinfo=None)
_MICROSECOND = timedelta(microseconds=1)
_NUMBER = re.compile(r"\d{1,20}(\.\d{1,9})?", re.ASCII)
_MAX_TIME_TEXT = 40  # the longest form, with nine digits of fraction and an offset, has 35 characters


class ParsedTime(NamedTuple):
    time_us: int | None
    flag: TimeFlag


_OK, _LATE, _CLOCK_SUSPECT = TimeFlag.OK, TimeFlag.LATE, TimeFlag.CLOCK_SUSPECT
NO_TIME = ParsedTime(None, _OK)
SUSPECT = ParsedTime(None, _CLOCK_SUSPECT)


class LocalOffsets:
    """How far each device's local time is ahead of UTC, learnt from live messages."""

    def __init__(self) -> None:
        self._offsets: dict[str, int] = {}
        self._doubts: dict[str, tuple[int, int]] = {}  # device -> (another offset, how many messages agreed on it)

    def to_utc(self, device: str, local_us: int, received_us: int, is_live: bool) -> int | None:
        """The UTC time of a local time; None as long as the offset is not known.

        Retained messages are of unknown age, so they use what was learnt and teach nothing.
        """
        known = self._offsets.get(device)
        if known is not None and abs(local_us - known - received_us) <= OFFSET_TOLERANCE_US:
            self._doubts.pop(device, None)
            return local_us - known
        guess = _guess_offset(local_us, received_us) if is_live else None
        if guess is not None and (known is None or self._is_confirmed(device, guess)):
            if len(self._offsets) >= MAX_OFFSETS:
                self._offsets.clear()
                self._doubts.clear()
            self._offsets[device] = known = guess
        return None if known is None else local_us - known

    def _is_confirmed(self, device: str, guess: int) -> bool:
        doubted, count = self._doubts.get(device, (guess, 0))
        count = count + 1 if doubted == guess else 1
        self._doubts[device] = (guess, count)
        if count < OFFSET_CONFIRMATIONS:
            return False
        del self._doubts[device]
        return True


def _guess_offset(local_us: int, received_us: int) -> int | None:
    ahead = local_us - received_us
    offset = (ahead + OFFSET_STEP_US // 2) // OFFSET_STEP_US * OFFSET_STEP_US
    if abs(offset) <= OFFSET_LIMIT_US and abs(ahead - offset) < OFFSET_TOLERANCE_US:
        return offset
    return None


def parse_time(
    raw: Any, received_us: int, offsets: LocalOffsets | None = None, device: str = "", *, is_live: bool = True
) -> ParsedTime | None:
    """The time that a device gave, judged against the receive time; None if `raw` is no time at all.

    Numbers are seconds, milliseconds, microseconds or nanoseconds by their magnitude, also as text. Local times (no
    offset written) need `offsets`; without, they cannot be trusted.
    """
    if isinstance(raw, bool):
        return None
    if isinstance(raw, int):
        return _judge(_from_integer(raw), received_us)
    if isinstance(raw, float):
        return _judge(_from_float(raw), received_us)
    if not isinstance(raw, str) or len(raw) > _MAX_TIME_TEXT:
        return None
    text = raw.strip()
    number = _NUMBER.fullmatch(text)
    if number is not None:
        return _judge(_from_float(float(text)) if number[1] else _from_integer(int(text)), received_us)
    moment = _parse_iso(text)
    if moment is None:
        return None
    if moment.tzinfo is not None:
        return _judge((moment - _EPOCH) // _MICROSECOND, received_us)
    if offsets is None:
        return SUSPECT
    return _judge(offsets.to_utc(device, (moment - _NAIVE_EPOCH) // _MICROSECOND, received_us, is_live), received_us)


def _from_integer(number: int) -> int | None:
    if number < 100_000_000:  # seconds or milliseconds since power-on: a device without a clock
        return None
    if number < 100_000_000_000:
        return number * 1_000_000
    if number < 100_000_000_000_000:
        return number * 1_000
    if number < 100_000_000_000_000_000:
        return number
    return number // 1_000


def _from_float(number: float) -> int | None:
    if not 1e8 <= number < 1e20:  # also what is not finite
        return None
    if number < 1e11:
        return round(number * 1e6)
    if number < 1e14:
        return round(number * 1e3)
    return round(number) if number < 1e17 else int(number) // 1_000


def _parse_iso(text: str) -> datetime | None:
    # Only whole dates with a time of day: Python also reads week dates and compact forms, easily taken for other texts.
    if len(text) < 16 or text[4] != "-" or text[7] != "-" or text[10] not in "T t" or text[13] != ":":
        return None
    try:
        return datetime.fromisoformat(text.upper().replace(" UTC", "Z"))
    except ValueError:
        return None


def _judge(time_us: int | None, received_us: int) -> ParsedTime:
    if time_us is None or not EARLIEST_US <= time_us <= received_us + AHEAD_LIMIT_US:
        return SUSPECT
    return ParsedTime(time_us, _LATE if received_us - time_us > LATE_AFTER_US else _OK)
