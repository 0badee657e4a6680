"""What was described when: what a replay tells of names and units while it plays."""

from __future__ import annotations

from pathlib import Path

from bridge.history.archive import Archive
from bridge.history.catalog import Births, Described, DeviceRecord, SeriesRecord
from bridge.history.store import open_store
from tests.unit.history.databases import url_in
from tests.unit.history.scene import START_US

DEVICE = DeviceRecord("d/é", {"name": "Old"})
SERIES = SeriesRecord(7, "d/é", "mode", "text", ("on",), {"name": "Mode"})


async def test_only_what_is_new_or_different_is_named_at_its_time(tmp_path: Path) -> None:
    store = open_store(url_in(tmp_path), START_US)
    archive = Archive(store)
    renamed = DEVICE._replace(info={"name": "New"})
    longer = SERIES._replace(texts=("on", "off"))
    relabelled = longer._replace(info={"name": "Working mode"})
    for time_us, births in (
        (START_US, Births((DEVICE,), (SERIES,))),
        (START_US + 10, Births((DEVICE,), (longer,))),  # nothing but a text: no new description
        (START_US + 20, Births((renamed,), (longer,))),
        (START_US + 30, Births((renamed,), (relabelled,))),
    ):
        with store.writing() as writer:
            writer.save_births(births, time_us)
    assert await archive.described(START_US, START_US + 31) == [
        Described(START_US, DEVICE),
        Described(START_US, longer),  # texts as they are now
        Described(START_US + 20, renamed),
        Described(START_US + 30, relabelled),
    ]
    assert await archive.described(START_US + 1, START_US + 30) == [Described(START_US + 20, renamed)]
    assert await archive.described(START_US + 31, START_US + 10**9) == []
    archive.close()
    store.close()


async def test_many_at_once_are_all_there(tmp_path: Path) -> None:
    store = open_store(url_in(tmp_path), START_US)
    archive = Archive(store)
    many = tuple(SeriesRecord(one, f"d{one}", "x", "number", (), {"name": "x"}) for one in range(1_201))
    with store.writing() as writer:
        writer.save_births(Births((), many), START_US)
    found = await archive.described(START_US, START_US + 1)
    assert sorted(one.record.series_id for one in found if isinstance(one.record, SeriesRecord)) == list(range(1_201))
    archive.close()
    store.close()
