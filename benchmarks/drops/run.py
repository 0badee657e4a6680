"""One server, some clients, connections that come and go."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.drops.client import Client
from benchmarks.drops.sessions import DeviceSession, FleetwireSession, MqttSession, RecoveringSession, Session
from benchmarks.fanout.dialects import Fleetwire, MqttOverWebSocket, SocketIO
from benchmarks.fanout.messages import FIRST
from benchmarks.fanout.servers import RECOVERING_SOCKET_IO, SPECS, Server, Spec

UP_S = 3.0
DOWN_S = 2.0
DRAIN_S = 5.0


class Way(NamedTuple):
    """A server, and how clients come back to it."""

    title: str
    spec: Spec
    session: Callable[[int], Session]


def _plain(name: str) -> Callable[[int], Session]:
    return lambda index: Session(SPECS[name].dialect(), index)


WAYS: dict[str, Way] = {
    "fleetwire-log": Way("Fleetwire `log`", SPECS["fleetwire"], lambda i: FleetwireSession(Fleetwire(), i)),
    "fleetwire-device": Way("Fleetwire `device/<id>`", SPECS["fleetwire"], lambda i: DeviceSession(Fleetwire(), i)),
    "ws": Way("Node.js ws", SPECS["ws"], _plain("ws")),
    "node-red": Way("Node-RED", SPECS["node-red"], _plain("node-red")),
    "aiohttp": Way("aiohttp send_str", SPECS["aiohttp"], _plain("aiohttp")),
    "socket.io": Way("Socket.IO", SPECS["socket.io"], _plain("socket.io")),
    "socket.io-recovery": Way(
        RECOVERING_SOCKET_IO.title, RECOVERING_SOCKET_IO, lambda i: RecoveringSession(SocketIO(), i)
    ),
    "mosquitto-0": Way("mosquitto, QoS 0", SPECS["mosquitto"], lambda i: MqttSession(MqttOverWebSocket(), i)),
    "mosquitto-1": Way(
        "mosquitto, QoS 1, session", SPECS["mosquitto"], lambda i: MqttSession(MqttOverWebSocket(1, clean=False), i)
    ),
}


@dataclass
class Outcome:
    """What all clients of one run got together."""

    way: str
    mode: str
    clients: int
    drops: int
    expected: int
    delivered: int
    duplicates: int
    reordered: int
    corrupt: int
    errors: int

    @property
    def per_cent(self) -> float:
        return 100 * self.delivered / self.expected if self.expected else 0.0


def run(name: str, mode: str, clients: int, rate: float, seconds: float) -> Outcome:
    """One server, one kind of loss."""
    way = WAYS[name]
    with tempfile.TemporaryDirectory(prefix="drops-") as folder, Server(way.spec, Path(folder)) as server:
        begin = time.monotonic()
        devices = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.fanout.publisher", str(server.broker.port), str(rate), "1", repr(begin)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert devices.stdin is not None
        assert devices.stdout is not None
        everyone: list[Client] = []
        try:
            devices.stdout.readline()
            devices.stdin.write("begin\n")
            devices.stdin.flush()
            time.sleep(1.5)  # every device has spoken: its channel exists
            began = time.monotonic()
            everyone = [Client(way.session(i), server.port, began + i * 0.01) for i in range(clients)]
            _come_and_go(everyone, began + seconds, mode == "silent")
            devices.stdin.write("end\n")
            devices.stdin.flush()
            sent = json.loads(devices.stdout.readline())["sent"]
            _wait(everyone, DRAIN_S)
        finally:
            for client in everyone:
                client.close()
            devices.kill()
            devices.communicate()
    return Outcome(
        name,
        mode,
        clients,
        drops=sum(client.drops for client in everyone),
        expected=sum(client.expected(FIRST + sent - 1) for client in everyone),
        delivered=sum(client.tally.unique for client in everyone),
        duplicates=sum(client.tally.duplicates for client in everyone),
        reordered=sum(client.tally.reordered for client in everyone),
        corrupt=sum(client.corrupt for client in everyone),
        errors=sum(client.errors for client in everyone),
    )


def _come_and_go(everyone: list[Client], until: float, silent: bool) -> None:
    """Until then, and on until the last one is back."""
    spread = (UP_S + DOWN_S) / len(everyone)
    for index, client in enumerate(everyone):
        client.join()
        client.due = time.monotonic() + 1 + index * spread
    while (now := time.monotonic()) < until or any(client.socket is None for client in everyone):
        for client in everyone:
            if client.socket is None and now >= client.due:
                try:
                    client.join()
                    client.due = time.monotonic() + UP_S
                except OSError:
                    client.errors += 1
                    client.due = now + 0.5
            elif client.socket is not None and client.due <= now < until:
                client.drop(silent)
                client.due = now + DOWN_S
        _read(everyone, 0.01)


def _read(everyone: list[Client], timeout_s: float) -> bool:
    """Whether anything came."""
    open_now = {client.socket: client for client in everyone if client.socket is not None}
    readable = select.select(list(open_now), [], [], timeout_s)[0]
    for one in readable:
        open_now[one].read()
    return bool(readable)


def _wait(everyone: list[Client], longest_s: float) -> None:
    """Until nothing has come for a second."""
    deadline = time.monotonic() + longest_s
    while _read(everyone, 1.0) and time.monotonic() < deadline:
        pass
