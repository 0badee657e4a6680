"""The statements that run for every commit and every chunk, without what SQLAlchemy does for each of them.

SQLAlchemy builds them, for whatever database; with SQLite the driver runs them. That takes a tenth of the time, and the
errors are the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import BigInteger, ClauseElement, ColumnElement, Connection, CursorResult, Executable, literal_column
from sqlalchemy.exc import DBAPIError


def number(name: str) -> ColumnElement[int]:
    """The place of a whole number that is written into the text of a `Statement`."""
    return literal_column(f"{{{name}}}", BigInteger)


def numbers(name: str) -> list[ColumnElement[int]]:
    """The place of some numbers, for `in_`: one at least. Hundreds of parameters would take longer than the answer."""
    return [number(name)]


def run(connection: Connection, text: str, binds: Sequence[Any] = ()) -> tuple[list[Any], int]:
    """Rows, and how many were changed, of a statement for SQLite. Whoever listens to SQLAlchemy hears of it.

    Raises:
        DBAPIError: as SQLAlchemy raises it.
    """
    if connection.dispatch.before_cursor_execute:
        done = connection.exec_driver_sql(text, tuple(binds))
        return (list(done.fetchall()) if done.returns_rows else []), done.rowcount
    try:
        cursor = _driver(connection).execute(text, binds)
        return cursor.fetchall(), cursor.rowcount
    except sqlite3.Error as error:
        raise _as_sqlalchemy(connection, text, error) from error


def stream(connection: Connection, text: str, binds: Sequence[Any] = ()) -> Iterator[Any]:
    """The rows of `run`, as they are asked for."""
    if connection.dispatch.before_cursor_execute:
        yield from connection.exec_driver_sql(text, tuple(binds))
        return
    try:
        yield from _driver(connection).execute(text, binds)
    except sqlite3.Error as error:
        raise _as_sqlalchemy(connection, text, error) from error


def run_each(connection: Connection, text: str, rows: Sequence[Sequence[Any]]) -> None:
    """As `run`, once for each row of binds."""
    if connection.dispatch.before_cursor_execute:
        connection.exec_driver_sql(text, [tuple(row) for row in rows])
        return
    try:
        _driver(connection).executemany(text, rows)
    except sqlite3.Error as error:
        raise _as_sqlalchemy(connection, text, error) from error


def _driver(connection: Connection) -> sqlite3.Connection:
    return cast(sqlite3.Connection, connection.connection.dbapi_connection)


def _as_sqlalchemy(connection: Connection, text: str, error: sqlite3.Error) -> BaseException:
    return DBAPIError.instance(text, None, error, sqlite3.Error, dialect=connection.dialect)


class Statement:
    """Built and compiled once. `bindparam`s or `number`s, not both.

    Rows are as the driver makes them: numbers, bytes and texts are themselves, but a sum may be a Decimal.
    """

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, tuple[str, ...]]] = {}  # text and names, by the name of the database

    def rows(
        self, connection: Connection, binds: Mapping[str, Any] | None = None, **values: int | Collection[int]
    ) -> list[Any]:
        text, names = self._text(connection, values)
        if connection.dialect.name == "sqlite":
            return run(connection, text, [binds[name] for name in names] if binds else ())[0]
        return list(self._ask(connection, text, binds).fetchall())

    def stream(self, connection: Connection, binds: Mapping[str, Any]) -> Iterator[Any]:
        """The rows, as they are asked for: some may be all that is wanted, and all of them large."""
        text, names = self._text(connection, {})
        if connection.dialect.name == "sqlite":
            return stream(connection, text, [binds[name] for name in names])
        return iter(self._ask(connection, text, binds))

    def change(
        self, connection: Connection, binds: Mapping[str, Any] | None = None, **values: int | Collection[int]
    ) -> int:
        """How many rows it was that changed."""
        text, names = self._text(connection, values)
        if connection.dialect.name == "sqlite":
            return run(connection, text, [binds[name] for name in names] if binds else ())[1]
        return self._ask(connection, text, binds).rowcount

    def change_each(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Once for each row of binds, which are in the order of its columns."""
        text, names = self._text(connection, {})
        if connection.dialect.name == "sqlite":
            run_each(connection, text, rows)
        else:
            connection.execute(self._statement, [dict(zip(names, row, strict=True)) for row in rows])

    def _ask(self, connection: Connection, text: str, binds: Mapping[str, Any] | None) -> CursorResult[Any]:
        if binds:
            return connection.execute(self._statement, binds)
        return connection.exec_driver_sql(text)

    def _text(self, connection: Connection, values: Mapping[str, int | Collection[int]]) -> tuple[str, tuple[str, ...]]:
        dialect = connection.dialect
        found = self._compiled.get(dialect.name)
        if found is None:
            how = {"literal_binds": bool(values)}
            compiled: Any = cast(ClauseElement, self._statement).compile(dialect=dialect, compile_kwargs=how)
            found = self._compiled[dialect.name] = str(compiled), tuple(compiled.positiontup or ())
        if not values:
            return found
        written = {
            name: str(int(value)) if isinstance(value, int) else ",".join([str(int(one)) for one in value])
            for name, value in values.items()
        }
        return found[0].format(**written), ()
