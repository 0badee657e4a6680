"""Starts and stops what is measured: Fleetwire and its rivals, each a process that reads from the same mosquitto."""

from __future__ import annotations

import http.client
import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.fanout.dialects import Fleetwire, MqttOverWebSocket, PlainWebSocket, SocketIO
from benchmarks.fanout.processes import family
from tests.support.mosquitto import Mosquitto, find_free_port

HERE = Path(__file__).resolve().parent / "peers"
PEERS = HERE.parent.parent / ".peers"
START_S = 40.0
SETTLE_S = 0.5  # after "ready": whatever a server still does at its start is over by then
# Nothing is written to disk, nobody is turned away, nothing waits to be sent together, and no queue is too short.
BROKER = (
    *("persistence false", "autosave_interval 0", "max_connections -1", "set_tcp_nodelay true"),
    *("max_queued_messages 0", "max_inflight_messages 10000", "log_type error", "connection_messages false"),
)
FLEETWIRE_LIMITS = {
    "FLEETWIRE_WEB__MAX_CONNECTIONS": "5000",
    "FLEETWIRE_WEB__MAX_CONNECTIONS_PER_ADDRESS": "5000",
    "FLEETWIRE_WEB__MAX_NEW_CONNECTIONS_PER_S": "5000",
    "FLEETWIRE_LOG_LEVEL": "warning",
}


class Spec(NamedTuple):
    """A kind of server. `command` gets its own port, the broker's port and a folder."""

    title: str
    dialect: Callable[[], PlainWebSocket]
    command: Callable[[int, int, Path], list[str]] | None
    ready: str = "^ready"  # what it prints when it serves
    ready_path: str = ""  # what it answers with 200 when the broker is connected too; without: it prints later


def _node(script: str, *args: str) -> Callable[[int, int, Path], list[str]]:
    return lambda port, broker, folder: ["node", str(HERE / script), str(port), str(broker), *args]


def _node_red(port: int, broker: int, folder: Path) -> list[str]:
    flows = (HERE / "node_red_flows.json").read_text().replace("MQTT_PORT", str(broker))
    (folder / "flows.json").write_text(flows)
    red = PEERS / "node_modules" / "node-red" / "red.js"
    settings = ["--settings", str(HERE / "node_red_settings.js"), "--userDir", str(folder), "--port", str(port)]
    return ["node", str(red), *settings, "flows.json"]


def _fleetwire(port: int, broker: int, folder: Path) -> list[str]:
    where = ["--mqtt-url", f"mqtt://127.0.0.1:{broker}", "--data-dir", str(folder / "data"), "--port", str(port)]
    return [sys.executable, "-m", "bridge", "serve", "--auth", "none", *where]


def _aiohttp(port: int, broker: int, folder: Path) -> list[str]:
    return [sys.executable, str(HERE / "naive_aiohttp.py"), str(port), str(broker)]


SPECS: dict[str, Spec] = {
    "fleetwire": Spec("Fleetwire", Fleetwire, _fleetwire, "^Fleetwire ready", "/readyz"),
    "ws": Spec("Node.js ws", PlainWebSocket, _node("ws.js")),
    "mosquitto": Spec("mosquitto WebSockets", MqttOverWebSocket, None),
    "node-red": Spec("Node-RED", lambda: PlainWebSocket("/telemetry"), _node_red, "Connected to broker"),
    "socket.io": Spec("Socket.IO", SocketIO, _node("socketio.js")),
    "aiohttp": Spec("aiohttp send_str", PlainWebSocket, _aiohttp),
}
RECOVERING_SOCKET_IO = Spec("Socket.IO, state recovery", SocketIO, _node("socketio.js", "recovery"))
NPM = {"ws", "node-red", "socket.io"}


def install_peers() -> None:
    """`npm install` into benchmarks/.peers, unless what package.json asks for is there already."""
    wanted = (HERE / "package.json").read_bytes()
    PEERS.mkdir(exist_ok=True)
    copy = PEERS / "package.json"
    if copy.exists() and copy.read_bytes() == wanted and (PEERS / "installed").exists():
        return
    if shutil.which("npm") is None:
        raise SystemExit("npm is needed for the rivals on Node.js (Debian: apt install npm); or use --only")
    (PEERS / "installed").unlink(missing_ok=True)
    copy.write_bytes(wanted)
    print(f"installing the rivals into {PEERS.name}/ ...", flush=True)
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--omit=dev", "--loglevel=error"]
    subprocess.run(["npm", "install", *quiet], cwd=PEERS, check=True, timeout=600)
    (PEERS / "installed").touch()


def peer_version(package: str) -> str:
    """The version of an npm package as installed."""
    text = (PEERS / "node_modules" / package / "package.json").read_text()
    found = re.search(r'"version":\s*"([^"]+)"', text)
    return found[1] if found else "?"


class Server:
    """One broker and one server in front of it, in a folder of their own. Use as a context."""

    def __init__(self, spec: Spec, folder: Path) -> None:
        self.spec = spec
        self.port = find_free_port()
        self._folder = folder
        listener = () if spec.command else (f"listener {self.port} 127.0.0.1", "protocol websockets")
        self.broker = Mosquitto(folder / "broker", [*BROKER, *listener])
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        self.broker.start()
        try:
            if self.spec.command is not None:
                command = self.spec.command(self.port, self.broker.port, self._folder)
                with (self._folder / "server.log").open("wb") as log:
                    self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=_environment())
                self._wait_until_ready()
            time.sleep(SETTLE_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
        self.broker.stop()

    def pids(self) -> list[int]:
        """The processes that are the server: mosquitto itself where it is the rival."""
        return family(self._process.pid) if self._process is not None else [self.broker.pid]

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        deadline, said = time.monotonic() + START_S, b""
        while not re.search(self.spec.ready.encode(), said, re.MULTILINE):
            left = deadline - time.monotonic()
            if left < 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise SystemExit(f"{self.spec.title} did not get ready: {said[-2000:]!r}")
            data = os.read(self._process.stdout.fileno(), 65_536)
            if not data:
                errors = (self._folder / "server.log").read_text(errors="replace")
                raise SystemExit(f"{self.spec.title} ended: {said[-1000:]!r} {errors[-2000:]}")
            said += data
        while self.spec.ready_path and not self._answers():
            if time.monotonic() > deadline:
                raise SystemExit(f"{self.spec.title} has not connected to the broker")
            time.sleep(0.05)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", self.spec.ready_path)
            return connection.getresponse().status == 200
        finally:
            connection.close()


def _environment() -> dict[str, str]:
    return {**os.environ, **FLEETWIRE_LIMITS, "NODE_PATH": str(PEERS / "node_modules"), "NODE_ENV": "production"}
