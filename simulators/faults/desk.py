"""What all faults of a fleet share: the time it began, what is to happen later, and the reports of what happened."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

from simulators.dialect import Outgoing

if TYPE_CHECKING:
    from simulators.faults.fault import Fault
    from simulators.simulated_device import SimulatedDevice


class FaultEvent(NamedTuple):
    """A fault happened: what a test compares with what it declared."""

    time_s: float  # since 1970, by the clock of the fleet
    device_id: str
    fault: str
    detail: str


class ConnectionAction(NamedTuple):
    """Something that only the owner of the connections can do.

    `drop`: end the connection without a goodbye, and come back. `intrude`: a second connection with the same client
    id, until `withdraw`.
    """

    device_no: int
    kind: Literal["drop", "intrude", "withdraw"]


class Desk:
    """`on_event` hears of every fault when it happens; without it they are only counted."""

    def __init__(self, on_event: Callable[[FaultEvent], None] | None = None) -> None:
        self.devices: list[SimulatedDevice] = []
        self.start_s = math.nan  # set by the first call that says what time it is
        self.counts: Counter[str] = Counter()
        self.actions: list[ConnectionAction] = []  # since the owner of the connections last took them
        self.on_event = on_event
        # (when, order, what): messages that were held back, and faults that want to be woken for a device or for all.
        self._agenda: list[tuple[float, int, Outgoing | tuple[Fault, SimulatedDevice | None]]] = []
        self._order = 0  # keeps what is due at the same time in the order in which it was put in

    def report(self, now_s: float, device: SimulatedDevice, fault: str, detail: str) -> None:
        self.counts[fault] += 1
        if self.on_event is not None:
            self.on_event(FaultEvent(now_s, device.who.device_id, fault, detail))

    def hold(self, due_s: float, message: Outgoing) -> None:
        """Send `message` at `due_s` and not now."""
        self._put(due_s, message)

    def wake(self, due_s: float, fault: Fault, device: SimulatedDevice | None = None) -> None:
        """Call `fault.woken(device, ...)` at `due_s`."""
        self._put(due_s, (fault, device))

    def due(self, now_s: float) -> list[Outgoing]:
        out: list[Outgoing] = []
        while self._agenda and self._agenda[0][0] <= now_s:
            due_s, _, what = heapq.heappop(self._agenda)
            if isinstance(what, Outgoing):
                out.append(what)
            else:
                fault, device = what
                out += fault.woken(device, due_s)
        return out

    def next_due_s(self) -> float:
        return self._agenda[0][0] if self._agenda else math.inf

    def _put(self, due_s: float, what: Outgoing | tuple[Fault, SimulatedDevice | None]) -> None:
        if math.isfinite(due_s):
            self._order += 1
            heapq.heappush(self._agenda, (due_s, self._order, what))
