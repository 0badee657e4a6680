"""Carries out the declared faults on a fleet. Pure: the same seed, declaration and times give the same bytes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simulators.devices.device import Value
from simulators.dialect import Outgoing
from simulators.faults.desk import ConnectionAction, Desk, FaultEvent
from simulators.faults.fault import Fault
from simulators.faults.registry import FAULTS
from simulators.faults.spec import FaultSpec, faults_from_tables, parse_faults

if TYPE_CHECKING:
    from simulators.simulated_device import SimulatedDevice


class FaultPlan:
    """All faults of one fleet. They act in the order in which they were declared."""

    def __init__(
        self, specs: Iterable[FaultSpec], seed: int = 1, on_event: Callable[[FaultEvent], None] | None = None
    ) -> None:
        self._desk = Desk(on_event)
        self._faults = [FAULTS[spec.name](spec, seed, self._desk) for spec in specs]
        # Asked for every message; most faults have nothing to say to most questions.
        self._values = self._that_override("values")
        self._clocks = self._that_override("time_ms")
        self._carriers = self._that_override("carry")
        self._answerers = [fault for fault in self._faults if fault.CHANCE == "command"]

    @property
    def counts(self) -> Counter[str]:
        """How often each fault happened."""
        return self._desk.counts

    def listen(self, on_event: Callable[[FaultEvent], None] | None) -> None:
        """Tell `on_event` of every fault from now on."""
        self._desk.on_event = on_event

    def attach(self, devices: Sequence[SimulatedDevice]) -> None:
        self._desk.devices = list(devices)
        for device in devices:
            device.faults = self

    def due(self, now_s: float) -> list[Outgoing]:
        self._begin(now_s)
        return self._desk.due(now_s)

    def next_due_s(self) -> float:
        return self._desk.next_due_s()

    def take_actions(self) -> list[ConnectionAction]:
        """What is to happen to connections since the last call."""
        actions, self._desk.actions = self._desk.actions, []
        return actions

    # ----- asked by the devices --------------------------------------------------------------------------------

    def measure(
        self, device: SimulatedDevice, values: dict[str, Value], time_ms: int, now_s: float
    ) -> tuple[dict[str, Value], int]:
        """What the device reads and when it believes that to be."""
        self._begin(now_s)
        for fault in self._values:
            values = fault.values(device, values, now_s)
        for fault in self._clocks:
            time_ms = fault.time_ms(device, time_ms, now_s)
        return values, time_ms

    def carry(self, device: SimulatedDevice, message: Outgoing, now_s: float) -> list[Outgoing]:
        """What leaves the device instead of this reading."""
        messages = [message]
        for fault in self._carriers:
            messages = [carried for message in messages for carried in fault.carry(device, message, now_s)]
        return messages

    def command(self, device: SimulatedDevice, now_s: float) -> Fault | None:
        """The fault that this command meets, if any: the first declared one that strikes."""
        self._begin(now_s)
        return next((fault for fault in self._answerers if fault.strikes(device, now_s)), None)

    def _begin(self, now_s: float) -> None:
        if math.isnan(self._desk.start_s):
            self._desk.start_s = now_s
            for fault in self._faults:
                fault.begin()

    def _that_override(self, hook: str) -> list[Fault]:
        return [fault for fault in self._faults if getattr(type(fault), hook) is not getattr(Fault, hook)]


def make_plan(texts: Sequence[str], seed: int = 1, tables: Iterable[Mapping[str, Any]] = ()) -> FaultPlan | None:
    """A plan from `--faults` texts and the `[[faults]]` of a file; None when there are none. Raises `FaultError`."""
    known = tuple(FAULTS)
    specs = [*faults_from_tables(tables, known), *parse_faults(texts, known)]
    numbered = [
        FaultSpec(spec.name, spec.probability, spec.window, spec.devices, spec.metric, spec.amount, number)
        for number, spec in enumerate(specs)
    ]
    return FaultPlan(numbered, seed) if numbered else None
