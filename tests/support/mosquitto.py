"""A real mosquitto for tests: on a free port, with its own state, to be started, killed and started again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0

BASE_CONFIG = (
    "persistence true",
    "autosave_interval 1",
    "autosave_on_changes false",
    "max_queued_messages 100000",
    "max_inflight_messages 1000",
)

MISSING = (
    "mosquitto is needed for the integration tests and was not found; "
    "install it (Debian: apt install mosquitto, macOS: brew install mosquitto)"
)


def find_free_port() -> int:
    """A port of 127.0.0.1 that nobody holds at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def find_mosquitto() -> str:
    """Path of the broker. Fails instead of skipping: a test that does not run proves nothing."""
    folders = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
    path = shutil.which("mosquitto", path=folders)
    if path is None:
        raise AssertionError(MISSING)
    return path


class Mosquitto:
    """One broker. `config` are lines of mosquitto.conf; `anonymous` and `listener` lines are added unless given."""

    def __init__(self, folder: Path, config: Sequence[str] = (), *, port: int | None = None) -> None:
        self.folder = folder
        self.port = find_free_port() if port is None else port
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.config = list(config)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when it accepts connections."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [f"listener {self.port} 127.0.0.1", *BASE_CONFIG, f"persistence_location {self.folder}/"]
        if not any(line.startswith("allow_anonymous") for line in self.config):
            lines.append("allow_anonymous true")
        if os.geteuid() == 0:
            lines.append("user root")
        file = self.folder / "mosquitto.conf"
        file.write_text("\n".join([*lines, *self.config]) + "\n")
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen([find_mosquitto(), "-c", str(file)], stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"mosquitto did not start: {self.log}") from None
                time.sleep(0.01)
            else:
                return

    @property
    def log(self) -> str:
        """What it said so far."""
        return (self.folder / "mosquitto.log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """End it as an administrator would; it writes its state. Safe to call twice."""
        if self._process is not None:
            self._process.terminate()
            self._wait()

    def kill(self) -> None:
        """kill -9: no state is written, and nobody is told."""
        if self._process is not None:
            self._process.kill()
            self._wait()

    def restart(self) -> None:
        """Start it again (after stopping it if it runs): same port, same state."""
        self.stop()
        self.start()

    def forget(self) -> None:
        """Delete its state; only while it does not run."""
        (self.folder / "mosquitto.db").unlink(missing_ok=True)

    def _wait(self) -> None:
        assert self._process is not None
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
