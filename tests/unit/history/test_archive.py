"""Questions from the event loop: answered by threads, a few at a time, and refused when too many wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.history import archive as archive_module
from bridge.history.archive import Archive, Busy, Span
from bridge.history.events import NOTE, Event
from bridge.history.faults import HistoryError
from bridge.history.store import Store
from tests.unit.history.databases import url_in
from tests.unit.history.kept import NOW_US, Kept, S


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    store = Store(url_in(tmp_path))
    one = Kept(store)
    for number in range(10):
        one.says("d", m=float(number))
        one.flush()
        one.now_us += S
    with store.writing() as writer:
        writer.append_events([Event(NOW_US + number, NOTE, "", {"n": number}) for number in range(5)])
    made = Archive(store)
    yield made
    made.close()
    store.close()


async def test_each_question_has_its_answer(archive: Archive) -> None:
    (answer,) = await archive.query([0], NOW_US, NOW_US + 10 * S, 1_000)
    assert answer.values.tolist() == [float(number) for number in range(10)]
    batch = await archive.readings([0], NOW_US + 2 * S, NOW_US + 5 * S, 100)
    assert batch.values.tolist() == [2.0, 3.0, 4.0]
    rollup = await archive.buckets(0, NOW_US, NOW_US + 10 * S, 5 * S)
    assert len(rollup.starts_us) == 2
    assert set((await archive.catalog()).devices) == {"d"}
    moment = await archive.moment(NOW_US + 3 * S)
    assert moment.state.values.tolist() == [3.0]
    assert [event.device_id for event in moment.availability] == ["d"]
    assert [event.data["n"] for event in await archive.events(0, 2**60, kinds=[NOTE], limit=2)] == [3, 4]
    found = await archive.events(0, 2**60, kinds=[NOTE], limit=2, newest=False)
    assert [event.data["n"] for event in found] == [0, 1]
    assert await archive.kept_from() == (None, None, None)


async def test_the_span_holds_what_is_not_sealed_yet(archive: Archive) -> None:
    assert await archive.span() == Span(NOW_US, NOW_US + 9 * S)


async def test_the_span_of_nothing(tmp_path: Path) -> None:
    store = Store(url_in(tmp_path, "empty.db"))
    empty = Archive(store)
    assert await empty.span() == Span(None, None)
    moment = await empty.moment(NOW_US)
    assert (len(moment.state.series_ids), moment.availability) == (0, [])
    empty.close()
    store.close()


async def test_the_loop_goes_on_while_a_question_is_answered(archive: Archive) -> None:
    gate = threading.Event()
    asked = asyncio.create_task(archive._ask(gate.wait))
    await asyncio.sleep(0.05)
    assert not asked.done()
    assert (await archive.catalog()).next_series_id == 1  # another thread answers meanwhile
    gate.set()
    assert await asked


async def test_too_many_questions_are_refused_at_once_and_room_comes_back(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "MAX_WAITING", 5)
    gate = threading.Event()
    asked = [asyncio.create_task(archive._ask(gate.wait)) for _ in range(5)]
    await asyncio.sleep(0)
    began = time.monotonic()
    with pytest.raises(Busy, match="too many questions"):
        await archive.span()
    assert time.monotonic() - began < 0.5
    gate.set()
    assert all(await asyncio.gather(*asked))
    assert (await archive.span()).first_us == NOW_US


async def test_who_asks_and_goes_away_takes_no_room(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "MAX_WAITING", 4)
    gate = threading.Event()
    ran: list[int] = []
    asked = [asyncio.create_task(archive._ask(gate.wait)) for _ in range(2)]
    given_up = [asyncio.create_task(archive._ask(lambda: ran.append(1))) for _ in range(2)]
    await asyncio.sleep(0.05)
    for task in given_up:
        task.cancel()
    await asyncio.gather(*given_up, return_exceptions=True)
    later = asyncio.create_task(archive.span())
    gate.set()
    assert (await later).first_us == NOW_US
    await asyncio.gather(*asked)
    assert ran == []  # what nobody waits for is not done


async def test_a_question_that_cannot_be_answered_says_so_and_the_next_is_answered(archive: Archive) -> None:
    with pytest.raises(HistoryError):
        await archive.query([0], NOW_US, NOW_US - 1, 10)
    assert archive._waiting == 0
    assert len(await archive.query([0], NOW_US, NOW_US + S, 10)) == 1
