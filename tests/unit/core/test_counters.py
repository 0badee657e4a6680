"""Counters."""

from __future__ import annotations

import pytest

from bridge.core.counters import Counters
from bridge.core.model import Reason


def test_every_counter_begins_at_zero_and_is_told() -> None:
    counters = Counters()
    told = counters.as_dict()
    assert told.pop("rejected") == {}
    assert set(told) == set(Counters.FIELDS)
    assert set(told.values()) == {0}


def test_every_counter_has_a_sentence_and_an_annotation() -> None:
    assert all(text and not text.endswith(".") for text in Counters.FIELDS.values())
    assert set(Counters.FIELDS) <= set(Counters.__annotations__)


def test_a_misspelt_counter_is_an_error() -> None:
    with pytest.raises(AttributeError):
        Counters().recieved = 1  # type: ignore[attr-defined]


def test_rejections_are_counted_by_reason() -> None:
    counters = Counters()
    counters.reject(Reason.BINARY)
    counters.reject(Reason.BINARY)
    counters.reject(Reason.TOO_DEEP)
    assert counters.as_dict()["rejected"] == {"binary": 2, "too_deep": 1}
