"""Ids survive, and the past shows the past's names."""

from __future__ import annotations

from bridge.history.catalog import Births, Catalog, DeviceRecord, SeriesRecord
from bridge.history.events import NOTE, Event
from bridge.history.retention import Limit, Limits
from bridge.history.store import Store
from tests.unit.history.databases import url_in
from tests.unit.history.scene import START_US, Scene, scene

DAY_US = 86_400_000_000


def births(name: str, unit: str = "", texts: tuple[str, ...] = ()) -> Births:
    return Births(
        (DeviceRecord("boiler", {"name": name}),), (SeriesRecord(4, "boiler", "mode", "text", texts, {"unit": unit}),)
    )


def save(one: Scene, some: Births, now_us: int) -> None:
    with one.store.writing() as writer:
        writer.save_births(some, now_us)


def at(one: Scene, at_us: int | None = None) -> Catalog:
    with one.store.reading() as snapshot:
        return snapshot.catalog(at_us)


def test_every_moment_has_its_names_and_units() -> None:
    with scene() as one:
        save(one, births("Boiler", "°C"), START_US)
        save(one, births("Boiler", "°C"), START_US + 5)  # nothing new
        save(one, births("Heat pump", "K"), START_US + 10)

        names = [
            (
                at(one, START_US + moment).devices["boiler"].info["name"],
                at(one, START_US + moment).series[4].info["unit"],
            )
            for moment in (-1, 0, 9, 10, 99)
        ]

        assert names == [("Boiler", "°C")] * 3 + [("Heat pump", "K")] * 2
        assert at(one).devices["boiler"].info == {"name": "Heat pump"}


def test_texts_only_grow() -> None:
    with scene() as one:
        save(one, births("Boiler", texts=("off", "on")), START_US)
        save(one, births("Boiler", texts=("off",)), START_US + 1)
        save(one, births("Boiler", texts=("off", "on", "frost ☃")), START_US + 2)

        assert at(one).series[4].texts == ("off", "on", "frost ☃")


ODD = (
    "",
    " ",
    "NUL \0 within",
    "\0",
    "\ue000",
    "\ue000\0\ue0000\ue0001",
    "'; DROP TABLE history_series; --",
    "%s :x ?",
    "\U0001f600",
)


def test_any_text_comes_back_as_it_was() -> None:
    """PostgreSQL keeps no NUL, and what a device says must never stop the recording."""
    with scene() as one:
        some = Births(
            tuple(DeviceRecord(f"d{text}", {"name": text}) for text in ODD),
            tuple(
                SeriesRecord(number, f"d{text}", f"m{text}", "text", ODD, {"unit": text})
                for number, text in enumerate(ODD)
            ),
        )
        save(one, some, START_US)
        with one.store.writing() as writer:
            writer.append_events(
                [Event(START_US, NOTE, f"d{text}", {"text": text}, number) for number, text in enumerate(ODD)]
            )
        told = at(one)
        assert {device: record.info for device, record in told.devices.items()} == {f"d{t}": {"name": t} for t in ODD}
        assert [told.series[number].metric for number in range(len(ODD))] == [f"m{text}" for text in ODD]
        assert {record.texts for record in told.series.values()} == {ODD}
        with one.store.reading() as snapshot:
            for text in ODD:
                (event,) = snapshot.find_events(0, START_US + 1, device_id=f"d{text}")
                assert (event.device_id, event.data) == (f"d{text}", {"text": text})


def test_ids_are_never_used_twice_even_without_a_birth() -> None:
    with scene() as one:
        assert at(one).next_series_id == 0
        save(one, births("Boiler"), START_US)
        assert at(one).next_series_id == 5
        one.append([(9, START_US, 1.0)])
        one.seal()
        assert at(one).next_series_id == 10


def test_a_kind_may_become_known() -> None:
    with scene() as one:
        save(one, Births(series=(SeriesRecord(1, "d", "m", "unknown", (), {}),)), START_US)
        save(one, Births(series=(SeriesRecord(1, "d", "m", "number", (), {}),)), START_US)

        assert at(one).series[1].kind == "number"


def test_a_clock_that_was_set_back_does_not_hide_the_newest_name() -> None:
    with scene() as one:
        save(one, births("Boiler"), START_US + 100)
        save(one, births("Heat pump"), START_US)

        assert at(one).devices["boiler"].info["name"] == "Heat pump"


def test_a_birth_and_its_first_readings_are_durable_together_or_not_at_all(tmp_path: object) -> None:
    url = url_in(tmp_path)
    store = Store(url)
    try:
        with store.writing() as writer:
            writer.save_births(births("Boiler"), START_US)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    with store.reading() as snapshot:
        assert snapshot.catalog().devices == {}
    store.close()


def test_many_devices_are_saved_in_pieces() -> None:
    with scene() as one:
        many = tuple(DeviceRecord(f"d{number}", {"name": str(number)}) for number in range(1_234))
        save(one, Births(many), START_US)
        save(one, Births(many), START_US + 1)

        assert at(one).devices["d1233"].info == {"name": "1233"}


def test_names_that_no_kept_moment_shows_are_forgotten() -> None:
    with scene() as one:
        for day, name in enumerate(["first", "second", "third"]):
            save(one, births(name), START_US + day * DAY_US)
        one.append([(4, START_US + n * 1_000_000, 1.0) for n in range(100)])
        one.seal()
        one.merge()
        limit = Limit(DAY_US, 2**60)

        one.keeper.forget(Limits(limit, limit, limit), START_US + 3 * DAY_US)

        assert at(one, START_US).devices["boiler"].info["name"] in ("first", "second")
        assert at(one).devices["boiler"].info["name"] == "third"
