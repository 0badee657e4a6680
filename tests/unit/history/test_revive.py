"""A fleet that is revived from the store is the one that was there before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from bridge.core.counters import Counters
from bridge.core.fleet import Fleet
from bridge.core.model import Availability, Kind, MetricInfo, Readings
from bridge.history.events import NOTE, Event
from bridge.history.query import History
from bridge.history.revive import revive_fleet
from bridge.history.start import read_before
from bridge.history.store import Store
from tests.unit.history.databases import examples, url_in
from tests.unit.history.kept import LIMITS, STEPS, Kept, S, kept, play

MOVING = ("last_seen_ms", "received_ms", "quality", "clock_suspect")  # of devices and series


def revived(one: Kept, now_us: int | None = None) -> Kept:
    """The next run, on the same store."""
    now_us = one.now_us if now_us is None else now_us
    fleet = Fleet(LIMITS, Counters())
    revive_fleet(fleet, read_before(one.store, History(one.store), now_us, 900 * S).moment, now_us)
    return Kept(one.store, fleet, now_us)


def portrait(fleet: Fleet) -> dict[str, Any]:
    """All that must be the same."""

    def steady(told: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in told.items() if key not in MOVING}

    return {
        "devices": {id_: steady(device.detail()) for id_, device in fleet.devices.items()},
        "sources": {id_: (device.source, device.native_id) for id_, device in fleet.devices.items()},
        "series": {id_: steady(fleet.latest.describe(series)) for id_, series in fleet.series.items()},
        "metrics": {id_: {m: s.series_id for m, s in d.series.items()} for id_, d in fleet.devices.items()},
        "codes": {id_: (series.text_codes, series.texts_told) for id_, series in fleet.series.items()},
        "declared": {id_: series.declared for id_, series in fleet.series.items()},
    }


@given(STEPS)
@examples(40)
def test_devices_series_texts_and_values_are_those_of_before(steps: list[tuple[Any, ...]]) -> None:
    with kept() as one:
        play(one, steps)
        for series in one.fleet.series.values():
            series.texts_told = len(series.texts)  # as the live plane does
        again = revived(one)
        assert portrait(again.fleet) == portrait(one.fleet)
        for told in (again.fleet.latest.describe(series) for series in again.fleet.series.values()):
            assert told["quality"] == "stale"
        assert not again.fleet.take_changes()  # nobody is told
        assert again.fleet.latest.take_dirty(one.now_us) is None
        again.says("new", x=1)
        known = one.moment().catalog.series
        assert again.fleet.devices["new"].series["x"].series_id == max(known, default=-1) + 1


@given(STEPS, STEPS)
@examples(30)
def test_a_life_with_a_restart_is_one_without(first: list[tuple[Any, ...]], then: list[tuple[Any, ...]]) -> None:
    """What devices say afterwards means the same to the revived fleet as it would have meant to the old one."""
    # Without pauses: how long a device is usually silent is not kept.
    first = [step for step in first if step[0] != "time passes"]
    then = [step for step in then if step[0] != "time passes"]
    with kept() as steady, kept() as broken:
        play(steady, first)
        play(broken, first)
        broken = revived(broken)
        play(steady, then)
        play(broken, then)
        for one in (steady, broken):
            for series in one.fleet.series.values():
                series.texts_told = len(series.texts)
        mine, expected = portrait(broken.fleet), portrait(steady.fleet)
        # Ids that were given and taken back within one flush were never known to anybody, so they may be given again.
        assert mine["devices"] == expected["devices"]
        assert {d: set(m) for d, m in mine["metrics"].items()} == {d: set(m) for d, m in expected["metrics"].items()}
        values = [
            {
                (told["device_id"], told["metric"]): {k: v for k, v in told.items() if k not in ("series_id", "texts")}
                for told in one["series"].values()
            }
            for one in (mine, expected)
        ]
        assert values[0] == values[1]


# ----- cases ----------------------------------------------------------------------------------------------


def test_a_metric_that_is_described_as_another_kind_keeps_its_new_series_before_it_has_a_reading() -> None:
    with kept() as one:
        one.says("d", m="open")
        one.flush()
        one.describes("d", metrics={"m": MetricInfo(kind=Kind.NUMBER)})
        one.now_us += S
        one.flush()
        again = revived(one)
        assert {id_: series.kind for id_, series in again.fleet.series.items()} == {1: Kind.NUMBER}
        again.describes("d", metrics={"m": MetricInfo(kind=Kind.NUMBER)})  # the broker has kept its description
        again.says("d", m=4)
        again.flush()
        assert set(again.fleet.series) == {1}


def test_two_devices_of_one_name_stay_two() -> None:
    with kept() as one:
        one.says("d", "native", m=1)
        one.says("d", "plain", m=2)
        one.flush()
        assert set(one.fleet.devices) == {"d", "plain:d"}
        again = revived(one)
        again.says("d", "plain", m=3)
        again.says("d", "native", m=4)
        again.flush()
        values = {s.device.device_id: again.fleet.latest.describe(s)["value"] for s in again.fleet.series.values()}
        assert values == {"d": 4, "plain:d": 3}
        assert len(again.fleet.series) == 2


def test_who_was_removed_stays_away_until_it_speaks_and_is_then_another() -> None:
    with kept() as one:
        one.says("d", m=1, n=2)
        one.says("e", m=1)
        one.flush()
        one.now_us += S
        one.fleet.remove("native", "d")
        one.flush()
        again = revived(one)
        assert set(again.fleet.devices) == {"e"}
        again.now_us += S
        again.says("d", k=5)
        again.flush()
        once_more = revived(again)
        assert set(once_more.fleet.devices) == {"d", "e"}
        assert set(once_more.fleet.devices["d"].series) == {"k"}  # m and n were those of the one that was removed
        assert once_more.fleet.devices["d"].series["k"].series_id == 3
        assert once_more.fleet.devices["d"].first_seen_us == again.now_us


def test_values_are_stale_until_a_live_one_comes() -> None:
    with kept() as one:
        one.says("d", m=20.5)
        one.flush()
        again = revived(one, one.now_us + 60 * S)
        (series,) = again.fleet.series.values()
        told = again.fleet.latest.describe(series)
        assert (told["value"], told["quality"], told["time_ms"]) == (20.5, "stale", one.now_us // 1000)
        again.says("d", m=21)
        again.flush()
        told = again.fleet.latest.describe(series)
        assert (told["value"], told["quality"]) == (21, "good")


@pytest.mark.parametrize(("age_s", "taken"), [(10, False), (None, False), (0, True), (-10, True)])
def test_a_retained_value_replaces_what_was_known_before_only_if_it_is_not_older(
    age_s: int | None, taken: bool
) -> None:
    with kept() as one:
        one.says("d", m=20.5)
        one.flush()
        again = revived(one, one.now_us + 60 * S)
        time_us = None if age_s is None else one.now_us - age_s * S
        retained = Readings("d", [("m", 7)], time_us)
        again.fleet.observe_readings("native", "mqtt", retained, again.now_us, retained=True)
        (series,) = again.fleet.series.values()
        told = again.fleet.latest.describe(series)
        assert (told["value"], told["quality"]) == (7 if taken else 20.5, "stale")


# ----- time -----------------------------------------------------------------------------------------------


def test_who_was_online_is_so_until_it_has_been_silent_for_too_long() -> None:
    with kept() as one:
        one.says("d", m=1)
        one.flush()
        soon = revived(one, one.now_us + 10 * S)
        soon.now_us += S
        soon.fleet.tick(soon.now_us)
        assert soon.fleet.devices["d"].availability is Availability.ONLINE
        soon.now_us = one.now_us + 301 * S
        soon.fleet.tick(soon.now_us)
        assert soon.fleet.devices["d"].availability is Availability.STALE


def test_the_time_for_which_the_bridge_was_away_is_not_the_usual_silence_of_a_device() -> None:
    with kept() as one:
        one.says("d", m=1)
        one.flush()
        again = revived(one, one.now_us + 3 * 3600 * S)
        again.now_us += S
        for _ in range(2):
            again.says("d", m=2)
            again.now_us += 10 * S
        assert again.fleet.devices["d"].interval_us == 10 * S
        again.now_us += 51 * S
        again.fleet.tick(again.now_us)
        assert again.fleet.devices["d"].availability is Availability.STALE


@pytest.mark.parametrize("off_s", [-10 * 365 * 86_400, -5, 5, 3_600])
def test_a_clock_that_is_not_set_yet_or_was_ahead_hides_nothing(off_s: int) -> None:
    """A small computer without a battery for its clock starts in the past, until the network tells it the time."""
    with kept() as one:
        one.describes("d", name="Pump", metrics={"m": MetricInfo("Temperature", Kind.NUMBER, "°C", "declared")})
        one.says("d", m=1.0)
        one.says("e", m=1.0)
        one.flush()
        one.now_us += S
        one.says("d", m=2.0, time_us=one.now_us + 3 * S)  # its own clock is a little ahead
        one.flush()
        one.now_us += S
        one.fleet.remove("native", "e")
        one.flush()
        again = revived(one, one.now_us + off_s * S)
        assert set(again.fleet.devices) == {"d"}
        (series,) = again.fleet.series.values()
        told = again.fleet.latest.describe(series)
        assert (told["name"], told["unit"], told["value"]) == ("Temperature", "°C", 2)
        assert again.fleet.devices["d"].availability is Availability.ONLINE
        again.says("f", m=1)
        assert again.fleet.devices["f"].series["m"].series_id == 2


def test_the_recent_past_and_the_notes_are_read_too(tmp_path: Path) -> None:
    store = Store(url_in(tmp_path))
    one = Kept(store)
    for number in range(20):
        one.says("d", m=float(number))
        one.says("silent" if number == 0 else "e", m=1.0)
        one.flush()
        one.now_us += 100 * S
    with store.writing() as writer:
        writer.append_events([Event(one.now_us + n, NOTE, "", {"note_id": n}) for n in range(60)])
    before = read_before(store, History(store), one.now_us, 900 * S)
    found = sorted((time, value) for b in before.recent for time, value in zip(b.times_us, b.values, strict=True))
    assert [value for _, value in found if value >= 2] == [float(number) for number in range(11, 20)]
    assert [note["note_id"] for note in before.notes] == list(range(10, 60))
    store.close()
