"""The only file that touches a WebSocket: authenticates it, and joins it to a session of the live plane."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
import sys
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
# What the kernel may hold for one client. Its own choice grows to megabytes, where nobody can merge them any more.
KERNEL_BUFFER_BYTES = 262_144
ROOM_SHARE = 8  # who fell behind has caught up when this part of `lag_bytes` is left unread
WIRE_PING = b"\x89\x00"  # RFC 6455, section 5.5.2: every client answers it, even one that runs no program of ours
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
            autoping=False,  # so that a pong reaches us; aiohttp's own heartbeat misses who talks but never reads
            compress=False,  # shared bytes cannot be compressed for each client
        )
        self._lag_bytes = settings.lag_bytes
        self._transport: asyncio.WriteTransport | None = None
        self._session: Session | None = None
        self._written = 0  # bytes handed to the transport
        self._drained = 0  # of which had left it at the last check
        self._excused_to = 0  # up to here it is a snapshot: large, and no sign of a slow reader
        self._frames = 0  # written, and of those...
        self._counted = (0, 0)  # ... and of the bytes, how much the counters know
        self._pinged_us: int | None = None  # when we asked it, since it was last heard
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
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)
        self._server.connections[self] = None
        try:
            if role is None:
                role = await self._authenticate()
            if role is not None:
                await self._serve(role)
        finally:
            self._server.connections.pop(self, None)
            self._count()
            if self._session is not None:
                self._server.hub.part(self._session, self._server.clock())
            if self._closing is not None:
                await self._closing
        return self._ws

    def send(self, packet: Packet) -> None:
        """Hand a packet to the transport. Never waits; closes a client that has far too much unread."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._closing is not None:
            return
        self._write(transport, packet)
        if self._unread(transport) > self._server.settings.client_buffer_bytes + len(packet.payload):
            self._close_slow("its buffer is full")

    def send_state(self, packets: list[Packet]) -> None:
        """The same for what takes a client to the present: however large, it is no sign of a slow reader.

        Unless one is still on its way: who asks again and again without reading is treated as any other.
        """
        transport = self._transport
        if transport is None or transport.is_closing() or self._closing is not None:
            return
        size = sum(len(packet.payload) for packet in packets)
        is_first = self._excused_to <= self._written - transport.get_write_buffer_size()
        for packet in packets:
            self._write(transport, packet)
        if is_first and size > self._lag_bytes:
            self._excused_to = self._written
        elif self._unread(transport) > self._server.settings.client_buffer_bytes + size:
            self._close_slow("its buffer is full")

    def offer(self, packet: Packet) -> bool:
        """The hot path: one write, unless what was written before has not left yet."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._closing is not None:
            return True
        if transport.get_write_buffer_size() > self._lag_bytes and self._unread(transport) > self._lag_bytes:
            return False
        wire = packet.wire or wire_of(packet)
        transport.write(wire)
        self._written += len(wire)
        self._frames += 1
        return True

    def has_room(self) -> bool:
        """Whether nearly everything has left."""
        transport = self._transport
        return transport is None or transport.get_write_buffer_size() <= self._lag_bytes // ROOM_SHARE

    def _write(self, transport: asyncio.WriteTransport, packet: Packet) -> None:
        wire = wire_of(packet)
        transport.write(wire)
        self._written += len(wire)
        self._frames += 1

    def _unread(self, transport: asyncio.WriteTransport) -> int:
        """Bytes that wait in the transport, without the snapshots among them."""
        waiting = transport.get_write_buffer_size()
        return waiting - max(0, self._excused_to - (self._written - waiting))

    def check(self, now_us: int) -> None:
        """Close the client if it is stuck or silent. Called four times a second."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._closing is not None:
            return
        self._count()
        waiting = transport.get_write_buffer_size()
        drained = self._written - waiting - (_in_kernel(transport) if waiting else 0)
        if waiting == 0 or drained > self._drained:
            self._stuck_since_us = None
        elif self._stuck_since_us is None:
            self._stuck_since_us = now_us
        elif now_us - self._stuck_since_us > self._server.settings.write_timeout_s * 1e6:
            self._close_slow("it reads nothing")
        self._drained = drained
        self._check_silence(transport, now_us)

    def _check_silence(self, transport: asyncio.WriteTransport, now_us: int) -> None:
        settings = self._server.settings
        if self._session is None or self._closing is not None:
            return  # whoever does not authenticate has a deadline of its own
        if self._pinged_us is not None:
            if now_us - self._pinged_us > settings.pong_timeout_s * 1e6:
                self._server.counters.closed_silent += 1
                self.close(CLOSE_SILENT, "silent for too long")
        elif now_us - self._heard_us > settings.ping_interval_s * 1e6:
            self._pinged_us = now_us
            transport.write(WIRE_PING)
            self._written += len(WIRE_PING)
            self.send(json_packet("ping", server_time_ms=now_us / 1000))

    def _hear(self) -> None:
        self._heard_us = self._server.clock()
        self._pinged_us = None

    def _count(self) -> None:
        counters = self._server.counters
        frames, written = self._counted
        counters.frames_sent += self._frames - frames
        counters.bytes_sent += self._written - written
        self._counted = (self._frames, self._written)

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
            async with asyncio.timeout(server.settings.auth_timeout_s):
                message = await self._ws.receive()
                while message.type in (WSMsgType.PING, WSMsgType.PONG):
                    if message.type is WSMsgType.PING:
                        await self._ws.pong(message.data)
                    message = await self._ws.receive()
        except TimeoutError:
            server.counters.closed_unauthenticated += 1
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
            self,
            binary=self._ws.ws_protocol == SUBPROTOCOL_BINARY,
        )
        self._session = session
        server.hub.join(session)
        self.send(json_packet("welcome", **server.welcome(session)))
        async for message in self._ws:
            if message.type is WSMsgType.TEXT:
                self._hear()
                self.send_state(session.receive(message.data, self._heard_us))
            elif message.type is WSMsgType.BINARY:
                self._hear()
                self.send(error_packet("unsupported_binary", "clients send text"))
            elif message.type is WSMsgType.PING:
                await self._ws.pong(message.data)
            elif message.type is WSMsgType.PONG and not session.answers_pings:
                # A browser answers for a page that hangs: from a page we want to hear the page.
                self._hear()


def _in_kernel(transport: asyncio.WriteTransport) -> int:
    """Bytes that the kernel still has to bring to the other side, where it tells.

    It takes more from us only when a third of its buffer is free: a client that reads 10 KB/s would look as if it
    read nothing for a quarter of a minute.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or not sys.platform.startswith("linux"):
        return 0
    import fcntl
    import termios

    return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
