"""What each kind of dashboard gets from a real bridge, compared byte for byte with one that keeps up."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support import live_load as load
from tests.support.live_client import PING, PONG, LiveClient, Readings, Walk, witness
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_peer import MqttPeer

pytestmark = [pytest.mark.broker, pytest.mark.alone]


async def test_who_never_reads_is_closed_although_it_talks_and_resumes_exactly(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    timeout_s = 1.5
    async with (
        load.running(tmp_path, mosquitto, **load.SLOW, web__write_timeout_s=timeout_s) as bridge,
        witness(bridge, "log") as good,
        load.loaded(mosquitto),
    ):
        await load.until(lambda: len(good.messages) > 30)
        deaf = await LiveClient.connect(bridge, window=load.WINDOW)
        await deaf.subscribe("log")
        await deaf.read_for(0.3)
        began = time.monotonic()

        async def talk() -> None:
            # As a browser does whose page hangs, and as a script does whose network is full.
            while True:
                await deaf.send(b"", PING)
                await deaf.say("ping", id="p")
                await asyncio.sleep(0.1)

        talking = asyncio.create_task(talk())
        await load.counted(bridge, "closed_slow", 1, timeout_s + 5)
        took_s = time.monotonic() - began
        await load.counted(bridge, "operators", 1, 4)  # closing waits for what will not be read, but not for long
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
        print(f"never reads: closed after {took_s:.1f} s")
        assert took_s >= timeout_s  # it had its time
        told = await load.counters(bridge)
        assert (told["closed_slow"], told["closed_silent"]) == (1, 0)

        deaf.widen()
        began = time.monotonic()
        await deaf.read_for(8)  # what was on its way to it, and then the end
        print(f"the end came {time.monotonic() - began:.1f} s after it began to read")
        assert deaf.ended
        assert deaf.close_code in (None, 4008)
        walk = Walk("log").follow(deaf.messages)
        deaf.leave()
        back = await LiveClient.connect(bridge)
        snapshot = await back.subscribe("log", epoch=walk.epoch, offset=walk.offset)
        assert snapshot["recovered"]
        await back.read_for(0.5)
        frames = walk.follow(back.messages).frames
        assert frames[-1].offset > max(load.by_offset(good.messages)) - load.HZ / 4  # it has caught up
        load.assert_same(frames, good.messages)
        told = await load.counters(bridge)
        assert (told["resumed"], told["not_resumed"]) == (1, 0)
        back.leave()


async def test_what_is_merged_is_the_smallest_the_largest_and_the_newest(mosquitto: Mosquitto, tmp_path: Path) -> None:
    peak = 98_765.0
    async with (
        load.running(tmp_path, mosquitto, **load.SLOW) as bridge,
        witness(bridge, "log") as good,
        MqttPeer(mosquitto.port) as peer,
        load.loaded(mosquitto),
    ):
        await load.until(lambda: len(good.messages) > 30)
        pausing = await LiveClient.connect(bridge, window=load.WINDOW)
        await pausing.subscribe("log")
        text = await LiveClient.connect(bridge, window=load.WINDOW, protocol="fleetwire.v1.json")
        await text.subscribe("log")
        await asyncio.gather(pausing.read_for(0.3), text.read_for(0.3))
        await asyncio.sleep(1.8)
        await peer.publish(f"devices/{load.DEVICE}/telemetry", json.dumps({"m7": peak}))
        await asyncio.sleep(0.2)
        for client in (pausing, text):
            client.widen()
        await asyncio.gather(pausing.read_for(1.5), text.read_for(1.5))
        told = await load.counters(bridge)
        walk, in_text = Walk("log").follow(pausing.messages), Walk("log").follow(text.messages)
        for client in (pausing, text):
            client.leave()

        assert len(walk.snapshots) == len(in_text.snapshots) == 1  # nobody had to begin anew
        lag, merged = walk.merged[0]
        print(f"pause: {lag['messages']} messages, {lag['conflated']} readings left out, {len(merged.values)} sent")
        assert lag["messages"] > 20
        series = walk.names[load.DEVICE, "m7"]
        assert peak in merged.values[merged.series_ids == series]
        assert peak not in np.concatenate([frame.values for frame in walk.frames])
        assert any(row[0] == series and row[2] == peak for row in in_text.merged_rows[0][1])
        assert in_text.offset > in_text.merged_rows[-1][0]["offset"]

        # Made of the very readings that somebody else had meanwhile.
        missed = [m for m in good.messages if isinstance(m, Readings) and lag["after"] < m.offset <= lag["offset"]]
        assert len(missed) == lag["messages"]
        ids, times, values = (
            np.concatenate([getattr(frame, column) for frame in missed])
            for column in ("series_ids", "times_us", "values")
        )
        assert len(ids) - len(merged.series_ids) == lag["conflated"]
        assert set(merged.series_ids) == set(ids)
        assert (np.diff(merged.times_us) >= 0).all()
        for one in (series, walk.names[load.DEVICE, "n"]):
            kept, all_values = merged.values[merged.series_ids == one], values[ids == one]
            newest = all_values[np.argsort(times[ids == one], kind="stable")[-1]]
            assert set(kept) == {all_values.min(), all_values.max(), newest}
            assert len(kept) <= 3

        # And then everything again, one by one.
        after = [frame for frame in walk.frames if frame.offset > walk.merged[-1][1].offset]
        assert len(after) > 0.3 * load.HZ
        load.assert_same(walk.frames, good.messages)
        lags = [lag for lag, _ in (*walk.merged, *in_text.merged_rows)]
        assert told["lagged"] == len(lags)
        assert told["merged"] == sum(lag["conflated"] for lag in lags)
        assert (told["dropped"], told["closed_slow"]) == (0, 0)


async def test_who_pauses_for_longer_than_is_remembered_gets_a_snapshot(mosquitto: Mosquitto, tmp_path: Path) -> None:
    # 65 KB are a tenth of a second of this load, so that not even merging is possible.
    async with (
        load.running(tmp_path, mosquitto, **load.SLOW, live__ring_bytes=65_536) as bridge,
        witness(bridge, "log") as good,
        load.loaded(mosquitto),
    ):
        await load.until(lambda: len(good.messages) > 30)
        pausing = await LiveClient.connect(bridge, window=load.WINDOW)
        await pausing.subscribe("log")
        await pausing.read_for(0.2)
        await asyncio.sleep(1.6)
        pausing.widen()
        again = await pausing.next_text("snapshot")
        await pausing.read_for(0.5)
        walk = Walk("log").follow(pausing.messages)
        pausing.leave()
        told = await load.counters(bridge)
        assert (again["id"], again["recovered"]) == ("log", False)
        assert len(again["series"]) == load.METRICS
        assert not walk.merged
        before = [frame.offset for frame in walk.frames if frame.offset <= again["offset"]]
        after = [frame for frame in walk.frames if frame.offset > again["offset"]]
        assert len(after) > 0.25 * load.HZ
        load.assert_same(after, good.messages)
        # Messages since the snapshot was made come after it one by one: those are no loss.
        assert 0 <= told["dropped"] - (again["offset"] - before[-1]) <= 10
        assert told["closed_slow"] == 0


# ----- silence ----------------------------------------------------------------------------------------------


async def test_who_answers_nothing_is_closed_and_a_program_that_only_answers_pings_stays(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    ping_s, pong_s = 0.7, 0.7
    async with (
        load.running(tmp_path, mosquitto, web__ping_interval_s=ping_s, web__pong_timeout_s=pong_s) as bridge,
        bridge.dashboard() as program,  # aiohttp answers the pings of WebSocket, and nothing else
    ):
        mute, hung = await LiveClient.connect(bridge), await LiveClient.connect(bridge)
        await hung.say("ping", id="1")  # a page that was well once
        began = time.monotonic()

        async def lives_s(client: LiveClient) -> float:
            while await client.read(timeout_s=8):
                pass
            return time.monotonic() - began

        async def answer_as_a_browser() -> None:
            while not hung.ended:
                await hung.send(b"", PONG)
                await asyncio.sleep(0.2)

        answering = asyncio.create_task(answer_as_a_browser())
        asked = asyncio.create_task(program.until("ping", lambda _: time.monotonic() > began + 2 * (ping_s + pong_s)))
        for took_s in await asyncio.gather(lives_s(mute), lives_s(hung)):
            assert ping_s + pong_s <= took_s < ping_s + pong_s + 2
        assert (mute.close_code, hung.close_code) == (4012, 4012)
        await asked  # again and again, and it is still there
        told = await load.counters(bridge)
        assert (told["operators"], told["closed_silent"], told["closed_slow"]) == (1, 2, 0)
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        for client in (mute, hung):
            client.leave()


# ----- sums -------------------------------------------------------------------------------------------------


async def test_each_reading_arrives_once_and_both_ways_of_counting_agree(mosquitto: Mosquitto, tmp_path: Path) -> None:
    good, same_time, broken, wrong = 600, 40, 30, 20
    async with (
        load.running(tmp_path, mosquitto) as bridge,
        witness(bridge, "log") as binary,
        bridge.dashboard() as text,
        MqttPeer(mosquitto.port) as peer,
    ):
        assert (await text.subscribe("log"))["devices"] == []
        base_ms = int(time.time() * 1000) - 10_000

        def telemetry(number: int, time_ms: int) -> tuple[str, str]:
            values = {"time": time_ms, **{f"m{metric}": number * 5 + metric for metric in range(5)}}
            return f"devices/d{number % 4}/telemetry", json.dumps(values)

        messages = [telemetry(number, base_ms + number) for number in range(good)]
        # The same times again, with other values: readings like any other.
        messages += [telemetry(good + number, base_ms + good - 4 + number % 4) for number in range(same_time)]
        for number in range(broken):
            messages.insert(number * 7 + 3, ("devices/d0/telemetry", '{"m0": 1,'))
        for number in range(wrong):
            messages.insert(number * 11 + 5, ("devices/d1/telemetry", "[1]"))
        # Half at once, half with pauses: both ways of flushing.
        half = len(messages) // 2
        await peer.publish_all(messages[:half])
        for at in range(half, len(messages), 20):
            await peer.publish_all(messages[at : at + 20])
            await asyncio.sleep(0.02)
        readings = 5 * (good + same_time)
        await text.until("readings", lambda m: any(value == readings - 1 for _, _, value in m["rows"]))
        await text.subscribe("stats")
        last = (await text.until("stats"))["counters"]
        told = await load.counters(bridge)

        assert last["received"] == len(messages)
        assert last["received_bytes"] == sum(len(payload) for _, payload in messages)
        assert last["readings"] == readings
        assert last["rejected"] == {"invalid_json": broken, "unsupported": wrong}
        assert last["shed"] == last["duplicates"] == last["dropped"] == last["lagged"] == 0
        assert (last["devices"], last["series"], last["operators"]) == (4, 20, 2)
        for name in ("received", "received_bytes", "readings", "late", "batches", "devices", "series"):
            assert told[name] == last[name], name
        assert {reason: told[f'rejected{{reason="{reason}"}}'] for reason in last["rejected"]} == last["rejected"]

        # Both forms of the channel brought each of them, once.
        values = np.concatenate([frame.values for frame in Walk("log").follow(binary.messages).frames])
        rows = [row for m in text.heard if m["type"] == "readings" for row in m["rows"]]
        assert sorted(values) == list(range(readings))
        assert sorted(value for _, _, value in rows) == list(range(readings))
        newest = {(s["device_id"], s["metric"]): s["value"] for s in (await bridge.get("/api/v1/series"))["series"]}
        ends = range(good + same_time - 4, good + same_time)
        assert newest == {(f"d{n % 4}", f"m{m}"): n * 5 + m for n in ends for m in range(5)}


async def test_fleet_shows_a_series_twice_a_second_and_always_its_last_value(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    rate, count = 50, 100
    async with load.running(tmp_path, mosquitto) as bridge, MqttPeer(mosquitto.port) as peer:
        async with witness(bridge, "fleet") as fleet, witness(bridge, "log") as log:
            began = time.monotonic()
            for number in range(count):
                await peer.publish("devices/fast/telemetry", json.dumps({"v": number}), qos=0)
                await asyncio.sleep(max(0.0, began + (number + 1) / rate - time.monotonic()))
            took_s = time.monotonic() - began
            await asyncio.sleep(0.8)
            told = await load.counters(bridge)
        every = np.concatenate([frame.values for frame in Walk("log").follow(log.messages).frames])
        shown = Walk("fleet").follow(fleet.messages).frames
        values = [float(value) for frame in shown for value in frame.values]
        print(f"fleet: {len(values)} of {len(every)} readings in {took_s:.1f} s")
        assert list(every) == list(range(count))
        assert values == sorted(values)
        assert values[-1] == count - 1
        assert took_s / 0.5 - 2 <= len(values) <= took_s / 0.5 + 3
        assert np.quantile(np.diff([frame.arrived for frame in shown]), 0.5) > 0.4
        assert told["conflated"] == len(every) - len(values)
