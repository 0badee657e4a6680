"""The only file that touches a WebSocket: authenticates it, and joins it to a session of the live plane."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from bridge.errors import ProtocolError
from bridge.live.messages import (
    CLOSE_AUTH_TIMEOUT,
    CLOSE_BAD_TOKEN,
    CLOSE_SHUTTING_DOWN,
    CLOSE_SILENT,
    CLOSE_SLOW,
    CLOSE_TOO_MANY_ATTEMPTS,
    SUBPROTOCOL_BINARY,
    SUBPROTOCOL_JSON,
    Auth,
    Packet,
    error_packet,
    json_packet,
    parse,
)
from bridge.live.session import Session
from bridge.web.wire import wire_of

if TYPE_CHECKING:
    from bridge.web.server import Server

log = logging.getLogger(__name__)

MAX_BYTES_BEFORE_AUTH = 4_096  # a token is 43 characters; nobody unknown may make us read more
HEARTBEAT_S = 25.0  # well below the minute after which many routers forget a quiet connection
CLOSE_TIMEOUT_S = 2.0  # how long we wait for the other side's close frame


class Connection:
    """One WebSocket. Writes go straight to the transport, whose buffer is the bounded queue of this client."""

    def __init__(self, server: Server, request: web.Request) -> None:
        self.connection_id = secrets.token_hex(4)
        self._server = server
        self._request = request
        settings = server.settings
        self._ws = web.WebSocketResponse(
            protocols=(SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON),
            max_msg_size=settings.max_message_bytes,
            timeout=CLOSE_TIMEOUT_S,
            heartbeat=HEARTBEAT_S,  # finds the half-open; `check` finds those that talk but never read
            compress=False,  # shared bytes cannot be compressed for each client
        )
        self._transport: asyncio.WriteTransport | None = None
        self._session: Session | None = None
        self._written = 0  # bytes handed to the transport
        self._drained = 0  # of which had left it at the last check
        self._stuck_since_us: int | None = None
        self._heard_us = server.clock()
        self._closing: asyncio.Task[Any] | None = None

    async def run(self, role: str | None) -> web.WebSocketResponse:
        """Serve the socket until it closes. `role` None: it still has to say its token."""
        await self._ws.prepare(self._request)
        transport = self._request.transport
        if transport is None:  # gone before it began
            return self._ws
        self._transport = transport
        self._server.connections[self] = None
        try:
            if role is None:
                role = await self._authenticate()
            if role is not None:
                await self._serve(role)
        finally:
            self._server.connections.pop(self, None)
            if self._session is not None:
                self._server.hub.part(self._session, self._server.clock())
            if self._closing is not None:
                await self._closing
        return self._ws

    def send(self, packet: Packet) -> None:
        """Hand a packet to the transport. Never waits; a client that does not read is closed at the next check."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._closing is not None:
            return
        wire = wire_of(packet)
        transport.write(wire)
        self._written += len(wire)
        counters = self._server.counters
        counters.frames_sent += 1
        counters.bytes_sent += len(wire)
        if transport.get_write_buffer_size() > self._server.settings.client_buffer_bytes + len(wire):
            self._close_slow("its buffer is full")

    def check(self, now_us: int) -> None:
        """Close the client if it is stuck or silent. Called once a second."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._closing is not None:
            return
        waiting = transport.get_write_buffer_size()
        drained = self._written - waiting
        if waiting == 0 or drained > self._drained:
            self._stuck_since_us = None
        elif self._stuck_since_us is None:
            self._stuck_since_us = now_us
        elif now_us - self._stuck_since_us > self._server.settings.write_timeout_s * 1e6:
            self._close_slow("it reads nothing")
        self._drained = drained
        silence_us = self._server.settings.silence_timeout_s * 1e6
        # Only who pings is expected to go on pinging: a program that only listens is no less alive.
        if self._session is not None and self._session.has_pinged and now_us - self._heard_us > silence_us:
            self._server.counters.closed_silent += 1
            self.close(CLOSE_SILENT, "silent for too long")

    def close(self, code: int, reason: str) -> None:
        """Begin to close; `run` ends when it is done."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close_and_abort(code, reason))

    async def closed(self) -> None:
        if self._closing is not None:
            await self._closing

    def shut_down(self) -> None:
        self.close(CLOSE_SHUTTING_DOWN, "shutting down")

    def _close_slow(self, why: str) -> None:
        if self._closing is not None:
            return
        log.info("connection %s closed: %s", self.connection_id, why)
        self._server.counters.closed_slow += 1
        self.close(CLOSE_SLOW, "too slow")

    async def _close_and_abort(self, code: int, reason: str) -> None:
        # The close frame queues behind what the client does not read, and may never arrive: give it a moment, then cut.
        transport = self._transport
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._ws.close(code=code, message=reason.encode())
                # asyncio tells nobody when the last byte is out, so we have to look.
                while transport is not None and transport.get_write_buffer_size():  # noqa: ASYNC110
                    await asyncio.sleep(CLOSE_TIMEOUT_S / 40)
        if transport is not None:
            transport.abort()

    async def _authenticate(self) -> str | None:
        """Wait for the first message, which has to be the token; the role, or None when the socket was closed."""
        server = self._server
        self.send(json_packet("auth_required"))
        try:
            message = await self._ws.receive(timeout=server.settings.auth_timeout_s)
        except TimeoutError:
            self.close(CLOSE_AUTH_TIMEOUT, "not authenticated in time")
            return None
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            return None
        address = self._request.remote or ""
        token = None
        if message.type is WSMsgType.TEXT and len(message.data) <= MAX_BYTES_BEFORE_AUTH:
            try:
                parsed, _ = parse(message.data)
                token = parsed.token if isinstance(parsed, Auth) else None
            except ProtocolError:
                token = None
        is_blocked = token is not None and server.access.is_blocked(address, server.clock())
        if token is not None and not is_blocked:
            if server.access.token_matches(token):
                return "operator"
            server.access.note_failure(address, server.clock())
        server.counters.refused += 1
        if is_blocked:
            self.send(error_packet("rate_limited", "too many wrong tokens from your address; wait some minutes"))
            self.close(CLOSE_TOO_MANY_ATTEMPTS, "too many attempts")
        elif token is None:
            self.send(error_packet("unauthorized", 'the first message must be {"type": "auth", "token": ...}'))
            self.close(CLOSE_BAD_TOKEN, "no token")
        else:
            self.send(error_packet("unauthorized", "this is not the token of this server"))
            self.close(CLOSE_BAD_TOKEN, "wrong token")
        return None

    async def _serve(self, role: str) -> None:
        server = self._server
        session = Session(
            server.hub,
            server.operations,
            self.connection_id,
            role,
            self.send,
            binary=self._ws.ws_protocol == SUBPROTOCOL_BINARY,
        )
        self._session = session
        server.hub.join(session)
        self.send(json_packet("welcome", **server.welcome(session)))
        async for message in self._ws:
            self._heard_us = server.clock()
            if message.type is WSMsgType.TEXT:
                for packet in session.receive(message.data, self._heard_us):
                    self.send(packet)
            elif message.type is WSMsgType.BINARY:
                self.send(error_packet("unsupported_binary", "clients send text"))
