"""Subscribe, drop, resume, fall behind, catch up, trim, restart, in any order: a client sees all of it, in order, once,
or is told plainly what it did not see."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bridge.core.model import Description, Kind, MetricInfo
from bridge.live.hub import LiveLimits
from tests.unit.live.helpers import Client, Plane, S

# As many selections as are followed below, and one that others may ask for.
LIMITS = LiveLimits(ring_bytes=6_000, ring_us=60 * S, max_selections=5)
DEVICES = ["a", "b/c"]
CHANNELS = ["fleet", "log", "device/a", "device/b/c"]
# What a dashboard may follow: a channel, or of it a part.
FOLLOWED: list[tuple[str, dict[str, Any]]] = [
    *((channel, {}) for channel in CHANNELS),
    ("log", {"devices": ["b/c", "never seen"]}),
    ("fleet", {"devices": ["b/c", "a"]}),
    ("fleet", {"devices": ["a"]}),
    ("log", {"series": [6, 1, 3, 2]}),
]
MOVING = {"last_seen_ms", "received_ms"}  # told with snapshots and changes only, by design

Point = tuple[int, int, float]  # series, time in ms, the number that stands for the value


class Journal:
    """What dashboards saw one by one of a channel: the witness against whom merged readings are held."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], dict[int, list[Point]]] = {}  # (epoch, channel) -> offset -> readings
        self.compared = 0  # merged frames that could be held against it

    def note(self, epoch: str, channel: str, offset: int, points: list[Point]) -> None:
        self.seen.setdefault((epoch, channel), {})[offset] = points

    def between(self, epoch: str, channel: str, after: int, offset: int) -> list[Point] | None:
        """All readings of these messages in the order of arrival, if somebody saw every one of them."""
        seen = self.seen.get((epoch, channel), {})
        offsets = range(after + 1, offset + 1)
        if not all(number in seen for number in offsets):
            return None
        return [point for number in offsets for point in seen[number]]


