"""What only the integration tests need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx


@pytest.fixture
def nothing_blocks() -> Iterator[None]:
    """Fails a test in which a source blocks the event loop."""
    with blockbuster_ctx("bridge.sources"):
        yield
