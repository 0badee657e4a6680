"""What happened beside readings: kept in order of time, asked by time, kind and device, and forgotten with care."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.history.events import AVAILABILITY, COMMAND, KINDS, NOTE, Event
from bridge.history.store import Store
from tests.unit.history.databases import examples, new_url

DEVICES = ["", "a", "b/ü", "c'; --"]


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store(new_url())
    yield made
    made.close()


def append(store: Store, *events: Event) -> None:
    with store.writing() as writer:
        writer.append_events(events)


def find(store: Store, from_us: int = 0, to_us: int = 2**60, **how: Any) -> list[Event]:
    with store.reading() as snapshot:
        return snapshot.find_events(from_us, to_us, **how)


def plain(events: list[Event]) -> list[Event]:
    return [event._replace(event_id=0) for event in events]


def came(time_us: int, device: str, availability: str) -> Event:
    return Event(time_us, AVAILABILITY, device, {"availability": availability, "source": "lwt"})


def test_what_was_said_comes_back_as_it_was(store: Store) -> None:
    data = {"text": "ä\u2028\U0001f600", "args": {"x": [1, 2.5, None, True]}, "big": 2**53}
    append(store, Event(5, COMMAND, "a", data), Event(5, NOTE, "", {}))
    found = find(store)
    assert plain(found) == [Event(5, COMMAND, "a", data), Event(5, NOTE, "", {})]
    assert found[0].event_id < found[1].event_id


def test_the_order_is_that_of_time_and_of_equals_that_of_arrival(store: Store) -> None:
    append(store, Event(3, NOTE, "", {"n": 1}), Event(1, NOTE, "", {"n": 2}))
    append(store, Event(3, COMMAND, "", {"n": 3}), Event(2, NOTE, "", {"n": 4}))
    assert [event.data["n"] for event in find(store)] == [2, 4, 1, 3]


def test_the_newest_of_each_device_at_a_moment(store: Store) -> None:
    append(
        store,
        came(10, "a", "online"), came(20, "a", "offline"), came(30, "a", "online"),
        came(15, "b", "online"),
        came(40, "c", "removed"), came(40, "c", "online"),  # gone and back in one flush
        Event(35, COMMAND, "a", {"availability": "no"}),
    )  # fmt: skip

    def at(time_us: int) -> dict[str, str]:
        with store.reading() as snapshot:
            return {event.device_id: event.data["availability"] for event in snapshot.availability_at(time_us)}

    assert at(9) == {}
    assert at(10) == {"a": "online"}
    assert at(25) == {"a": "offline", "b": "online"}
    assert at(39) == {"a": "online", "b": "online"}
    assert at(40) == {"a": "online", "b": "online", "c": "online"}


def test_forgetting_leaves_what_still_holds(store: Store) -> None:
    append(
        store, came(10, "a", "online"), came(20, "a", "offline"), came(15, "b", "online"), came(50, "b", "offline"),
        Event(12, NOTE, "", {}), Event(40, NOTE, "", {}), Event(13, COMMAND, "a", {}),
    )  # fmt: skip
    with store.writing() as writer:
        assert writer.forget_events(40) == 3
    left = [(event.time_us, event.kind, event.device_id) for event in find(store)]
    assert left == [(15, AVAILABILITY, "b"), (20, AVAILABILITY, "a"), (40, NOTE, ""), (50, AVAILABILITY, "b")]
    with store.writing() as writer:
        assert writer.forget_events(40) == 0


_events = st.lists(
    st.builds(
        Event,
        st.integers(0, 30),
        st.sampled_from(KINDS),
        st.sampled_from(DEVICES),
        st.fixed_dictionaries({"availability": st.sampled_from(["online", "offline"]), "n": st.integers(0, 9)}),
        st.just(0),
    ),
    max_size=40,
)


@given(
    _events,
    st.integers(-1, 31),
    st.integers(0, 32),
    st.sets(st.sampled_from(KINDS), min_size=1),
    st.none() | st.sampled_from(DEVICES),
    st.integers(1, 12),
    st.booleans(),
)
@examples(60)
def test_every_question_is_answered_as_a_list_would(
    events: list[Event], from_us: int, to_us: int, kinds: set[str], device: str | None, limit: int, newest: bool
) -> None:
    store = Store(new_url())
    append(store, *events)
    found = find(store, from_us, to_us, kinds=kinds, device_id=device, limit=limit, newest=newest)
    with store.reading() as snapshot:
        available = plain(snapshot.availability_at(to_us))
    store.close()
    expected = sorted(
        (
            one
            for one in events
            if from_us <= one.time_us < to_us and one.kind in kinds and device in (None, one.device_id)
        ),
        key=lambda one: one.time_us,
    )
    assert plain(found) == (expected[-limit:] if newest else expected[:limit])
    latest: dict[str, Event] = {}
    for one in sorted(events, key=lambda one: one.time_us):
        if one.kind == AVAILABILITY and one.time_us <= to_us:
            latest[one.device_id] = one
    assert sorted(available, key=lambda one: one.device_id) == [latest[id_] for id_ in sorted(latest)]