class Dashboard:
    """Follows one channel as docs/protocol.md says, over many connections, and complains at the first gap."""

    def __init__(
        self, channel: str, *, binary: bool, part: dict[str, Any] | None = None, journal: Journal | None = None
    ) -> None:
        self.channel = channel
        self.part = part or {}
        self.binary = binary
        self.journal = journal or Journal()
        self.client: Client | None = None
        self.name = channel  # as the snapshot tells it
        self.epoch: str | None = None
        self.offset: int | None = None
        self.devices: dict[str, dict[str, Any]] = {}
        self.series: dict[int, dict[str, Any]] = {}
        self.counted: dict[int, int] = {}  # series -> the last `n` seen: devices count their readings
        self.snapshots = 0
        self.merged_frames = 0
        self.lag: dict[str, Any] | None = None  # said, but its readings have not come yet

    def connect(self, plane: Plane) -> None:
        self.client = plane.client(binary=self.binary)
        self.subscribe()
        self.read()

    def subscribe(self) -> None:
        assert self.client is not None
        resume = {} if self.offset is None else {"epoch": self.epoch, "offset": self.offset}
        self.client.subscribes(self.channel, **self.part, **resume)

    def drop(self, after_messages: int | None = None) -> None:
        """Hang up; what it has not read by then is lost to it."""
        if self.client is not None:
            self.read(after_messages)
        if self.client is not None:
            self.client.leaves()
            self.client = None
        self.lag = None  # half a lag is none

    def read(self, at_most: int | None = None) -> None:
        """Take what has come, unless it does not read."""
        assert self.client is not None
        if not self.client.reads:
            return
        for message in self.client.inbox()[:at_most]:
            if message["type"] == "error":
                assert message["code"] == "unknown_device"
                self.client.leaves()
                self.client = None
                return
            if message["type"] == "snapshot":
                self._snapshot(message)
            elif message["type"] == "lag":
                assert self.lag is None
                assert message["after"] == self.offset, "merged from somewhere else than where we are"
                assert message["offset"] - message["after"] == message["messages"] > 0
                assert message["channel"] == self.name
                self.lag = message
            elif message.get("merged"):
                self._merged(message)
            elif message["type"] in ("readings", "series", "device"):
                assert self.offset is not None
                assert self.lag is None, "the merged readings come next"
                assert message["offset"] == self.offset + 1, "a gap, a duplicate or a wrong order"
                self.offset = message["offset"]
                getattr(self, "_" + message["type"])(message)

    def _snapshot(self, message: dict[str, Any]) -> None:
        if message["recovered"]:
            assert (message["epoch"], message["offset"]) == (self.epoch, self.offset)
            assert "devices" not in message
            assert "series" not in message
            return
        assert self.lag is None
        self.snapshots += 1
        self.name = message["channel"]
        self.epoch, self.offset = message["epoch"], message["offset"]
        self.devices = {device["device_id"]: device for device in message["devices"]}
        self.series = {series["series_id"]: series for series in message["series"]}
        self.counted = {s["series_id"]: s["value"] or 0 for s in message["series"] if s["metric"] == "n"}

    def _device(self, message: dict[str, Any]) -> None:
        self._note(message, [])
        self._take_device(message["device"])

    def _take_device(self, device: dict[str, Any]) -> None:
        if device.get("removed"):
            self.devices.pop(device["device_id"], None)
            for series_id in [s for s, told in self.series.items() if told["device_id"] == device["device_id"]]:
                del self.series[series_id]
        else:
            self.devices[device["device_id"]] = device

    def _series(self, message: dict[str, Any]) -> None:
        self._note(message, [])
        self._take_series(message["series"])

    def _take_series(self, series: list[dict[str, Any]]) -> None:
        for told in series:
            assert told["device_id"] in self.devices, "a series of a device that was never told"
            known = self.series.get(told["series_id"], {"texts": []})
            assert told["texts_from"] <= len(known["texts"]), "a text is missing"
            texts = known["texts"][: told["texts_from"]] + told["texts"]
            key = told["device_id"], told["metric"]
            for series_id in [s for s, one in self.series.items() if (one["device_id"], one["metric"]) == key]:
                del self.series[series_id]  # it takes the place of one that was of another kind
            self.series[told["series_id"]] = told | {"texts": texts, "texts_from": 0}

    def _readings(self, message: dict[str, Any]) -> None:
        points = self._points(message)
        self._note(message, points)
        for series_id, time_ms, number in points:
            told = self._show(series_id, time_ms, number)
            if told["metric"] == "n":
                before = self.counted.get(series_id, 0)
                if self.channel == "fleet":  # conflated: some are merged, none comes twice out of order
                    assert number >= before
                else:
                    assert number == before + 1, "a reading was lost or came twice"
                self.counted[series_id] = int(number)

    def _merged(self, message: dict[str, Any]) -> None:
        """The smallest, the largest and the newest of what it missed, in order of time; nothing else, nothing less."""
        lag, self.lag = self.lag, None
        assert lag is not None, "merged readings out of the blue"
        assert message["offset"] == lag["offset"]
        assert self.epoch is not None
        assert self.offset is not None
        self.merged_frames += 1
        for device in lag["devices"]:
            self._take_device(device)
        self._take_series(lag["series"])
        points = self._points(message)
        assert [time_ms for _, time_ms, _ in points] == sorted(time_ms for _, time_ms, _ in points)
        mine: dict[int, list[Point]] = {}
        for point in points:
            mine.setdefault(point[0], []).append(point)
        for series_id, few in mine.items():
            assert 1 <= len(few) <= 3
            if self.series[series_id]["metric"] == "n":
                smallest, before = min(point[2] for point in few), self.counted.get(series_id, 0)
                assert smallest >= before if self.channel == "fleet" else smallest == before + 1, "not all was merged"
                self.counted[series_id] = int(few[-1][2])
        missed = self.journal.between(self.epoch, self.name, self.offset, lag["offset"])
        if missed is not None:
            self.journal.compared += 1
            by_series: dict[int, list[Point]] = {}
            for point in missed:
                by_series.setdefault(point[0], []).append(point)
            # What the witness saw of series that are gone by now is told to nobody any more.
            assert set(mine) == {series_id for series_id in by_series if series_id in self.series}
            for series_id, few in mine.items():
                many = by_series[series_id]
                newest = max(range(len(many)), key=lambda at, many=many: (many[at][1], at))  # type: ignore[misc]
                assert few[-1] == many[newest]
                assert min(point[2] for point in few) == min(point[2] for point in many)
                assert max(point[2] for point in few) == max(point[2] for point in many)
                assert set(few) <= set(many)
            gone = sum(len(many) for series_id, many in by_series.items() if series_id not in self.series)
            assert len(missed) - gone - len(points) <= lag["conflated"] <= len(missed) - len(points)
        for point in points:
            self._show(*point)
        self.offset = lag["offset"]

    def _points(self, message: dict[str, Any]) -> list[Point]:
        points = []
        for series_id, time, value in message["rows"]:
            told = self.series.get(series_id)
            assert told is not None, "a reading of a series that was never told"
            if self.binary:
                points.append((series_id, time // 1000, float(value)))
            else:
                number = told["texts"].index(value) if told["kind"] == "text" else value
                points.append((series_id, time, float(number)))
        return points

    def _show(self, series_id: int, time_ms: int, number: float) -> dict[str, Any]:
        told = self.series[series_id]
        value: Any = int(number) if number.is_integer() else number
        if told["kind"] == "text":
            value = told["texts"][int(number)]
        elif told["kind"] == "boolean":
            value = number != 0
        if time_ms >= (told["time_ms"] or 0):  # a merged frame may begin before what the state in `lag` tells
            told |= {"value": value, "time_ms": time_ms, "quality": "good"}
        return told

    def _note(self, message: dict[str, Any], points: list[Point]) -> None:
        assert self.epoch is not None
        if self.binary:  # text is made when it is sent, and leaves out what is gone by then
            self.journal.note(self.epoch, self.name, message["offset"], points)

    def knows_what_the_bridge_knows(self, plane: Plane) -> None:
        fleet = plane.fleet
        is_device = self.channel.startswith("device/")
        wanted = list(fleet.devices.values())
        if is_device:
            wanted = [device for device in wanted if self.channel == f"device/{device.device_id}"]
        if "devices" in self.part:
            wanted = [device for device in wanted if device.device_id in self.part["devices"]]
        some = [series for device in wanted for series in device.series.values()]
        if "series" in self.part:
            some = [series for series in some if series.series_id in self.part["series"]]
            wanted = [device for device in wanted if any(series.device is device for series in some)]
            # It may know a device whose series has gone since, and a series that went because its kind changed.
            self.devices = {d.device_id: self.devices[d.device_id] for d in wanted}
            replaced = {(s.device.device_id, s.metric) for s in fleet.series.values() if s not in some}
            self.series = {
                series_id: told
                for series_id, told in self.series.items()
                if series_id in fleet.series or (told["device_id"], told["metric"]) not in replaced
            }
        devices = {d.device_id: d.detail() if is_device else d.summary() for d in wanted}
        assert still(self.devices) == still(devices)
        assert still(self.series) == still({s.series_id: fleet.latest.describe(s) for s in some})


class ResumeMachine(RuleBasedStateMachine):
    """The bridge on one side; on the other for each channel two dashboards, and a witness that is never slow."""

    happened: ClassVar[Counter[str]] = Counter()  # over all examples: what never happens is not tested

    def __init__(self) -> None:
        super().__init__()
        self.started = 1
        self.limits = LIMITS
        self.plane = Plane("e1", LIMITS)
        self.counts: dict[str, int] = {}
        self.journal = Journal()
        self.witnesses = [Dashboard(c, binary=True, part=part, journal=self.journal) for c, part in FOLLOWED]
        self.dashboards = [
            Dashboard(channel, binary=binary, part=part, journal=self.journal)
            for channel, part in FOLLOWED
            for binary in (True, False)
        ]

    @initialize(
        are_known=st.booleans(),
        ring_bytes=st.sampled_from([1_500, 6_000, 60_000]),
        lag_bytes=st.sampled_from([6 * 16, 30 * 16, 1_000_000]),
    )
    def everybody_comes(self, are_known: bool, ring_bytes: int, lag_bytes: int) -> None:
        self.limits = LIMITS._replace(ring_bytes=ring_bytes, max_lag_bytes=lag_bytes)
        self.plane = Plane("e1", self.limits)
        if are_known:
            for device in DEVICES:
                self.readings(device, [0], 0, flush=True)
        for dashboard in (*self.witnesses, *self.dashboards):
            dashboard.connect(self.plane)

    @rule(
        device=st.sampled_from(DEVICES),
        values=st.lists(st.integers(-9, 9), min_size=1, max_size=4),
        mode=st.integers(0, 9),
        flush=st.booleans(),
    )
    def readings(self, device: str, values: list[int], mode: int, flush: bool) -> None:
        for value in values:
            self.plane.now_us += 1000
            self.counts[device] = self.counts.get(device, 0) + 1
            self.plane.says(device, n=self.counts[device], mode=f"mode {mode}", on=mode % 2 == 0, v=value)
        if flush:
            self.plane.flush()

    @rule(device=st.sampled_from(DEVICES), version=st.integers(0, 5), flush=st.booleans())
    def description(self, device: str, version: int, flush: bool) -> None:
        described = Description(device, name="Device", sw_version=str(version))
        self.plane.fleet.observe_description("native", "mqtt", described, self.plane.now_us)
        if flush:
            self.plane.flush()

    @rule(device=st.sampled_from(DEVICES), kind=st.sampled_from([Kind.NUMBER, Kind.TEXT]), flush=st.booleans())
    def another_kind(self, device: str, kind: Kind, flush: bool) -> None:
        """A series whose kind changes goes, and another comes in its place."""
        described = Description(device, metrics={"v": MetricInfo(kind=kind)})
        self.plane.fleet.observe_description("native", "mqtt", described, self.plane.now_us)
        if flush:
            self.plane.flush()

    @rule(device=st.sampled_from(DEVICES), flush=st.booleans())
    def removal(self, device: str, flush: bool) -> None:
        self.plane.fleet.remove("native", device)
        self.counts[device] = 0
        if flush:
            self.plane.flush()

    @rule()
    def fleet_is_flushed(self) -> None:
        self.plane.flush_fleet()

    @rule(at=st.integers(0, len(FOLLOWED) - 1))
    def witness_comes_or_goes(self, at: int) -> None:
        if self.witnesses[at].client is None:
            self.witnesses[at].connect(self.plane)
        else:
            self.witnesses[at].drop()

    @rule(at=st.integers(0, 2 * len(FOLLOWED) - 1))
    def connect(self, at: int) -> None:
        dashboard = self.dashboards[at]
        if dashboard.client is None:
            dashboard.connect(self.plane)

    @rule(at=st.integers(0, 2 * len(FOLLOWED) - 1))
    def drop(self, at: int) -> None:
        self.dashboards[at].drop()

    @rule(at=st.integers(0, 2 * len(FOLLOWED) - 1))
    def drop_and_come_back(self, at: int) -> None:
        self.dashboards[at].drop()
        self.dashboards[at].connect(self.plane)

    @rule(which=st.sets(st.integers(0, 2 * len(FOLLOWED) - 1), min_size=1), unread=st.integers(0, 3))
    def fall_behind(self, which: set[int], unread: int) -> None:
        """They stop reading; so many messages more their sockets take."""
        for at in which:
            client = self.dashboards[at].client
            if client is not None:
                client.reads = False
                client.holds = unread

    @rule(
        which=st.sets(st.integers(0, 2 * len(FOLLOWED) - 1), min_size=1),
        messages=st.lists(st.tuples(st.sampled_from(DEVICES), st.integers(-9, 9), st.booleans()), max_size=20),
        breaks_off_after=st.none() | st.integers(0, 3),
    )
    def slow_for_a_while(
        self, which: set[int], messages: list[tuple[str, int, bool]], breaks_off_after: int | None
    ) -> None:
        """They miss all of this, some of it merged at a tick in between, and catch up or break off while they do."""
        self.fall_behind(which, 0)
        for device, value, is_tick in messages:
            self.readings(device, [value], value % 10, flush=True)
            if is_tick:
                self.plane.flush_fleet()
                self.plane.tick()
                self.whoever_is_connected_has_seen_everything()
        for at in which:
            if breaks_off_after is None:
                self.reads_on(at)
            else:
                self.catches_up_and_breaks_off(at, breaks_off_after)
        self.plane.tick()

    @rule(at=st.integers(0, 2 * len(FOLLOWED) - 1))
    def reads_on(self, at: int) -> None:
        client = self.dashboards[at].client
        if client is not None:
            client.reads = True

    @rule(at=st.integers(0, 2 * len(FOLLOWED) - 1), messages=st.integers(0, 3))
    def catches_up_and_breaks_off(self, at: int, messages: int) -> None:
        """Also between `lag` and its readings."""
        dashboard = self.dashboards[at]
        if dashboard.client is not None and not dashboard.client.reads:
            dashboard.client.reads = True
            self.plane.tick()
            dashboard.drop(messages)
            dashboard.connect(self.plane)

    @precondition(lambda self: any(d.client for d in self.dashboards))
    @rule(at=st.integers(0, 2 * len(FOLLOWED) - 1))
    def unsubscribe_and_subscribe(self, at: int) -> None:
        dashboard = self.dashboards[at]
        if dashboard.client is not None and dashboard.client.reads:
            dashboard.read()
            if dashboard.client is not None:
                assert dashboard.client.says({"type": "unsubscribe", "id": "sub"}) == []
                dashboard.subscribe()

    @rule(devices=st.sets(st.sampled_from(["a", "b/c", "x", "y"]), max_size=2), base=st.sampled_from(["fleet", "log"]))
    def somebody_looks_at_something_else(self, devices: set[str], base: str) -> None:
        """And takes the place of a selection that nobody follows just now."""
        client = self.plane.client()
        answer = client.subscribes(base, devices=sorted(devices))[0]
        assert answer["type"] == "snapshot"
        client.leaves()

    @rule(seconds=st.sampled_from([0.25, 0.25, 1, 30, 61, 200]))
    def time_passes(self, seconds: float) -> None:
        self.plane.now_us += int(seconds * S)
        self.plane.tick()

    @precondition(lambda self: self.plane.counters.lagged)
    @rule()
    def restart(self) -> None:
        """Only once something has happened, or nothing ever would."""
        for dashboard in (*self.witnesses, *self.dashboards):
            dashboard.drop()
        self.started += 1
        self._remember()
        self.plane = Plane(f"e{self.started}", self.limits)
        self.counts = {}

    @invariant()
    def whoever_is_connected_has_seen_everything(self) -> None:
        for dashboard in (*self.witnesses, *self.dashboards):
            if dashboard.client is not None:
                dashboard.read()

    def teardown(self) -> None:
        """Once everything is flushed and read, every connected dashboard knows exactly what the bridge knows."""
        self.plane.flush()
        self.plane.flush_fleet()
        for dashboard in self.dashboards:
            if dashboard.client is not None:
                dashboard.client.reads = True
        self.plane.tick()
        self.whoever_is_connected_has_seen_everything()
        assert not any(channel.laggards for channel in self.plane.hub._channels.values())
        for dashboard in self.dashboards:
            if dashboard.client is None:
                dashboard.connect(self.plane)
            if dashboard.client is not None:
                dashboard.read()
                dashboard.knows_what_the_bridge_knows(self.plane)
        self._remember()
        self.happened["compared"] += self.journal.compared

    def _remember(self) -> None:
        counters = self.plane.counters
        for name in ("resumed", "not_resumed", "lagged", "merged", "dropped"):
            self.happened[name] += getattr(counters, name)
        self.happened["started again"] += self.started > 1


def still(told: dict[Any, dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    return {key: {name: value for name, value in one.items() if name not in MOVING} for key, one in told.items()}


class TestResume(ResumeMachine.TestCase):  # type: ignore[misc]
    settings = settings(max_examples=80, stateful_step_count=50, deadline=None)

    def runTest(self) -> None:
        ResumeMachine.happened.clear()
        super().runTest()
        happened = ResumeMachine.happened
        for what in ("resumed", "not_resumed", "lagged", "merged", "dropped", "compared", "started again"):
            assert happened[what], f"{what}: never, so nobody knows whether it works: {happened}"


# ----- the same, said one by one ----------------------------------------------------------------------------


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("channel", CHANNELS[:3])
def test_resume_is_exact(channel: str, binary: bool) -> None:
    plane = Plane()
    plane.says("a", n=1)
    plane.flush()
    dashboard, witness = Dashboard(channel, binary=binary), Dashboard(channel, binary=binary)
    dashboard.connect(plane)
    witness.connect(plane)
    dashboard.drop()
    for number in range(2, 20):
        plane.now_us += S
        plane.says("a", n=number)
        plane.flush()
        plane.flush_fleet()
    dashboard.connect(plane)
    witness.read()
    assert dashboard.snapshots == 1  # the first one
    assert (dashboard.offset, dashboard.series) == (witness.offset, witness.series)
    assert (plane.counters.resumed, plane.counters.not_resumed) == (1, 0)


def test_who_missed_nothing_gets_nothing() -> None:
    plane = Plane()
    plane.says("a", n=1)
    plane.flush()
    client = plane.client()
    offset = client.subscribes("log")[0]["offset"]
    client.leaves()
    again = plane.client().subscribes("log", epoch="e1", offset=offset)
    assert again == [
        {
            "type": "snapshot",
            "id": "sub",
            "channel": "log",
            "channel_no": 2,
            "epoch": "e1",
            "offset": offset,
            "recovered": True,
        }
    ]


@pytest.mark.parametrize("resume", [{"epoch": "e0", "offset": 1}, {"epoch": "e1", "offset": 999}, {"offset": 1}])
def test_what_cannot_be_resumed_is_a_whole_snapshot(resume: dict[str, Any]) -> None:
    plane = Plane()
    plane.says("a", n=1)
    plane.flush()
    answer = plane.client().subscribes("log", **resume)[0]
    assert answer["recovered"] is False
    assert [device["device_id"] for device in answer["devices"]] == ["a"]
    assert plane.counters.not_resumed == 1


def test_who_was_away_for_too_long_is_told() -> None:
    plane = Plane(limits=LiveLimits(ring_us=10 * S))
    plane.says("a", n=1)
    plane.flush()
    client = plane.client()
    first = client.subscribes("log")[0]
    client.leaves()
    for number in range(2, 30):
        plane.now_us += S
        plane.says("a", n=number)
        plane.flush()
    answer = plane.client().subscribes("log", epoch=first["epoch"], offset=first["offset"])[0]
    assert answer["recovered"] is False
    assert answer["series"][0]["value"] == 29


def test_a_device_channel_that_was_closed_and_opened_again_does_not_pretend() -> None:
    """Its numbers start anew; an offset of before must not be taken for one of now."""
    plane = Plane()
    plane.says("a", n=1)
    plane.flush()
    away = Dashboard("device/a", binary=False)
    away.connect(plane)
    for number in range(2, 5):
        plane.says("a", n=number)
        plane.flush()
    away.drop()
    plane.now_us += 61 * S
    plane.hub.tick(plane.now_us)
    plane.says("a", n=5)  # nobody follows: told to no device channel
    plane.flush()

    other = Dashboard("device/a", binary=False)
    other.connect(plane)
    for number in range(6, 12):  # far beyond the offsets of before
        plane.says("a", n=number)
        plane.flush()
    away.connect(plane)
    assert away.snapshots == 2
    assert list(away.counted.values()) == [11]
