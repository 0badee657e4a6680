"""Who the series are, and what devices and series were called at one time. Records only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class DeviceRecord(NamedTuple):
    """A device as it is now. `info`: whatever a view of the past must know of it (names, convention, availability)."""

    device_id: str
    info: Mapping[str, Any]


class SeriesRecord(NamedTuple):
    """A series as it is now. `texts` may only grow. `info`: name, unit, precision and the like."""

    series_id: int
    device_id: str
    metric: str
    kind: str
    texts: tuple[str, ...]
    info: Mapping[str, Any]


class Births(NamedTuple):
    """What became known, or different."""

    devices: tuple[DeviceRecord, ...] = ()
    series: tuple[SeriesRecord, ...] = ()


class Described(NamedTuple):
    """From when on a device or a series was described like this."""

    time_us: int
    record: DeviceRecord | SeriesRecord


class Catalog(NamedTuple):
    """Devices and series as they were at one moment. `next_series_id`: greater than every id ever used."""

    devices: dict[str, DeviceRecord]
    series: dict[int, SeriesRecord]
    next_series_id: int
