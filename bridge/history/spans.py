"""The three resolutions in which the past is kept, and how time is cut up for each."""

from __future__ import annotations

US_PER_S = 1_000_000
MINUTE_US = 60 * US_PER_S
HOUR_US = 3_600 * US_PER_S
DAY_US = 24 * HOUR_US

RAW, MINUTE, HOUR = 0, 1, 2
RESOLUTIONS = (RAW, MINUTE, HOUR)
# Width of one bucket of each resolution; a reading stands for itself.
WIDTH_US = (1, MINUTE_US, HOUR_US)

# A chunk never crosses a multiple of this. So a chunk that touches an instant begins at most this long before it, and
# one index range finds them all. Wide enough that a series with one reading in five minutes fills a chunk of 2,000.
PARTITION_US = (7 * DAY_US, 28 * DAY_US, 364 * DAY_US)

# More than a century past or to come: never a measurement, and sums of such times would leave 64 bits.
MAX_TIME_US = 2**61


def floor_to(time_us: int, width_us: int) -> int:
    """The multiple of `width_us` at or before `time_us`."""
    return time_us // width_us * width_us


def ceil_to(time_us: int, width_us: int) -> int:
    """The multiple of `width_us` at or after `time_us`."""
    return -(-time_us // width_us) * width_us
