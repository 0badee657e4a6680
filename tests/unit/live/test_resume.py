"""Subscribe, drop, resume, trim, restart, in any order: a client sees all of it, in order, once, or is told plainly."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bridge.core.model import Description
from bridge.live.hub import LiveLimits
from tests.unit.live.helpers import Client, Plane, S

LIMITS = LiveLimits(ring_bytes=6_000, ring_us=60 * S)
DEVICES = ["a", "b/c"]
CHANNELS = ["fleet", "log", "device/a", "device/b/c"]
MOVING = {"last_seen_ms", "received_ms"}  # told with snapshots and changes only, by design


class Dashboard:
    """Follows one channel as docs/protocol.md says, over many connections, and complains at the first gap."""

    def __init__(self, channel: str, *, binary: bool) -> None:
        self.channel = channel
        self.binary = binary
        self.client: Client | None = None
        self.epoch: str | None = None
        self.offset: int | None = None
        self.devices: dict[str, dict[str, Any]] = {}
        self.series: dict[int, dict[str, Any]] = {}
        self.counted: dict[int, int] = {}  # series -> the last `n` seen: devices count their readings
        self.snapshots = 0

    def connect(self, plane: Plane) -> None:
        self.client = plane.client(binary=self.binary)
        resume = {} if self.offset is None else {"epoch": self.epoch, "offset": self.offset}
        self.client.subscribes(self.channel, **resume)
        self.read()

    def drop(self) -> None:
        if self.client is not None:
            self.read()
            self.client.leaves()
            self.client = None

    def read(self) -> None:
        assert self.client is not None
        for message in self.client.inbox():
            if message["type"] == "error":
                assert message["code"] == "unknown_device"
                self.client.leaves()
                self.client = None
                return
            if message["type"] == "snapshot":
                self._snapshot(message)
            elif message["type"] in ("readings", "series", "device"):
                assert self.offset is not None
                assert message["offset"] == self.offset + 1, "a gap, a duplicate or a wrong order"
                self.offset = message["offset"]
                getattr(self, "_" + message["type"])(message)

    def _snapshot(self, message: dict[str, Any]) -> None:
        if message["recovered"]:
            assert (message["epoch"], message["offset"]) == (self.epoch, self.offset)
            assert "devices" not in message
            assert "series" not in message
            return
        self.snapshots += 1
        self.epoch, self.offset = message["epoch"], message["offset"]
        self.devices = {device["device_id"]: device for device in message["devices"]}
        self.series = {series["series_id"]: series for series in message["series"]}
        self.counted = {s["series_id"]: s["value"] or 0 for s in message["series"] if s["metric"] == "n"}

    def _device(self, message: dict[str, Any]) -> None:
        device = message["device"]
        if device.get("removed"):
            self.devices.pop(device["device_id"], None)
            for series_id in [s for s, told in self.series.items() if told["device_id"] == device["device_id"]]:
                del self.series[series_id]
        else:
            self.devices[device["device_id"]] = device

    def _series(self, message: dict[str, Any]) -> None:
        for told in message["series"]:
            known = self.series.get(told["series_id"], {"texts": []})
            assert told["texts_from"] <= len(known["texts"]), "a text is missing"
            texts = known["texts"][: told["texts_from"]] + told["texts"]
            self.series[told["series_id"]] = told | {"texts": texts, "texts_from": 0}

    def _readings(self, message: dict[str, Any]) -> None:
        for series_id, time, value in message["rows"]:
            told = self.series.get(series_id)
            assert told is not None, "a reading of a series that was never told"
            if self.binary:
                time //= 1000
                if told["kind"] == "text":
                    value = told["texts"][int(value)]
                elif told["kind"] == "boolean":
                    value = value != 0
            told |= {"value": value, "time_ms": time, "quality": "good"}
            if told["metric"] == "n":
                before = self.counted.get(series_id, 0)
                if self.channel == "fleet":  # conflated: some are merged, none comes twice out of order
                    assert value >= before
                else:
                    assert value == before + 1, "a reading was lost or came twice"
                self.counted[series_id] = int(value)


class ResumeMachine(RuleBasedStateMachine):
    """The bridge on one side, four dashboards on the other."""

    def __init__(self) -> None:
        super().__init__()
        self.started = 1
        self.plane = Plane("e1", LIMITS)
        self.counts: dict[str, int] = {}
        self.dashboards = [Dashboard(channel, binary=binary) for channel in CHANNELS for binary in (True, False)]

    @rule(device=st.sampled_from(DEVICES), count=st.integers(1, 4), mode=st.integers(0, 9), flush=st.booleans())
    def readings(self, device: str, count: int, mode: int, flush: bool) -> None:
        for _ in range(count):
            self.plane.now_us += 1000
            self.counts[device] = self.counts.get(device, 0) + 1
            self.plane.says(device, n=self.counts[device], mode=f"mode {mode}", on=mode % 2 == 0)
        if flush:
            self.plane.flush()

    @rule(device=st.sampled_from(DEVICES), version=st.integers(0, 5), flush=st.booleans())
    def description(self, device: str, version: int, flush: bool) -> None:
        described = Description(device, name="Device", sw_version=str(version))
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

    @rule(at=st.integers(0, 7))
    def connect(self, at: int) -> None:
        dashboard = self.dashboards[at]
        if dashboard.client is None:
            dashboard.connect(self.plane)

    @rule(at=st.integers(0, 7))
    def drop(self, at: int) -> None:
        self.dashboards[at].drop()

    @rule(at=st.integers(0, 7))
    def drop_and_come_back(self, at: int) -> None:
        self.dashboards[at].drop()
        self.dashboards[at].connect(self.plane)

    @precondition(lambda self: any(d.client for d in self.dashboards))
    @rule(at=st.integers(0, 7))
    def unsubscribe_and_subscribe(self, at: int) -> None:
        dashboard = self.dashboards[at]
        if dashboard.client is not None:
            dashboard.read()
            if dashboard.client is not None:
                assert dashboard.client.says({"type": "unsubscribe", "id": "sub"}) == []
                dashboard.client.subscribes(dashboard.channel, epoch=dashboard.epoch, offset=dashboard.offset)

    @rule(seconds=st.sampled_from([1, 30, 61, 200]))
    def time_passes(self, seconds: int) -> None:
        self.plane.now_us += seconds * S
        self.plane.hub.tick(self.plane.now_us)

    @rule(keep_epoch=st.just(False))
    def restart(self, keep_epoch: bool) -> None:
        for dashboard in self.dashboards:
            dashboard.drop()
        self.started += 1
        self.plane = Plane(f"e{self.started}", LIMITS)
        self.counts = {}

    @invariant()
    def whoever_is_connected_has_seen_everything(self) -> None:
        for dashboard in self.dashboards:
            if dashboard.client is not None:
                dashboard.read()

    def teardown(self) -> None:
        """Once everything is flushed, every connected dashboard knows exactly what the bridge knows."""
        self.plane.flush()
        self.plane.flush_fleet()
        fleet = self.plane.fleet
        for dashboard in self.dashboards:
            if dashboard.client is None:
                dashboard.connect(self.plane)
            if dashboard.client is None:
                continue
            dashboard.read()
            is_device = dashboard.channel.startswith("device/")
            wanted = [
                d for d in fleet.devices.values() if not is_device or dashboard.channel == f"device/{d.device_id}"
            ]
            devices = {d.device_id: d.detail() if is_device else d.summary() for d in wanted}
            series = {s.series_id: fleet.latest.describe(s) for d in wanted for s in d.series.values()}
            assert still(dashboard.devices) == still(devices)
            assert still(dashboard.series) == still(series)


def still(told: dict[Any, dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    return {key: {name: value for name, value in one.items() if name not in MOVING} for key, one in told.items()}


TestResume = ResumeMachine.TestCase
TestResume.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


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
