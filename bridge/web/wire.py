"""WebSocket framing (RFC 6455, section 5.2) of what the server sends.

A server's frames are not masked, so one message is the same bytes for every client: framed once, written to all.
"""

from __future__ import annotations

import struct

from bridge.live.messages import Packet

_FIN_TEXT = 0x81
_FIN_BINARY = 0x82


def frame(payload: bytes, *, is_text: bool) -> bytes:
    """One unfragmented, unmasked WebSocket frame."""
    first = _FIN_TEXT if is_text else _FIN_BINARY
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65_536:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def wire_of(packet: Packet) -> bytes:
    """The packet as bytes for the transport; made at the first call."""
    wire = packet.wire
    if wire is None:
        wire = packet.wire = frame(packet.payload, is_text=packet.is_text)
    return wire
