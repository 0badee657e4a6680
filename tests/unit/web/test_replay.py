"""Replays over a real socket, a real store and real time: subscribe, play, pause, step, jump, go."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.core.batch import make_batch
from bridge.core.frame import encode_frame
from bridge.history.archive import MAX_WAITING, Archive
from bridge.history.catalog import Births, DeviceRecord, SeriesRecord
from bridge.history.events import AVAILABILITY, COMMAND, NOTE, Event
from bridge.history.keeper import Keeper
from bridge.history.store import Store, open_store
from bridge.live.messages import Packet
from bridge.live.session import MAX_REPLAYS
from bridge.replays import EVENTS_AT_ONCE, MAX_REPLAYS_IN_ALL, TICK_S, TICK_SHARE, Replays, Share
from tests.unit.live.past import Reading, Viewer
from tests.unit.web.helpers import NOW_US, S, Site, eventually, receive, running

START_US = NOW_US - 3_600 * S
SECONDS = 600
SERIES = 6  # three of each of two devices
BINARY, JSON = "fleetwire.v1", "fleetwire.v1.json"


def device(name: str, called: str = "") -> DeviceRecord:
    info = {"name": called or name, "convention": "native", "first_seen_ms": START_US // 1000, "commands": {"go": {}}}
    return DeviceRecord(name, info)


def series(series_id: int) -> SeriesRecord:
    metric = f"m{series_id % 3}"
    return SeriesRecord(series_id, "ab"[series_id // 3], metric, "number", (), {"name": metric, "unit": "°C"})


def readings() -> Iterator[Reading]:
    for second in range(SECONDS):
        for series_id in range(SERIES):
            yield START_US + second * S + series_id, series_id, second + series_id / 10


def fill(store: Store) -> None:
    """Ten minutes of two devices: half of it sealed, half in the journal. One goes offline after five minutes."""
    columns = list(readings())
    with store.writing() as writer:
        writer.save_births(Births((device("a"), device("b")), tuple(map(series, range(SERIES)))), START_US)
        writer.save_births(Births((device("b", "Bee"),)), START_US + 300 * S)
        half_us = START_US + 300 * S
        writer.append_events(
            [
                Event(START_US, AVAILABILITY, "b", {"availability": "online", "source": "lwt"}),
                Event(START_US + 100 * S, NOTE, "", note(1)),
                Event(START_US + 200 * S, COMMAND, "a", {"id": "c1", "device_id": "a", "state": "sent"}),
                Event(half_us, AVAILABILITY, "b", {"availability": "offline", "source": "lwt"}),
                Event(half_us, COMMAND, "a", {"id": "c1", "device_id": "a", "state": "succeeded"}),
                Event(half_us, NOTE, "", note(2)),
            ]
        )
    for number, at in enumerate(range(0, len(columns), 300), 1):
        some = columns[at : at + 300]
        times, ids, values = [list(column) for column in zip(*some, strict=True)]
        with store.writing() as writer:
            writer.append([encode_frame(make_batch(ids, times, values, times[-1]), offset=number, channel_no=1)])
        if at < len(columns) // 2:
            while Keeper(store).seal():
                pass


def note(number: int) -> dict[str, Any]:
    return {"note_id": number, "text": "t", "author": "s", "time_ms": START_US // 1000}


def running_clock() -> Callable[[], int]:
    """From `NOW_US` on, with real time: the clock of a replay is its difference."""
    began_ns = time.monotonic_ns()
    return lambda: NOW_US + (time.monotonic_ns() - began_ns) // 1000


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = open_store(f"sqlite:///{tmp_path}/history.db", START_US)
    fill(store)
    yield store
    store.close()


@pytest.fixture
async def site(dashboard: Path, store: Store) -> AsyncIterator[Site]:
    archive = Archive(store)
    async with running(dashboard) as site:
        site.operations.replays = replays = Replays(archive, running_clock())
        yield site
    assert not replays.running
    archive.close()


def running_replays(site: Site) -> Replays:
    assert isinstance(site.operations.replays, Replays)
    return site.operations.replays


def running_in(site: Site) -> dict[Any, None]:
    """Those under way."""
    return running_replays(site).running  # type: ignore[return-value]


class Page(Viewer):
    """A viewer at the end of a socket."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        super().__init__()
        self.ws = ws
        self.errors: list[dict[str, Any]] = []

    async def say(self, type_: str = "replay", **fields: Any) -> None:
        await self.ws.send_json({"type": type_, "id": "r", **fields})

    async def read_one(self, timeout_s: float = 15.0) -> str:
        """One message; its type."""
        got = await self.ws.receive(timeout=timeout_s)
        assert got.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), got
        if got.type is aiohttp.WSMsgType.BINARY:
            self.read([Packet(got.data, is_text=False)])
            return "frame"
        told = got.json()
        if told["type"] == "error":
            self.errors.append(told)
        elif told["type"] not in ("presence", "pong"):
            self.read_text(told)
        return str(told["type"])

    async def until(self, condition: Any, timeout_s: float = 40.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                await self.read_one()

    async def until_at_rest(self) -> None:
        """Paused, wherever; what comes after would be wrong."""
        await self.until(lambda: self.state.get("paused"))

    async def is_quiet(self, seconds: float = 0.35) -> None:
        """Nothing comes for so long."""
        await self.say("ping")
        while await self.read_one() != "pong":
            pass
        with pytest.raises(TimeoutError):
            await self.ws.receive(timeout=seconds)


@asynccontextmanager
async def replaying(site: Site, protocol: str = BINARY, **fields: Any) -> AsyncIterator[Page]:
    async with site.logged_in(protocol) as ws:
        page = Page(ws)
        await page.say("subscribe", **{"channel": "replay", "at_ms": START_US / 1000, **fields})
        await page.until(lambda: page.snapshot or page.errors)
        yield page


def in_order(told: list[Reading]) -> list[Reading]:
    """As JSON rows have them: whole milliseconds, and so for the binary ones."""
    return sorted((time_us // 1000, series_id, value) for time_us, series_id, value in told)


@pytest.mark.parametrize("protocol", [BINARY, JSON])
async def test_all_that_was_recorded_is_played(site: Site, protocol: str) -> None:
    async with replaying(site, protocol, speed=100) as page:
        assert page.snapshot["channel"].startswith("replay/")
        assert (page.snapshot["at_ms"], page.snapshot["speed"], page.snapshot["paused"]) == (
            START_US / 1000,
            100,
            False,
        )
        assert {one["device_id"]: one["availability"] for one in page.snapshot["devices"]} == {
            "a": "unknown", "b": "online"
        }  # fmt: skip
        assert page.snapshot["notes"] == page.snapshot["commands"] == []
        began = time.monotonic()
        await page.until(lambda: len(page.told) >= SECONDS * SERIES - 1)
        assert time.monotonic() - began > 4  # and no faster than it should
        expected = [one for one in readings() if one[0] > START_US]  # the first stood in the snapshot
        assert in_order(page.told) == in_order(expected)
        assert [one[0] for one in page.told] == sorted(one[0] for one in page.told)
        assert page.devices["b"]["availability"] == "offline"
        assert page.devices["b"]["name"] == "Bee"
        assert [(one["type"], one.get("state")) for one in page.happened] == [
            ("note", None), ("command", "sent"), ("command", "succeeded"), ("note", None)
        ]  # fmt: skip
    await eventually(lambda: not site.hub.sessions)


@pytest.mark.parametrize("protocol", [BINARY, JSON])
async def test_a_snapshot_of_then_and_the_minutes_before(site: Site, protocol: str) -> None:
    async with replaying(site, protocol, at_ms=START_US / 1000 + 400_000.5, paused=True, devices=["b"]) as page:
        await page.until_at_rest()
        assert [one["device_id"] for one in page.snapshot["devices"]] == ["b"]
        assert page.snapshot["devices"][0]["commands"] == {"go": {}}  # exactly one: in full
        assert [one["value"] for one in page.snapshot["series"]] == [400.3, 400.4, 400.5]
        assert page.snapshot["commands"] == []  # those of the other
        assert [one["note_id"] for one in page.snapshot["notes"]] == [1, 2]
        assert in_order(page.recent) == in_order(
            [one for one in readings() if one[1] >= 3 and one[0] <= START_US + 400 * S + 500]
        )
        await page.is_quiet()


async def test_pause_and_go_on(site: Site) -> None:
    async with replaying(site, speed=20) as page:
        await page.until(lambda: len(page.told) > 50)
        await page.say(paused=True)
        await page.until_at_rest()
        told = len(page.told)
        await page.is_quiet()
        assert len(page.told) == told
        await page.say(paused=False, speed=100)
        await page.until(lambda: len(page.told) > told + 500)
        assert page.state["speed"] == 100
        expected = [one for one in readings() if START_US < one[0] <= page.told[-1][0]]
        assert page.told == expected


async def test_steps(site: Site) -> None:
    async with replaying(site, paused=True, at_ms=START_US / 1000 + 10_000.5) as page:
        await page.until_at_rest()
        await page.say(step=1)
        await page.until(lambda: page.told)
        await page.until(lambda: page.state["at_ms"] == START_US / 1000 + 11_000)
        await page.say(step=1)
        await page.until(lambda: page.state["at_ms"] == START_US / 1000 + 11_000.001)
        assert page.told == [(START_US + 11 * S, 0, 11.0), (START_US + 11 * S + 1, 1, 11.1)]
        for at_us in (START_US + 11 * S, START_US + 10 * S + 5):
            await page.say(step=-1)
            await page.until(lambda at_us=at_us: page.state.get("at_ms") == at_us / 1000)
            assert page.snapshot["at_ms"] == at_us / 1000
            await page.until(lambda: page.recent)
            assert max(one[0] for one in page.recent) == at_us
        await page.say(at_ms=START_US / 1000)
        await page.until(lambda: page.state.get("at_ms") == START_US / 1000)
        before = page.snapshot
        await page.say(step=-1)  # there is none before
        page.state = {}
        await page.until_at_rest()
        assert page.snapshot is before
        await page.is_quiet()


async def test_a_jump_brings_a_new_snapshot_on_the_same_channel(site: Site) -> None:
    async with replaying(site, speed=100) as page:
        await page.until(lambda: len(page.told) > 100)
        first, offset = page.snapshot, page.offset
        for at_ms in (START_US / 1000 + 60_000, START_US / 1000 + 70_000, START_US / 1000 + 500_000):
            await page.say(at_ms=at_ms, speed=50)
        await page.until(lambda: page.snapshot["at_ms"] == START_US / 1000 + 500_000)
        assert page.snapshot["channel"] == first["channel"]
        assert page.snapshot["offset"] >= offset  # the viewer holds it against its own
        await page.until(lambda: len(page.told) >= 500)
        assert page.told == [one for one in readings() if START_US + 500 * S < one[0] <= page.told[-1][0]]


async def test_the_present_is_the_end(site: Site) -> None:
    async with replaying(site, at_ms=NOW_US / 1000 - 60_000, speed=1000) as page:
        await page.until(lambda: page.state.get("at_end"))
        assert page.state["paused"] is True
        assert -500 <= page.state["at_ms"] - NOW_US / 1000 + 2_000 < 5_000
        await page.say(at_ms=NOW_US / 1000 + 10**9)
        await page.until(lambda: page.snapshot["at_ms"] >= NOW_US / 1000)
        await page.until(lambda: page.state.get("at_end"))
        await page.say(step=1)
        page.state = {}
        await page.until(lambda: page.state.get("at_end"))


async def test_after_unsubscribe_nothing_comes_and_the_id_is_free(site: Site) -> None:
    async with replaying(site, speed=100) as page:
        await page.until(lambda: len(page.told) > 100)
        await page.say("unsubscribe")
        await page.is_quiet()
        assert not running_in(site)
        await page.say(paused=True)
        await page.until(lambda: page.errors)
        assert (page.errors[0]["code"], page.errors[0]["ref"]) == ("unknown_channel", "r")
        page.offset = -1
        await page.say("subscribe", channel="replay", at_ms=START_US / 1000 + 1)
        before = page.snapshot
        await page.until(lambda: page.snapshot is not before)
        assert page.snapshot["channel_no"] != before["channel_no"]


async def test_a_replay_ends_with_its_connection(site: Site) -> None:
    async with replaying(site, speed=100) as page:
        await page.until(lambda: page.told)
        assert len(running_in(site)) == 1
    await eventually(lambda: not running_in(site))


async def test_who_does_not_read_makes_the_replay_wait(dashboard: Path, store: Store) -> None:
    many = range(10, 210)
    with store.writing() as writer:
        writer.save_births(
            Births((), tuple(SeriesRecord(one, "a", f"m{one}", "number", (), {"name": "m"}) for one in many)), START_US
        )
        for second in range(SECONDS):
            times = [START_US + second * S] * len(many)
            batch = make_batch(list(many), times, [float(second)] * len(many), times[0])
            writer.append([encode_frame(batch, offset=1_000 + second, channel_no=1)])
    archive = Archive(store)
    async with running(dashboard, lag_bytes=16_384) as site:
        site.operations.replays = Replays(archive, running_clock())
        async with replaying(site, JSON, speed=100) as page:
            await page.until(lambda: page.told)
            (screening,) = running_in(site)
            (connection,) = site.server.connections
            transport, timeline = connection._transport, screening._timeline
            assert transport is not None
            page.ws._response.connection.transport.pause_reading()  # type: ignore[union-attr]
            standing = 0
            async with asyncio.timeout(30):
                while standing < 10:
                    before_us = timeline.at_us
                    await asyncio.sleep(0.1)
                    waits = transport.get_write_buffer_size() > 0  # else only this machine is slow
                    standing = standing + 1 if waits and timeline.at_us == before_us else 0
            assert timeline.at_us < START_US + (SECONDS - 100) * S, "the whole past fitted into the buffers"
            assert not timeline.is_paused
            assert 0 < transport.get_write_buffer_size() < 400_000  # one tick, and what was there before
            page.ws._response.connection.transport.resume_reading()  # type: ignore[union-attr]
            page.state = {}
            await page.until(lambda: page.state.get("at_ms", 0) > START_US / 1000 + SECONDS * 1000)
            assert len(page.told) == len(set(page.told))
            assert {one[1] for one in page.told if one[2] == SECONDS - 1} >= set(many)  # a late tick may merge some
    archive.close()


async def receive_type(ws: aiohttp.ClientWebSocketResponse, type_: str) -> dict[str, Any]:
    while True:
        told = await receive(ws)
        if told["type"] == type_:
            return told


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"at_ms": None}, "invalid_message"),
        ({"at_ms": -1}, "invalid_message"),
        ({"at_ms": 1e15}, "invalid_message"),
        ({"at_ms": "1970"}, "invalid_message"),
        ({"speed": 0}, "invalid_message"),
        ({"speed": 0.1}, "invalid_message"),
        ({"speed": 1001}, "invalid_message"),
        ({"paused": 1}, "invalid_message"),
        ({"series": [1]}, "invalid_message"),
        ({"channel": "replay/1"}, "unknown_channel"),
        ({"channel": "fleet"}, "invalid_message"),  # which is not of a moment
    ],
)
async def test_what_is_no_replay(site: Site, fields: dict[str, Any], code: str) -> None:
    if fields == {"channel": "replay/1"}:
        fields = {**fields, "at_ms": None}
    async with replaying(site, **fields) as page:
        assert [(one["code"], one["ref"]) for one in page.errors] == [(code, "r")]
        assert not running_in(site)


