"""The WebSocket frame splitter, against frames of every length form."""

from __future__ import annotations

import pytest

from benchmarks.fanout.frames import BINARY, TEXT, client_frame, next_frame, upgrade_request
from bridge.web.wire import frame

SIZES = (0, 1, 125, 126, 127, 65_535, 65_536)


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_is_found_only_when_complete(size: int) -> None:
    data = frame(b"x" * size, is_text=True)
    found = next_frame(data + b"\x81", 0)
    assert found is not None
    assert (found.opcode, found.end - found.body, found.end) == (TEXT, size, len(data))
    assert next_frame(data[:-1], 0) is None
    assert next_frame(data, len(data)) is None


def test_frames_in_a_row() -> None:
    data = b"".join(frame(bytes([size % 256]) * size, is_text=size % 2 == 0) for size in SIZES)
    at, seen = 0, []
    while (found := next_frame(data, at)) is not None:
        seen.append((found.opcode, data[found.body : found.end]))
        at = found.end
    assert at == len(data)
    assert seen == [(TEXT if size % 2 == 0 else BINARY, bytes([size % 256]) * size) for size in SIZES]


@pytest.mark.parametrize("header", [b"\x01\x00", b"\xc1\x00", b"\x81\x80"])
def test_fragments_compression_and_masks_are_refused(header: bytes) -> None:
    with pytest.raises(ValueError, match="header"):
        next_frame(header + bytes(8), 0)


@pytest.mark.parametrize("size", SIZES)
def test_what_a_client_says_is_masked_with_zeros(size: int) -> None:
    data = client_frame(BINARY, b"y" * size)
    assert data[0] == 0x80 | BINARY
    assert data[1] & 0x80
    assert data.endswith(bytes(4) + b"y" * size)


def test_the_upgrade_offers_no_compression() -> None:
    request = upgrade_request(8080, "/ws", "mqtt")
    assert request.startswith(b"GET /ws HTTP/1.1\r\n")
    assert b"Sec-WebSocket-Protocol: mqtt\r\n" in request
    assert b"Extensions" not in request
    assert request.endswith(b"\r\n\r\n")
