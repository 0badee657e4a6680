"""Channels, snapshots, presence and notes."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.core.model import CommandInfo, Description
from bridge.live.hub import NOTES_KEPT, LiveLimits
from bridge.live.messages import json_packet
from bridge.live.snapshots import RECENT_POINTS_FLEET
from tests.unit.live.helpers import NOW_US, Client, Plane, S, error_of


@pytest.fixture
def plane() -> Plane:
    return Plane()


def types(messages: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in messages]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("channel", ["fleet", "log", "device/a"])
def test_the_snapshot_comes_first_then_the_updates(plane: Plane, channel: str, binary: bool) -> None:
    plane.says("a", n=1)
    plane.flush()
    client = plane.client(binary=binary)
    client.subscribes(channel)
    plane.says("a", n=2, new="x")
    plane.flush()
    plane.flush_fleet()

    messages = client.inbox()

    snapshot = messages.pop(0)
    assert (snapshot["type"], snapshot["channel"], snapshot["recovered"]) == ("snapshot", channel, False)
    assert snapshot["epoch"] == "e1"
    assert [series["metric"] for series in snapshot["series"]] == ["n"]
    if channel != "log":
        assert messages.pop(0)["type"] == "recent"
    assert types(messages) == ["series", "readings"]
    assert [message["offset"] for message in messages] == [snapshot["offset"] + 1, snapshot["offset"] + 2]
    if binary:
        assert messages[1]["channel_no"] == snapshot["channel_no"]
    else:
        assert messages[1]["channel"] == channel
        assert messages[1]["rows"] == [[0, NOW_US // 1000, 2], [1, NOW_US // 1000, "x"]]


def test_a_json_client_never_gets_a_binary_message_and_a_binary_one_gets_frames(plane: Plane) -> None:
    plane.says("a", n=1)
    plane.flush()
    json_client, binary_client = plane.client(), plane.client(binary=True)
    for client in (json_client, binary_client):
        client.subscribes("fleet", "f")
        client.subscribes("log", "l")
        client.subscribes("device/a", "d")
    plane.says("a", n=2)
    plane.flush()
    plane.flush_fleet()
    assert all(packet.is_text for packet in json_client.packets)
    assert sum(not packet.is_text for packet in binary_client.packets) == 5  # 2 recent, 3 readings


def test_all_followers_share_the_packets(plane: Plane) -> None:
    plane.says("a", n=1)
    plane.flush()
    clients = [plane.client(binary=True) for _ in range(3)]
    for client in clients:
        client.subscribes("log")
        client.packets.clear()
    plane.says("a", n=2, new=1)
    plane.flush()
    for mine, other in zip(clients[0].packets, clients[1].packets, strict=True):
        assert mine is other  # one object: framed once, written to all


def test_text_rows_are_made_once_for_all_json_clients(plane: Plane) -> None:
    plane.says("a", n=1)
    plane.flush()
    clients = [plane.client() for _ in range(2)]
    for client in clients:
        client.subscribes("log")
        client.packets.clear()
    plane.says("a", n=2)
    plane.flush()
    assert clients[0].packets[0] is clients[1].packets[0]


@pytest.mark.parametrize("channel", ["fleet", "log", "device/a"])
def test_a_snapshot_is_made_once_for_an_offset(plane: Plane, channel: str) -> None:
    plane.says("a", n=1)
    plane.flush()
    first, second, third = plane.client(), plane.client(), plane.client()
    first.subscribes(channel)
    second.subscribes(channel)
    assert len(first.packets) == (1 if channel == "log" else 2)
    assert all(one is other for one, other in zip(first.packets, second.packets, strict=True))  # the very same bytes

    plane.says("a", n=2)
    plane.flush()
    plane.flush_fleet()
    plane.now_us += S
    third.subscribes(channel)
    assert third.inbox()[0]["series"][0]["value"] == 2


def test_who_comes_a_moment_later_gets_the_same_snapshot_and_what_came_since(plane: Plane) -> None:
    for device in range(20):
        plane.says(f"d{device}", n=1)
    plane.flush()
    first, second = plane.client(), plane.client()
    first.subscribes("log")
    plane.now_us += 1000
    plane.says("d0", n=2)
    plane.flush()
    second.subscribes("log")
    assert second.packets[0] is first.packets[0]
    snapshot, readings = second.inbox()
    assert readings["offset"] == snapshot["offset"] + 1
    assert readings["rows"][0][2] == 2


def test_the_recent_past_of_the_fleet_is_thinned(plane: Plane) -> None:
    for number in range(500):
        plane.now_us += 1000
        plane.says("a", n=number)
        plane.says("b", n=number, s="on" if number % 2 else "off", b=bool(number % 2))
        plane.flush()
    client = plane.client()
    client.subscribes("fleet")
    rows = client.inbox("recent")[0]["rows"]
    by_series: dict[int, list[Any]] = {}
    for series_id, time_ms, value in rows:
        by_series.setdefault(series_id, []).append((time_ms, value))
    assert set(by_series) == {0, 1, 2, 3}
    assert all(2 <= len(points) <= RECENT_POINTS_FLEET for points in by_series.values())
    assert by_series[0][-1] == (plane.now_us // 1000, 499)
    assert {value for _, value in by_series[2]} <= {"on", "off"}
    assert {value for _, value in by_series[3]} <= {True, False}

    client.subscribes("device/a", "2")
    assert len(client.inbox("recent")[0]["rows"]) == 500


def test_a_binary_client_gets_the_recent_past_as_a_frame_of_kind_2_without_an_offset(plane: Plane) -> None:
    plane.says("a", n=1)
    plane.flush()
    client = plane.client(binary=True)
    client.subscribes("fleet")
    snapshot, recent = client.inbox()
    assert (recent["type"], recent["offset"], recent["channel_no"]) == ("recent", 0, snapshot["channel_no"])


def test_no_recent_past_no_message(plane: Plane) -> None:
    assert types(plane.client().subscribes("fleet")) == ["snapshot"]
    plane.says("a", n=1)
    plane.flush()
    plane.now_us += 3600 * S
    plane.says("b", n=1)
    plane.flush()
    assert types(plane.client().subscribes("device/a")) == ["snapshot"]


# ----- device channels --------------------------------------------------------------------------------------


def test_a_device_channel_tells_its_device_only_and_in_full(plane: Plane) -> None:
    plane.says("a", n=1)
    plane.says("b", n=1)
    plane.flush()
    client = plane.client()
    client.subscribes("device/a")
    snapshot = client.inbox("snapshot")[0]
    assert [device["device_id"] for device in snapshot["devices"]] == ["a"]
    assert snapshot["devices"][0]["commands"] == {}
    assert {series["device_id"] for series in snapshot["series"]} == {"a"}

    plane.says("b", n=2, other=1)
    plane.flush()
    assert client.inbox() == []
    described = Description("a", commands={"reboot": CommandInfo(title="Reboot")})
    plane.fleet.observe_description("native", "mqtt", described, plane.now_us)
    plane.says("b", n=3)
    plane.says("a", n=2)
    plane.flush()
    device, readings = client.inbox()
    assert device["device"]["commands"]["reboot"]["title"] == "Reboot"
    assert readings["rows"] == [[0, NOW_US // 1000, 2]]
    fleet = plane.client()
    fleet.subscribes("fleet")
    assert fleet.inbox("snapshot")[0]["devices"][0]["commands"] == ["reboot"]


def test_a_device_channel_exists_only_while_somebody_watches_and_a_while_longer(plane: Plane) -> None:
    plane.says("a", n=1)
    plane.flush()
    assert set(plane.hub._channels) == {"fleet", "log", "stats"}
    first, second = plane.client(), plane.client()
    first.subscribes("device/a")
    second.subscribes("device/a")
    first.leaves()
    plane.now_us += 3600 * S
    plane.hub.tick(plane.now_us)
    assert "device/a" in plane.hub._channels  # the second one still watches

    second.says({"type": "unsubscribe", "id": "sub"})
    plane.now_us += 59 * S
    plane.hub.tick(plane.now_us)
    assert "device/a" in plane.hub._channels  # for who comes back
    plane.now_us += 2 * S
    plane.hub.tick(plane.now_us)
    assert set(plane.hub._channels) == {"fleet", "log", "stats"}


def test_fleet_and_log_stay_open(plane: Plane) -> None:
    client = plane.client()
    client.subscribes("fleet", "f")
    client.subscribes("log", "l")
    client.leaves()
    plane.now_us += 3600 * S
    plane.hub.tick(plane.now_us)
    assert set(plane.hub._channels) == {"fleet", "log", "stats"}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("nothing", "unknown_channel"),
        ("Fleet", "unknown_channel"),
        ("fleet/", "unknown_channel"),
        ("device", "unknown_channel"),
        ("__proto__", "unknown_channel"),
        ("device/", "unknown_device"),
        ("device/a/", "unknown_device"),
        ("device/A", "unknown_device"),
        ("device/../a", "unknown_device"),
        ("device/#", "unknown_device"),
    ],
)
def test_channels_that_do_not_exist(plane: Plane, name: str, code: str) -> None:
    plane.says("a", n=1)
    plane.flush()
    assert error_of(plane.client().subscribes(name)) == (code, "sub")
    assert set(plane.hub._channels) == {"fleet", "log", "stats"}  # nothing was opened for it


def test_a_removed_device_is_told_everywhere_and_its_channel_goes_on_when_it_returns(plane: Plane) -> None:
    plane.says("a", n=1)
    plane.says("b", n=1)
    plane.flush()
    clients = {channel: plane.client() for channel in ("fleet", "log", "device/a", "device/b")}
    for channel, client in clients.items():
        client.subscribes(channel)
        client.packets.clear()

    plane.fleet.remove("native", "a")
    plane.flush()
    for channel in ("fleet", "log", "device/a"):
        message = clients[channel].inbox()[0]
        assert (message["type"], message["device"]) == ("device", {"device_id": "a", "removed": True})
    assert clients["device/b"].inbox() == []

    newcomer = plane.client()
    plane.now_us += S
    newcomer.subscribes("fleet")
    assert [device["device_id"] for device in newcomer.inbox("snapshot")[0]["devices"]] == ["b"]

    plane.says("a", n=5)
    plane.flush()
    assert types(clients["device/a"].inbox()) == ["device", "series", "readings"]


# ----- conflation -------------------------------------------------------------------------------------------


def test_the_fleet_channel_tells_the_last_value_of_each_series_that_changed(plane: Plane) -> None:
    plane.says("a", n=0)
    plane.says("b", n=0)
    plane.flush()
    plane.flush_fleet()
    client = plane.client()
    client.subscribes("fleet")
    client.packets.clear()
    for number in range(1, 50):
        plane.now_us += 1000
        plane.says("a", n=number)
        plane.flush()
    assert client.inbox() == []
    plane.flush_fleet()
    assert client.inbox()[0]["rows"] == [[0, plane.now_us // 1000, 49]]
    plane.flush_fleet()
    assert client.inbox() == []


# ----- presence, notes, broadcasts --------------------------------------------------------------------------


def test_presence_is_told_once_for_many_who_come_together(plane: Plane) -> None:
    clients = [plane.client() for _ in range(50)]
    plane.hub.tick(plane.now_us)
    plane.hub.tick(plane.now_us)
    assert [m["operators"] for m in clients[0].inbox("presence")] == [50]
    for client in clients[1:]:
        client.leaves()
    plane.hub.tick(plane.now_us)
    assert [m["operators"] for m in clients[0].inbox("presence")] == [1]
    assert all(len(client.inbox("presence")) == 1 for client in clients[1:])  # nothing after they left


def test_who_comes_and_goes_between_two_ticks_is_no_news(plane: Plane) -> None:
    client = plane.client()
    plane.hub.tick(plane.now_us)
    client.inbox()
    plane.client().leaves()
    plane.hub.tick(plane.now_us)
    assert client.inbox() == []


def test_notes_go_to_everybody_and_are_kept_for_newcomers(plane: Plane) -> None:
    author, reader = plane.client(), plane.client()
    assert author.says({"type": "note", "text": "<b>pump 3 is loud</b>"}) == []
    for client in (author, reader):
        assert client.inbox() == [
            {
                "type": "note",
                "note_id": 1,
                "text": "<b>pump 3 is loud</b>",
                "author": author.session.session_id,
                "time_ms": NOW_US // 1000,
            }
        ]
    for number in range(NOTES_KEPT + 5):
        author.says({"type": "note", "text": str(number)})
    assert len(plane.hub.notes) == NOTES_KEPT
    assert plane.hub.notes[-1]["text"] == str(NOTES_KEPT + 4)
    assert [note["note_id"] for note in plane.hub.notes] == list(range(7, NOTES_KEPT + 7))


def test_a_broadcast_needs_no_subscription_and_reaches_nobody_who_left(plane: Plane) -> None:
    here, gone = plane.client(), plane.client()
    gone.leaves()
    packet = json_packet("stats", received=1)
    plane.hub.broadcast(packet)
    assert here.packets == [packet]
    assert gone.packets == []


def test_a_session_that_leaves_follows_nothing_any_more(plane: Plane) -> None:
    plane.says("a", n=1)
    plane.flush()
    client = plane.client()
    for number, channel in enumerate(("fleet", "log", "device/a")):
        client.subscribes(channel, number)
    client.leaves()
    client.packets.clear()
    plane.says("a", n=2)
    plane.flush()
    plane.flush_fleet()
    assert client.packets == []
    assert all(not channel.followers for channel in plane.hub._channels.values())
    assert not plane.hub.sessions


def test_the_memory_of_a_channel_is_bounded() -> None:
    plane = Plane(limits=LiveLimits(ring_bytes=5_000))
    plane.says("a", n=0)
    plane.flush()
    client: Client = plane.client()
    client.subscribes("device/a")
    for number in range(1_000):
        plane.says("a", n=number)
        plane.flush()
    for channel in plane.hub._channels.values():
        assert sum(entry.size for entry in channel._ring) <= 5_000