@pytest.mark.parametrize(
    "fields",
    [{"step": 0}, {"step": 2}, {"step": 1.5}, {"step": 1, "at_ms": 5}, {"step": 1, "paused": False}, {"speed": 5000}],
)
async def test_what_is_no_change(site: Site, fields: dict[str, Any]) -> None:
    async with replaying(site, paused=True) as page:
        await page.until_at_rest()
        await page.say(**fields)
        await page.until(lambda: page.errors)
        assert (page.errors[0]["code"], page.errors[0]["ref"]) == ("invalid_message", "r")
        await page.is_quiet()


async def test_there_are_only_so_many(site: Site) -> None:
    async with site.logged_in() as ws:
        for number in range(MAX_REPLAYS + 1):
            await ws.send_json({"type": "subscribe", "id": number, "channel": "replay", "at_ms": 0, "paused": True})
        refused = await receive_type(ws, "error")
        assert (refused["code"], refused["ref"]) == ("too_many_subscriptions", MAX_REPLAYS)
        running_in(site).update({object(): None for _ in range(MAX_REPLAYS_IN_ALL - MAX_REPLAYS)})
        async with replaying(site) as page:
            assert page.errors[0]["code"] == "too_many_subscriptions"
        running_in(site).clear()


async def test_the_id_of_a_replay_is_taken(site: Site) -> None:
    async with replaying(site, paused=True) as page:
        await page.until_at_rest()
        await page.say("subscribe", channel="fleet")
        await page.until(lambda: page.errors)
        assert page.errors[0]["code"] == "id_reused"


