"""WebSocket framing (RFC 6455) as far as a client on loopback needs it: split what came, mask what goes."""

from __future__ import annotations

import base64
import os
import struct
from typing import NamedTuple

TEXT = 1
BINARY = 2
CLOSE = 8
PING = 9
PONG = 10
FINAL = 0x80


class Frame(NamedTuple):
    """One frame within a buffer: `buffer[body:end]` is its payload."""

    opcode: int
    body: int
    end: int


def next_frame(buffer: bytes | bytearray, at: int) -> Frame | None:
    """The frame that begins at `at`, or None while it is not complete.

    Raises:
        ValueError: a fragment or a masked frame, which none of the measured servers sends.
    """
    have = len(buffer) - at
    if have < 2:
        return None
    first, size = buffer[at], buffer[at + 1]
    if first & 0xF0 != FINAL or size & 0x80:
        raise ValueError(f"unexpected frame header {first:#x} {size:#x}")
    body = at + 2
    if size == 126:
        if have < 4:
            return None
        (size,) = struct.unpack_from("!H", buffer, body)
        body += 2
    elif size == 127:
        if have < 10:
            return None
        (size,) = struct.unpack_from("!Q", buffer, body)
        body += 8
    return Frame(first & 0x0F, body, body + size) if body + size <= len(buffer) else None


def client_frame(opcode: int, payload: bytes) -> bytes:
    """A frame of a client. It has to be masked; the mask of zeros is allowed and costs nothing."""
    size = len(payload)
    if size < 126:
        header = bytes((FINAL | opcode, 0x80 | size))
    elif size < 65_536:
        header = struct.pack("!BBH", FINAL | opcode, 0x80 | 126, size)
    else:
        header = struct.pack("!BBQ", FINAL | opcode, 0x80 | 127, size)
    return header + bytes(4) + payload


def upgrade_request(port: int, path: str, protocol: str = "") -> bytes:
    """The HTTP request that opens a WebSocket. No extension is offered, so nobody compresses."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
    ]
    if protocol:
        lines.append(f"Sec-WebSocket-Protocol: {protocol}")
    return "\r\n".join([*lines, "", ""]).encode()
