"""Brings a simulated fleet onto a real broker, all on one event loop: a connection for each device, or a few shared."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Any

from simulators.broker import Broker, BrokerUnreachable
from simulators.connection import Connection, Pending
from simulators.dialect import Outgoing
from simulators.fleet import SimulatedFleet
from simulators.intruders import Intruders
from simulators.ledger_writer import LedgerWriter
from simulators.lines import Lines
from simulators.mqtt_encode import MQTT5, MQTT311
from simulators.mqtt_reasons import ConnectFailed
from simulators.options import RunOptions
from simulators.pool import Pool

# The first connection decides whether there is a broker at all; somebody is waiting for the answer.
FIRST_CONNECT_S = 2.5
CONNECT_S = 5.0
# A connection that held this long was a good one; a shorter one counts as a failed attempt (two simulators that share
# client ids throw each other out at once, for ever).
GOOD_AFTER_S = 10.0
TEND_EVERY_S = 5.0
# For the last acknowledgements; a broker handles thousands in a second.
FAREWELL_S = 2.0
FAREWELLS_PER_S = 2000.0
# Messages due within this time go out together: a large fleet must not wake the loop for each of them.
SHORTEST_SLEEP_S = 0.002
LONGEST_SLEEP_S = 0.1
# Why a connection was lost that a fault has broken.
ON_PURPOSE = "broken on purpose"


class Publisher:
    """Runs `fleet` against `broker`. The counters may be read at any time."""

    def __init__(
        self,
        fleet: SimulatedFleet,
        broker: Broker,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.time,
        options: RunOptions | None = None,
        ledger: LedgerWriter | None = None,
    ) -> None:
        self._fleet = fleet
        self._broker = broker
        self._say = say  # told when connections come and go; a line for people
        self._clock = clock
        self._options = options or RunOptions()
        self._ledger = ledger
        self._lines = Lines(fleet, self._options.shared_connections)
        self._version = MQTT5
        self._context = ssl.create_default_context() if broker.tls else None
        self._intruders = Intruders(self._broker, self._context)
        self._pool: Pool | None = None  # set while running
        self._dirty: list[Connection] = []  # have something to flush
        self._unacked: dict[int, list[Pending]] = {}  # by line: what its last connection left unacknowledged
        self._complete = False  # every device was connected, and we said so
        self.connected = 0  # devices
        self.sent = 0  # handed to a connection
        self.acked = 0  # of those with QoS 1
        self.refused = 0  # of those with QoS 1: the broker said no
        self.missed = 0  # messages of devices that had no connection at the time, or no room in it
        self.ready_s: float | None = None  # from the start until every device was connected

    @property
    def protocol(self) -> str:
        return "MQTT 5" if self._version == MQTT5 else "MQTT 3.1.1"

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop` is set, then leave cleanly. Raises `BrokerUnreachable` when there is no broker."""
        self._began_s = time.monotonic()
        if self._ledger is not None:
            for device in self._fleet.devices:
                device.journal, device.seq = self._ledger.command, 0
            if self._fleet.faults is not None:
                self._fleet.faults.listen(self._ledger.fault)
        try:
            if await self._connect_first(stop):
                await self._work(stop)
                await self._leave()
        finally:
            for connection in self._lines.connections():
                connection.abort("stopped")

    async def _work(self, stop: asyncio.Event) -> None:
        pool = self._pool = Pool(len(self._lines), self._connect)
        for line_no in range(1, len(self._lines)):
            pool.start(line_no, self._options.ramp_s * line_no / len(self._lines))
        tasks = [asyncio.create_task(work) for work in (self._tick(), self._tend(), pool.run(), self._burst())]
        stopping = asyncio.create_task(stop.wait())
        # A task that ends before we stop has failed: nothing of this may go on half dead.
        done, _ = await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await _cancel(*tasks, stopping)
        await self._intruders.withdraw_all()
        for task in done - {stopping}:
            task.result()

    # ----- connecting ------------------------------------------------------------------------------------------

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
        try:
            await self._open(0, FIRST_CONNECT_S)
        except ConnectFailed as failure:
            if not failure.other_version:
                raise BrokerUnreachable(self._broker, failure.reason, failure.answered) from None
            self._version = MQTT311
            try:
                await self._open(0, FIRST_CONNECT_S)
            except ConnectFailed as again:
                raise BrokerUnreachable(self._broker, again.reason, again.answered) from None

    async def _connect(self, line_no: int) -> bool:
        """One attempt, for the pool."""
        try:
            await self._open(line_no, CONNECT_S)
        except ConnectFailed:
            return False
        return True

    async def _open(self, line_no: int, timeout_s: float) -> None:
        connection = Connection(self, self._broker, self._version, line_no, len(self._lines.devices(line_no)))
        await connection.connect(self._lines.hello(line_no), timeout_s, self._context)
        self._came_up(connection)

    def _came_up(self, connection: Connection) -> None:
        self._lines.put(connection)
        for pending in self._unacked.pop(connection.line_no, ()):
            connection.publish(pending.message, pending.token)
        for device_no in self._lines.devices(connection.line_no):
            self.connected += 1
            for message in self._fleet.announce(device_no):
                self._send(message)
        connection.flush()
        if self.connected == len(self._fleet):
            again = "again " if self._complete else ""
            self._complete = True
            if self.ready_s is None:
                self.ready_s = time.monotonic() - self._began_s
            self._say(f"{self._devices()} connected {again}to {self._broker.address} ({self.protocol})")

    def on_lost(self, connection: Connection, reason: str) -> None:
        """`Connection` calls this."""
        self._lines.remove(connection)
        was_complete = self.connected == len(self._fleet)
        self.connected -= len(self._lines.devices(connection.line_no))
        if connection.unacked:
            self._unacked[connection.line_no] = connection.unacked
        if self._pool is None:
            return
        short = asyncio.get_running_loop().time() - connection.since_s < GOOD_AFTER_S
        on_purpose = reason == ON_PURPOSE
        self._pool.again(connection.line_no, short, on_purpose)
        if self._complete and was_complete:
            # The first of possibly many. Connections that never hold have one likely cause; few brokers name it.
            hint = "; if this goes on, another simulator uses the same ids: give one a --prefix"
            hint = hint if short and not on_purpose else ""
            self._say(f"connection to {self._broker.address} lost ({reason}){hint}; reconnecting")

    # ----- work --------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        while True:
            began_s = time.monotonic()
            self._deliver(self._fleet.advance(self._clock()))
            if self._fleet.faults is not None:
                self._misbehave()
            wait_s = (self._fleet.next_due_s() - self._clock()) / self._options.speed
            if not self._complete:
                # Connecting takes several turns of the loop for each device: a fleet that wants to send more than it
                # can must leave half of the time for that.
                wait_s = max(wait_s, time.monotonic() - began_s)
            await asyncio.sleep(min(max(wait_s, SHORTEST_SLEEP_S), LONGEST_SLEEP_S))

    async def _burst(self) -> None:
        if self._options.burst_s is None:
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(self._options.burst_s or 0.0)
            now_s, out = self._clock(), list[Outgoing]()
            for device in self._fleet.devices:
                device.report_now(now_s, out)
            self._deliver(out)

    async def _tend(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TEND_EVERY_S)
            for connection in self._lines.connections():
                connection.tend(loop.time())

    def on_command(self, topic: str, payload: bytes) -> None:
        """`Connection` calls this."""
        device_no = self._fleet.device_listening_on(topic)
        if device_no is not None:
            self._deliver(self._fleet.receive(device_no, payload, self._clock()))

    def on_ack(self, token: int, accepted: bool) -> None:
        """`Connection` calls this."""
        if not accepted:
            self.refused += 1
            return
        self.acked += 1
        if self._ledger is not None:
            self._ledger.acked(token, self._clock())

    def _deliver(self, messages: list[Outgoing]) -> None:
        """Send, and write once to each connection."""
        for message in messages:
            self._send(message)
        for connection in self._dirty:
            connection.flush()
        self._dirty.clear()

    def _send(self, message: Outgoing) -> None:
        connection = self._lines.of_device(message.device_no)
        if connection is None:
            # Before the first connection nobody expects anything.
            self.missed += self._lines.was_up(message.device_no)
            return
        token = 0
        if self._ledger is not None and connection.has_room(message.qos):
            token = self._ledger.sent(self._fleet.devices[message.device_no].who.device_id, message, self._clock())
        if connection.publish(message, token):
            self.sent += 1
            self._dirty.append(connection)
        else:
            self.missed += 1

    def _misbehave(self) -> None:
        faults = self._fleet.faults
        for action in () if faults is None else faults.take_actions():
            line_no = self._lines.line_of(action.device_no)
            connection = self._lines.of_device(action.device_no)
            if action.kind == "intrude":
                self._intruders.intrude(line_no, self._lines.hello(line_no).client_id, self._version)
            elif action.kind == "withdraw":
                self._intruders.withdraw(line_no)
            elif connection is not None:
                connection.abort(ON_PURPOSE)

    # ----- the end -----------------------------------------------------------------------------------------------

    async def _leave(self) -> None:
        self._pool = None
        out = [self._fleet.status(device_no, online=False) for device_no in range(len(self._fleet))]
        self._deliver([message for message in out if self._lines.of_device(message.device_no) is not None])
        try:
            async with asyncio.timeout(FAREWELL_S + len(out) / FAREWELLS_PER_S):
                for connection in list(self._lines.connections()):
                    await connection.drained()
                for connection in list(self._lines.connections()):
                    connection.leave()
                for connection in list(self._lines.connections()):
                    await connection.ended()
        except TimeoutError:
            self._say("the broker did not take everything in time; some last messages may be lost")
        self.connected = 0

    def _devices(self) -> str:
        return "1 device" if len(self._fleet) == 1 else f"{len(self._fleet):,} devices"


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
