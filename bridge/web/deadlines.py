"""Connections that never become a request: how many there may be, and how long they may take.

aiohttp reads headers for as long as they drip in, and waits for ever until its answer is read. So every connection
passes a gate of ours first, which counts it, and knows what it owes us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import cast

from aiohttp import web

from bridge.core.counters import Counters
from bridge.settings import WebSettings
from bridge.sources.source import Clock
from bridge.web.admission import Places

# Connections beyond the WebSockets: pages and scripts, the API, and a stampede that is to hear "come back later" and
# not find a closed door. Each costs some 10 KB, and has `web.header_timeout_s` to say what it wants.
SPARE_CONNECTIONS = 2_000
SPARE_PER_ADDRESS = 1_000  # so that nobody can take all of them
# Files and sockets that are no connections to us: the broker's, listeners, the log, files being served, the history.
RESERVED_DESCRIPTORS = 100

# How long nothing of an answer may leave. The kernel takes a megabyte or more at once, and who reads that over a slow
# line must not look like somebody who reads nothing.
UNREAD_TIMEOUT_S = 60.0


def connection_places(settings: WebSettings, descriptors: int | None) -> Places:
    """Room for TCP connections, when the process may have so many files and sockets open (None: any number).

    Without descriptors to spare, a flood of browsers would cost us the connection to the broker.
    """
    total = settings.max_connections + SPARE_CONNECTIONS
    if descriptors is not None:
        total = max(1, min(total, descriptors - RESERVED_DESCRIPTORS))
    return Places(total, min(total, settings.max_connections_per_address + SPARE_PER_ADDRESS))


class Stage(Enum):
    """What a connection is at."""

    WAITING = auto()  # it owes us the headers of a request
    HANDLED = auto()  # a handler of ours has it, which has limits of its own; a WebSocket stays here
    ANSWERED = auto()  # it may read its answer, and then ask again or be quiet (aiohttp ends a long quiet)


class Deadlines:
    """All connections of one server."""

    def __init__(self, settings: WebSettings, places: Places, counters: Counters, clock: Clock) -> None:
        self.places = places
        self.counters = counters
        self.clock = clock
        self._header_us = int(settings.header_timeout_s * 1e6)
        self._unread_us = int(UNREAD_TIMEOUT_S * 1e6)
        self._gates: dict[asyncio.BaseProtocol, Gate] = {}  # by aiohttp's protocol, which requests name

    def behind_gate(self, factory: Callable[[], asyncio.Protocol]) -> Callable[[], asyncio.Protocol]:
        """A factory of protocols like this one, each behind a gate."""
        return lambda: Gate(self, factory)

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """To be the outermost one: when it is called, the headers are complete."""
        gate = self._gates.get(request.protocol)
        if gate is None:  # the connection is lost already
            return await handler(request)
        gate.stage = Stage.HANDLED
        gate.was_unread = 0  # a new answer, with time of its own
        try:
            return await handler(request)
        finally:
            gate.stage = Stage.ANSWERED

    def tick(self, now_us: int) -> None:
        """Cut who is late with its request, or does not read its answer. Called a few times a second."""
        for inner, gate in list(self._gates.items()):
            if gate.stage is Stage.HANDLED:
                continue
            unread = gate.unread()
            if unread != gate.was_unread or now_us < gate.since_us:
                # Who reads is not late, neither with this answer nor with the next request. And a clock that was set
                # back must not give anybody an hour.
                gate.was_unread = unread
                gate.since_us = now_us
            elif unread and now_us - gate.since_us >= self._unread_us:
                self.counters.closed_slow += 1
                self._cut(inner)
            elif not unread and gate.stage is Stage.WAITING and now_us - gate.since_us >= self._header_us:
                self.counters.closed_headers += 1
                self._cut(inner)

    def _cut(self, inner: asyncio.BaseProtocol) -> None:
        self._gates.pop(inner).cut()  # forgotten at once, so that it is counted once

    def opened(self, gate: Gate, inner: asyncio.BaseProtocol) -> None:
        self._gates[inner] = gate

    def lost(self, inner: asyncio.BaseProtocol) -> None:
        self._gates.pop(inner, None)


class Gate(asyncio.Protocol):
    """Stands between one transport and aiohttp's protocol, and hands everything on."""

    def __init__(self, deadlines: Deadlines, factory: Callable[[], asyncio.Protocol]) -> None:
        self.stage = Stage.WAITING
        self.since_us = deadlines.clock()  # waiting, or not having read anything
        self.was_unread = 0  # bytes of the answer, at the last tick
        self._deadlines = deadlines
        self._factory = factory
        self._inner: asyncio.Protocol | None = None  # None: was never let in, or is gone
        self._transport: asyncio.Transport | None = None
        self._address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._address = str((transport.get_extra_info("peername") or ("",))[0])
        places = self._deadlines.places
        if places.is_full() or places.is_full_for(self._address):
            self._deadlines.counters.turned_away += 1
            self.cut()  # without a word: words would cost what we have not got
            return
        places.take(self._address)
        self._inner = self._factory()
        self._deadlines.opened(self, self._inner)
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        inner, self._inner = self._inner, None
        if inner is not None:
            self._deadlines.places.give_back(self._address)
            self._deadlines.lost(inner)
            inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.stage is Stage.ANSWERED:  # this begins the next request
            self.stage = Stage.WAITING
            self.since_us = self._deadlines.clock()
        if self._inner is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._inner is not None else None

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def unread(self) -> int:
        """Bytes of our answers that have not left yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def cut(self) -> None:
        """At once, without waiting for what is still unsent."""
        if self._transport is not None:
            self._transport.abort()
