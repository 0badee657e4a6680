"""Figures from measurements. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Latency(NamedTuple):
    """Milliseconds. NaN when nothing was received."""

    p50: float
    p99: float
    worst: float


class Receipt(NamedTuple):
    """At this time a client had completed the messages from `begin` to before `end` of the reference."""

    time: float
    begin: int
    end: int


def latency(receipts: Sequence[Receipt], sent: Sequence[float], begin: float, end: float) -> Latency:
    """Of the messages received within the window, from sending to receiving."""
    chosen = [receipt for receipt in receipts if begin <= receipt.time < end]
    if not chosen:
        return Latency(float("nan"), float("nan"), float("nan"))
    times = np.asarray(sent)
    delays = np.concatenate([receipt.time - times[receipt.begin : receipt.end] for receipt in chosen]) * 1000
    p50, p99 = np.percentile(delays, (50, 99))
    return Latency(float(p50), float(p99), float(delays.max()))


def per_message_us(cpu_s: float, messages: float) -> float:
    """Microseconds of CPU for each delivered message; NaN without messages."""
    return cpu_s / messages * 1e6 if messages > 0 else float("nan")


def fan_out_us(cpu_s: float, messages: float, cpu_one_s: float, messages_one: float) -> float:
    """What the further dashboards cost, for each message delivered to them. CPU and messages are of equal windows.

    It can come out as zero or less when the further dashboards cost less than the two measurements differ by chance.
    """
    return per_message_us(cpu_s - cpu_one_s, messages - messages_one)


def ratio(theirs: float, ours: float) -> float:
    """How many times more; infinite when ours cannot be told from nothing, NaN when theirs is unknown."""
    if theirs != theirs or ours != ours:
        return float("nan")
    return theirs / ours if ours > 0 else float("inf")
