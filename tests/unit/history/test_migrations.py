"""The way from an older schema, proven with a second one made up for the purpose."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, select, text

from bridge.history.faults import StoreTooNew
from bridge.history.store import Store
from bridge.history.store_migrations import STEPS, read_schema
from bridge.history.store_schema import metadata
from tests.unit.history.databases import url_in
from tests.unit.history.scene import START_US, Scene, flat


def add_site(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE history_series ADD COLUMN site TEXT NOT NULL DEFAULT 'plant'"))
    connection.execute(text("CREATE TABLE history_site (name TEXT PRIMARY KEY)"))
    connection.execute(text("INSERT INTO history_site VALUES ('plant')"))


def fail_halfway(connection: Connection) -> None:
    add_site(connection)
    raise RuntimeError("the power went out")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store of schema 1 with readings in its journal and in its chunks."""
    url = url_in(tmp_path)
    store = Store(url, STEPS[:1])
    scene = Scene(store)
    scene.append([(1, START_US, 1.0)])
    scene.seal()
    scene.append([(1, START_US + 1, 2.0)])
    store.close()
    return url


def columns(store: Store, table: str) -> set[str]:
    with store.reading() as snapshot:
        return {column["name"] for column in inspect(snapshot.connection).get_columns(table)}


def test_a_step_is_taken_once_and_the_data_stays(url: str) -> None:
    store = Store(url, [*STEPS[:1], add_site])
    assert (store.opened.schema_before, store.opened.schema) == (1, 2)
    assert not store.opened.is_new
    assert "site" in columns(store, "history_series")
    with store.reading() as snapshot:
        assert read_schema(snapshot.connection) == 2
        assert len(snapshot.read_frames(0, 10)) == 1
    scene = Scene(store)
    scene.told = [(1, START_US, 1.0), (1, START_US + 1, 2.0)]
    assert scene.everything() == flat(scene.model())
    store.close()

    again = Store(url, [*STEPS[:1], add_site])
    assert (again.opened.schema_before, again.opened.schema) == (2, 2)
    again.close()


def test_a_step_that_fails_halfway_leaves_the_old_schema(url: str) -> None:
    with pytest.raises(RuntimeError, match="power"):
        Store(url, [*STEPS[:1], fail_halfway])

    store = Store(url, STEPS[:1])
    assert store.opened.schema_before == 1
    assert "site" not in columns(store, "history_series")
    with store.reading() as snapshot:
        assert not inspect(snapshot.connection).has_table("history_site")
    store.close()


_VICTIM = """
import os, signal, sys
from tests.unit.history.test_migrations import STEPS, Store, add_site
def killed(connection):
    add_site(connection)
    os.kill(os.getpid(), signal.SIGKILL)
Store(sys.argv[1], [*STEPS[:1], killed])
"""


def test_kill_9_in_the_midst_of_a_step_leaves_the_old_schema(url: str) -> None:
    assert subprocess.run([sys.executable, "-c", _VICTIM, url], check=False).returncode == -9

    store = Store(url, [*STEPS[:1], add_site])
    assert (store.opened.schema_before, store.opened.schema) == (1, 2)
    assert store.find_damage(everything=True) == []
    store.close()


def test_a_store_of_a_later_program_is_refused_and_left_alone(url: str) -> None:
    Store(url, [*STEPS[:1], add_site]).close()

    with pytest.raises(StoreTooNew, match="schema 2, this one knows 1"):
        Store(url, STEPS[:1])

    store = Store(url, [*STEPS[:1], add_site])
    assert store.opened.schema_before == 2
    store.close()


def test_all_steps_together_make_the_tables_as_they_are_described(tmp_path: Path) -> None:
    store = Store(url_in(tmp_path, "new.db"))

    for table in metadata.sorted_tables:
        assert columns(store, table.name) == {column.name for column in table.columns}
        with store.reading() as snapshot:
            made = {index["name"] for index in inspect(snapshot.connection).get_indexes(table.name)}
            assert made == {index.name for index in table.indexes}
            assert snapshot.connection.execute(select(table)).keys()
    store.close()


def test_the_schema_and_every_statement_of_a_start_compile_for_postgresql() -> None:
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import CreateIndex, CreateTable

    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in metadata.sorted_tables:
        made = str(CreateTable(table).compile(dialect=dialect))
        assert "BLOB" not in made
        for index in table.indexes:
            assert str(CreateIndex(index).compile(dialect=dialect))
    assert "chunk_id BIGSERIAL NOT NULL" in str(CreateTable(metadata.tables["history_chunk"]).compile(dialect=dialect))
