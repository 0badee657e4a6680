"""The message that travels: five values, always the same number of bytes, and every one of them can be checked.

    {"n":1000042,"t":103.217831,"a":13.91,"b":15.61,"c":16.41}

`n` counts from FIRST, `t` is the moment of sending in seconds (100 is the begin), `a`, `b` and `c` follow from `n`.
No fraction ends in zero and no number begins with it, so that a server that parses JSON and writes it again sends the
same digits.
"""

from __future__ import annotations

import re
from typing import NamedTuple

FIRST = 1_000_000
LAST = 9_999_999
DEVICES = 50
VALUES = 5
TIME_ZERO = 100.0
TIME_LIMIT = 999.0
_FACTORS = (7, 11, 13)
# Python's json.dumps puts a blank after colons and commas; JSON.stringify does not.
_TEXT = re.compile(
    rb'\{"n": ?(\d{7}), ?"t": ?(\d{3}\.\d{6}), ?'
    rb'"a": ?(\d\d)\.(\d\d), ?"b": ?(\d\d)\.(\d\d), ?"c": ?(\d\d)\.(\d\d)\}'
)


class Messages(NamedTuple):
    """What a frame holds: numbers and sending times. `intact` is False when any content is not what was sent."""

    numbers: list[int]
    times: list[float]
    intact: bool = True


def hundredths(number: int) -> tuple[int, int, int]:
    """`a`, `b` and `c` of this message, times 100: from 10.01 to 99.91."""
    a, b, c = _FACTORS
    return 1001 + 10 * (number * a % 900), 1001 + 10 * (number * b % 900), 1001 + 10 * (number * c % 900)


def device_of(number: int) -> str:
    return f"b{number % DEVICES:03d}"


def topic_of(number: int) -> str:
    return f"devices/{device_of(number)}/telemetry"


def payload(number: int, seconds: float) -> bytes:
    """The message as its device sends it; `seconds` since the begin of the run, kept to 10 µs."""
    micros = int((TIME_ZERO + seconds) * 1e5) * 10 + 1
    a, b, c = hundredths(number)
    return b'{"n":%d,"t":%d.%06d,"a":%d.%02d,"b":%d.%02d,"c":%d.%02d}' % (
        *(number, micros // 1_000_000, micros % 1_000_000),
        *(a // 100, a % 100, b // 100, b % 100, c // 100, c % 100),
    )


def read_text(data: bytes) -> Messages | None:
    """The message inside a rival's JSON or MQTT packet; None when there is nothing like one."""
    found = _TEXT.search(data)
    if found is None:
        return None
    number, time, *digits = found.groups()
    values = tuple(int(digits[i] + digits[i + 1]) for i in (0, 2, 4))
    return Messages([int(number)], [float(time) - TIME_ZERO], values == hundredths(int(number)))
