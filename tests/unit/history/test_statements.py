"""Statements that the driver runs by itself, and what is told of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy import bindparam, delete, event, insert, select
from sqlalchemy.exc import IntegrityError

from bridge.history.chunk import SharedTimes, Stack, make_chunks
from bridge.history.store import Store
from bridge.history.store_chunks import prepare_chunks
from bridge.history.store_schema import times
from bridge.history.store_sqlite import PAGE_BYTES
from bridge.history.store_statements import Statement, number, numbers
from tests.unit.history.databases import drop, new_url

ADD = Statement(insert(times).values({name: bindparam(name) for name in ("times_id", "checksum", "data")}))
FIND = Statement(
    select(times.c.times_id, times.c.data)
    .where(times.c.times_id.in_(numbers("ids")), times.c.checksum < number("below"))
    .order_by(times.c.times_id)
)
BY_SUM = Statement(select(times.c.times_id).where(times.c.checksum == bindparam("sum")))
DROP = Statement(delete(times).where(times.c.times_id.in_(numbers("ids"))))


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store(new_url())
    yield store
    store.close()
    drop(store)


def test_numbers_are_written_into_a_statement_and_rows_are_what_they_were(store: Store) -> None:
    with store.writing() as writer:
        ADD.change_each(writer.connection, [(one, one * 10, bytes([one])) for one in (1, 2, 3)])
        assert ADD.change(writer.connection, {"times_id": 4, "checksum": 40, "data": b"{%s}\0"}) == 1

        assert [tuple(row) for row in FIND.rows(writer.connection, ids=[4, 3, 9], below=50)] == [
            (3, b"\3"), (4, b"{%s}\0"),
        ]  # fmt: skip
        assert [tuple(row) for row in FIND.rows(writer.connection, ids=[3, 4], below=40)] == [(3, b"\3")]
        assert [row[0] for row in BY_SUM.rows(writer.connection, {"sum": 20})] == [2]
        assert DROP.change(writer.connection, ids=[1, 2, 9]) == 2


def test_what_the_driver_refuses_is_the_error_of_sqlalchemy_and_undoes_everything(store: Store) -> None:
    with pytest.raises(IntegrityError), store.writing() as writer:
        ADD.change(writer.connection, {"times_id": 1, "checksum": 1, "data": b"1"})
        ADD.change(writer.connection, {"times_id": 1, "checksum": 2, "data": b"2"})
    with pytest.raises(IntegrityError), store.writing() as writer:
        ADD.change_each(writer.connection, [(1, 1, b"1"), (1, 2, b"2")])

    with store.reading() as snapshot:
        assert FIND.rows(snapshot.connection, ids=[1], below=10) == []


def test_who_listens_to_statements_hears_of_all_of_them(store: Store) -> None:
    heard: list[str] = []
    event.listen(store._engine, "before_cursor_execute", lambda *told: heard.append(told[2]))

    with store.writing() as writer:
        ADD.change(writer.connection, {"times_id": 1, "checksum": 1, "data": b"1"})
        ADD.change_each(writer.connection, [(2, 2, b"2"), (3, 3, b"3")])
        assert len(FIND.rows(writer.connection, ids=[1, 2, 3], below=10)) == 3
        assert DROP.change(writer.connection, ids=[1, 2]) == 2

    assert [one.split()[0] for one in heard[-4:]] == ["INSERT", "INSERT", "SELECT", "DELETE"]


def test_chunks_are_stored_so_that_they_fill_pages() -> None:
    """Large ones and small ones: behind each large one there is room for a small one."""
    rows = [650] * 10 + [250] * 10
    values = np.random.default_rng(1).random(sum(rows))  # not to be compressed
    starts = np.cumsum([0, *rows])[:-1]
    stack = Stack(range(20), [0] * 20, [0] * 20, starts, np.arange(len(values)), values)

    prepared = prepare_chunks(make_chunks(stack, 1, SharedTimes()))

    sizes = [len(row[-1]) for row in prepared.rows]
    assert PAGE_BYTES / 2 < sizes[0] < PAGE_BYTES
    pages, room = 1, PAGE_BYTES
    for size in sizes:
        if size > room:
            pages, room = pages + 1, PAGE_BYTES
        room -= size
    assert pages == 10
    assert sorted(row[0] for row in prepared.rows) == list(range(20))
