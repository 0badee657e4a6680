"""What is delivered again is recognised if it can be; and nothing that is new is ever taken for it."""

from __future__ import annotations

from bridge.history import redelivery
from bridge.history.redelivery import KEPT_FROM_BEFORE_S, KEPT_S, WINDOW, Delivered, Marks

TOPIC, PAYLOAD = "devices/d/telemetry", b'{"t": 21.5}'


def test_the_same_message_is_recognised_by_its_number_and_content() -> None:
    delivered = Delivered()
    delivered.note(7, TOPIC, PAYLOAD)
    assert delivered.recognise(7, TOPIC, PAYLOAD)
    assert delivered.recognise(7, TOPIC, PAYLOAD)  # as often as it comes
    assert delivered.recognise(8, TOPIC, PAYLOAD) is None  # a constant value is no repetition
    assert delivered.recognise(7, TOPIC, b'{"t": 21.6}') is None
    assert delivered.recognise(7, "devices/e/telemetry", PAYLOAD) is None


def test_the_next_run_recognises_what_this_one_has_stored_and_so_does_the_one_after() -> None:
    stored = Delivered().note(7, TOPIC, PAYLOAD) + Delivered().note(8, TOPIC, PAYLOAD)
    second = Delivered(stored)
    again = second.recognise(7, TOPIC, PAYLOAD)
    assert again is not None
    third = Delivered(stored + again)
    assert third.recognise(7, TOPIC, PAYLOAD)
    assert third.recognise(8, TOPIC, PAYLOAD)
    assert third.recognise(9, TOPIC, PAYLOAD) is None


def test_numbers_of_a_broker_that_gives_them_out_again_soon_prove_nothing() -> None:
    delivered = Delivered()
    first = delivered.note(1, TOPIC, PAYLOAD)
    assert delivered.recognise(1, TOPIC, PAYLOAD)
    second = delivered.note(1, TOPIC, PAYLOAD)  # no repetition: another message
    assert delivered.recognise(1, TOPIC, PAYLOAD) is None
    assert Delivered(first + second).recognise(1, TOPIC, PAYLOAD) is None
    for mid in range(2, WINDOW + 2):  # the broker has begun anew, and counts on from here
        delivered.note(mid, TOPIC, PAYLOAD)
    assert delivered.recognise(WINDOW, TOPIC, PAYLOAD)


def test_only_the_last_ones_are_remembered_and_numbers_come_round() -> None:
    delivered = Delivered()
    for mid in [*range(1, 65_536), *range(1, 65_536)]:
        delivered.note(mid, TOPIC, PAYLOAD)
    assert delivered.recognise(65_535, TOPIC, PAYLOAD)
    assert delivered.recognise(65_535 - WINDOW, TOPIC, PAYLOAD) is None
    assert len(delivered._checksums) == WINDOW


def test_marks_are_kept_for_a_while_and_those_of_the_run_before_for_longer() -> None:
    size = redelivery._MARK.size
    old, one, two, three = (letter * size for letter in (b"o", b"1", b"2", b"3"))
    marks = Marks(old, 100.0)
    marks.add(one, 100.0)
    assert marks.joined(two, 100.5) == old + one + two
    assert marks.joined(b"", 100.5) == old + one  # nothing was made
    marks.add(two, 101.5)
    assert marks.joined(three, 100.1 + KEPT_S) == old + two + three
    assert marks.joined(three, 100.1 + KEPT_FROM_BEFORE_S) == three
    marks.add(b"3" * size * WINDOW, 102.0)
    assert marks.joined(b"", 102.0) == b"3" * size * WINDOW
    assert len(marks._commits) == 1
    for number in range(10_000):
        marks.add(one, 200.0 + number)
    assert len(marks._commits) < 10
