"""WebSocket framing, against a parser of our own and against aiohttp's."""

from __future__ import annotations

import pytest

from bridge.live.messages import Packet
from bridge.web.wire import frame, wire_of


def parse(data: bytes) -> tuple[int, bool, bytes, bytes]:
    """Opcode, final, payload and what follows, straight from RFC 6455 section 5.2."""
    assert not data[0] & 0x70, "a reserved bit is set"
    assert not data[1] & 0x80, "a server must not mask"
    size, at = data[1] & 0x7F, 2
    if size == 126:
        size, at = int.from_bytes(data[2:4], "big"), 4
        assert size > 125, "not the shortest form"
    elif size == 127:
        size, at = int.from_bytes(data[2:10], "big"), 10
        assert 65_535 < size < 2**63, "not the shortest form"
    return data[0] & 0x0F, bool(data[0] & 0x80), data[at : at + size], data[at + size :]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 1_000_000])
@pytest.mark.parametrize("is_text", [True, False])
def test_any_size_reads_back(size: int, is_text: bool) -> None:
    payload = bytes(i % 251 for i in range(size))
    data = frame(payload, is_text=is_text)
    assert parse(data) == (1 if is_text else 2, True, payload, b"")


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_the_header_is_what_the_rfc_says(size: int, header: bytes) -> None:
    assert frame(b"x" * size, is_text=True) == header + b"x" * size


def test_a_packet_is_framed_once() -> None:
    packet = Packet(b"hello", is_text=False)
    assert packet.wire is None
    assert wire_of(packet) is wire_of(packet)
    assert packet.wire == b"\x82\x05hello"
