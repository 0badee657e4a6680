"""The database of these tests: SQLite, or PostgreSQL if HISTORY_TESTS_ON=postgres (`make test` does both).

What is about SQLite's files alone has the marker `sqlite`.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings

from bridge.history.store import Store
from tests.support.postgres import Postgres

ON_POSTGRES = os.environ.get("HISTORY_TESTS_ON") == "postgres"
# A new database takes PostgreSQL a quarter of a second. The statements are the same in each example.
EXAMPLES_ON_POSTGRES = 6

_cleared: list[str] = []  # databases that are empty again


def new_url() -> str:
    """Of an empty database of which nobody else knows; in memory where there is such a thing."""
    if not ON_POSTGRES:
        return "sqlite://"
    return _cleared.pop() if _cleared else server().new_database()


def url_in(folder: Path, name: str = "history.db") -> str:
    """Of the database by this name in a folder: always the same, empty when it is named first."""
    return _named(folder / name) if ON_POSTGRES else f"sqlite:///{folder / name}"


def drop(store: Store) -> None:
    """Nobody needs the database of this store any more."""
    if ON_POSTGRES:
        server().clear(store._url)
        _cleared.append(store._url)


def examples(count: int) -> settings:
    """How many examples of a property are tried."""
    return settings(max_examples=min(count, EXAMPLES_ON_POSTGRES) if ON_POSTGRES else count, deadline=None)


@functools.cache
def _named(_: Path) -> str:
    return server().new_database()


@functools.cache
def server() -> Postgres:
    """One for this process, ended with it."""
    folder = Path(tempfile.mkdtemp(prefix="fleetwire-postgres-"))
    folder.chmod(0o755)
    server = Postgres(folder / "server").create().start()

    def end() -> None:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return server
