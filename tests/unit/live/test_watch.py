"""A batch split by who wants it: everything wanted, once, in order, to the right channel."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.batch import make_batch
from bridge.core.model import Description, Kind, MetricInfo
from bridge.core.series import Device, Series
from bridge.live.hub import MAX_IDLE_CHANNELS
from bridge.live.watch import Watch
from tests.unit.live.helpers import NOW_US, Client, Plane, S
from tests.unit.live.test_resume import Dashboard

# Around the sizes that the arrays have, and far beyond them.
IDS = st.sampled_from([0, 1, 2, 3, 1022, 1023, 1024, 1025, 2047, 2048, 5_000])


def series_of(*ids: int) -> list[Series]:
    device = Device("d", "d", "native", "mqtt", NOW_US)
    return [Series(id_, device, str(id_)) for id_ in ids]


@given(
    st.lists(st.tuples(st.lists(IDS, max_size=5), st.integers(0, 4), st.integers(1, 20)), max_size=12),
    st.lists(st.lists(IDS | st.integers(0, 2**32 - 1), max_size=30), min_size=1, max_size=4),
)
@settings(max_examples=200, deadline=None)
def test_like_a_dictionary(added: list[tuple[list[int], int, int]], batches: list[list[int]]) -> None:
    watch = Watch()
    wanted: dict[int, int] = {}
    for ids, number, forgotten in added:
        watch.add(series_of(*ids), number)
        wanted.update(dict.fromkeys(ids, number))
        watch.forget(forgotten)
        wanted = {id_: number for id_, number in wanted.items() if number != forgotten}
        for row_ids in batches:
            batch = make_batch(row_ids, list(range(len(row_ids))), [float(n) for n in range(len(row_ids))], NOW_US)
            expected: dict[int, list[tuple[int, int, float]]] = {}
            for at, id_ in enumerate(row_ids):
                if wanted.get(id_):
                    expected.setdefault(wanted[id_], []).append((id_, at, float(at)))
            parts = list(watch.split(batch))
            assert {number: rows(part) for number, part in parts} == expected
            assert len(parts) == len(expected)  # one part each
            assert all(part.server_time_us == NOW_US for _, part in parts)
    assert watch._wanted == sum(bool(number) for number in wanted.values())


def rows(batch: Any) -> list[tuple[int, int, float]]:
    return list(zip(batch.series_ids.tolist(), batch.times_us.tolist(), batch.values.tolist(), strict=True))


def test_nobody_watches_nothing_is_split() -> None:
    watch = Watch()
    batch = make_batch([1, 2], [0, 0], [0.0, 0.0], NOW_US)
    assert list(watch.split(batch)) == []
    watch.add(series_of(1), 7)
    assert [number for number, _ in watch.split(batch)] == [7]
    watch.add(series_of(1), 0)
    assert list(watch.split(batch)) == []
    assert watch._wanted == 0  # so that a batch costs nothing


def test_a_device_channel_is_built_only_while_it_is_watched() -> None:
    plane = Plane()
    for device in ("a", "b"):
        plane.says(device, n=1)
    plane.flush()
    hub = plane.hub
    batch = make_batch([0, 1], [0, 0], [1.0, 1.0], NOW_US)
    assert list(hub._watch.split(batch)) == []
    client = plane.client()
    client.subscribes("device/a")
    assert [part.series_ids.tolist() for _, part in hub._watch.split(batch)] == [[0]]
    client.leaves()
    plane.now_us += 61_000_000
    hub.tick(plane.now_us)
    assert list(hub._watch.split(batch)) == []


def test_every_watched_device_gets_its_own_and_all_of_it() -> None:
    plane = Plane()
    names = [f"d{number}" for number in range(20)]
    for name in names:
        plane.says(name, n=0)
    plane.flush()
    clients = {name: plane.client() for name in names[::2]}
    for name, client in clients.items():
        client.subscribes(f"device/{name}")
        client.inbox()
    random = np.random.default_rng(1)
    said: dict[str, list[int]] = {name: [] for name in names}
    for number in range(50):
        for at in random.integers(0, 20, 30).tolist():
            plane.says(names[at], n=number)
            said[names[at]].append(number)
        plane.flush()
    for name, client in clients.items():
        assert [row[2] for message in client.inbox("readings") for row in message["rows"]] == said[name]


# ----- channels that come and go ----------------------------------------------------------------------------


def looks_at(plane: Plane, client: Client, device: str) -> int:
    """Opens its channel and leaves it again; the channel's offset."""
    plane.now_us += S // 20  # as fast as a connection may speak
    offset: int = client.subscribes(f"device/{device}", device)[0]["offset"]
    plane.now_us += S // 20
    assert client.says({"type": "unsubscribe", "id": device}) == []
    return offset


