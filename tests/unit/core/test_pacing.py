"""When a batch goes out: at once while it is quiet, never later than one interval."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.pacing import QUIET_MESSAGES_PER_S, QUIET_WRITES_PER_S, Pacer

I_US = 50_000
S = 1_000_000
START_US = 1_767_225_600 * S
A_WINDOW = QUIET_MESSAGES_PER_S * I_US // S  # messages in one window that are still quiet


class Line:
    """A pipeline as small as can be: messages come, and leave when the pacer says so."""

    def __init__(self, followers: int = 0, interval_us: int = I_US) -> None:
        self.pacer = Pacer(interval_us)
        self.interval_us = interval_us
        self.followers = followers
        self.due_us: int | None = None
        self.waiting = 0
        self.first_us = 0
        self.waited_us: list[tuple[int, int]] = []  # (arrival, wait) of the first message of each batch
        self.flushed_us: list[int] = []

    def message(self, now_us: int) -> None:
        if self.due_us is not None and self.due_us <= now_us:
            self.flush()
        if self.due_us is None:
            wait_us = self.pacer.wait_us(now_us)
            assert 0 <= wait_us <= self.interval_us
            self.waited_us.append((now_us, wait_us))
            self.due_us = now_us + wait_us
        self.waiting += 1
        if self.due_us == now_us:
            self.flush()

    def flush(self) -> None:
        assert self.due_us is not None
        self.flushed_us.append(self.due_us)
        self.pacer.sent(self.waiting, self.followers)
        self.waiting = 0
        self.due_us = None


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("wait"), st.integers(-10 * S, 10 * S) | st.integers(-200, 2 * I_US)),
            st.tuples(st.just("sent"), st.integers(0, 10_000)),
        ),
        max_size=80,
    ),
    st.integers(1, S),
)
@settings(max_examples=300, deadline=None)
def test_nobody_ever_waits_longer_than_the_interval(steps: list[tuple[str, int]], interval_us: int) -> None:
    """Whatever comes, also when the clock is set."""
    pacer, now_us = Pacer(interval_us), START_US
    for what, number in steps:
        if what == "wait":
            now_us = max(0, now_us + number)
            assert 0 <= pacer.wait_us(now_us) <= interval_us
        else:
            pacer.sent(number, number)


@given(st.integers(1, QUIET_MESSAGES_PER_S), st.integers(0, I_US), st.integers(1, 400))
@settings(max_examples=150, deadline=None)
def test_at_a_steady_low_rate_nobody_ever_waits(rate: int, offset_us: int, count: int) -> None:
    line, period_us = Line(), -(-S // rate)
    for number in range(count):
        line.message(START_US + offset_us + number * period_us)
    assert len(line.waited_us) == count
    assert {wait_us for _, wait_us in line.waited_us} == {0}


@given(st.integers(1_000, S), st.lists(st.integers(0, 5_000), min_size=60, max_size=90))
@settings(max_examples=60, deadline=None)
def test_a_hundred_devices_and_two_hundred_dashboards_are_quiet(interval_us: int, early_us: list[int]) -> None:
    """50 messages a second, not quite evenly, whatever the interval."""
    line = Line(followers=200, interval_us=interval_us)
    for number, some_us in enumerate(early_us, 1):
        line.message(START_US + number * 20_000 - some_us)
    assert {wait_us for _, wait_us in line.waited_us} == {0}


@given(
    st.integers(5_000, 200_000),
    st.sampled_from([0, 1, 100, 10_000]),
    st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None)
def test_under_load_there_is_one_batch_an_interval(interval_us: int, followers: int, seed: int) -> None:
    line, now_us = Line(followers, interval_us), START_US
    for gap_us in np.random.default_rng(seed).integers(0, S // QUIET_MESSAGES_PER_S // 2, 1_500).tolist():
        now_us += gap_us
        line.message(now_us)
    assert len(line.flushed_us) > 1
    busy_us = [at for at in line.flushed_us if at >= START_US + interval_us]
    assert all(after - before >= interval_us for before, after in pairwise(busy_us))


@given(
    st.integers(0, 5_000),
    st.lists(st.integers(0, 200) | st.integers(0, 20_000) | st.integers(0, 4 * I_US), min_size=1, max_size=600),
)
@settings(max_examples=150, deadline=None)
def test_what_it_costs_is_bounded_whatever_comes(followers: int, gaps_us: list[int]) -> None:
    """In one window as much as is quiet, the batch that made it too much, and the one that waited."""
    line, now_us = Line(followers), START_US
    for gap_us in gaps_us:
        now_us += gap_us
        line.message(now_us)
    windows = (now_us - START_US) // I_US + 1
    batches = len(line.flushed_us)
    assert batches <= windows * (A_WINDOW + 2)
    assert batches * followers <= windows * (QUIET_WRITES_PER_S * I_US // S + 2 * followers)


@given(st.integers(0, 2**32), st.integers(50, 500), st.integers(1, QUIET_MESSAGES_PER_S // 2))
@settings(max_examples=100, deadline=None)
def test_after_two_intervals_the_load_is_forgotten(seed: int, messages: int, rate: int) -> None:
    """The rest of the window in which it fell, and the next one, which begins with the first message of it."""
    line, now_us = Line(), START_US
    for gap_us in np.random.default_rng(seed).integers(0, 1_000, messages).tolist():
        now_us += gap_us
        line.message(now_us)
    fell_us, period_us = now_us, S // rate
    for _ in range(60):
        now_us += period_us
        line.message(now_us)
    assert [at for at, wait_us in line.waited_us if wait_us and at >= fell_us + 2 * I_US + period_us] == []


@given(
    st.lists(st.integers(0, 3_000), min_size=1, max_size=300),
    st.integers(0, 3 * I_US),
    st.integers(1, QUIET_MESSAGES_PER_S // 2),
)
@settings(max_examples=200, deadline=None)
def test_when_the_load_falls_messages_soon_go_at_once_again(gaps_us: list[int], pause_us: int, rate: int) -> None:
    """The window in which it fell, one that still remembers it, and the rest of that: then it is over."""
    line, now_us = Line(), START_US
    for gap_us in gaps_us:
        now_us += gap_us
        line.message(now_us)
    quiet_since_us = now_us
    now_us += pause_us
    for _ in range(100):
        now_us += S // rate
        line.message(now_us)
    late = [at for at, wait_us in line.waited_us if wait_us and at >= quiet_since_us + 3 * I_US]
    assert late == []


def test_under_load_a_batch_carries_all_that_comes_in_an_interval() -> None:
    line = Line()
    for number in range(20_000):  # 10,000 a second
        line.message(START_US + number * 100)
    batches = len(line.waited_us)
    assert batches < A_WINDOW + 2 + 2 * S // I_US  # one of each message, until it is seen that they are many
    busy = [wait_us for at, wait_us in line.waited_us if at > START_US + I_US]
    assert len(busy) > 30
    assert min(busy) > 0


def test_the_first_message_over_the_quiet_rate_waits() -> None:
    line = Line()
    for _ in range(A_WINDOW + 1):
        line.message(START_US)
    assert [wait_us for _, wait_us in line.waited_us] == [0] * (A_WINDOW + 1)
    line.message(START_US + 1)
    assert line.waited_us[-1][1] == I_US - 1


def test_many_dashboards_make_a_line_busy_as_many_messages_do() -> None:
    writes = QUIET_WRITES_PER_S * I_US // S
    line = Line(followers=writes // 10)
    for _ in range(10):
        line.message(START_US)
    assert {wait_us for _, wait_us in line.waited_us} == {0}
    line.message(START_US)  # ten times all followers: as much as is quiet; this one is more
    line.message(START_US + 1)
    assert line.waited_us[-1][1] == I_US - 1


def test_a_pause_makes_it_quiet() -> None:
    line = Line()
    for number in range(1_000):
        line.message(START_US + number * 100)
    line.message(START_US + 100_000 + 3 * I_US)
    assert line.waited_us[-1][1] == 0


@pytest.mark.parametrize("set_by_us", [-3600 * S, -1, 3600 * S])
def test_a_clock_that_is_set_does_not_stop_anything(set_by_us: int) -> None:
    pacer = Pacer(I_US)
    assert pacer.wait_us(START_US) == 0
    pacer.sent(10_000, 0)
    assert pacer.wait_us(START_US + 10) == I_US - 10
    assert pacer.wait_us(START_US + set_by_us) == 0


def test_an_interval_too_short_for_any_rate_still_lets_one_message_through() -> None:
    pacer = Pacer(1_000)
    for number in range(100):
        assert pacer.wait_us(START_US + number * 2_000) == 0
        pacer.sent(1, 1)
