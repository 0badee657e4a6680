"""Latest values, against a naive model; and how devices and series tell what they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.batch import make_batch
from bridge.core.model import Availability, CommandInfo, Kind, MetricInfo
from bridge.core.series import MAX_SAFE_INTEGER, Device, Latest, Series

NOW_US = 1_767_225_600_000_000
NAN = float("nan")

rows = st.lists(
    st.tuples(st.integers(0, 5), st.integers(1, 8), st.one_of(st.just(NAN), st.floats(allow_nan=False))), max_size=30
)


def series(kind: Kind = Kind.NUMBER, texts: tuple[str, ...] = ()) -> Series:
    made = Series(0, Device("d", "d", "native", "mqtt", NOW_US), "m")
    made.kind = kind
    made.texts = list(texts)
    return made


@given(st.lists(st.one_of(rows, st.none()), max_size=8))
@settings(max_examples=80, deadline=None)
def test_latest_is_what_a_naive_model_says(steps: list[list[tuple[int, int, float]] | None]) -> None:
    """Each step is a batch, or None for "the fleet channel takes what changed"."""
    latest = Latest()
    model: dict[int, tuple[int, str, int]] = {}  # series -> time, value, when received
    dirty: set[int] = set()
    for number, step in enumerate(steps, 1):
        if step is None:
            taken = latest.take_dirty(number)
            told = {} if taken is None else dict(zip(taken.series_ids.tolist(), taken.values.tolist(), strict=True))
            assert {s: repr(v) for s, v in told.items()} == {s: model[s][1] for s in dirty}
            if taken is not None:
                assert taken.times_us.tolist() == [model[s][0] for s in taken.series_ids.tolist()]
            dirty.clear()
            continue
        before = {s: entry[0] for s, entry in model.items()}
        expected_late = 0
        for series_id, time_us, value in step:
            expected_late += time_us < before.get(series_id, 0)
            if time_us >= model.get(series_id, (0, "", 0))[0]:
                model[series_id] = (time_us, repr(value), number)
                dirty.add(series_id)
        batch = make_batch([r[0] for r in step], [r[1] for r in step], [r[2] for r in step], number)
        assert latest.apply(batch) == expected_late
    for series_id, (time_us, value, received_us) in model.items():
        assert repr(float(latest.values[series_id])) == value
        assert latest.times_us[series_id] == time_us
        assert latest.received_us[series_id] == received_us
        assert latest.quality[series_id] == (1 if value == "nan" else 0)
    assert set(np.flatnonzero(latest.dirty).tolist()) == dirty


def test_a_tie_goes_to_the_later_arrival() -> None:
    latest = Latest()
    latest.apply(make_batch([3, 3, 3], [10, 10, 9], [1.0, 2.0, 3.0], 20))
    assert latest.values[3] == 2.0
    latest.apply(make_batch([3], [10], [4.0], 21))
    assert latest.values[3] == 4.0


def test_many_duplicates_in_one_batch_end_with_the_newest() -> None:
    count = 100_000
    rng = np.random.default_rng(1)
    times = rng.permutation(count) + 1
    latest = Latest()
    latest.apply(make_batch([7] * count, times.tolist(), times.astype(float).tolist(), NOW_US))
    assert latest.values[7] == count


def test_the_columns_grow_and_keep_what_they_hold() -> None:
    latest = Latest()
    latest.apply(make_batch([1], [5], [1.5], 6))
    latest.reserve(5_000)
    assert latest.values[1] == 1.5
    assert latest.dirty[1]
    assert len(latest.values) == len(latest.times_us) == len(latest.received_us) == len(latest.quality) > 5_000
    assert len(latest.dirty) == len(latest.values)
    latest.apply(make_batch([5_000], [5], [2.5], 6))
    assert latest.values[5_000] == 2.5
    assert math.isnan(latest.values[4_999])


def test_a_retained_value_is_stale_of_unknown_age_and_gives_way_to_any_live_one() -> None:
    latest = Latest()
    item = series()
    assert latest.set_retained(0, 20.0, 0, NOW_US)
    told = latest.describe(item)
    assert (told["value"], told["quality"], told["time_ms"], told["received_ms"]) == (20, "stale", None, NOW_US // 1000)
    assert latest.take_dirty(NOW_US) is None  # never a reading

    latest.apply(make_batch([0], [NOW_US - 10**9], [21.0], NOW_US))
    told = latest.describe(item)
    assert (told["value"], told["quality"], told["time_ms"]) == (21, "good", (NOW_US - 10**9) // 1000)

    assert not latest.set_retained(0, 19.0, NOW_US, NOW_US)
    assert latest.describe(item)["value"] == 21


def test_a_retained_value_does_not_replace_a_live_no_value() -> None:
    latest = Latest()
    latest.apply(make_batch([0], [NOW_US], [NAN], NOW_US))
    assert not latest.set_retained(0, 19.0, 0, NOW_US)
    told = latest.describe(series())
    assert (told["value"], told["quality"]) == (None, "bad")


def test_a_forgotten_value_leaves_nothing_behind() -> None:
    latest = Latest()
    latest.apply(make_batch([0], [NOW_US], [1.0], NOW_US))
    latest.forget(0)
    told = latest.describe(series())
    assert (told["value"], told["time_ms"], told["received_ms"], told["quality"]) == (None, None, None, "stale")
    assert latest.take_dirty(NOW_US) is None
    assert latest.apply(make_batch([0], [1], [2.0], NOW_US)) == 0  # whatever comes next is newer


@pytest.mark.parametrize(
    ("kind", "number", "value"),
    [
        (Kind.NUMBER, 21.5, 21.5),
        (Kind.NUMBER, 21.0, 21),
        (Kind.NUMBER, -0.0, 0),
        (Kind.NUMBER, 2.0**53, 2.0**53),
        (Kind.NUMBER, 1e300, 1e300),
        (Kind.NUMBER, NAN, None),
        (Kind.UNKNOWN, NAN, None),
        (Kind.BOOLEAN, 0.0, False),
        (Kind.BOOLEAN, 1.0, True),
        (Kind.BOOLEAN, NAN, None),
        (Kind.TEXT, 1.0, "closed"),
        (Kind.TEXT, 2.0, None),
        (Kind.TEXT, -1.0, None),
        (Kind.TEXT, 1e300, None),
        (Kind.TEXT, NAN, None),
    ],
)
def test_what_a_number_means(kind: Kind, number: float, value: object) -> None:
    decoded = series(kind, ("open", "closed")).decode(number)
    assert decoded == value
    assert type(decoded) is type(value)


def test_whole_numbers_are_told_as_integers_only_while_they_are_exact() -> None:
    assert type(series().decode(float(MAX_SAFE_INTEGER))) is int
    assert type(series().decode(float(MAX_SAFE_INTEGER) + 1)) is float


def test_only_the_new_texts_are_told() -> None:
    latest = Latest()
    item = series(Kind.TEXT, ("a", "b", "c"))
    told = latest.describe(item, texts_from=2)
    assert (told["texts_from"], told["texts"]) == (2, ["c"])
    assert (latest.describe(item)["texts_from"], latest.describe(item)["texts"]) == (0, ["a", "b", "c"])


def test_describe_says_whether_anything_changed() -> None:
    item = series(Kind.UNKNOWN)
    info = MetricInfo(
        name="Temperature", kind=Kind.NUMBER, unit="°C", unit_source="declared", min=0, max=0, precision=0
    )
    assert item.describe(info)
    assert not item.describe(info)
    assert (item.min, item.max, item.precision) == (0, 0, 0)  # zero is a value
    assert not item.describe(MetricInfo())  # says nothing, takes nothing away
    assert item.name == "Temperature"


def test_an_inferred_unit_never_replaces_a_declared_one() -> None:
    item = series()
    item.describe(MetricInfo(unit="K", unit_source="inferred"))
    item.describe(MetricInfo(unit="°C", unit_source="declared"))
    assert not item.describe(MetricInfo(unit="K", unit_source="inferred"))
    assert (item.unit, item.unit_source) == ("°C", "declared")


def test_a_series_without_a_name_is_called_by_its_metric() -> None:
    assert Latest().describe(series())["name"] == "m"


def test_availability_is_news_when_it_or_its_source_changes_but_since_only_when_it_does() -> None:
    device = Device("d", "d", "native", "mqtt", NOW_US)
    assert device.set_availability(Availability.ONLINE, "derived", NOW_US + 1)
    assert not device.set_availability(Availability.ONLINE, "derived", NOW_US + 2)
    assert device.set_availability(Availability.ONLINE, "lwt", NOW_US + 3)
    assert device.availability_since_us == NOW_US + 1
    assert device.summary()["availability_source"] == "lwt"


def test_a_device_in_full_describes_its_commands_and_in_short_names_them() -> None:
    device = Device("d", "d", "native", "mqtt", NOW_US)
    device.commands = {"reboot": CommandInfo(danger=True), "set": CommandInfo(title="Set", schema={"type": "object"})}
    assert device.summary()["commands"] == ["reboot", "set"]
    assert device.detail()["commands"]["reboot"] == {
        "title": "reboot",
        "description": "",
        "schema": {"type": "object"},
        "danger": True,
    }
    assert device.summary()["last_seen_ms"] is None
