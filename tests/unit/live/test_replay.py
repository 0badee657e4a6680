"""A replay tells everything once and in order, never ahead of its clock, and amounts to a snapshot at any moment."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bridge.history.catalog import Catalog, Described, DeviceRecord, SeriesRecord
from bridge.history.events import AVAILABILITY, COMMAND, NOTE, Event
from bridge.history.portrait import REMOVED
from bridge.live.replay import COMMANDS_SHOWN, NOTES_SHOWN, RECENT_US, Player, make_view
from bridge.live.snapshots import RECENT_POINTS_DEVICE, RECENT_POINTS_FLEET
from bridge.live.timeline import MAX_BUFFERED, MAX_ELAPSED_US, MIN_FETCH_US, SETTLE_US, Timeline, Wanted
from tests.unit.live.helpers import NOW_US, S
from tests.unit.live.past import Past, Reading, Viewer, batch_of

START_US = NOW_US - 3_600 * S
LENGTH_US = 60 * S
DEVICES = ("a", "b", "c")
# Series 3 is what series 0 became when its kind changed.
METRICS = {0: ("a", "x", "number"), 1: ("a", "mode", "text"), 2: ("b", "x", "boolean"), 3: ("a", "x", "text")}

times = st.integers(START_US, START_US + LENGTH_US)


def device(name: str, born_us: int, called: str = "") -> DeviceRecord:
    info = {"name": called or name, "convention": "native", "first_seen_ms": born_us // 1000, "commands": {"go": {}}}
    return DeviceRecord(name, info)


def series(series_id: int, called: str = "") -> SeriesRecord:
    device_id, metric, kind = METRICS[series_id]
    texts = ("on", "off") if kind == "text" else ()
    return SeriesRecord(series_id, device_id, metric, kind, texts, {"name": called or metric, "unit": ""})


@st.composite
def pasts(draw: st.DrawFn) -> Past:
    # In whole seconds now and then, so that things happen at the same time.
    when = times | st.integers(0, LENGTH_US // S).map(lambda second: START_US + second * S)
    values = st.sampled_from([0.0, 1.0, math.nan]) | st.integers(0, 1).map(float)
    readings: dict[tuple[int, int], Reading] = {}
    for time_us, series_id, value in draw(
        st.lists(st.tuples(when, st.sampled_from(sorted(METRICS)), values), max_size=60)
    ):
        readings[time_us, series_id] = (time_us, series_id, value)
    described: dict[tuple[int, str], Described] = {}
    for name in DEVICES:
        born_us = draw(when) // 1000 * 1000 if draw(st.booleans()) else START_US - S
        for number, time_us in enumerate(
            [born_us, *(one for one in draw(st.lists(when, max_size=2)) if one > born_us)]
        ):
            described[time_us, name] = Described(time_us, device(name, born_us, f"{name}{number}"))
    for series_id in METRICS:
        for number, time_us in enumerate(sorted(draw(st.lists(when, min_size=1, max_size=2)))):
            described[time_us, str(series_id)] = Described(time_us, series(series_id, f"s{number}"))
    events = [
        Event(time_us, AVAILABILITY, name, {"availability": state, "source": "lwt"})
        for time_us, name, state in draw(
            st.lists(
                st.tuples(when, st.sampled_from(DEVICES), st.sampled_from(["online", "offline", REMOVED])), max_size=8
            )
        )
    ]
    events += [
        Event(time_us, NOTE, "", {"note_id": number, "text": "t", "author": "s", "time_ms": 1})
        for number, time_us in enumerate(draw(st.lists(when, max_size=5)))
    ]
    return Past(
        sorted(readings.values(), key=lambda one: one[0]),
        sorted(described.values(), key=lambda one: one.time_us),
        sorted(events, key=lambda one: one.time_us),
    )


class Replaying(RuleBasedStateMachine):
    """One viewer who does what viewers do, and a feed that is as slow as it likes."""

    @initialize(
        past=pasts(),
        ahead_us=st.sampled_from([SETTLE_US, 5 * S, 3_000 * S]),
        device_ids=st.sampled_from([None, frozenset({"a"}), frozenset({"a", "b"}), frozenset({"none"})]),
        merge_above=st.sampled_from([4, 1_000]),
        at_us=times,
    )
    def begin(self, past: Past, ahead_us: int, device_ids: frozenset[str] | None, merge_above: int, at_us: int) -> None:
        self.past, self.device_ids, self.merge_above = past, device_ids, merge_above
        self.now_us = START_US + LENGTH_US + ahead_us
        self.timeline = Timeline(at_us, 1.0, is_paused=False, now_us=self.now_us)
        self.player = Player("id", 1, "e", self.timeline, is_binary=True, merge_above=merge_above)
        self.viewer = Viewer()
        self.wanted: Wanted | None = None
        self.seek(at_us)

    def shows(self, series_id: int) -> bool:
        return self.device_ids is None or METRICS[series_id][0] in self.device_ids

    @rule(at_us=st.integers(START_US - 10 * S, START_US + LENGTH_US + 3_600 * S))
    def seek(self, at_us: int) -> None:
        at_us = min(at_us, self.now_us)
        happened = [one for one in self.past.events if one.time_us <= at_us and one.kind != AVAILABILITY]
        view = make_view(self.past.moment(at_us), happened, self.device_ids)
        assert self.viewer.read(self.player.show(view, self.now_us)) == []
        told = self.viewer.snapshot
        assert told["at_ms"] == at_us / 1000
        assert [one["note_id"] for one in told["notes"]] == [one.data["note_id"] for one in happened]
        self.viewer.is_like(self.past.moment(at_us), self.device_ids)

    @rule()
    def play(self) -> None:
        self.timeline.play(self.now_us)

    @rule()
    def pause(self) -> None:
        self.timeline.pause()

    @rule(speed=st.sampled_from([0.25, 1.0, 7.0, 100.0, 1000.0]))
    def change_speed(self, speed: float) -> None:
        self.timeline.speed = speed

    @rule()
    def step(self) -> None:
        before_us = self.timeline.at_us
        self.timeline.step()
        for _ in range(1_000):
            self.ask()
            self.answer(1.0)
            told = self.let_pass(0)
            if not self.timeline.is_busy:
                break
        assert not self.timeline.is_busy
        assert self.timeline.is_paused
        following = [time_us for time_us, id_, _ in self.past.readings if time_us > before_us and self.shows(id_)]
        if following and following[0] <= self.now_us - SETTLE_US:
            assert self.timeline.at_us == following[0]
            assert {time_us for time_us, _, _ in told} == {following[0]}
        else:
            assert self.timeline.at_end

    @precondition(lambda self: self.wanted is None)
    @rule()
    def ask(self) -> None:
        """Note what is wanted; it may be answered now, later, or after a jump."""
        self.wanted = self.player.wanted(self.now_us)
        if self.wanted is not None:
            assert self.wanted.from_us < self.wanted.to_us <= self.now_us - SETTLE_US + 1

    @precondition(lambda self: self.wanted is not None)
    @rule(part=st.floats(0.01, 1.0))
    def answer(self, part: float) -> None:
        if self.wanted is None:
            return
        span_us = min(self.wanted.to_us - self.wanted.from_us, self.wanted.length_us)
        feed = self.past.feed(self.wanted, self.wanted.from_us + max(1, round(part * span_us)))
        ids = set(self.player.series_to_feed(feed.described))
        mine = [one for one in self.past.between(feed.from_us, feed.end_us) if one[1] in ids]
        self.timeline.feed(feed._replace(batch=batch_of(mine)))
        self.wanted = None

    @rule(elapsed_us=st.sampled_from([0, 1, 999, 100_000, 300_000, 5 * S]))
    def wait(self, elapsed_us: int) -> None:
        self.let_pass(elapsed_us)

    def let_pass(self, elapsed_us: int) -> list[Reading]:
        before_us, was_paused = self.timeline.at_us, self.timeline.is_paused
        self.now_us += elapsed_us
        told = self.viewer.read(self.player.tick(self.now_us))
        at_us = self.timeline.at_us
        assert at_us >= before_us
        assert not was_paused or at_us == before_us or self.timeline.is_paused
        expected = [one for one in self.past.between(before_us + 1, at_us + 1) if self.shows(one[1])]
        assert [one[0] for one in told] == sorted(one[0] for one in told)
        if len(expected) <= self.merge_above:
            assert Counter(map(repr, told)) == Counter(map(repr, expected))
        else:
            self.check_merged(told, expected)
        self.viewer.is_like(self.past.moment(at_us), self.device_ids)
        if self.viewer.state:
            assert self.viewer.state["at_ms"] <= at_us / 1000
        return told

    def check_merged(self, told: list[Reading], expected: list[Reading]) -> None:
        assert not Counter(map(repr, told)) - Counter(map(repr, expected))
        for series_id in {one[1] for one in expected}:
            mine = [one for one in told if one[1] == series_id]
            all_ = [one for one in expected if one[1] == series_id]
            assert len(mine) <= 3
            assert repr(mine[-1]) == repr(all_[-1])
            numbers = [value for _, _, value in all_ if not math.isnan(value)]
            kept = [value for _, _, value in mine if not math.isnan(value)]
            assert not numbers or (min(kept), max(kept)) == (min(numbers), max(numbers))

    @rule()
    def play_to_the_end(self) -> None:
        if self.timeline.at_us > START_US + LENGTH_US:
            return
        self.timeline.play(self.now_us)
        self.timeline.speed = 1000.0
        for _ in range(1_000):
            if self.wanted is None:
                self.ask()
            self.answer(1.0)
            self.let_pass(100_000)
            if self.timeline.at_end:
                break
        assert self.timeline.is_paused
        assert self.viewer.state["at_end"] is True
        assert self.viewer.state["paused"] is True
        assert self.timeline.at_us > self.now_us - SETTLE_US - 2 * MIN_FETCH_US - 100_000

    @invariant()
    def is_not_in_the_future(self) -> None:
        if hasattr(self, "timeline"):
            assert self.timeline.at_us <= self.now_us


TestReplaying = Replaying.TestCase
TestReplaying.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


# ----- one by one -------------------------------------------------------------------------------------------


class Stage:
    """A player, fed with whatever it wants at once."""

    def __init__(self, past: Past, at_us: int, device_ids: frozenset[str] | None = None, **options: Any) -> None:
        self.past = past
        self.now_us = NOW_US
        self.timeline = Timeline(at_us, options.pop("speed", 1.0), is_paused=False, now_us=self.now_us)
        self.player = Player("id", 1, "e", self.timeline, is_binary=options.pop("is_binary", True), **options)
        self.viewer = Viewer()
        self.device_ids = device_ids
        self.viewer.read(self.player.show(make_view(past.moment(at_us), past.events, device_ids), self.now_us))

    def ticks(self, number: int = 1, elapsed_us: int = 100_000) -> list[Reading]:
        told = []
        for _ in range(number):
            wanted = self.player.wanted(self.now_us)
            if wanted is not None:
                self.timeline.feed(self.past.feed(wanted, min(wanted.to_us, wanted.from_us + wanted.length_us)))
            self.now_us += elapsed_us
            told += self.viewer.read(self.player.tick(self.now_us))
        return told


BIRTHS = [
    Described(START_US, device("a", START_US)),
    *(Described(START_US, series(one)) for one in (0, 1)),
]


def every_second(seconds: int, series_id: int = 0) -> list[Reading]:
    return [(START_US + second * S, series_id, float(second)) for second in range(seconds)]


def test_at_once_its_speed_real_time() -> None:
    stage = Stage(Past(every_second(600), BIRTHS, []), START_US + 10 * S)
    assert stage.ticks(20) == [(START_US + 11 * S, 0, 11.0), (START_US + 12 * S, 0, 12.0)]
    stage.timeline.speed = 10.0
    assert len(stage.ticks(20)) == 20
    stage.timeline.speed = 0.25
    assert len(stage.ticks(80)) == 2


def test_a_clock_that_was_held_up_does_not_leap() -> None:
    stage = Stage(Past(every_second(600), BIRTHS, []), START_US)
    stage.ticks()
    before_us = stage.timeline.at_us
    stage.ticks(1, elapsed_us=60 * S)
    assert stage.timeline.at_us == before_us + MAX_ELAPSED_US


def test_the_clock_waits_for_the_feed_and_says_so() -> None:
    stage = Stage(Past(every_second(600), BIRTHS, []), START_US)
    for _ in range(10):
        stage.now_us += 100_000
        stage.viewer.read(stage.player.tick(stage.now_us))
    assert stage.viewer.state["at_ms"] == START_US / 1000
    assert stage.viewer.state["paused"] is False
    assert stage.viewer.state["at_end"] is False


def test_it_says_where_it_is_at_least_four_times_a_second() -> None:
    stage = Stage(Past([], BIRTHS, []), START_US)
    told: list[float] = []
    for _ in range(20):
        stage.viewer.state = {}
        stage.ticks()
        if stage.viewer.state:
            told.append(stage.viewer.state["at_ms"])
    assert len(told) >= 8


def test_a_paused_one_says_nothing_and_wants_nothing() -> None:
    stage = Stage(Past(every_second(600), BIRTHS, []), START_US)
    stage.timeline.pause()
    stage.ticks()
    assert stage.viewer.state["paused"] is True
    stage.viewer.state = {}
    assert stage.ticks(5) == []
    assert stage.viewer.state == {}
    assert stage.player.wanted(stage.now_us) is None
    stage.player.tell()
    stage.ticks()
    assert stage.viewer.state["paused"] is True


def test_what_is_ahead_is_bounded() -> None:
    many = [(START_US + number, 0, 0.0) for number in range(MAX_BUFFERED)]
    stage = Stage(Past(many, BIRTHS, []), START_US - S, speed=1000.0)
    wanted = stage.player.wanted(stage.now_us)
    assert wanted is not None
    stage.timeline.feed(stage.past.feed(wanted, START_US + MAX_BUFFERED))
    assert stage.player.wanted(stage.now_us) is None
    stage.ticks()
    assert stage.player.wanted(stage.now_us) is not None


def test_close_to_the_present_it_does_not_ask_in_crumbs() -> None:
    stage = Stage(Past([], BIRTHS, []), NOW_US - 10 * S)
    asked = 0
    for _ in range(100):
        asked += stage.player.wanted(stage.now_us) is not None
        stage.ticks()
    assert 1 <= asked <= 100 * 100_000 // MIN_FETCH_US
    assert stage.timeline.at_us == NOW_US - 10 * S + 100 * 100_000  # and stays ten seconds behind
    assert not stage.timeline.at_end


def test_the_present_is_the_end() -> None:
    stage = Stage(Past([], BIRTHS, []), NOW_US + 3_600 * S)
    assert stage.viewer.snapshot["at_ms"] == NOW_US / 1000
    assert stage.viewer.snapshot["paused"] is True
    stage.ticks()
    assert stage.viewer.state["at_end"] is True


@pytest.mark.parametrize("is_binary", [True, False])
def test_recent_is_thinned_as_on_a_live_channel(is_binary: bool) -> None:
    readings = [(START_US + second * 100_000, 0, float(second)) for second in range(9_000)]
    past = Past(readings, BIRTHS, [])
    for device_ids, most in ((None, RECENT_POINTS_FLEET), (frozenset({"a"}), RECENT_POINTS_DEVICE)):
        stage = Stage(past, START_US + 600 * S, device_ids, is_binary=is_binary)
        before = past.between(START_US + 600 * S - RECENT_US, START_US + 600 * S + 1)
        stage.viewer.read(stage.player.recent([batch_of(before[:3_000]), batch_of(before[3_000:])]))
        assert most // 2 < len(stage.viewer.recent) <= most
        assert stage.viewer.recent[-1] == before[-1]
        assert set(stage.viewer.recent) <= set(before)
        assert stage.player.recent([]) == []


def test_one_device_is_described_in_full() -> None:
    assert Stage(Past([], BIRTHS, []), NOW_US).viewer.devices["a"]["commands"] == ["go"]
    assert Stage(Past([], BIRTHS, []), NOW_US, frozenset({"a"})).viewer.devices["a"]["commands"] == {"go": {}}


def test_who_was_removed_and_came_back_is_told_with_all_series() -> None:
    away = Event(START_US + S, AVAILABILITY, "a", {"availability": REMOVED, "source": "derived"})
    back = Event(START_US + 5 * S, AVAILABILITY, "a", {"availability": "online", "source": "lwt"})
    past = Past([(START_US, 0, 1.0)], BIRTHS, [away, back])
    stage = Stage(past, START_US, speed=10.0)
    stage.ticks(3)
    assert stage.viewer.devices == stage.viewer.series == {}
    stage.ticks(3)
    assert stage.viewer.devices["a"]["availability"] == "online"
    assert stage.viewer.series["a", "x"]["value"] == 1
    assert stage.viewer.series.keys() == {("a", "x"), ("a", "mode")}


def test_devices_appear_when_they_were_first_seen_although_that_description_is_forgotten() -> None:
    births = [
        Described(START_US + 900 * S, device(name, START_US + at * S)) for name, at in (("b", 3), ("a", 1), ("c", 2))
    ]
    stage = Stage(Past([], births, []), START_US, speed=10.0)
    seen = []
    for _ in range(4):
        seen.append("".join(sorted(stage.viewer.devices)))
        stage.ticks()
    assert seen == ["", "a", "ac", "abc"]


def test_a_metric_whose_kind_changed_is_another_series_from_its_first_reading_on() -> None:
    births = [*BIRTHS, Described(START_US, series(3))]
    stage = Stage(Past([(START_US, 0, 7.0), (START_US + S, 3, 1.0)], births, []), START_US, speed=10.0)
    assert stage.viewer.series["a", "x"]["series_id"] == 0
    stage.ticks(2)
    assert (stage.viewer.series["a", "x"]["series_id"], stage.viewer.series["a", "x"]["value"]) == (3, "off")


def command(number: int, state: str, time_us: int, device_id: str = "a") -> Event:
    return Event(time_us, COMMAND, device_id, {"id": f"c{number}", "device_id": device_id, "state": state})


def test_a_snapshot_has_the_last_commands_each_in_its_last_state_and_the_last_notes() -> None:
    events = [command(number, state, START_US) for number in range(60) for state in ("accepted", "sent")]
    events += [command(99, "sent", START_US, "b")]
    events += [Event(START_US, NOTE, "", {"note_id": number, "text": "t"}) for number in range(60)]
    snapshot = Stage(Past([], BIRTHS, events), NOW_US, frozenset({"a"})).viewer.snapshot
    assert [one["id"] for one in snapshot["commands"]] == [f"c{number}" for number in range(60 - COMMANDS_SHOWN, 60)]
    assert {one["state"] for one in snapshot["commands"]} == {"sent"}
    assert [one["note_id"] for one in snapshot["notes"]] == list(range(60 - NOTES_SHOWN, 60))


def test_commands_and_notes_as_of_then_name_the_channel() -> None:
    later_us = START_US + 10 * S
    events = [command(1, state, later_us) for state in ("accepted", "sent", "succeeded")]
    events += [command(2, "sent", later_us, "b"), Event(later_us, NOTE, "", {"note_id": 7, "text": "t"})]
    stage = Stage(Past([], BIRTHS, []), START_US, frozenset({"a"}), speed=1000.0)
    stage.past = Past([], [], events)
    stage.ticks(2)
    assert stage.viewer.happened == [
        {"type": "command", "channel": "replay/1", "id": "c1", "device_id": "a", "state": "succeeded"},
        {"type": "note", "channel": "replay/1", "note_id": 7, "text": "t"},
    ]


def test_rows_of_the_text_subprotocol_are_decoded() -> None:
    readings = [(START_US + S, 1, 1.0), (START_US + 2 * S, 1, math.nan), (START_US + 3 * S + 7, 0, 2.5)]
    stage = Stage(Past(readings, BIRTHS, []), START_US, is_binary=False, speed=100.0)
    assert stage.ticks(2) == [
        (START_US + S, 1, "off"), (START_US + 2 * S, 1, None), (START_US + 3 * S, 0, 2.5)
    ]  # fmt: skip


def test_what_is_born_after_the_snapshot_was_read_is_fed_and_told_before_its_readings() -> None:
    stage = Stage(Past([], BIRTHS, []), START_US, speed=100.0)
    later_us = START_US + 5 * S
    born = [Described(later_us, device("b", later_us)), Described(later_us, series(2))]
    assert stage.player.series_to_feed(born) == [0, 1, 2]
    stage.past = Past([(later_us + S, 2, 1.0)], born, [])
    assert stage.ticks(2) == [(later_us + S, 2, 1.0)]
    assert stage.viewer.devices.keys() == {"a", "b"}
    assert stage.viewer.series["b", "x"]["value"] is True


def test_texts_that_became_known_later_are_told_before_they_are_used() -> None:
    stage = Stage(Past([], BIRTHS, []), START_US, is_binary=False, speed=100.0)
    past = Past([(START_US + S, 1, 2.0)], [], [])
    wanted = stage.player.wanted(stage.now_us)
    assert wanted is not None
    feed = past.feed(wanted, wanted.from_us + 10 * S)
    assert stage.player.lacks_texts(feed)
    longer = series(1)._replace(texts=("on", "off", "third"))
    feed = stage.player.learn_texts(feed, Catalog({}, {1: longer}, 9))
    stage.timeline.feed(feed)
    stage.now_us += 100_000
    assert stage.viewer.read(stage.player.tick(stage.now_us)) == [(START_US + S, 1, "third")]
    assert stage.viewer.series["a", "mode"]["texts"] == ["on", "off", "third"]
    assert not stage.player.lacks_texts(feed)


def test_many_readings_in_a_tick_are_merged() -> None:
    readings = [(START_US + S + number * 1000, 0, float(number % 7)) for number in range(5_000)]
    stage = Stage(Past(readings, BIRTHS, []), START_US, speed=100.0)
    told = stage.ticks(2)
    assert [value for _, _, value in told] == [0.0, 6.0, float(4_999 % 7)]
    assert told[-1] == readings[-1]


def test_a_feed_for_another_moment_is_dropped() -> None:
    stage = Stage(Past(every_second(600), BIRTHS, []), START_US)
    wanted = stage.player.wanted(stage.now_us)
    assert wanted is not None
    stage.viewer.read(stage.player.show(make_view(stage.past.moment(START_US + 100 * S), [], None), stage.now_us))
    stage.timeline.feed(stage.past.feed(wanted, wanted.from_us + 100 * S))
    assert stage.ticks(15) == [(START_US + 101 * S, 0, 101.0)]
