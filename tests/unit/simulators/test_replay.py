"""When messages are due, how times are moved, and what a replay sends, with a clock that is pushed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.capture import Captured, Header, NotACapture
from simulators.capture_writer import CaptureWriter
from simulators.mqtt_window import PublishWindow
from simulators.pacer import Pacer
from simulators.replay import Replayer, ReplayOptions
from simulators.restamp import restamp, shift_iso, shift_number

START_US = 1_750_000_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def due_times(times_us: list[int], speed: float) -> list[float]:
    clock = Clock()
    pacer = Pacer(speed, clock)
    return [clock.now_s + pacer.wait_s(time_us) - 100.0 for time_us in times_us]


def test_the_spacing_is_kept_and_scaled() -> None:
    times_us = [START_US, START_US + 500_000, START_US + 2_000_000]
    assert due_times(times_us, 1.0) == pytest.approx([0.0, 0.5, 2.0])
    assert due_times(times_us, 10.0) == pytest.approx([0.0, 0.05, 0.2])
    assert due_times(times_us, 0.5) == pytest.approx([0.0, 1.0, 4.0])
    assert due_times(times_us, 0.0) == [0.0, 0.0, 0.0]


@given(st.lists(st.integers(0, 10**9), min_size=1), st.sampled_from([0.5, 1.0, 100.0]))
def test_the_order_is_kept_whatever_the_times_say(times_us: list[int], speed: float) -> None:
    due = due_times(times_us, speed)
    assert due == sorted(due)


def test_being_late_does_not_move_what_follows() -> None:
    clock = Clock()
    pacer = Pacer(1.0, clock)
    pacer.wait_s(0)
    clock.now_s += 5.0
    assert pacer.wait_s(1_000_000) == pytest.approx(-4.0)
    assert pacer.wait_s(7_000_000) == pytest.approx(2.0)


def test_the_next_pass_follows_at_the_pace_of_the_recording() -> None:
    clock = Clock()
    pacer = Pacer(2.0, clock)
    pacer.wait_s(START_US)
    pacer.wait_s(START_US + 4_000_000)
    pacer.next_pass(START_US + 10_000_000)
    assert pacer.wait_s(START_US) == pytest.approx(5.0)
    assert pacer.wait_s(START_US + 4_000_000) == pytest.approx(7.0)
    moment = Pacer(1.0, clock)
    moment.wait_s(START_US)
    moment.next_pass(START_US)
    assert moment.wait_s(START_US) == pytest.approx(1.0)


# ----- restamp -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "moved"),
    [
        ("1750000000", "1750003600"),
        ("1750000000123", "1750003600123"),
        ("1750000000123456", "1750003600123456"),
        ("1750000000123456789", "1750003600123456789"),
        ("1750000000.250", "1750003600.250"),
        ("1750000000123.5", "1750003600123.5"),
        ("42", "42"),
        ("99999999999999999999", "99999999999999999999"),
    ],
)
def test_numbers_are_moved_in_their_own_unit(number: str, moved: str) -> None:
    assert shift_number(number, 3_600_000_000) == moved


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("2026-02-28T23:30:00Z", "2026-03-01T00:30:00Z"),
        ("2026-02-28 23:30:00.120+02:00", "2026-03-01 00:30:00.120+02:00"),
        ("2026-02-28T23:30:00,5", "2026-03-01T00:30:00,5"),
        ("2026-02-28T23:30:00.123456789Z", "2026-03-01T00:30:00.123456000Z"),
        ("2026-02-30T23:30:00Z", "2026-02-30T23:30:00Z"),
        ("9999-12-31T23:30:00Z", "9999-12-31T23:30:00Z"),
    ],
)
def test_iso_times_are_moved_and_keep_their_look(text: str, moved: str) -> None:
    assert shift_iso(text, 3_600_000_000) == moved


def test_only_the_times_change() -> None:
    before = (
        rb'{ "time" : 1750000000000, "v": 1.50, "note":"\"time\": 1750000000000",'
        rb' "deep":[{"ts":"2026-01-01T00:00:00Z"}] }'
    )
    after = before.replace(b"1750000000000, ", b"1750000001000, ").replace(b"00:00:00Z", b"00:00:01Z")
    assert restamp(before, 1_000_000) == after
    for untouched in (
        b"",
        b"1750000000000",
        b"\xff\x00",
        b'{"uptime":1750000000000}',
        b'{"time":12}',
        b'{"time":null}',
    ):
        assert restamp(untouched, 1_000_000) == untouched


@given(st.integers(1_000_000_000_000, 4_000_000_000_000), st.integers(-(10**12), 10**12))
def test_moving_there_and_back_is_nothing(time_ms: int, shift_ms: int) -> None:
    moved = shift_number(str(time_ms), shift_ms * 1000)
    if 1_000_000_000_000 <= int(moved) < 5_000_000_000_000:
        assert shift_number(moved, -shift_ms * 1000) == str(time_ms)


@given(st.binary(max_size=80), st.integers())
def test_no_payload_makes_it_fail(payload: bytes, shift_us: int) -> None:
    restamp(b'{"time":"' + payload, shift_us)
    restamp(b'{"ts":"2026-01-01T00:00:0' + payload + b'"}', shift_us)


# ----- what is sent ------------------------------------------------------------------------------------------


class FakeLink:
    """Remembers; stands in for `MqttLink`."""

    max_qos, may_retain, max_packet, must_drain = 2, True, 0, False
    window = PublishWindow()

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, int, bool]] = []
        self.on_publish: Callable[[], None] = lambda: None

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        self.sent.append((topic, payload, qos, retain))
        self.on_publish()

    async def drain(self, stop: asyncio.Event) -> None: ...

    async def settle(self, timeout_s: float) -> None: ...


@pytest.fixture
def replay(tmp_path: Path) -> Callable[..., tuple[Replayer, FakeLink]]:
    def run(recorded: list[Captured], link: FakeLink | None = None, stop: Any = None, **options: Any) -> Any:
        path = tmp_path / "a.fwrec"
        with path.open("wb", buffering=0) as file:
            writer = CaptureWriter(file, Header(START_US))
            for message in recorded:
                writer.add(message)
            writer.end(START_US + 10_000_000)
        link = FakeLink() if link is None else link
        replayer = Replayer(path, ReplayOptions(**{"speed": 0.0, **options}), now_us=lambda: START_US + 3_600_000_000)
        asyncio.run(replayer.run(link, stop or asyncio.Event()))  # type: ignore[arg-type]
        return replayer, link

    return run


def at(seconds: float, topic: str = "a/b", payload: bytes = b"x", qos: int = 0, retain: bool = False) -> Captured:
    return Captured(START_US + round(seconds * 1e6), topic, payload, qos, retain)


def test_everything_is_sent_as_recorded_and_in_order(replay: Any) -> None:
    recorded = [at(n % 3, f"t/{n % 5}", bytes([n]), n % 3, n % 2 == 0) for n in range(200)]
    replayer, link = replay(recorded)
    assert link.sent == [(m.topic, m.payload, m.qos, m.retain) for m in recorded]
    assert (replayer.sent, replayer.late, replayer.passes, replayer.damage) == (200, 0, 1, None)


def test_options_choose_and_change(replay: Any) -> None:
    recorded = [at(0, "a/1"), at(1, "a/2", qos=2), at(1.5, "b/1"), at(2, "a/3"), at(2.5, "$SYS/x"), at(2.5, "a/#")]
    _, link = replay(recorded, from_s=1.0, to_s=2.0)
    assert [topic for topic, *_ in link.sent] == ["a/2", "b/1", "a/3"]
    _, link = replay(recorded, filters=["a/+"], prefix="test/", qos=1)
    assert [(topic, qos) for topic, _, qos, _ in link.sent] == [("test/a/1", 1), ("test/a/2", 1), ("test/a/3", 1)]
    replayer, link = replay(recorded)
    assert (replayer.sent, replayer.unsendable) == (4, 2)
    _, link = replay(recorded, prefix="p/")
    assert "p/$SYS/x" in [topic for topic, *_ in link.sent]


def test_what_the_broker_cannot_do_is_not_asked_of_it(replay: Any) -> None:
    link = FakeLink()
    link.max_qos, link.may_retain, link.max_packet = 1, False, 100
    replayer, _ = replay([at(0, qos=2, retain=True), at(0, payload=bytes(200))], link)
    assert link.sent == [("a/b", b"x", 1, False)]
    assert replayer.unsendable == 1


def test_restamp_brings_times_to_now(replay: Any) -> None:
    payload = json.dumps({"time": START_US // 1000 - 250}).encode()
    _, link = replay([at(2, payload=payload)], restamp=True)
    # Recorded at +2 s, replayed at +1 h: it stays as old as it was when it was recorded.
    assert json.loads(link.sent[0][1])["time"] == START_US // 1000 + 3_600_000 - 2_000 - 250
    _, link = replay([at(2, payload=payload)])
    assert link.sent[0][1] == payload


def test_a_loop_goes_on_until_it_is_stopped(replay: Any) -> None:
    link, stop = FakeLink(), asyncio.Event()
    link.on_publish = lambda: stop.set() if len(link.sent) == 7 else None
    replayer, _ = replay([at(0), at(1), at(2)], link, stop, loop=True, speed=100_000.0)
    assert len(link.sent) == 7
    assert replayer.passes >= 2


def test_a_loop_over_nothing_ends(replay: Any) -> None:
    replayer, _ = replay([at(0)], loop=True, filters=["other"])
    assert (replayer.sent, replayer.read) == (0, 1)


def test_a_file_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"hello")
    with pytest.raises(NotACapture):
        Replayer(path, ReplayOptions()).header()
