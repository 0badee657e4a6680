"""A fleet whose every change is kept in a store, as the pipeline does it, for tests of what comes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st

from bridge.core.counters import Counters
from bridge.core.fleet import Fleet, FleetLimits
from bridge.core.frame import encode_frame, split_by_span
from bridge.core.model import Availability, AvailabilityChange, CommandInfo, Description, Kind, MetricInfo, Readings
from bridge.history.archive import Moment, look_at
from bridge.history.query import History
from bridge.history.scribe import Scribe
from bridge.history.store import Store

NOW_US = 1_767_225_600_000_000
S = 1_000_000
LIMITS = FleetLimits(stale_min_us=30 * S, stale_default_us=300 * S)


class Kept:
    """`flush` writes down what is new, as readings, births and events."""

    def __init__(self, store: Store, fleet: Fleet | None = None, now_us: int = NOW_US) -> None:
        self.store = store
        self.fleet = fleet or Fleet(LIMITS, Counters())
        self.now_us = now_us
        self.scribe = Scribe(self.fleet)
        with store.reading() as snapshot:
            self.offset = snapshot.log_offset()

    def says(self, device: str, convention: str = "native", *, time_us: int | None = None, **values: Any) -> None:
        readings = Readings(device, list(values.items()), time_us)
        self.fleet.observe_readings(convention, "mqtt", readings, self.now_us)

    def describes(self, device: str, convention: str = "native", **fields: Any) -> None:
        self.fleet.observe_description(convention, "mqtt", Description(device, **fields), self.now_us)

    def becomes(self, device: str, availability: str, source: str = "lwt", convention: str = "native") -> None:
        change = AvailabilityChange(device, Availability(availability), source)
        self.fleet.observe_availability(convention, "mqtt", change, self.now_us)

    def flush(self) -> None:
        batch = self.fleet.take_batch(self.now_us)
        births, events = self.scribe.write(self.fleet.take_changes(), self.now_us)
        frames = []
        for part in split_by_span(batch) if batch is not None else ():
            self.offset += 1
            frames.append(encode_frame(part, offset=self.offset, channel_no=2))
        with self.store.writing() as writer:
            writer.save_births(births, self.now_us)
            writer.append_events(events)
            writer.append(frames)
            writer.set_log_offset(self.offset)

    def tick(self) -> None:
        self.fleet.tick(self.now_us)
        self.flush()

    def moment(self, at_us: int | None = None) -> Moment:
        return look_at(self.store, History(self.store), self.now_us if at_us is None else at_us)


@contextmanager
def kept(url: str = "sqlite://") -> Iterator[Kept]:
    store = Store(url)
    try:
        yield Kept(store)
    finally:
        store.close()


# ----- at random ------------------------------------------------------------------------------------------

DEVICES = [("native", "a"), ("native", "b"), ("plain", "a")]  # two of them have one name
METRICS = ["m", "n/o"]
_texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=6)
_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    _texts,
)
_infos = st.builds(
    MetricInfo,
    name=_texts,
    kind=st.sampled_from(list(Kind)),
    unit=st.sampled_from(["", "°C", "kW"]),
    unit_source=st.sampled_from(["declared", "inferred"]),
    min=st.none() | st.floats(-5, 5),
    max=st.none() | st.floats(5, 9),
    precision=st.none() | st.integers(0, 4),
)
_commands = st.builds(
    CommandInfo,
    title=_texts,
    description=_texts,
    schema=st.sampled_from([{}, {"type": "object", "properties": {"x": {"type": "number"}}}]),
    danger=st.booleans(),
)
_device = st.sampled_from(DEVICES)
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("says"), _device, st.dictionaries(st.sampled_from(METRICS), _values, min_size=1), st.integers(0, 3)
        ),
        st.tuples(
            st.just("describes"),
            _device,
            st.fixed_dictionaries(
                {
                    "name": _texts,
                    "model": _texts,
                    "area": _texts,
                    "metrics": st.dictionaries(st.sampled_from(METRICS), _infos, max_size=2),
                    "commands": st.dictionaries(st.sampled_from(["reboot", "set"]), _commands, max_size=2),
                }
            ),
        ),
        st.tuples(
            st.just("becomes"), _device, st.sampled_from(["online", "offline"]), st.sampled_from(["lwt", "birth"])
        ),
        st.tuples(st.just("is removed"), _device),
        st.tuples(st.just("time passes"), st.sampled_from([1_000, 50_000, 31 * S, 301 * S])),
        st.just(("flush",)),
    ),
    max_size=25,
)


def play(kept: Kept, steps: list[tuple[Any, ...]]) -> None:
    """Every step a millisecond after the last, and all of it written down in the end."""
    for step in steps:
        kept.now_us += 1_000
        match step:
            case ("says", (convention, device), values, late):
                readings = Readings(device, list(values.items()), kept.now_us - late * 999)  # no two at one time
                kept.fleet.observe_readings(convention, "mqtt", readings, kept.now_us)
            case ("describes", (convention, device), fields):
                kept.describes(device, convention, **fields)
            case ("becomes", (convention, device), availability, source):
                kept.becomes(device, availability, source, convention)
            case ("is removed", (convention, device)):
                kept.fleet.remove(convention, device)
            case ("time passes", us):
                kept.now_us += us
                kept.tick()
            case _:
                kept.flush()
    kept.now_us += 1_000
    kept.flush()
