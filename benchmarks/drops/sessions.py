"""How a client of each server joins, and what it says when it comes back."""

from __future__ import annotations

import json
import re

from benchmarks.fanout.dialects import HEADER, Fleetwire, MqttOverWebSocket, PlainWebSocket, SocketIO, Wire
from benchmarks.fanout.frames import BINARY
from benchmarks.fanout.messages import DEVICES, FIRST, device_of


class Session:
    """How one client joins and comes back. The plain way: nothing is remembered."""

    def __init__(self, dialect: PlainWebSocket, index: int) -> None:
        self.dialect = dialect
        self.index = index

    def join(self, port: int) -> Wire:
        return self.dialect.join(port)

    def note(self, opcode: int, body: bytes) -> None:
        """A frame was received."""

    def expects(self, number: int) -> bool:
        """Whether this message is for this client."""
        return True


class MqttSession(Session):
    """Always the same client id."""

    dialect: MqttOverWebSocket

    def join(self, port: int) -> Wire:
        return self.dialect.join(port, f"dashboard-{self.index}")


class RecoveringSession(Session):
    """Socket.IO: the private id of the session and the offset of the last packet, as its own client sends them."""

    dialect: SocketIO
    _offset = ""
    _pid = ""

    def join(self, port: int) -> Wire:
        auth = json.dumps({"pid": self._pid, "offset": self._offset}).encode() if self._offset else b""
        wire = self.dialect.join(port, auth)
        self._pid = self.dialect.session["pid"]
        return wire

    def note(self, opcode: int, body: bytes) -> None:
        found = re.search(rb'"([^"]+)"\]$', body)
        if body.startswith(b"42") and found:
            self._offset = found[1].decode()


class FleetwireSession(Session):
    """Epoch and offset of one channel."""

    dialect: Fleetwire
    _epoch = ""
    _offset = 0

    @property
    def channel(self) -> str:
        return "log"

    def join(self, port: int) -> Wire:
        resume = {"epoch": self._epoch, "offset": self._offset} if self._epoch else {}
        wire = self.dialect.join(port, self.channel, **resume)
        snapshot = self.dialect.snapshot
        if not snapshot["recovered"]:
            self._epoch, self._offset = snapshot["epoch"], snapshot["offset"]
        return wire

    def note(self, opcode: int, body: bytes) -> None:
        if opcode == BINARY:
            kind, _, _, _, offset, *_ = HEADER.unpack_from(body)
            if kind == 1:
                self._offset = offset
        elif b'"channel":' in body and b'"offset":' in body:
            self._offset = json.loads(body)["offset"]


class DeviceSession(FleetwireSession):
    """The full-rate channel of one device."""

    @property
    def channel(self) -> str:
        return f"device/{device_of(FIRST + self.index)}"

    def expects(self, number: int) -> bool:
        return number % DEVICES == (FIRST + self.index) % DEVICES
