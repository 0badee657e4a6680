"""Writes the past: what the fleet would have measured, through the same physics, as fast as it can be taken.

The devices go on from there when the fleet runs live afterwards: counters count on, a warm room stays warm. History is
what was measured, not how it was carried: declared faults begin with the live part.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from simulators.dialect import Outgoing
from simulators.fleet import SimulatedFleet, phase
from simulators.spans import DEFAULT_STEP_S, Span

# Time stamps are in milliseconds: a reading so close to the end would be stamped with it.
RESOLUTION_S = 0.001


def backfill(fleet: SimulatedFleet, start_s: float, end_s: float, step_s: float = DEFAULT_STEP_S) -> Iterator[Outgoing]:
    """The readings from `start_s` up to, not including, `end_s`, in order of time over all devices.

    A device that reports less often than every `step_s` keeps its own rhythm. The same fleet and times give the same
    bytes. To be used up before the fleet runs live, since it moves the devices' physics on.
    """
    before_s = end_s - RESOLUTION_S
    agenda = []  # when, which device, how many readings it has made, the first one's time, its interval
    for device in fleet.devices:
        every_s = max(step_s, device.model.interval_s)
        first_s = start_s + phase(device.who.device_no) * every_s
        if first_s < before_s:
            agenda.append((first_s, device.who.device_no, 0, first_s, every_s))
    heapq.heapify(agenda)
    devices, telemetry = fleet.devices, fleet.dialect.telemetry
    while agenda:
        now_s, device_no, made, first_s, every_s = agenda[0]
        device = devices[device_no]
        model = device.model
        model.step(now_s, every_s if made else now_s - start_s, model.COARSE_STEP_S)
        yield telemetry(device.who, model.values(), round(now_s * 1000.0))
        # Multiplied, not added up: thousands of sums would drift.
        next_s = first_s + (made + 1) * every_s
        if next_s < before_s:
            heapq.heapreplace(agenda, (next_s, device_no, made + 1, first_s, every_s))
        else:
            heapq.heappop(agenda)


def expected_messages(fleet: SimulatedFleet, span: Span) -> int:
    """About how many messages a back-fill makes, for its progress."""
    return sum(int(span.length_s / max(span.step_s, device.model.interval_s)) for device in fleet.devices)
