"""What a client that comes and goes counts, and what it says when it comes back."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.drops import sessions
from benchmarks.drops.__main__ import report
from benchmarks.drops.client import Client
from benchmarks.drops.run import Outcome
from benchmarks.fanout.dialects import HEADER, Fleetwire, PlainWebSocket, SocketIO
from benchmarks.fanout.frames import BINARY, TEXT
from benchmarks.fanout.messages import FIRST, payload
from bridge.web.wire import frame


class Loopback(sessions.Session):
    """Every join is a new pair of sockets; what is put into `waiting` comes with it."""

    def __init__(self) -> None:
        super().__init__(PlainWebSocket(), 0)
        self.far: list[socket.socket] = []

    def join(self, port: int) -> Any:
        near, far = socket.socketpair()
        self.far.append(far)
        return SimpleNamespace(socket=near, buffer=b"")

    def send(self, *numbers: int) -> None:
        self.far[-1].sendall(b"".join(frame(payload(FIRST + n, 0.0), is_text=True) for n in numbers))


@pytest.fixture
def pair() -> Iterator[tuple[Client, Loopback]]:
    session = Loopback()
    client = Client(session, 0, 0.0)
    client.join()
    yield client, session
    client.close()
    for far in session.far:
        far.close()


@pytest.mark.parametrize("silent", [False, True])
def test_what_was_missed_is_missing(pair: tuple[Client, Loopback], silent: bool) -> None:
    client, session = pair
    session.send(2, 3)
    client.read()
    session.send(4)  # on the way when the connection goes
    client.drop(silent)
    client.join()
    session.send(6, 7, 7)
    client.read()
    assert client.expected(FIRST + 7) == 6
    assert (client.tally.unique, client.tally.duplicates, client.drops, client.errors) == (4, 1, 1, 0)


def test_an_end_by_the_server_is_an_error(pair: tuple[Client, Loopback]) -> None:
    client, session = pair
    session.far[-1].close()
    client.read()
    assert (client.errors, client.socket) == (1, None)


def test_a_device_session_expects_its_own_messages() -> None:
    session = sessions.DeviceSession(Fleetwire(), 3)
    assert session.channel == "device/b003"
    assert [n for n in range(FIRST, FIRST + 110) if session.expects(n)] == [FIRST + 3, FIRST + 53, FIRST + 103]


class Said:
    """A dialect that remembers what was asked of it."""

    def __init__(self, **answers: Any) -> None:
        self.asked: list[Any] = []
        self.__dict__.update(answers)

    def join(self, port: int, *args: Any, **fields: Any) -> None:
        self.asked.append((args, fields))


def test_fleetwire_comes_back_with_epoch_and_the_last_offset_of_any_kind() -> None:
    dialect: Any = Said(snapshot={"epoch": "e", "offset": 4, "recovered": False})
    session = sessions.FleetwireSession(dialect, 0)
    session.join(1)
    session.note(BINARY, HEADER.pack(1, 1, 0, 0, 9, 0, 0, 2, 0))
    session.note(TEXT, json.dumps({"type": "series", "channel": "log", "offset": 10}, separators=(",", ":")).encode())
    session.note(TEXT, b'{"type":"presence","operators":2}')
    session.note(BINARY, HEADER.pack(2, 1, 0, 0, 0, 0, 0, 2, 0))
    dialect.snapshot = {"epoch": "e", "offset": 20, "recovered": True}
    session.join(1)
    session.join(1)
    assert dialect.asked[0] == (("log",), {})
    assert dialect.asked[1:] == [(("log",), {"epoch": "e", "offset": 10})] * 2


def test_socket_io_comes_back_with_its_private_id_and_offset() -> None:
    dialect: Any = Said(session={"sid": "s", "pid": "p"})
    session = sessions.RecoveringSession(dialect, 0)
    session.join(1)
    session.note(TEXT, b'42["telemetry",{"n":1},"off"]')
    session.join(1)
    assert dialect.asked == [((b"",), {}), ((b'{"pid": "p", "offset": "off"}',), {})]
    assert SocketIO().path.startswith("/socket.io/")


def test_the_table_never_rounds_up_to_everything() -> None:
    text = report([Outcome("ws", "cut", 1, 1, 1_000_000, 999_999, 0, 0, 0, 0)], "command")
    assert "99.99 %" in text
    assert "1 of 1,000,000" in text
