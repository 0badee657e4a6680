"""Who may come in, and when the others should try again. Pure: times and chances are given."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.web.admission import (
    ONE,
    RETRY_MIN_S,
    RETRY_SPAN_MAX_S,
    RETRY_SPAN_S,
    Admission,
    Meter,
    Places,
    Refusal,
    counted_as,
)

S = 1_000_000
NOW_US = 1_767_225_600_000_000


def refused(admission: Admission, address: str = "a", now_us: int = NOW_US, chance: float = 0.0) -> Refusal:
    refusal = admission.enter(address, now_us, chance)
    assert refusal is not None
    return refusal


def test_each_limit_has_its_reason_and_a_place_that_is_given_back_is_free_again() -> None:
    admission = Admission(total=3, per_address=2, new_per_s=100)
    assert admission.enter("a", NOW_US, 0.0) is None
    assert admission.enter("a", NOW_US, 0.0) is None
    assert refused(admission, "a").reason == "too many dashboards are connected from your address"
    assert admission.enter("b", NOW_US, 0.0) is None
    assert refused(admission, "c").reason == "too many dashboards are connected"
    admission.leave("a")
    assert admission.enter("a", NOW_US, 0.0) is None
    admission.leave("b")
    assert refused(admission, "a").reason == "too many dashboards are connected from your address"
    assert admission.enter("c", NOW_US, 0.0) is None


def test_a_second_has_so_many_and_no_more() -> None:
    admission = Admission(total=100, per_address=100, new_per_s=4)
    assert [admission.enter("a", NOW_US, 0.0) is None for _ in range(6)] == [True] * 4 + [False] * 2
    assert refused(admission).reason == "too many dashboards are connecting at once"
    assert refused(admission, now_us=NOW_US + S // 4 - 1)
    assert admission.enter("a", NOW_US + S // 4, 0.0) is None  # to the microsecond
    assert refused(admission, now_us=NOW_US + S // 4)
    later = NOW_US + 3600 * S  # an hour of quiet saves up no more than a second's worth
    assert [admission.enter("a", later, 0.0) is None for _ in range(6)] == [True] * 4 + [False] * 2


def test_who_is_refused_uses_up_nothing() -> None:
    admission = Admission(total=10, per_address=1, new_per_s=2)
    assert admission.enter("flood", NOW_US, 0.0) is None
    for _ in range(1_000):
        refused(admission, "flood")
    assert admission.enter("good", NOW_US, 0.0) is None


def test_loopback_is_not_exempt() -> None:
    admission = Admission(total=10, per_address=1, new_per_s=100)
    for address in ("127.0.0.1", "::1"):
        assert admission.enter(address, NOW_US, 0.0) is None
        refused(admission, address)


def test_a_clock_that_jumps_neither_opens_nor_locks_the_door() -> None:
    admission = Admission(total=1_000, per_address=1_000, new_per_s=2)
    assert [admission.enter("a", NOW_US, 0.0) is None for _ in range(3)] == [True, True, False]
    back = NOW_US - 3600 * S
    refused(admission, now_us=back)
    assert admission.enter("a", back + S // 2, 0.0) is None
    forward = back + 24 * 3600 * S
    assert [admission.enter("a", forward, 0.0) is None for _ in range(3)] == [True, True, False]


# ----- when to come back ------------------------------------------------------------------------------------


def test_few_are_told_a_few_seconds_and_each_another() -> None:
    admission = Admission(total=1, per_address=1, new_per_s=200)
    assert admission.enter("a", NOW_US, 0.0) is None
    told = [refused(admission, chance=chance / 100).retry_after_s for chance in range(100)]
    assert set(told) == set(range(RETRY_MIN_S, RETRY_MIN_S + RETRY_SPAN_S))


def test_the_range_grows_with_the_surplus_to_a_bound() -> None:
    admission = Admission(total=10**6, per_address=10**6, new_per_s=100)
    told = []
    for _ in range(10_000):
        refusal = admission.enter("a", NOW_US, 0.999_999)
        told += [refusal.retry_after_s] if refusal is not None else []
    assert told == sorted(told)
    assert told[0] == RETRY_MIN_S + RETRY_SPAN_S - 1
    assert 19 <= told[1_000] <= 21  # a thousand at a hundred a second, with room
    assert told[-1] == RETRY_MIN_S + RETRY_SPAN_MAX_S - 1
    assert refused(admission, chance=0.0).retry_after_s == RETRY_MIN_S
    # And it shrinks again, even after a flood without end.
    later = NOW_US + RETRY_SPAN_MAX_S * S
    for _ in range(100):
        assert admission.enter("a", later, 0.0) is None
    assert refused(admission, now_us=later, chance=0.999).retry_after_s <= RETRY_MIN_S + RETRY_SPAN_S


def stampede(admission: Admission, count: int, seconds: int) -> tuple[list[int], int]:
    """Everybody comes at once and obeys; when each got in (s), and how many were refused more than twice."""
    state = 12345
    due = {0: list(range(count))}
    tries: Counter[int] = Counter()
    entered = []
    for second in range(seconds):
        for client in due.pop(second, []):
            state = (state * 1_103_515_245 + 12_345) % 2**31  # a chance that is the same in every run
            tries[client] += 1
            refusal = admission.enter("a", NOW_US + second * S, state / 2**31)
            if refusal is None:
                entered.append(second)
            else:
                due.setdefault(second + refusal.retry_after_s, []).append(client)
    return entered, sum(1 for number in tries.values() if number > 3)


def test_a_stampede_that_obeys_is_soon_in() -> None:
    entered, unlucky = stampede(Admission(total=2_000, per_address=2_000, new_per_s=200), 2_000, 60)
    assert len(entered) == 2_000
    assert max(entered) <= 30  # ten is what the rate allows
    assert unlucky < 100


def test_while_nobody_leaves_no_more_come_back_than_may_come_in() -> None:
    admission = Admission(total=100, per_address=5_000, new_per_s=100)
    due = {0: 3_000}
    state = 1
    attempts = []
    for second in range(200):
        coming = due.pop(second, 0)
        attempts.append(coming)
        for _ in range(coming):
            state = (state * 1_103_515_245 + 12_345) % 2**31
            refusal = admission.enter("a", NOW_US + second * S, state / 2**31)
            if refusal is not None:
                due[second + refusal.retry_after_s] = due.get(second + refusal.retry_after_s, 0) + 1
    assert sum(attempts[100:]) / 100 <= 1.2 * 100


# ----- properties -------------------------------------------------------------------------------------------

ADDRESSES = st.sampled_from(["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", ""])


@given(
    total=st.integers(1, 6),
    per_address=st.integers(1, 4),
    new_per_s=st.integers(1, 5),
    steps=st.lists(st.tuples(ADDRESSES, st.booleans(), st.integers(-S, 2 * S)), max_size=80),
)
@settings(max_examples=300, deadline=None)
def test_never_more_than_the_limits_and_every_place_comes_back(
    total: int, per_address: int, new_per_s: int, steps: list[tuple[str, bool, int]]
) -> None:
    admission = Admission(total, per_address, new_per_s)
    inside: list[str] = []
    now_us = NOW_US
    for address, leaves, elapsed_us in steps:
        now_us += elapsed_us
        if leaves and address in inside:
            inside.remove(address)
            admission.leave(address)
            continue
        refusal = admission.enter(address, now_us, 0.5)
        if refusal is None:
            inside.append(address)
        else:
            assert RETRY_MIN_S <= refusal.retry_after_s < RETRY_MIN_S + RETRY_SPAN_MAX_S
        by_key = Counter(map(counted_as, inside))
        assert admission.places.taken == len(inside) <= total
        assert max(by_key.values(), default=0) <= per_address
        assert admission.places.addresses == len(by_key)
        if refusal is not None and refusal.reason == "too many dashboards are connected":
            assert len(inside) == total
        elif refusal is not None and "your address" in refusal.reason:
            assert by_key[counted_as(address)] == per_address
    for address in inside:
        admission.leave(address)
    assert (admission.places.taken, admission.places.addresses) == (0, 0)


@given(
    new_per_s=st.integers(1, 1_000),
    gaps_us=st.lists(st.integers(0, 300_000), min_size=1, max_size=200),
)
@settings(max_examples=200, deadline=None)
def test_the_rate_is_exact_in_every_span_of_time(new_per_s: int, gaps_us: list[int]) -> None:
    admission = Admission(10**6, 10**6, new_per_s)
    now_us = NOW_US
    entered: list[int] = []
    for gap_us in gaps_us:
        now_us += gap_us
        if admission.enter("a", now_us, 0.0) is None:
            entered.append(now_us)
        else:
            # Refused only where the rate is used up: some span that ends now has all it may have.
            assert any(
                (len(entered) - first + 1) * ONE > new_per_s * ONE + (now_us - began_us) * new_per_s
                for first, began_us in enumerate(entered)
            )
    for first, began_us in enumerate(entered):
        for last in range(first, len(entered)):
            assert (last - first + 1) * ONE <= new_per_s * ONE + (entered[last] - began_us) * new_per_s


@given(pours=st.lists(st.integers(0, 10 * S), max_size=50), per_s=st.integers(1, 50), most=st.integers(1, 50))
def test_a_meter_stays_within_its_bounds(pours: list[int], per_s: int, most: int) -> None:
    meter = Meter(per_s, most)
    now_us = NOW_US
    for elapsed_us in pours:
        now_us += elapsed_us
        meter.pour(now_us)
        assert 0 < meter.level(now_us) <= most * ONE
    assert meter.level(now_us + most * S) == 0


# ----- addresses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::1", "2001:db8:1:2::"),
        ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ("fe80::1%eth0", "fe80::"),
        ("::1", "::"),
        ("", ""),
        ("no:address", "no:address"),
    ],
)
def test_what_counts_as_one_address(address: str, key: str) -> None:
    assert counted_as(address) == key


def test_a_network_of_many_addresses_counts_once() -> None:
    places = Places(total=10**6, per_address=10)
    for number in range(10):
        places.take(f"2001:db8::{number:x}")
    assert places.is_full_for("2001:db8::ffff:1")
    assert not places.is_full_for("2001:db8:0:1::1")
    assert places.addresses == 1
