"""TCP servers that are no brokers, and end without leaving a socket behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Accept, read, and never answer."""
    while await reader.read(65_536):
        pass


async def speak_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer whatever comes as a web server would."""
    await reader.read(100)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"\xff" * 100)
    await writer.drain()


def speak_mqtt_5(suback: Sequence[int] = (0x01,), after_suback: bytes = b"") -> Handler:
    """A broker with a script: accepts, answers SUBSCRIBE with these reason codes, then sends these bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            first, length = await reader.readexactly(2)
            body = await reader.readexactly(length)
            if first == 0x10:  # CONNECT
                writer.write(b"\x20\x03\x00\x00\x00")
            elif first == 0x82:  # SUBSCRIBE
                writer.write(bytes([0x90, 3 + len(suback), *body[:2], 0, *suback]) + after_suback)
            elif first == 0xC0:  # PINGREQ
                writer.write(b"\xd0\x00")
            elif first == 0xE0:  # DISCONNECT
                return

    return serve


@asynccontextmanager
async def tcp_server(handler: Handler, port: int = 0) -> AsyncIterator[int]:
    """Serve on loopback; yields the port."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(reader, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
        await asyncio.sleep(0)  # aborted transports close in the next turn of the loop
