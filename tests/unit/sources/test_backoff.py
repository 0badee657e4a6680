"""Full jitter: pure, so every case is a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sources.backoff import full_jitter


@pytest.mark.parametrize(
    ("attempt", "random", "expected"),
    [
        (0, 0.0, 0.5),  # never shorter than the minimum
        (0, 1.0, 1.0),  # the first cap is twice the minimum
        (1, 1.0, 2.0),
        (2, 0.5, 2.25),  # halfway between 0.5 and 4
        (10, 1.0, 30.0),  # never longer than the maximum
        (10_000, 1.0, 30.0),  # after days too, and quickly
        (-1, 1.0, 1.0),
    ],
)
def test_pause(attempt: int, random: float, expected: float) -> None:
    assert full_jitter(attempt, 0.5, 30.0, lambda: random) == expected


def test_maximum_below_minimum_counts_as_minimum() -> None:
    assert full_jitter(5, 2.0, 1.0, lambda: 0.7) == 2.0


@given(
    st.integers(0, 1_000),
    st.floats(0.001, 100),
    st.floats(0.001, 1_000),
    st.floats(0, 1, exclude_max=True),
)
def test_pause_stays_within_its_bounds(attempt: int, minimum: float, maximum: float, random: float) -> None:
    pause = full_jitter(attempt, minimum, maximum, lambda: random)
    assert minimum <= pause <= max(minimum, maximum)
