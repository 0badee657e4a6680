"""A part of a channel: the readings of some devices, or of some series. All who ask for the same list share one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray

from bridge.core.batch import Batch
from bridge.core.fleet import Fleet
from bridge.core.series import Device, Series

NAME_BYTES = 8  # of the digest in a selection's name: enough that no two lists of one bridge ever meet


class Selection:
    """Which devices and series belong to it. Grows as those on its list appear, and as devices get new metrics."""

    def __init__(self, devices: Iterable[str] | None, series: Iterable[int] | None, fleet: Fleet) -> None:
        """Exactly one of the lists; what is on it may be unknown yet."""
        self._whole_devices = devices is not None
        self._names = set(devices or ())  # with a list of series: their devices
        self._series = frozenset(series or ())
        chosen: list[str] | list[int] = sorted(self._names) if self._whole_devices else sorted(self._series)
        self.key = hashlib.blake2b(msgspec.json.encode(chosen), digest_size=NAME_BYTES).hexdigest()
        self._mask: NDArray[np.bool_] = np.zeros(len(fleet.latest.values), dtype=bool)
        if self._whole_devices:
            self.take_in(series for device in self.devices(fleet) for series in device.series.values())
        else:
            self.take_in(fleet.series[sid] for sid in self._series if sid in fleet.series)

    def has_device(self, device_id: str) -> bool:
        return device_id in self._names

    def has_series(self, series: Series) -> bool:
        return self.has_device(series.device.device_id) if self._whole_devices else series.series_id in self._series

    def devices(self, fleet: Fleet) -> list[Device]:
        """Those that are known by now."""
        return [fleet.devices[name] for name in sorted(self._names) if name in fleet.devices]

    def take_in(self, series: Iterable[Series]) -> list[Series]:
        """Of new or changed series those that belong here; their readings do from now on."""
        mine = [one for one in series if self.has_series(one)]
        for one in mine:
            if one.series_id >= len(self._mask):
                grown = np.zeros(max(2 * len(self._mask), one.series_id + 1), dtype=bool)
                grown[: len(self._mask)] = self._mask
                self._mask = grown
            self._mask[one.series_id] = True
            self._names.add(one.device.device_id)
        return mine

    def pick(self, batch: Batch) -> Batch:
        """The readings that belong here."""
        ids = batch.series_ids
        mask = self._mask
        if len(ids) and int(ids.max()) >= len(mask):  # series made since, none of ours
            return batch.select(mask[np.minimum(ids, len(mask) - 1)] & (ids < len(mask)))
        return batch.select(mask[ids])
