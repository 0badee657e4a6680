"""The fault `same_client_id`: a second client that insists on an id that is taken."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl

from simulators.broker import Broker
from simulators.connection import Connection, Hello
from simulators.mqtt_reasons import ConnectFailed

CONNECT_S = 5.0
# It comes back after this long; the device does the same, so they throw each other out about once a second.
BACK_S = (0.5, 1.0)


class Intruder:
    """One of them. It says nothing and has no will; it is only in the way."""

    def __init__(self, broker: Broker, client_id: str, version: int, context: ssl.SSLContext | None) -> None:
        self._broker = broker
        self._hello = Hello(client_id, None, ())
        self._version = version
        self._context = context
        self._gone = asyncio.Event()
        self.takeovers = 0
        self.task = asyncio.create_task(self._run())

    def on_command(self, topic: str, payload: bytes) -> None:
        """It does not listen."""

    def on_ack(self, token: int, accepted: bool) -> None:
        """It does not publish."""

    def on_lost(self, connection: Connection, reason: str) -> None:
        self._gone.set()

    async def _run(self) -> None:
        connection: Connection | None = None
        try:
            while True:
                connection = Connection(self, self._broker, self._version, 0)
                self._gone.clear()
                with contextlib.suppress(ConnectFailed):
                    await connection.connect(self._hello, CONNECT_S, self._context)
                    self.takeovers += 1
                    await self._gone.wait()
                await asyncio.sleep(random.uniform(*BACK_S))
        finally:
            if connection is not None:
                connection.leave()


class Intruders:
    """One for each client id at most."""

    def __init__(self, broker: Broker, context: ssl.SSLContext | None) -> None:
        self._broker = broker
        self._context = context
        self._present: dict[int, Intruder] = {}  # by line

    def intrude(self, line_no: int, client_id: str, version: int) -> None:
        if line_no not in self._present:
            self._present[line_no] = Intruder(self._broker, client_id, version, self._context)

    def withdraw(self, line_no: int) -> None:
        intruder = self._present.pop(line_no, None)
        if intruder is not None:
            intruder.task.cancel()

    async def withdraw_all(self) -> None:
        tasks = [intruder.task for intruder in self._present.values()]
        self._present.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
