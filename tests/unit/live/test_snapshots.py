"""The state for newcomers: built once, shared, never told without the messages since."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.live.channel import Channel
from bridge.live.hub import LiveLimits
from bridge.live.snapshots import IDS_KEPT, RECENT_POINTS_FLEET, RECENT_POINTS_TOTAL, REUSE_US_PER_SERIES
from tests.unit.live.helpers import Plane, S
from tests.unit.live.test_resume import Dashboard

SERIES = 50
REUSED_US = SERIES * REUSE_US_PER_SERIES


def plane_of(series: int = SERIES, **limits: int) -> Plane:
    plane = Plane(limits=LiveLimits(**limits))
    for number in range(series):
        plane.says(f"d{number:04}", n=0)
    plane.flush()
    plane.flush_fleet()
    return plane


def later(plane: Plane, microseconds: int, number: int) -> None:
    plane.now_us += microseconds
    plane.says("d0000", n=number)
    plane.flush()
    plane.flush_fleet()


def state_of(plane: Plane, channel: str = "log", **fields: Any) -> Any:
    """The first packet that a newcomer gets, and whether all that it gets brings it to the present."""
    client = plane.client()
    client.subscribes(channel, **fields)
    return client.packets[0]


@pytest.mark.parametrize("channel", ["log", "fleet", "device/d0000"])
def test_nothing_happened_nothing_is_built_again_however_late(channel: str) -> None:
    plane = plane_of()
    first = state_of(plane, channel)
    plane.now_us += 30 * S
    assert state_of(plane, channel) is first


@pytest.mark.parametrize(("age_us", "is_reused"), [(1, True), (REUSED_US - 1, True), (REUSED_US, False), (S, False)])
def test_a_state_is_reused_for_as_long_as_its_cost_allows(age_us: int, is_reused: bool) -> None:
    """A twentieth of the time at most goes into building states, however many dashboards come."""
    plane = plane_of()
    first = state_of(plane)
    later(plane, age_us, 1)
    assert (state_of(plane) is first) is is_reused


def test_the_time_counts_from_the_building_and_not_from_the_last_use() -> None:
    plane = plane_of()
    first, states = state_of(plane), []
    for number in range(1, 11):
        later(plane, REUSED_US // 4, number)
        states.append(state_of(plane))
    assert states[:3] == [first] * 3
    assert len({id(state) for state in states}) == 3


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("channel", ["log", "fleet", "device/d0000"])
def test_whoever_gets_an_older_state_gets_the_messages_since(channel: str, binary: bool) -> None:
    plane = plane_of()
    state_of(plane, channel)
    for number in range(1, 4):
        later(plane, 1_000, number)
        if number == 2:
            plane.fleet.remove("native", "d0007")
    newcomer = Dashboard(channel, binary=binary)  # complains of any gap
    newcomer.connect(plane)
    newcomer.knows_what_the_bridge_knows(plane)
    assert newcomer.series[0]["value"] == 3


def test_not_reused_when_the_ring_has_lost_a_message_since() -> None:
    plane = plane_of(ring_bytes=700)
    first = state_of(plane)
    later(plane, 100, 1)
    assert state_of(plane) is first
    for number in range(2, 22):
        later(plane, 10, number)
    assert plane.hub.log_channel.missed("e1", json.loads(first.payload)["offset"]) is None
    second = state_of(plane)
    assert second is not first
    assert json.loads(second.payload)["offset"] == plane.hub.log_channel.offset
    newcomer = Dashboard("log", binary=False)
    newcomer.connect(plane)
    newcomer.knows_what_the_bridge_knows(plane)


def test_a_state_older_than_the_memory_is_not_reused() -> None:
    plane = plane_of(series=2_000, ring_us=S // 10)
    first = state_of(plane)
    later(plane, 1_000, 1)
    later(plane, S // 10 + 1, 2)  # the first of the two is forgotten by now, though the state is still young
    assert REUSE_US_PER_SERIES * 2_000 > S // 10 + 1_001
    assert state_of(plane) is not first


def test_each_form_has_its_own_state_and_each_part_too() -> None:
    plane = plane_of()
    one, other = plane.client(binary=True), plane.client()
    for client in (one, other):
        client.subscribes("fleet")
    assert one.packets[0].payload == other.packets[0].payload
    assert not one.packets[1].is_text
    assert other.packets[1].is_text
    assert len(json.loads(state_of(plane, "fleet", devices=["d0001"]).payload)["devices"]) == 1
    assert len(json.loads(state_of(plane, "fleet").payload)["devices"]) == SERIES


def test_the_id_of_each_client_is_its_own_and_those_kept_are_bounded() -> None:
    plane = plane_of()
    ids: list[str | int] = [1, "1", *(f"id {number}" for number in range(3 * IDS_KEPT))]
    for id_ in ids:
        client = plane.client()
        answer = client.subscribes("log", id_)[0]
        assert (answer["id"], len(answer["series"])) == (id_, SERIES)
    kept: Channel = plane.hub.log_channel
    assert len(kept.catch_ups) == 1
    assert len(kept.catch_ups[False]._packets) == IDS_KEPT
    before = state_of(plane)
    assert state_of(plane) is before  # the one that all pages choose is not built each time


def test_a_large_fleet_gets_shorter_sparklines() -> None:
    plane = Plane(recent_bytes=64_000_000)
    metrics = 2_000
    for _ in range(RECENT_POINTS_FLEET):
        plane.now_us += S
        for device in range(2):
            plane.says(f"d{device}", **{f"m{metric}": 1.0 for metric in range(metrics // 2)})
        plane.flush()
    client = plane.client(binary=True)
    client.subscribes("fleet")
    recent = client.inbox("recent")[0]["rows"]
    assert metrics * 2 <= len(recent) <= RECENT_POINTS_TOTAL
