"""Messages have one length, survive JSON, and cannot be changed unnoticed."""

from __future__ import annotations

import json
import re

import pytest

from benchmarks.fanout.messages import FIRST, LAST, VALUES, payload, read_text


def test_all_have_the_same_length_and_five_values() -> None:
    samples = [payload(n, s) for n in (FIRST, FIRST + 1, FIRST + 899, LAST) for s in (0.0, 0.5, 12.34567, 898.999999)]
    assert len(set(map(len, samples))) == 1
    assert all(len(json.loads(sample)) == VALUES for sample in samples)


def test_read_what_was_written() -> None:
    found = read_text(payload(FIRST + 42, 3.5))
    assert found is not None
    assert found.numbers == [FIRST + 42]
    assert found.times[0] == pytest.approx(3.5, abs=2e-5)
    assert found.intact


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_json_written_again_keeps_every_digit(separators: tuple[str, str]) -> None:
    for number in range(FIRST, FIRST + 2000):
        again = json.dumps({"topic": "x", "data": json.loads(payload(number, number / 1e6))}, separators=separators)
        found = read_text(again.encode())
        assert found is not None
        assert found.intact
        assert found.numbers == [number]


def test_any_changed_value_is_noticed() -> None:
    good = payload(FIRST + 7, 1.0)
    for at in (match.start() for match in re.finditer(rb"(?<=[abcn]..)\d", good)):
        digit = b"1" if good[at : at + 1] != b"1" else b"2"
        found = read_text(good[:at] + digit + good[at + 1 :])
        assert found is not None
        assert not found.intact or found.numbers != [FIRST + 7]


def test_other_text_is_no_message() -> None:
    assert read_text(b'{"type":"presence","operators":3}') is None
