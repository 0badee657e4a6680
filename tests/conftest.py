"""What tests of several kinds need: a real broker of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
