"""Faults of the clock in a device: the readings are right, and their time is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulators.faults.fault import Fault
from simulators.faults.spec import Window

if TYPE_CHECKING:
    from simulators.simulated_device import SimulatedDevice


class ClockSkew(Fault):
    NAME = "clock_skew"
    SUMMARY = "the clock is wrong by up to AMOUNT seconds (7200), each device by its own"
    CHANCE = "device"
    AMOUNT = 7200.0

    def time_ms(self, device: SimulatedDevice, time_ms: int, now_s: float) -> int:
        episode = self.episode(device, now_s)
        if episode is None:
            return time_ms
        skew_ms = round((2.0 * self.chance(device, "skew") - 1.0) * self.amount * 1000.0)
        self.report_once(episode, now_s, device, f"{skew_ms / 1000.0:+.3f} s")
        return time_ms + skew_ms


class ClockJump(Fault):
    NAME = "clock_jump"
    SUMMARY = "the clock jumps by AMOUNT seconds (3600; may be negative) and back when the fault ends"
    CHANCE = "device"
    WINDOW = Window(10.0, 40.0, 120.0)
    AMOUNT = 3600.0

    def time_ms(self, device: SimulatedDevice, time_ms: int, now_s: float) -> int:
        episode = self.episode(device, now_s)
        if episode is None:
            return time_ms
        self.report_once(episode, now_s, device, f"{self.amount:+g} s")
        return time_ms + round(self.amount * 1000.0)


class Clock1970(Fault):
    NAME = "clock_1970"
    SUMMARY = "the clock was never set and counts from 1970, as after a cold start without a network"
    CHANCE = "device"

    def time_ms(self, device: SimulatedDevice, time_ms: int, now_s: float) -> int:
        episode = self.episode(device, now_s)
        if episode is None:
            return time_ms
        self.report_once(episode, now_s, device, "counts from 1970-01-01")
        return round((now_s - episode.begin_s) * 1000.0)
