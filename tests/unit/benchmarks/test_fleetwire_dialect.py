"""Our own frames are read as docs/protocol.md says, and their values checked."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.fanout.dialects import HEADER, Fleetwire, MqttOverWebSocket, SocketIO
from benchmarks.fanout.frames import BINARY, PING, TEXT
from benchmarks.fanout.messages import FIRST, TIME_ZERO, hundredths, payload


def encode(numbers: list[int], kind: int = 1, first_series: int = 0, change: float = 0.0) -> bytes:
    rows = [[n, TIME_ZERO + 1.5, *(value / 100 for value in hundredths(n))] for n in numbers]
    rows[0][2] += change
    values = np.array(rows, "<f8").ravel()
    series = np.array([[(n - FIRST) * 5 + i + first_series for i in range(5)] for n in numbers], "<u4").ravel()
    header = HEADER.pack(kind, 1, 0, len(values), 1, 0, 0, 2, 0)
    return header + values.tobytes() + series.tobytes() + bytes(4 * len(values))


def test_messages_of_a_frame() -> None:
    found = Fleetwire().decode(BINARY, encode([FIRST, FIRST + 1]))
    assert found is not None
    assert found.numbers == [FIRST, FIRST + 1]
    assert found.times == [1.5, 1.5]
    assert found.intact


def test_a_changed_value_is_noticed() -> None:
    found = Fleetwire().decode(BINARY, encode([FIRST, FIRST + 1], change=0.01))
    assert found is not None
    assert not found.intact


def test_a_device_keeps_its_series() -> None:
    dialect = Fleetwire()
    dialect.decode(BINARY, encode([FIRST]))
    found = dialect.decode(BINARY, encode([FIRST], first_series=5))
    assert found is not None
    assert not found.intact


def test_merged_and_broken_frames_are_refused_and_the_recent_past_is_no_delivery() -> None:
    with pytest.raises(ValueError, match="kind 3"):
        Fleetwire().decode(BINARY, encode([FIRST], kind=3))
    with pytest.raises(ValueError, match="whole messages"):
        Fleetwire().decode(BINARY, encode([FIRST])[:-1])
    assert Fleetwire().decode(BINARY, encode([FIRST], kind=2)) is None
    assert Fleetwire().decode(TEXT, b'{"type":"series"}') is None


def test_what_has_to_be_answered_is_answered() -> None:
    assert Fleetwire().answer(PING, b"x").endswith(b"x")
    assert Fleetwire().answer(TEXT, b'{"type":"ping"}').endswith(b'{"type":"pong"}')
    assert SocketIO().answer(TEXT, b"2").endswith(b"3")
    assert SocketIO().answer(TEXT, b'42["telemetry",{}]') == b""
    with pytest.raises(ValueError, match="lag"):
        Fleetwire().answer(TEXT, b'{"type":"lag"}')


def test_qos_1_is_acknowledged_and_qos_0_is_not() -> None:
    body = b"\x00\x01t" + b"\x12\x34" + payload(FIRST, 0.0)
    first = MqttOverWebSocket(1).answer(BINARY, bytes((0x32, len(body))) + body)
    assert first.endswith(b"\x40\x02\x12\x34")
    assert MqttOverWebSocket().answer(BINARY, bytes((0x30, len(body))) + body) == b""
