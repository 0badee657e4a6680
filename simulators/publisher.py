"""Brings a simulated fleet onto a real broker: one connection per device, all on one event loop."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from simulators.broker import Broker, BrokerUnreachable
from simulators.connection import MQTT5, MQTT311, ConnectFailed, Connection
from simulators.dialect import Outgoing
from simulators.fleet import SimulatedFleet

# The first connection decides whether there is a broker at all; somebody is waiting for the answer.
FIRST_CONNECT_S = 2.5
CONNECT_S = 5.0
# Connecting blocks a thread for a moment; this many at once are quick and no storm.
CONNECTING_AT_ONCE = 8
BACKOFF_BASE_S = 1.0
BACKOFF_MAX_S = 30.0
# A connection that held this long was a good one; a shorter one counts as a failed attempt (two simulators that share
# client ids throw each other out at once, for ever).
GOOD_AFTER_S = 10.0
TEND_EVERY_S = 5.0
FAREWELL_S = 2.0
# Messages due within this time go out together: a large fleet must not wake the loop for each of them.
SHORTEST_SLEEP_S = 0.002
LONGEST_SLEEP_S = 0.1


class Publisher:
    """Runs `fleet` against `broker`. The counters may be read at any time."""

    def __init__(
        self, fleet: SimulatedFleet, broker: Broker, say: Callable[[str], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._fleet = fleet
        self._broker = broker
        self._say = say  # told when connections come and go; a line for people
        self._clock = clock
        self._protocol = MQTT5
        self._connections: list[Connection] = []
        self._complete = False  # every device was connected, and we said so
        self.connected = 0
        self.sent = 0
        self.missed = 0  # messages of devices that had no connection at the time

    @property
    def protocol(self) -> str:
        return "MQTT 5" if self._protocol == MQTT5 else "MQTT 3.1.1"

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop` is set, then leave cleanly. Raises `BrokerUnreachable` when there is no broker."""
        executor = ThreadPoolExecutor(CONNECTING_AT_ONCE, thread_name_prefix="connect")
        self._connections = [self._make_connection(index, executor) for index in range(len(self._fleet))]
        try:
            if await self._connect_first(stop):
                await self._work(stop)
                await self._leave()
        finally:
            for connection in self._connections:
                connection.close()
            # Without waiting: a connect to an address that swallows everything takes seconds to give up.
            executor.shutdown(wait=False, cancel_futures=True)

    async def _work(self, stop: asyncio.Event) -> None:
        tasks = [asyncio.create_task(self._tick()), asyncio.create_task(self._tend())]
        tasks += [asyncio.create_task(self._keep_connected(index)) for index in range(len(self._connections))]
        stopping = asyncio.create_task(stop.wait())
        # A task that ends before we stop has failed: nothing of this may go on half dead.
        done, _ = await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await _cancel(*tasks, stopping)
        for task in done - {stopping}:
            task.result()

    def _make_connection(self, index: int, executor: ThreadPoolExecutor) -> Connection:
        device_id = self._fleet.devices[index].who.device_id
        return Connection(
            self._broker,
            f"sim-{device_id}",
            self._fleet.status(index, online=False),
            self._fleet.command_topic(index),
            partial(self._receive, index),
            executor,
        )

    async def _connect_first(self, stop: asyncio.Event) -> bool:
        """Find out whether there is a broker, and what it speaks. False: we were stopped meanwhile."""
        attempt = asyncio.create_task(self._negotiate())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({attempt, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not attempt.done():
            await _cancel(attempt, stopping)
            return False
        await _cancel(stopping)
        await attempt
        return True

    async def _negotiate(self) -> None:
        first = self._connections[0]
        try:
            await first.connect(MQTT5, FIRST_CONNECT_S)
        except ConnectFailed as failure:
            if not failure.other_version:
                raise BrokerUnreachable(self._broker, failure.reason, failure.answered) from None
            try:
                await first.connect(MQTT311, FIRST_CONNECT_S)
            except ConnectFailed as again:
                raise BrokerUnreachable(self._broker, again.reason, again.answered) from None
            self._protocol = MQTT311

    async def _keep_connected(self, index: int) -> None:
        connection = self._connections[index]
        attempt = 0
        while True:
            since_s = time.monotonic()
            try:
                if not connection.up:
                    await connection.connect(self._protocol, CONNECT_S)
            except ConnectFailed as failure:
                reason = failure.reason
            else:
                self._came_up(index)
                reason = await connection.lost()
                self.connected -= 1
            short = time.monotonic() - since_s < GOOD_AFTER_S
            self._note_loss(reason, short)
            attempt = attempt + 1 if short else 0
            # Full jitter: after a restart of the broker, a fleet comes back spread out.
            await asyncio.sleep(random.uniform(0.0, min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2.0 ** min(attempt, 10))))

    def _came_up(self, index: int) -> None:
        self.connected += 1
        for message in self._fleet.announce(index):
            self._send(message)
        if self.connected == len(self._fleet):
            again = "again " if self._complete else ""
            self._complete = True
            self._say(f"{self._devices()} connected {again}to {self._broker.address} ({self.protocol})")

    def _note_loss(self, reason: str, short: bool) -> None:
        if self._complete and self.connected == len(self._fleet) - 1:
            # The first of possibly many. Connections that never hold have one likely cause; few brokers name it.
            hint = "; if this goes on, another simulator uses the same ids: give one a --prefix" if short else ""
            self._say(f"connection to {self._broker.address} lost ({reason}){hint}; reconnecting")

    async def _tick(self) -> None:
        while True:
            for message in self._fleet.advance(self._clock()):
                self._send(message)
            wait_s = self._fleet.next_due_s() - self._clock()
            await asyncio.sleep(min(max(wait_s, SHORTEST_SLEEP_S), LONGEST_SLEEP_S))

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(TEND_EVERY_S)
            for connection in self._connections:
                connection.tend()

    def _send(self, message: Outgoing) -> None:
        connection = self._connections[message.device_no]
        if connection.up:
            connection.publish(message)
            self.sent += 1
        elif connection.was_up:
            self.missed += 1

    def _receive(self, index: int, payload: bytes) -> None:
        for message in self._fleet.receive(index, payload, self._clock()):
            self._send(message)

    async def _leave(self) -> None:
        left = await asyncio.gather(
            *(
                connection.leave(self._fleet.status(index, online=False), FAREWELL_S)
                for index, connection in enumerate(self._connections)
            )
        )
        self.connected = 0
        self.sent += sum(left)

    def _devices(self) -> str:
        return "1 device" if len(self._fleet) == 1 else f"{len(self._fleet):,} devices"


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
