"""The calendar of devices to look at: nobody early, nobody forgotten, nobody more than a slot late."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.series import Device
from bridge.core.silence import SLOT_US, SilenceWatch

S = 1_000_000


def device(number: int) -> Device:
    return Device(f"d{number}", f"d{number}", "native", "mqtt", 0)


@given(st.lists(st.integers(1, 100 * S), max_size=50), st.integers(S // 10, 7 * S))
def test_everybody_is_told_in_time_and_once(looks_us: list[int], step_us: int) -> None:
    watch = SilenceWatch()
    for number, look_us in enumerate(looks_us):
        watch.add(device(number), look_us)
    assert len(watch) == len(looks_us)
    told: dict[str, int] = {}
    now_us = 0
    while now_us < 110 * S:
        now_us += step_us
        for one in watch.take(now_us):
            assert one.device_id not in told
            told[one.device_id] = now_us
    assert len(watch) == 0
    for number, look_us in enumerate(looks_us):
        assert look_us <= told[f"d{number}"] < look_us + SLOT_US + step_us


def test_who_is_added_while_others_are_told_waits_for_its_own_time() -> None:
    watch = SilenceWatch()
    watch.add(device(1), S)
    for one in watch.take(10 * S):
        watch.add(one, 10 * S + 1)
    assert len(watch) == 1
    assert list(watch.take(10 * S)) == []
    assert [one.device_id for one in watch.take(11 * S)] == ["d1"]
