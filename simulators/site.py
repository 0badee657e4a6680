"""The place where devices stand: its sun, its weather and its people, the same for all of them.

A cloud that dims the solar panels also cools the roof, and when people come to work doors turn and CO2 rises. All of it
is a pure function of the time and the site's seed: nothing is stepped, so it does not matter which device asks first,
and a fleet of ten sees the same weather as one of ten thousand.
"""

from __future__ import annotations

from math import floor, sqrt
from typing import NamedTuple

from simulators.chance import MASK, MULTIPLIER, SmallChance
from simulators.physics import DAY_S, clamp, cosine, daily, sine, smooth_step

# The sky is looked at anew this often; devices smooth the little steps away.
GLANCE_S = 5.0
# Devices are stepped one after the other, each over the same few seconds: that many glances are worth keeping.
GLANCES_KEPT = 256
YEAR_S = 365.2425 * DAY_S
# 1970 began on a Thursday; days counted from Monday.
FIRST_WEEKDAY = 3
SATURDAY = 5
CLEAR_SKY_W = 1050.0
# What stays of a working day on the weekend and at night: guards, cleaning, the night shift. A demo is never dead.
WEEKEND_SHARE = 0.3
NIGHT_SHARE = 0.12


class Conditions(NamedTuple):
    """How things are at a site at one moment."""

    hour: float  # local time of day, 0 to 24
    weekday: int  # 0 is Monday
    activity: float  # how many people are at work: 0 to 1
    sun_height: float  # sine of the sun's elevation; below 0 it is night
    sun_east: float  # the direction to the sun, as a unit vector: east, north and sun_height
    sun_north: float
    cloud: float  # 0 clear to 1 overcast
    irradiance: float  # W/m² on flat ground
    temperature: float  # °C outdoors
    wind: float  # m/s
    rain: float  # mm/h
    pressure: float  # hPa


class Site:
    """`utc_offset_h` is fixed: a simulated plant knows no daylight saving time. `seed` makes another weather."""

    __slots__ = ("_glances", "_seeds", "latitude", "longitude", "name", "utc_offset_h")

    def __init__(self, name: str, latitude: float, longitude: float, utc_offset_h: float, seed: int = 1) -> None:
        self.name = name
        self.latitude = latitude
        self.longitude = longitude
        self.utc_offset_h = utc_offset_h
        rng = SmallChance(f"{seed}/site {name}")
        self._seeds = tuple(rng.getrandbits(64) for _ in range(4))
        self._glances: dict[int, Conditions] = {}

    def at(self, now_s: float) -> Conditions:
        """How things are at `now_s`, seconds since 1970 UTC."""
        glance = int(now_s // GLANCE_S)
        found = self._glances.get(glance)
        if found is None:
            if len(self._glances) >= GLANCES_KEPT:
                self._glances.clear()
            found = self._glances[glance] = self._look(glance * GLANCE_S)
        return found

    def _look(self, now_s: float) -> Conditions:
        local_s = now_s + self.utc_offset_h * 3600.0
        hour = local_s % DAY_S / 3600.0
        weekday = (int(local_s // DAY_S) + FIRST_WEEKDAY) % 7
        east, north, height = sun_direction(now_s, self.latitude, self.longitude)
        clouds, heat, air, gale = self._seeds
        cloud = clamp(0.5 + 0.9 * noise(clouds, now_s / 10_800.0) + 0.35 * noise(clouds, now_s / 600.0), 0.0, 1.0)
        rain = 14.0 * max(0.0, cloud - 0.8) * max(0.0, 0.3 + noise(gale, now_s / 1_500.0))
        # The longer way through the air takes its share of a low sun; an overcast sky lets a quarter through.
        clear = CLEAR_SKY_W * height * (0.55 + 0.45 * min(1.0, 2.0 * height)) if height > 0.0 else 0.0
        irradiance = clear * (1.0 - 0.75 * cloud)
        temperature = (
            self._season(now_s) + 4.5 * (1.0 - 0.5 * cloud) * daily(local_s, 15.0)
            + 5.0 * noise(heat, now_s / 172_800.0) - 0.3 * rain
        )  # fmt: skip
        wind = max(0.2, 4.0 + 3.0 * cloud * daily(local_s, 14.0) + 5.0 * noise(gale, now_s / 14_400.0))
        pressure = 1015.0 + 14.0 * noise(air, now_s / 129_600.0) - 5.0 * cloud
        return Conditions(
            hour, weekday, activity_at(hour, weekday), height, east, north, cloud, irradiance, temperature, wind, rain,
            pressure,
        )  # fmt: skip

    def _season(self, now_s: float) -> float:
        """The usual temperature of the day: warm in July in the north, in January in the south, even at the equator."""
        away = abs(self.latitude) / 90.0
        swing = 14.0 * away * (1.0 if self.latitude >= 0.0 else -1.0)
        return 27.0 - 38.0 * away * sqrt(away) + swing * cosine(now_s / YEAR_S - 0.55)


def activity_at(hour: float, weekday: int) -> float:
    """How many people are at work, 0 to 1: in from six, a dip at noon, away by seven; few at night and on weekends."""
    working = smooth_step((hour - 6.0) / 3.0) * (1.0 - smooth_step((hour - 16.0) / 3.0))
    lunch = 0.35 * smooth_step(1.0 - abs(hour - 12.5))
    share = WEEKEND_SHARE if weekday >= SATURDAY else 1.0
    return NIGHT_SHARE + (1.0 - NIGHT_SHARE) * share * working * (1.0 - lunch)


def sun_direction(now_s: float, latitude: float, longitude: float) -> tuple[float, float, float]:
    """The direction to the sun: east, north and up, a unit vector. Good to about two degrees.

    Left out: the equation of time (up to 16 minutes), refraction, and the difference between mean and true solar day.
    """
    # The year begins ten days after the winter solstice; the tropics lie at 23.44 degrees.
    declination = -23.44 / 360.0 * cosine(now_s / YEAR_S + 10.0 / 365.2425)
    hour_angle = now_s / DAY_S - 0.5 + longitude / 360.0
    sin_latitude, cos_latitude = sine(latitude / 360.0), cosine(latitude / 360.0)
    sin_declination, cos_declination = sine(declination), cosine(declination)
    cos_hour = cosine(hour_angle)
    return (
        -cos_declination * sine(hour_angle),
        sin_declination * cos_latitude - cos_declination * sin_latitude * cos_hour,
        sin_declination * sin_latitude + cos_declination * cos_latitude * cos_hour,
    )


def noise(seed: int, x: float) -> float:
    """A smooth line of hills and valleys from -0.5 to 0.5; the same for the same `seed` and `x`, always."""
    left = floor(x)
    return _hill(seed, left) + (_hill(seed, left + 1) - _hill(seed, left)) * smooth_step(x - left)


def _hill(seed: int, place: int) -> float:
    """An unpredictable height for each whole number (a multiply-and-shift hash)."""
    h = (seed ^ (place & MASK) * 0x9E3779B97F4A7C15) & MASK
    h = ((h ^ h >> 31) * MULTIPLIER) & MASK
    h = ((h ^ h >> 29) * MULTIPLIER) & MASK
    return (h >> 11) * 2.0**-53 - 0.5


# Where a plant without a fleet file stands; its clock is UTC+1. At night its solar panels rest and all else goes on:
# a plant that showed sunshine at midnight would be no use as an instrument.
DEFAULT_SITE = Site("Hamburg", 53.5405, 9.9820, 1.0)
