"""A source without a broker: a simulated fleet in this process, for trying things out and for tests.

The devices are those of the `simulate` command, and so are their messages and the way they execute commands. Only the
network is missing: nothing is acknowledged, because nothing can be lost on the way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from bridge.core.model import Message, Publish
from bridge.errors import PublishFailed
from bridge.sources.source import Clock, Listener, SourceStatus
from simulators.dialect import Outgoing
from simulators.fleet import SimulatedFleet
from simulators.fleet_file import load_fleet_file

log = logging.getLogger(__name__)

SHORTEST_SLEEP_S = 0.002  # messages due within this time are handed over together
LONGEST_SLEEP_S = 0.05  # so that a command is executed in time, also by a fleet that reports rarely


class SimulatedSource:
    """Implements `Source`. `clock` gives the time in microseconds, for the devices as for the time of receipt.

    `fleet` names a fleet file, shipped or your own, and then takes the place of `devices` and `rate_hz`; a bad one
    raises `ValueError` with one line that says what is wrong.
    """

    name = "simulated"

    def __init__(self, devices: int, rate_hz: float, seed: int, clock: Clock, fleet: str = "") -> None:
        members = load_fleet_file(fleet).roster() if fleet else devices
        self._fleet = SimulatedFleet(members, seed, rate_hz)
        self._clock = clock
        self._listener: Listener | None = None  # set while running
        self._task: asyncio.Task[None] | None = None
        self._status = self._make_status("disconnected")

    @property
    def status(self) -> SourceStatus:
        return self._status

    async def start(self, listener: Listener) -> None:
        """Begin. What the devices are comes first, then what they measure."""
        if self._task is not None:
            return
        self._listener = listener
        self._set_status("connected")
        self._task = asyncio.create_task(self._run(), name="simulated source")

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self._set_status("disconnected")
        self._listener = None

    def publish(self, publish: Publish) -> asyncio.Future[None]:
        """Give a device a command. Its answer comes as a message, after the while that a device needs."""
        handed_over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        device_no = self._fleet.device_listening_on(publish.topic)
        if self._listener is None:
            handed_over.set_exception(PublishFailed(publish.topic, "the simulation is not running"))
        elif device_no is None:
            handed_over.set_exception(PublishFailed(publish.topic, "no simulated device listens on this topic"))
        else:
            if not publish.retain:  # a device ignores retained commands
                self._deliver(self._fleet.receive(device_no, publish.payload, self._clock() / 1e6))
            handed_over.set_result(None)
        return handed_over

    def acknowledge(self, tokens: Iterable[tuple[int, int]]) -> None:
        """Nothing to do: our messages carry no token."""

    async def _run(self) -> None:
        for device_no in range(len(self._fleet)):
            self._deliver(self._fleet.announce(device_no))
        while True:
            self._deliver(self._fleet.advance(self._clock() / 1e6))
            wait_s = self._fleet.next_due_s() - self._clock() / 1e6
            await asyncio.sleep(min(max(wait_s, SHORTEST_SLEEP_S), LONGEST_SLEEP_S))

    def _deliver(self, messages: list[Outgoing]) -> None:
        for message in messages:
            # Not retained: that flag marks what a broker kept, and this is live.
            received = Message(message.topic, message.payload, self._clock(), message.qos)
            try:
                if self._listener is not None:
                    self._listener.on_message(received)
            except Exception:
                log.exception("the listener failed on a message for %s", message.topic)

    def _make_status(self, state: str) -> SourceStatus:
        return SourceStatus(self.name, state, self._clock() // 1000, "in this process", "simulation")

    def _set_status(self, state: str) -> None:
        self._status = self._make_status(state)
        try:
            if self._listener is not None:
                self._listener.on_status(self._status)
        except Exception:
            log.exception("the listener failed on a change of status")
