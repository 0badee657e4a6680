"""The simulated plant: which devices there are, and what each of them says when.

No clock and no network. Whoever owns both (`publisher`, or the bridge's in-process source) calls `advance` with the
time and delivers what comes back. The same seed and the same times give the same bytes.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from simulators.chance import SmallChance
from simulators.dialect import Dialect, Outgoing
from simulators.native import NativeDialect
from simulators.roster import Member, mixed_roster
from simulators.simulated_device import SimulatedDevice

if TYPE_CHECKING:
    from simulators.faults.plan import FaultPlan

# Fractions of multiples of the golden ratio spread evenly over an interval, for any number of devices.
GOLDEN = 0.618033988749895
# A clock that was put back by more than this restarts every rhythm; less is waited for.
CLOCK_BACK_S = 2.0


class SimulatedFleet:
    """`devices` is how many of mixed `kinds`, or who exactly (a fleet file's `roster`).

    A larger mixed fleet of the same seed begins with the smaller one: no device's luck depends on the others.
    """

    def __init__(
        self,
        devices: int | Iterable[Member],
        seed: int = 1,
        rate_hz: float = 1.0,
        *,
        kinds: Sequence[str] = (),
        prefix: str = "",
        dialect: Dialect | None = None,
        faults: FaultPlan | None = None,
        shard: tuple[int, int] = (1, 1),
    ) -> None:
        self.faults = faults
        self.dialect = NativeDialect() if dialect is None else dialect
        members = mixed_roster(devices, kinds, prefix, 1.0 / rate_hz) if isinstance(devices, int) else devices
        part, parts = shard  # the k-th of n processes that share the fleet: each device is in one of them
        mine = (member for member in members if member.who.device_no % parts == part - 1)
        self.devices = [
            SimulatedDevice(
                who._replace(device_no=device_no),
                kind(SmallChance(f"{seed}/{who.device_id}"), interval_s, site),
                self.dialect,
                phase(who.device_no),
            )
            for device_no, (who, kind, interval_s, site) in enumerate(mine)
        ]
        self._by_topic = {self.dialect.command_topic(device.who): device.who.device_no for device in self.devices}
        self._agenda: list[tuple[float, int]] = []  # (when, device); may hold outdated entries, which are skipped
        self._now_s: float | None = None
        if faults is not None:
            faults.attach(self.devices)

    def __len__(self) -> int:
        return len(self.devices)

    def announce(self, device_no: int) -> list[Outgoing]:
        """What device `device_no` says when its connection is up: its description and its status."""
        return self.devices[device_no].announce()

    def status(self, device_no: int, online: bool) -> Outgoing:
        """A status message of device `device_no`; the offline one is its last will and its farewell."""
        return self.dialect.status(self.devices[device_no].who, online)

    def command_topic(self, device_no: int) -> str:
        return self.dialect.command_topic(self.devices[device_no].who)

    def device_listening_on(self, command_topic: str) -> int | None:
        """The device that listens on this topic."""
        return self._by_topic.get(command_topic)

    def advance(self, now_s: float) -> list[Outgoing]:
        """Everything that became due since the last call, in order. `now_s`: seconds since 1970 UTC."""
        if self._now_s is None or now_s < self._now_s - CLOCK_BACK_S:
            self._schedule(now_s)
        self._now_s = now_s
        out: list[Outgoing] = []
        agenda = self._agenda
        while agenda and agenda[0][0] <= now_s:
            when, index = heapq.heappop(agenda)
            device = self.devices[index]
            if when != device.wake_s:
                continue
            device.run(now_s, out)
            heapq.heappush(agenda, (device.wake_s, index))
        if self.faults is not None:
            out.extend(self.faults.due(now_s))
        return out

    def next_due_s(self) -> float:
        """When `advance` will have something to do, in its own time; 0 before the first call."""
        due_s = self._agenda[0][0] if self._agenda else 0.0
        return due_s if self.faults is None else min(due_s, self.faults.next_due_s())

    def receive(self, device_no: int, payload: bytes, now_s: float) -> list[Outgoing]:
        """Give device `device_no` a message from its command topic. Returns what it answers at once, usually nothing.

        Never hand over a retained one: it would run again at every reconnect.
        """
        device = self.devices[device_no]
        wake_s = device.wake_s
        answer = device.receive(payload, now_s)
        if self._now_s is not None and device.wake_s != wake_s:
            heapq.heappush(self._agenda, (device.wake_s, device_no))
        return [] if answer is None else [answer]

    @property
    def executed(self) -> int:
        """Commands carried out or tried."""
        return sum(device.executed for device in self.devices)

    @property
    def failed(self) -> int:
        """Commands that were tried and failed."""
        return sum(device.failed for device in self.devices)

    @property
    def ignored(self) -> int:
        """Messages on command topics that were no commands, came again, came too late, or met a rebooting device."""
        return sum(device.ignored for device in self.devices)

    def _schedule(self, now_s: float) -> None:
        for device in self.devices:
            device.schedule(now_s)
        self._agenda = [(device.wake_s, device.who.device_no) for device in self.devices]
        heapq.heapify(self._agenda)


def phase(index: int) -> float:
    return (index * GOLDEN) % 1.0
