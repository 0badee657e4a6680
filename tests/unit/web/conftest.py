"""A page to serve, and a server for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.web.helpers import Site, running


@pytest.fixture
def dashboard(tmp_path: Path) -> Path:
    root = tmp_path / "dashboard"
    (root / "js").mkdir(parents=True)
    (root / "img").mkdir()
    (root / "index.html").write_text("<!doctype html><title>Fleetwire</title>", encoding="utf-8")
    (root / "js" / "main.js").write_text("export const answer = 42;\n" * 100, encoding="utf-8")
    (root / "js" / "tiny.js").write_text("1", encoding="utf-8")
    (root / "img" / "favicon.svg").write_text("<svg/>", encoding="utf-8")
    (root / "notes.txt").write_text("not a type that is served", encoding="utf-8")
    (tmp_path / "secret.js").write_text("the secret", encoding="utf-8")
    return root


@pytest.fixture
async def site(dashboard: Path) -> AsyncIterator[Site]:
    async with running(dashboard) as site:
        yield site
