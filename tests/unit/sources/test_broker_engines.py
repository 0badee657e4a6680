"""What the broker programs are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.sources.broker_engines import mosquitto_config, nats_config

SHIPPED_CONFIG = Path(__file__).parents[3] / "config" / "mosquitto.conf"


def test_mosquitto_gets_the_shipped_configuration_and_its_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    template = SHIPPED_CONFIG.read_text()
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    written = mosquitto_config(template, "[::1]", 1884, Path("/state folder"))
    assert written.startswith(template.rstrip())
    assert "\nlistener 1884 ::1\n" in written
    assert "\npersistence_location /state folder/\n" in written
    assert "\nuser " not in written
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert "\nuser root\n" in mosquitto_config(template, "127.0.0.1", 1884, Path("/state"))


def test_every_line_of_the_shipped_configuration_says_why() -> None:
    explained = False
    for line in SHIPPED_CONFIG.read_text().splitlines():
        if line.startswith("# -----") or not line:
            explained = False
        elif line.startswith("#"):
            explained = True
        else:
            assert explained, line


def test_shipped_configuration_opens_no_listener() -> None:
    lines = SHIPPED_CONFIG.read_text().splitlines()
    assert not any(line.startswith(("listener", "port", "bind_address")) for line in lines)


def test_nats_listens_on_loopback_only() -> None:
    config = json.loads(nats_config("127.0.0.1", 1884, Path("/state")))
    assert config["mqtt"]["host"] == config["host"] == "127.0.0.1"
    assert (config["mqtt"]["port"], config["port"]) == (1884, -1)
    assert config["jetstream"]["store_dir"].startswith("/state")
    assert not {"http", "http_port", "monitor_port", "cluster", "websocket"} & set(config)