async def test_without_a_history_there_is_nothing_to_replay(site: Site) -> None:
    site.operations.replays = None
    async with replaying(site) as page:
        assert (page.errors[0]["code"], page.errors[0]["ref"]) == ("no_history", "r")


async def test_a_history_that_fails_is_told_and_may_be_asked_again(
    site: Site, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    async with replaying(site, paused=True) as page:
        await page.until_at_rest()
        with store.writing() as writer:
            writer.connection.exec_driver_sql("ALTER TABLE history_event RENAME TO gone")
        await page.say(at_ms=START_US / 1000 + 5_000)
        await page.until(lambda: page.errors)
        assert (page.errors[0]["code"], page.errors[0]["ref"]) == ("internal", "r")
        await page.say(at_ms=START_US / 1000, paused=False)
        await page.until(lambda: len(page.errors) == 2)
        await page.until(lambda: page.state["paused"])
        with store.writing() as writer:
            writer.connection.exec_driver_sql("ALTER TABLE gone RENAME TO history_event")
        await page.say(at_ms=START_US / 1000 + 5_000, paused=False, speed=10)
        await page.until(lambda: page.told)
    assert "a replay could not go on" in caplog.text
    caplog.clear()


async def test_who_asks_a_busy_history_is_told_to_come_back(site: Site) -> None:
    async with replaying(site, paused=True) as page:
        await page.until_at_rest()
        archive = running_replays(site).archive
        archive._waiting += MAX_WAITING
        await page.say(at_ms=START_US / 1000 + 5_000)
        await page.until(lambda: page.errors)
        assert (page.errors[0]["code"], page.errors[0]["ref"]) == ("busy", "r")
        archive._waiting -= MAX_WAITING
        await page.say(at_ms=START_US / 1000 + 5_000)
        await page.until(lambda: page.snapshot["at_ms"] == START_US / 1000 + 5_000)


async def test_all_together_keep_to_their_share_of_the_time(site: Site) -> None:
    share = Share(0.2)
    began = time.monotonic()
    inside = 0

    async def work() -> None:
        nonlocal inside
        async with share.turn():
            inside += 1
            assert inside == 1
            await asyncio.sleep(0.03)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(4)))
    assert time.monotonic() - began >= 3 * 0.03 / 0.2 + 0.03
    replays = running_replays(site)
    replays.running.update(dict.fromkeys(map(str, range(10))))  # type: ignore[arg-type]
    pause_s = replays.tick_pause_s(0.02)
    replays.running.clear()
    assert 10 * 0.02 / pause_s == pytest.approx(TICK_SHARE)
    assert replays.tick_pause_s(0) == TICK_S


async def test_more_events_than_one_feed_takes_are_all_told(site: Site, store: Store) -> None:
    notes = 2 * EVENTS_AT_ONCE + 10
    with store.writing() as writer:
        writer.append_events(
            [Event(START_US + 10 * S + number // 3, NOTE, "", note(100 + number)) for number in range(notes)]
        )
    async with replaying(site, speed=100) as page:
        await page.until(lambda: page.told and page.told[-1][0] > START_US + 60 * S)
        told = [one["note_id"] for one in page.happened if one["note_id"] >= 100]
        assert told == list(range(100, 100 + notes))
        assert page.told == [one for one in readings() if START_US < one[0] <= page.told[-1][0]]


async def test_live_channels_and_replays_do_not_mix(site: Site) -> None:
    async with replaying(site, paused=True) as page:
        await page.until_at_rest()
        site.hub.write_note("now", "s", NOW_US)
        told = await receive_type(page.ws, "note")
        assert "channel" not in told
        assert math.isfinite(page.state["at_ms"])
