"""What names and texts give away by their look: places, identities, times."""

from __future__ import annotations

import re
from functools import lru_cache

# Parts of a name, once it is split at case changes and at everything that is not a letter: gpsLat, GPS_LAT, gps.lat.
_LATITUDE = frozenset({"lat", "latitude"})
_LONGITUDE = frozenset({"lon", "lng", "longitude"})
_PLACE = frozenset({"gps", "latlng", "latlon", "location", "position", "coordinates", "coords", "geo"})
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_IDENTIFYING = re.compile(
    r"(?:[0-9a-f]{2}[:-]){3,}[0-9a-f]{2}"  # MAC and EUI-64 with separators, UUIDs in part
    r"|(?<!\d)\d{1,3}(?:\.\d{1,3}){3}(?!\d)"  # IPv4
    r"|[0-9a-f]{0,4}:[0-9a-f]{0,4}:[0-9a-f:]*"  # IPv6
    r"|[^@\s]+@[^@\s]+"  # e-mail
    r"|\d{5,}"  # serial, telephone and customer numbers
    r"|(?=[0-9a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,}"  # MAC without separators, IEEE address, hash
    r"|(?<![0-9a-z])(?:[0-9a-f]{12}|[0-9a-f]{16})(?![0-9a-z])"  # the same, by chance without a digit
    r"|[0-9a-f]{8}-[0-9a-f]{4}-",  # UUID
    re.IGNORECASE,
)
_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?")


@lru_cache(maxsize=4096)
def _parts(name: str) -> frozenset[str]:
    return frozenset(part.lower() for part in _PART.findall(name))


def is_latitude(name: str) -> bool:
    return not _LATITUDE.isdisjoint(_parts(name))


def is_longitude(name: str) -> bool:
    return not _LONGITUDE.isdisjoint(_parts(name))


def is_place(name: str) -> bool:
    """Whether a list of numbers under this name is likely a place."""
    return not _PLACE.isdisjoint(_parts(name))


@lru_cache(maxsize=4096)
def is_identifying(text: str) -> bool:
    """Whether a text looks like an address or a serial number, wherever it stands."""
    return _IDENTIFYING.search(text) is not None


def is_time(text: str) -> bool:
    """Whether the whole text is a date, or a date and time, in ISO 8601."""
    return _TIME.fullmatch(text) is not None
