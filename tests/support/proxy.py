"""A TCP proxy that can fall silent: connections stay open, but nothing passes any more (a half-open network)."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Proxy:
    """Use as `async with Proxy(target_port) as proxy`."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.silent = False
        self.connections = 0
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there = await asyncio.open_connection("127.0.0.1", self._target_port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, there[1]))
                group.create_task(self._pump(there[0], writer))
        except* OSError:
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            there[1].close()

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            if self.silent:
                continue  # read, so that the sender sees nothing unusual
            target.write(data)
            await target.drain()
        if self.silent:
            await asyncio.Event().wait()  # half-open: the end does not come through either
        target.close()