def test_idle_channels_give_way_to_the_newest_and_used_ones_never_do() -> None:
    plane = Plane()
    names = [f"d{number}" for number in range(MAX_IDLE_CHANNELS + 3)]
    for name in [*names, "used"]:
        plane.says(name, n=0)
    plane.flush()
    follower, visitor = plane.client(), plane.client()
    follower.subscribes("device/used")
    for name in names[:MAX_IDLE_CHANNELS]:
        looks_at(plane, visitor, name)
    looks_at(plane, visitor, "d0")  # so that d1 has been idle for longest
    offset = plane.hub._channels["device/d2"].offset
    assert set(plane.hub._device_channels) == {
        plane.hub._channels[f"device/{name}"].number for name in [*names[:MAX_IDLE_CHANNELS], "used"]
    }

    looks_at(plane, visitor, names[-3])
    looks_at(plane, visitor, names[-2])
    open_now = {name for name in plane.hub._channels if name.startswith("device/")}
    assert open_now == {f"device/{name}" for name in [*names[:-1], "used"]} - {"device/d1", "device/d2"}
    assert len(plane.hub._device_channels) == MAX_IDLE_CHANNELS + 1

    follower.inbox()
    for name in [*names, "used"]:
        plane.says(name, n=1)
    plane.flush()
    assert [row[2] for message in follower.inbox("readings") for row in message["rows"]] == [1]
    again = plane.client().subscribes("device/d2", epoch="e1", offset=offset)[0]
    assert again["recovered"] is False  # what came in between was told to nobody
    assert again["series"][0]["value"] == 1


def test_a_removed_device_whose_channel_closes_breaks_nothing() -> None:
    plane = Plane()
    for device in ("a", "b"):
        plane.says(device, n=1)
    plane.flush()
    hub = plane.hub
    late = make_batch([0, 1], [NOW_US, NOW_US], [5.0, 5.0], NOW_US)  # of both, still on its way
    away, other = Dashboard("device/a", binary=True), Dashboard("device/b", binary=True)
    away.connect(plane)
    other.connect(plane)
    plane.fleet.remove("native", "a")
    plane.flush()
    away.read()
    assert (away.devices, away.series) == ({}, {})
    away.drop()
    plane.now_us += 61 * S
    hub.tick(plane.now_us)
    assert "device/a" not in hub._channels
    assert hub.publish_readings(late, plane.now_us) == 1  # one write: to b
    assert other.client is not None
    assert len(other.client.inbox("readings")) == 1
    other.drop()

    away.connect(plane)
    assert away.client is None  # there is no such device
    plane.says("a", n=1)
    plane.flush()
    away.connect(plane)
    plane.says("a", n=2)
    plane.flush()
    away.read()
    away.knows_what_the_bridge_knows(plane)


def test_once_nobody_watches_a_batch_costs_nothing_whatever_went_before() -> None:
    """Also when devices, or some of their series, went while they were watched."""
    plane = Plane()
    for device in ("a", "b", "c"):
        plane.says(device, n=1, v=1)
    plane.flush()
    client = plane.client()
    for device in ("a", "b", "c"):
        client.subscribes(f"device/{device}", device)
    plane.fleet.remove("native", "a")
    plane.fleet.remove("native", "b")
    described = Description("c", metrics={"v": MetricInfo(kind=Kind.TEXT)})
    plane.fleet.observe_description("native", "mqtt", described, plane.now_us)
    plane.flush()
    plane.says("b", n=1)
    plane.flush()
    assert plane.hub._watch._wanted
    client.leaves()
    plane.now_us += 61 * S
    plane.hub.tick(plane.now_us)
    assert plane.hub._watch._wanted == 0


def test_a_device_that_returns_while_it_is_watched_goes_on_with_its_new_series() -> None:
    plane = Plane()
    plane.says("a", n=1)
    plane.flush()
    dashboard = Dashboard("device/a", binary=False)
    dashboard.connect(plane)
    for _ in range(3):
        plane.fleet.remove("native", "a")
        plane.flush()
        for number in range(1, 4):
            plane.now_us += 1_000
            plane.says("a", n=number)
            plane.flush()
        dashboard.read()
        assert list(dashboard.counted.values())[-1] == 3
        dashboard.knows_what_the_bridge_knows(plane)
    assert dashboard.snapshots == 1
