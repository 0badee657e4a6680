"""One dashboard that comes and goes, and counts what it gets."""

from __future__ import annotations

import socket
import struct

from benchmarks.drops.sessions import Session
from benchmarks.fanout.frames import next_frame
from benchmarks.fanout.stream import Tally


class Client:
    """One dashboard that comes and goes."""

    def __init__(self, session: Session, port: int, began: float) -> None:
        self.tally = Tally()
        self.first: int | None = None
        self.drops = 0
        self.errors = 0  # connections that the server ended, or that could not be made
        self.corrupt = 0
        self.due = began  # when it joins or drops next
        self.socket: socket.socket | None = None
        self._session = session
        self._port = port
        self._buffer = b""
        self._abandoned: socket.socket | None = None

    def join(self) -> None:
        wire = self._session.join(self._port)
        wire.socket.setblocking(False)
        self.socket, self._buffer = wire.socket, wire.buffer
        self._take(b"")
        if self._abandoned is not None:
            _reset(self._abandoned)
            self._abandoned = None

    def drop(self, silent: bool) -> None:
        """Lose the connection, and with it whatever had not been read."""
        assert self.socket is not None
        if silent:
            self._abandoned = self.socket
        else:
            _reset(self.socket)
        self.socket, self.drops = None, self.drops + 1

    def read(self) -> None:
        assert self.socket is not None
        try:
            data = self.socket.recv(262_144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._take(data)
        else:
            self.socket.close()
            self.socket, self.errors = None, self.errors + 1

    def expected(self, last: int) -> int:
        """How many messages were for this client, from the first it got to the last published."""
        if self.first is None:
            return 0
        return sum(map(self._session.expects, range(self.first, last + 1)))

    def _take(self, data: bytes) -> None:
        buffer, at = self._buffer + data, 0
        while (found := next_frame(buffer, at)) is not None:
            body = buffer[found.body : found.end]
            at = found.end
            messages = self._session.dialect.decode(found.opcode, body)
            self._session.note(found.opcode, body)
            if messages is not None:
                if self.first is None:
                    self.first = messages.numbers[0]
                self.tally.take(messages.numbers)
                self.corrupt += 0 if messages.intact else len(messages.numbers)
            answer = self._session.dialect.answer(found.opcode, body)
            if answer and self.socket is not None:
                self.socket.sendall(answer)
        self._buffer = buffer[at:]

    def close(self) -> None:
        for one in (self.socket, self._abandoned):
            if one is not None:
                one.close()


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
