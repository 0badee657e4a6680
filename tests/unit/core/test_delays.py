"""How long things took: as good as sorting all samples, for the last minute only."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.delays import SHORTEST_US, WINDOW_S, Delays

S = 1_000_000
NOW_US = 1_767_225_600 * S
LONGEST_US = 90 * S


def exact_us(samples: list[float], share: float) -> float:
    return sorted(samples)[max(1, math.ceil(share * len(samples))) - 1]


@given(
    st.lists(
        st.floats(SHORTEST_US, LONGEST_US) | st.floats(SHORTEST_US, 60_000) | st.sampled_from([50.0, 100.0, 51_200.0]),
        min_size=1,
        max_size=300,
    ),
    st.sampled_from([(0.5, 0.99), (0.25, 0.75), (0.0, 1.0)]),
)
@settings(max_examples=200, deadline=None)
def test_quantiles_are_those_of_the_samples_within_ten_per_cent(
    samples: list[float], shares: tuple[float, ...]
) -> None:
    delays = Delays()
    for number, sample in enumerate(samples):
        delays.add(sample, NOW_US + number * 10_000)
    for share, told_ms in zip(shares, delays.quantiles_ms(shares, NOW_US + len(samples) * 10_000), strict=True):
        if share == 0:
            continue  # nobody asks; only that it does not fail
        assert told_ms is not None
        exact_ms = exact_us(samples, share) / 1000
        assert exact_ms * 0.99 <= told_ms <= exact_ms * 1.1  # the upper end of its class, rounded to a microsecond


def test_what_is_too_short_or_too_long_or_negative_counts_at_the_end_of_the_scale() -> None:
    for sample, told_ms in ((0, 0.05), (-S, 0.05), (49.9, 0.05), (3600 * S, None)):
        delays = Delays()
        delays.add(sample, NOW_US)
        shown = delays.quantiles_ms((0.5,), NOW_US)[0]
        assert shown is not None
        assert shown > 90_000 if told_ms is None else shown == told_ms


def test_without_samples_nothing_is_known() -> None:
    delays = Delays()
    assert delays.quantiles_ms((0.5, 0.99), NOW_US) == [None, None]
    assert delays.quantiles_ms((), NOW_US) == []


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from([100, 1_000, 20_000])), min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
def test_only_the_last_minute_counts(samples: list[tuple[int, int]]) -> None:
    """Each second has a column, which is emptied when it comes round again."""
    delays, second = Delays(), NOW_US // S
    kept: list[tuple[int, int]] = []
    for later_s, sample in samples:
        second += later_s
        delays.add(sample, second * S + 999_999)
        kept.append((second, sample))
        recent = [float(one) for at, one in kept if at > second - WINDOW_S]
        told_ms = delays.quantiles_ms((0.5,), second * S)[0]
        assert told_ms is not None
        assert abs(told_ms * 1000 / exact_us(recent, 0.5) - 1) < 0.1
    assert delays.quantiles_ms((0.5,), (second + WINDOW_S) * S) == [None]
    assert delays.quantiles_ms((0.5,), (second + WINDOW_S - 1) * S) != [None]


def test_a_clock_that_is_set_back_shows_only_what_is_new() -> None:
    delays = Delays()
    delays.add(80_000, NOW_US)
    back_us = NOW_US - 3600 * S
    assert delays.quantiles_ms((0.5,), back_us) == [None]
    delays.add(100, back_us)
    assert (delays.quantiles_ms((0.5,), back_us)[0] or 99) < 1
