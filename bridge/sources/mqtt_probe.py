"""Is there an MQTT broker behind this port? Asked with a handful of bytes, without any client library."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import struct
from enum import StrEnum

PROBE_TIMEOUT_S = 2.0
"""Time to connect and answer. A broker on this machine takes a millisecond; a busy one may take a while."""

PROBE_KEEPALIVE_S = 10
"""Keep-alive that the probe announces, so that a broker soon forgets a probe that died."""

CONNACK = 0x20
DISCONNECT = b"\xe0\x00"


class Probe(StrEnum):
    """What answered."""

    NOTHING = "nothing"
    BROKER = "broker"
    OTHER = "other"


def make_connect(client_id: str) -> bytes:
    """An MQTT 3.1.1 CONNECT (section 3.1), clean session, no will and no user: every broker answers it."""
    name = client_id.encode()
    clean_session = 0x02
    body = struct.pack("!H4sBBH", 4, b"MQTT", 4, clean_session, PROBE_KEEPALIVE_S)
    body += struct.pack("!H", len(name)) + name
    return bytes((0x10, len(body))) + body


def is_connack(answer: bytes) -> bool:
    """Whether these four bytes begin a CONNACK, of any version; one that refuses us comes from a broker too."""
    return len(answer) == 4 and answer[0] == CONNACK and answer[1] >= 2 and answer[2] in (0, 1)


async def probe(host: str, port: int, timeout_s: float = PROBE_TIMEOUT_S) -> Probe:
    """Connect, say CONNECT and look at the answer. Leaves nothing behind on a broker."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return Probe.NOTHING
    try:
        async with asyncio.timeout(timeout_s):
            writer.write(make_connect(f"probe{secrets.token_hex(6)}"))
            answer = await reader.readexactly(4)
            if is_connack(answer):
                writer.write(DISCONNECT)
                return Probe.BROKER
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return Probe.OTHER
