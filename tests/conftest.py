"""What tests of several kinds need: a real broker of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.bridge import Bridge
from tests.support.mosquitto import Mosquitto, find_free_port


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running mosquitto that belongs to this test: `.port`, `.url`, `.kill()`, `.restart()`."""
    broker = Mosquitto(tmp_path / "mosquitto")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def free_port() -> int:
    """A port of 127.0.0.1 that nobody holds."""
    return find_free_port()


@pytest.fixture
async def bridge(tmp_path: Path, mosquitto: Mosquitto) -> AsyncIterator[Bridge]:
    """A running bridge on that broker, in a process of its own; its log must have no traceback and no token."""
    bridge = Bridge(tmp_path / "data", mqtt_url=mosquitto.url)
    await bridge.start()
    yield bridge
    await bridge.stop()
    assert "Traceback" not in bridge.log
    assert bridge.token not in bridge.log
