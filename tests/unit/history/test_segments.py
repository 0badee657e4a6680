"""Every instant of a question belongs to exactly one segment, at a resolution that still exists."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.history.segments import Segment, choose_resolution, choose_width, plan_segments
from bridge.history.spans import DAY_US, HOUR, HOUR_US, MINUTE, MINUTE_US, RAW, WIDTH_US

NOTHING_FORGOTTEN = (-(2**62),) * 3


@pytest.mark.parametrize(
    ("span_us", "resolution"),
    [(10 * MINUTE_US, RAW), (8 * HOUR_US, RAW), (DAY_US, MINUTE), (7 * DAY_US, MINUTE), (30 * DAY_US, HOUR)],
)
def test_the_span_decides_the_resolution(span_us: int, resolution: int) -> None:
    assert choose_resolution(choose_width(span_us, 1000)) == resolution


@given(st.integers(1, 2**60), st.integers(-5, 200_000), st.integers(0, 2**50))
def test_a_pixel_is_whole_buckets_and_there_are_not_too_many(span_us: int, points: int, from_us: int) -> None:
    width = choose_width(span_us, points)

    assert width % WIDTH_US[choose_resolution(width)] == 0
    pixels = (from_us + span_us - 1) // width - from_us // width + 1
    assert 2 * pixels <= max(4, min(points, 100_000))


@given(
    st.integers(-100 * DAY_US, 100 * DAY_US),
    st.integers(1, 200 * DAY_US),
    st.sampled_from([RAW, MINUTE, HOUR]),
    st.tuples(*[st.integers(-2_000, 2_000).map(lambda hour: hour * HOUR_US)] * 3),
)
def test_segments_cover_the_span_once_and_ask_only_for_what_is_kept(
    from_us: int, span_us: int, resolution: int, kept_from: tuple[int, int, int]
) -> None:
    segments = plan_segments(from_us, from_us + span_us, resolution, kept_from)

    assert segments[0].from_us == from_us
    assert segments[-1].to_us == from_us + span_us
    assert all(one.to_us == after.from_us for one, after in itertools.pairwise(segments))
    assert all(one.from_us < one.to_us for one in segments)
    assert all(one.resolution == HOUR or one.from_us >= kept_from[one.resolution] for one in segments)
    assert len(segments) <= 9


def test_the_ends_of_a_coarse_question_are_answered_by_the_finer_ones() -> None:
    from_us, to_us = 30 * MINUTE_US + 5, 3 * HOUR_US + 7

    assert plan_segments(from_us, to_us, HOUR, NOTHING_FORGOTTEN) == [
        Segment(from_us, 31 * MINUTE_US, RAW),
        Segment(31 * MINUTE_US, HOUR_US, MINUTE),
        Segment(HOUR_US, 3 * HOUR_US, HOUR),
        Segment(3 * HOUR_US, to_us, RAW),
    ]


def test_an_empty_span_has_no_segments() -> None:
    assert plan_segments(5, 5, HOUR, NOTHING_FORGOTTEN) == []
