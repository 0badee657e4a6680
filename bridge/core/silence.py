"""When to look whether a device has fallen silent: many devices, looked at rarely, each at most once at a time."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.core.series import Device

# Devices whose time comes within the same quarter of a second lie in one list: an entry costs one append; a heap of
# 50,000 devices cost fifteen per cent of the bridge. Somebody asks four times a second anyway.
SLOT_US = 250_000


class SilenceWatch:
    """A calendar. Never tells a device too early, and at most one slot late."""

    def __init__(self) -> None:
        self._slots: dict[int, list[Device]] = {}
        self._due: list[int] = []  # heap of the slots that there are
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, device: Device, look_us: int) -> None:
        """Tell this device when the time has come."""
        slot = -(-look_us // SLOT_US)  # rounded up
        devices = self._slots.get(slot)
        if devices is None:
            devices = self._slots[slot] = []
            heapq.heappush(self._due, slot)
        devices.append(device)
        self._count += 1

    def take(self, now_us: int) -> Iterator[Device]:
        """Those whose time has come. They may be added again meanwhile."""
        while self._due and self._due[0] * SLOT_US <= now_us:
            devices = self._slots.pop(heapq.heappop(self._due))
            self._count -= len(devices)
            yield from devices
