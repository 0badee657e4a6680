"""Faults of connections, and of what others do to them. The plan only says what is to happen; the publisher does it.

In a fleet over shared connections these hit a whole connection, with all devices on it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from simulators.arguments import default_args
from simulators.dialect import Outgoing
from simulators.faults.desk import ConnectionAction
from simulators.faults.fault import Fault
from simulators.faults.spec import Window

if TYPE_CHECKING:
    from simulators.simulated_device import SimulatedDevice

# Faster than this a connection is gone before it is up.
SHORTEST_PERIOD_S = 0.5


class ScheduledFault(Fault):
    """Acts when its windows open and when they close."""

    CHANCE = "device"

    def begin(self) -> None:
        self._number = 0
        self._open = False
        self.desk.wake(self._moment(), self)

    def woken(self, device: SimulatedDevice | None, now_s: float) -> Sequence[Outgoing]:
        if device is not None:
            return self.tick(device, now_s)
        opening = not self._open
        hit = [device for device in self.desk.devices if self.picks(device, self._number)]
        out = [message for device in hit for message in (self.opens if opening else self.closes)(device, now_s)]
        self._open = opening
        if not opening:
            self._number += 1
        if opening or self.window.every_s is not None:
            self.desk.wake(self._moment(), self)
        return out

    def opens(self, device: SimulatedDevice, now_s: float) -> Sequence[Outgoing]:
        return ()

    def closes(self, device: SimulatedDevice, now_s: float) -> Sequence[Outgoing]:
        return ()

    def tick(self, device: SimulatedDevice, now_s: float) -> Sequence[Outgoing]:
        return ()

    def closing_s(self) -> float:
        return self.desk.start_s + self.window.opening(self._number)[1]

    def _moment(self) -> float:
        opens_s, closes_s = self.window.opening(self._number)
        return self.desk.start_s + (closes_s if self._open else opens_s)


class Flapping(ScheduledFault):
    NAME = "flapping"
    SUMMARY = "the connection breaks every AMOUNT seconds (5) and comes back"
    AMOUNT = 5.0

    def opens(self, device: SimulatedDevice, now_s: float) -> Sequence[Outgoing]:
        # Each device at its own moment of the period.
        self.desk.wake(now_s + self.chance(device, "phase", self._number) * self._period_s, self, device)
        return ()

    def tick(self, device: SimulatedDevice, now_s: float) -> Sequence[Outgoing]:
        if self._open and now_s < self.closing_s():
            self.desk.actions.append(ConnectionAction(device.who.device_no, "drop"))
            self.report(now_s, device, "connection dropped")
            self.desk.wake(now_s + self._period_s, self, device)
        return ()

    @property
    def _period_s(self) -> float:
        return max(self.amount, SHORTEST_PERIOD_S)


class WillStorm(ScheduledFault):
    NAME = "will_storm"
    SUMMARY = "all connections break in the same moment, and the broker publishes every last will"
    WINDOW = Window(10.0, 11.0, 120.0)

    def opens(self, device: SimulatedDevice, now_s: float) -> Sequence[Outgoing]:
        self.desk.actions.append(ConnectionAction(device.who.device_no, "drop"))
        self.report(now_s, device, "connection dropped with all others")
        return ()


class SameClientId(ScheduledFault):
    NAME = "same_client_id"
    SUMMARY = "a second client uses the same client id: the broker throws one out for the other, again and again"
    WINDOW = Window(10.0, 40.0, 120.0)

    def opens(self, device: SimulatedDevice, now_s: float) -> Sequence[Outgoing]:
        self.desk.actions.append(ConnectionAction(device.who.device_no, "intrude"))
        self.report(now_s, device, "a second client appears")
        return ()

    def closes(self, device: SimulatedDevice, now_s: float) -> Sequence[Outgoing]:
        self.desk.actions.append(ConnectionAction(device.who.device_no, "withdraw"))
        return ()


class RetainedCommand(ScheduledFault):
    NAME = "retained_command"
    SUMMARY = "somebody publishes a command as retained: it comes again at every new connection"
    WINDOW = Window(5.0, 35.0, 120.0)

    def opens(self, device: SimulatedDevice, now_s: float) -> Sequence[Outgoing]:
        return list(self._publish(device, now_s))

    def closes(self, device: SimulatedDevice, now_s: float) -> Sequence[Outgoing]:
        # An empty retained message takes the other one off the broker: no trap is left behind.
        return (Outgoing(device.who.device_no, device.dialect.command_topic(device.who), b"", 1, True),)

    def _publish(self, device: SimulatedDevice, now_s: float) -> Iterator[Outgoing]:
        harmless = [(name, command) for name, command in device.model.COMMANDS.items() if not command.danger]
        if not harmless or math.isnan(now_s):
            return
        name, command = harmless[0]
        command_id = f"retained-{self._number}-{device.who.device_no}"
        payload = msgspec.json.encode({"id": command_id, "name": name, "args": default_args(command.schema)})
        self.report(now_s, device, f"{name}, id {command_id}")
        yield Outgoing(device.who.device_no, device.dialect.command_topic(device.who), payload, 1, True)
