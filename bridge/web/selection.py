"""Which series a request is about, looked up in a catalog that is not read anew for every question."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from bridge.errors import ProtocolError
from bridge.history.archive import Archive
from bridge.history.catalog import Catalog, SeriesRecord
from bridge.history.faults import HistoryError
from bridge.history.local_time import MAX_SHOWN
from bridge.web.parameters import Parameters

log = logging.getLogger(__name__)

# To read the catalog of a large fleet takes tenths of a second. Names and units may be this old; what is new or has new
# texts is looked up at once. Older than the first: it is read again, while the old one still answers.
RENEW_AFTER_S = 5.0
MAX_AGE_S = 60.0
MAX_SERIES_ID = 2**32 - 1  # frames have 32 bits for it

SELECTING = ("device_id",)
SELECTING_REPEATABLE = ("series_id", "metric")


class Selector:
    """Holds the catalog of one archive."""

    def __init__(self) -> None:
        self._catalog: Catalog | None = None
        self._read_at = 0.0
        self._renewal: asyncio.Task[Catalog] | None = None

    async def select(self, archive: Archive, asked: Parameters) -> dict[int, SeriesRecord]:
        """The series that a request names, in its order, each once: `series_id`, or `device_id` and `metric`.

        Raises:
            ProtocolError: it names none, or one that there is not.
        """
        ids = asked.numbers("series_id", 0, MAX_SERIES_ID)
        device_id, metrics = asked.one("device_id"), asked.all("metric")
        if ids and (device_id is not None or metrics):
            raise ProtocolError("invalid_message", "either series_id, or device_id and metric, not both")
        if not ids and device_id is None:
            raise ProtocolError("invalid_message", "series_id or device_id is missing")
        catalog = await self._get(archive)
        try:
            return _find(catalog, ids, device_id, metrics)
        except ProtocolError:
            return _find(await self.renew(archive), ids, device_id, metrics)  # it may be younger than our catalog

    def device_name(self, device_id: str) -> str:
        """What a selected device is called; its id where that is not known."""
        device = self._catalog.devices.get(device_id) if self._catalog else None
        return str((device.info.get("name") if device else "") or device_id)

    async def again(self, archive: Archive, records: Mapping[int, SeriesRecord]) -> dict[int, SeriesRecord]:
        """The same series as they are now: one of them has a new text."""
        catalog = await self.renew(archive)
        return {series_id: catalog.series.get(series_id, record) for series_id, record in records.items()}

    async def renew(self, archive: Archive) -> Catalog:
        catalog = await archive.catalog()
        self._catalog, self._read_at = catalog, asyncio.get_running_loop().time()
        return catalog

    async def _get(self, archive: Archive) -> Catalog:
        age_s = asyncio.get_running_loop().time() - self._read_at
        if self._catalog is None or age_s > MAX_AGE_S:
            return await self.renew(archive)
        if age_s > RENEW_AFTER_S and (self._renewal is None or self._renewal.done()):
            self._renewal = asyncio.create_task(self.renew(archive))
            self._renewal.add_done_callback(_note_failure)
        return self._catalog


def _find(
    catalog: Catalog, ids: Sequence[int], device_id: str | None, metrics: Sequence[str]
) -> dict[int, SeriesRecord]:
    for series_id in ids:
        if series_id not in catalog.series:
            raise ProtocolError("not_found", f"there is no series {series_id}")
    if device_id is None:
        return {series_id: catalog.series[series_id] for series_id in ids}
    series = [one for one in catalog.series.values() if one.device_id == device_id]
    if not series and device_id not in catalog.devices:
        raise ProtocolError("unknown_device", f"there is no device {device_id[:MAX_SHOWN]!r}")
    # A metric whose kind changed has several series; each has its part of the past.
    for metric in metrics:
        if not any(one.metric == metric for one in series):
            raise ProtocolError("not_found", f"device {device_id[:MAX_SHOWN]!r} has no metric {metric[:MAX_SHOWN]!r}")
    return {one.series_id: one for one in series if not metrics or one.metric in metrics}


def _note_failure(task: asyncio.Task[Catalog]) -> None:
    if task.cancelled():
        return
    error = task.exception()
    if error is not None and not isinstance(error, HistoryError):
        log.warning("the catalog of the history could not be read: %s", error)
