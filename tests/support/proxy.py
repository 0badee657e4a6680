"""A TCP proxy that can fall silent (connections stay open, but nothing passes: a half-open network) or read nothing."""

from __future__ import annotations

import asyncio
import socket
from types import TracebackType


class Proxy:
    """Use as `async with Proxy(target_port) as proxy`."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.silent = False
        self.connections = 0
        self.flows = asyncio.Event()  # cleared: it does not even read, like a client that is too slow
        self.flows.set()
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
        upstream = socket.socket()
        upstream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)  # so that who does not read is soon noticed
        upstream.setblocking(False)
        await asyncio.get_running_loop().sock_connect(upstream, ("127.0.0.1", self._target_port))
        there = await asyncio.open_connection(sock=upstream)
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
            await self.flows.wait()
            if self.silent:
                continue  # read, so that the sender sees nothing unusual
            target.write(data)
            await target.drain()
        if self.silent:
            await asyncio.Event().wait()  # half-open: the end does not come through either
        target.close()
