"""A part of a channel: what is in it, who shares it, who joins it and who leaves it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.batch import make_batch
from bridge.live.hub import LiveLimits
from bridge.live.selection import Selection
from tests.unit.live.helpers import NOW_US, Client, Plane, S, error_of

LISTS: list[dict[str, Any]] = [{"devices": ["a", "b"]}, {"series": [0, 1]}]


@pytest.fixture
def plane() -> Plane:
    plane = Plane()
    for device in "abc":
        plane.says(device, n=1)
    plane.flush()
    plane.flush_fleet()
    return plane


def publish(plane: Plane, number: int, devices: str = "abc") -> None:
    plane.now_us += 1_000
    for device in devices:
        plane.says(device, n=number)
    plane.flush()
    plane.flush_fleet()


def values_of(client: Client) -> list[tuple[int, Any]]:
    return [(row[0], row[2]) for message in client.inbox("readings") for row in message["rows"]]


# ----- what is in it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["fleet", "log"])
@pytest.mark.parametrize("part", LISTS)
def test_it_tells_what_was_asked_for_and_nothing_else(plane: Plane, channel: str, part: dict[str, Any]) -> None:
    client = plane.client()
    snapshot = client.subscribes(channel, **part)[0]
    assert snapshot["channel"].startswith(f"{channel}#")
    assert [device["device_id"] for device in snapshot["devices"]] == ["a", "b"]
    assert [series["series_id"] for series in snapshot["series"]] == [0, 1]
    client.inbox()
    publish(plane, 2)
    publish(plane, 3, "c")  # not on the list: not even an empty frame
    messages = client.inbox()
    assert [(m["type"], m["offset"]) for m in messages] == [("readings", snapshot["offset"] + 1)]
    assert [(row[0], row[2]) for row in messages[0]["rows"]] == [(0, 2), (1, 2)]
    assert messages[0]["channel"] == snapshot["channel"]


def test_of_a_device_one_series_may_be_chosen() -> None:
    plane = Plane()
    plane.says("a", x=1, y=2)
    plane.flush()
    client = plane.client()
    snapshot = client.subscribes("log", series=[1])[0]
    assert [series["metric"] for series in snapshot["series"]] == ["y"]
    client.inbox()
    plane.says("a", x=3, y=4, z=5)
    plane.flush()
    assert [(m["type"], m.get("rows")) for m in client.inbox()] == [("readings", [[1, NOW_US // 1000, 4]])]


def test_the_fleet_part_is_conflated_without_losing_the_last_value(plane: Plane) -> None:
    client = plane.client()
    client.subscribes("fleet", devices=["b"])
    client.inbox()
    for number in range(2, 30):
        plane.says("b", n=number)
        plane.flush()
    assert client.inbox() == []
    plane.flush_fleet()
    assert values_of(client) == [(1, 29)]


IDS = st.integers(0, 1_100) | st.sampled_from([1_022, 1_023, 1_024, 2_047, 2_048])


@given(st.sets(IDS, max_size=20), st.lists(IDS | st.integers(0, 2**32 - 1), max_size=60))
@settings(max_examples=150, deadline=None)
def test_pick_is_like_a_set(chosen: set[int], ids: list[int]) -> None:
    """Also for series beyond its arrays, made since."""
    selection = Selection(None, chosen, FULL.fleet)
    batch = make_batch(ids, list(range(len(ids))), [0.0] * len(ids), NOW_US)
    assert selection.pick(batch).times_us.tolist() == [at for at, id_ in enumerate(ids) if id_ in chosen and id_ < 1024]


def _full_plane() -> Plane:
    plane = Plane()
    for device in range(32):
        plane.says(f"d{device}", **{f"m{metric}": 1 for metric in range(32)})
    assert len(plane.fleet.latest.values) == len(plane.fleet.series)
    return plane


FULL = _full_plane()  # as many series as the arrays hold before they grow


# ----- who shares it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["fleet", "log"])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"devices": ["a", "b"]}, {"devices": ["b", "a", "b", "a"]}),
        ({"series": [0, 1]}, {"series": [1, 1, 0]}),
        ({"devices": []}, {"devices": []}),
    ],
)
def test_equal_lists_share_one_channel_and_the_very_same_packets(
    plane: Plane, channel: str, one: dict[str, Any], other: dict[str, Any]
) -> None:
    clients = [plane.client(binary=True) for _ in range(2)]
    clients[0].subscribes(channel, **one)
    clients[1].subscribes(channel, **other)
    plane.says("a", n=5, new=1)
    plane.flush()
    plane.flush_fleet()
    assert len(clients[0].packets) >= (1 if one == {"devices": []} else 2)
    for mine, theirs in zip(clients[0].packets, clients[1].packets, strict=True):
        assert mine is theirs
    assert len(plane.hub._selections) == 1


def test_different_lists_have_different_names(plane: Plane) -> None:
    client = plane.client()
    parts: list[dict[str, Any]] = [
        {"devices": ["1"]}, {"series": [1]}, {"devices": ["1", "2"]}, {"devices": ["12"]}, {"series": [1, 2]},
        {"series": [12]}, {"devices": ['1","2']},
    ]  # fmt: skip
    names = {
        client.subscribes(channel, f"{channel}{at}", **part)[0]["channel"]
        for at, part in enumerate(parts)
        for channel in ("fleet", "log")
    }
    assert len(names) == 2 * len(parts)


def test_a_part_and_the_whole_may_be_followed_together_but_not_the_same_part_twice(plane: Plane) -> None:
    client = plane.client()
    client.subscribes("log", "whole")
    client.subscribes("log", "part", devices=["a"])
    assert error_of(client.subscribes("log", "again", devices=["a", "a"])) == ("id_reused", "again")
    client.inbox()
    publish(plane, 2, "a")
    assert values_of(client) == [(0, 2), (0, 2)]


# ----- who joins and leaves ---------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["fleet", "log"])
def test_a_device_on_the_list_joins_when_it_first_speaks(plane: Plane, channel: str) -> None:
    client = plane.client()
    snapshot = client.subscribes(channel, devices=["new", "a"])[0]
    assert [device["device_id"] for device in snapshot["devices"]] == ["a"]
    client.inbox()
    plane.says("other", n=1)
    plane.says("new", n=7)
    plane.flush()
    plane.flush_fleet()
    messages = client.inbox()
    assert [(m["type"], m["offset"]) for m in messages] == [
        (type_, snapshot["offset"] + number) for number, type_ in enumerate(("device", "series", "readings"), 1)
    ]
    assert messages[0]["device"]["device_id"] == "new"
    assert [series["metric"] for series in messages[1]["series"]] == ["n"]
    assert [row[2] for row in messages[2]["rows"]] == [7]


@pytest.mark.parametrize("channel", ["fleet", "log"])
def test_a_new_metric_of_a_listed_device_joins_and_one_of_another_does_not(plane: Plane, channel: str) -> None:
    client = plane.client()
    client.subscribes(channel, devices=["a"])
    client.inbox()
    for device in "ab":
        plane.says(device, extra=5)
    plane.flush()
    plane.flush_fleet()
    series, readings = client.inbox()
    assert [(one["device_id"], one["metric"]) for one in series["series"]] == [("a", "extra")]
    assert [row[2] for row in readings["rows"]] == [5]


def test_many_new_metrics_join_though_the_arrays_have_to_grow(plane: Plane) -> None:
    client = plane.client()
    client.subscribes("log", devices=["a", "z"])
    client.inbox()
    for device in range(5):
        plane.says(f"many{device}", **{f"m{metric}": 1 for metric in range(900)})
    plane.flush()
    assert client.inbox() == []
    plane.says("z", n=3)
    plane.flush()
    plane.says("a", n=8)
    plane.flush()
    assert values_of(client) == [(4503, 3), (0, 8)]


@pytest.mark.parametrize("part", LISTS)
def test_a_removed_device_is_told(plane: Plane, part: dict[str, Any]) -> None:
    client = plane.client()
    client.subscribes("log", **part)
    client.inbox()
    plane.fleet.remove("native", "b")
    plane.fleet.remove("native", "c")
    plane.flush()
    assert [m["device"] for m in client.inbox()] == [{"device_id": "b", "removed": True}]
    publish(plane, 2, "b")
    back = [m["type"] for m in client.inbox()]
    # The device is on the list; its series are new ones, with numbers that nobody has asked for.
    assert back == (["device", "series", "readings"] if "devices" in part else ["device"])


def test_a_series_on_the_list_that_is_known_later_comes_with_its_device(plane: Plane) -> None:
    """A number that was a guess then may be there now; its readings must not come without names."""
    early = plane.client()
    assert early.subscribes("log", series=[3, 0])[0]["series"][0]["series_id"] == 0
    early.inbox()
    publish(plane, 5, "d")
    assert [m["type"] for m in early.inbox()] == ["device", "series", "readings"]
    late = plane.client()
    snapshot = late.subscribes("log", series=[0, 3])[0]
    assert [series["series_id"] for series in snapshot["series"]] == [0, 3]
    assert [device["device_id"] for device in snapshot["devices"]] == ["a", "d"]


# ----- limits and errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "fields", "code"),
    [
        ("fleet", {"devices": ["a"], "series": [0]}, "invalid_message"),
        ("device/a", {"devices": ["a"]}, "invalid_message"),
        ("device/a", {"series": [0]}, "invalid_message"),
        ("stats", {"devices": ["a"]}, "invalid_message"),
        ("nothing", {"devices": ["a"]}, "invalid_message"),
        ("fleet", {"devices": "a"}, "invalid_message"),
        ("fleet", {"devices": [1]}, "invalid_message"),
        ("fleet", {"devices": [""]}, "invalid_message"),
        ("fleet", {"series": ["a"]}, "invalid_message"),
        ("fleet", {"series": [1.5]}, "invalid_message"),
        ("fleet", {"series": [True]}, "invalid_message"),
    ],
)
def test_what_cannot_be_narrowed(plane: Plane, channel: str, fields: dict[str, Any], code: str) -> None:
    assert error_of(plane.client().subscribes(channel, **fields)) == (code, "sub")
    assert not plane.hub._selections


@pytest.mark.parametrize("number", [-1, 2**32, 2**63, 2**64, 2**70, -(2**70)])
def test_a_number_that_no_series_can_have_is_no_fault_of_ours(
    plane: Plane, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = plane.client().subscribes("fleet", series=[number, 0])[0]
    assert answer["type"] == "snapshot" or answer["code"] == "invalid_message"
    assert not caplog.records


@pytest.mark.parametrize("name", ["log#0123456789abcdef", "fleet#"])
def test_a_part_cannot_be_followed_by_its_name(plane: Plane, name: str) -> None:
    """Whoever knows the name would have to know the list, too, for as long as nobody else follows it."""
    client = plane.client()
    told = client.subscribes("log", devices=["a"])[0]["channel"]
    assert error_of(client.subscribes(name, "2")) == ("unknown_channel", "2")
    assert error_of(client.subscribes(told, "3")) == ("unknown_channel", "3")


def test_idle_parts_give_way_and_used_ones_do_not() -> None:
    plane = Plane(limits=LiveLimits(max_selections=3))
    for device in "abcdef":
        plane.says(device, n=1)
    plane.flush()
    client = plane.client()
    for device in "abc":
        plane.now_us += S
        client.subscribes("log", device, devices=[device])
    assert error_of(client.subscribes("log", "d", devices=["d"])) == ("too_many_subscriptions", "d")
    plane.client().subscribes("log", devices=["a"])  # sharing one costs nothing
    for device in "cb":  # b is idle for the shorter time
        plane.now_us += S
        client.says({"type": "unsubscribe", "id": device})
    names = set(plane.hub._selections)
    assert client.subscribes("log", "d", devices=["d"])[0]["type"] == "snapshot"
    assert len(plane.hub._selections) == 3
    assert len(names - set(plane.hub._selections)) == 1
    client.inbox()
    plane.says("b", n=2)
    plane.flush()
    answers = client.subscribes("log", "b", devices=["b"])  # still there
    assert len(plane.hub._selections) == 3
    assert answers[0]["offset"] > 0
    assert error_of(client.subscribes("log", "e", devices=["e"])) == ("too_many_subscriptions", "e")
    assert set(plane.hub._channels) == {"fleet", "log", "stats", *plane.hub._selections}


def test_parts_that_nobody_follows_are_closed_after_a_while(plane: Plane) -> None:
    client = plane.client()
    client.subscribes("fleet", devices=["a"])
    client.leaves()
    plane.now_us += 61 * S
    plane.hub.tick(plane.now_us)
    assert set(plane.hub._channels) == {"fleet", "log", "stats"}
    assert not plane.hub._selections


# ----- resume -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["fleet", "log"])
@pytest.mark.parametrize("part", LISTS)
def test_resume_brings_exactly_what_was_missed(plane: Plane, channel: str, part: dict[str, Any]) -> None:
    client = plane.client()
    first = client.subscribes(channel, **part)[0]
    client.leaves()
    for number in range(2, 6):
        publish(plane, number)
    back = plane.client()
    answers = back.subscribes(channel, **part, epoch=first["epoch"], offset=first["offset"])
    assert (answers[0]["recovered"], answers[0]["channel"]) == (True, first["channel"])
    assert [m["offset"] for m in answers[1:]] == [first["offset"] + number for number in range(1, 5)]
    assert [row[2] for m in answers[1:] for row in m["rows"]] == [2, 2, 3, 3, 4, 4, 5, 5]


def test_a_part_that_was_closed_and_opened_again_does_not_pretend(plane: Plane) -> None:
    client = plane.client()
    client.subscribes("log", devices=["a"])
    publish(plane, 2)
    offset = client.inbox()[-1]["offset"]
    client.leaves()
    plane.now_us += 61 * S
    plane.hub.tick(plane.now_us)
    publish(plane, 3)  # told to nobody
    other = plane.client()
    other.subscribes("log", devices=["a"])
    for number in range(4, 12):
        publish(plane, number)
    answer = plane.client().subscribes("log", devices=["a"], epoch="e1", offset=offset)[0]
    assert answer["recovered"] is False
    assert answer["series"][0]["value"] == 11
