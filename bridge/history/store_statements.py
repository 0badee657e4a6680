"""The statements that run for every commit and every chunk, without what SQLAlchemy does for each of them.

SQLAlchemy builds them, for whatever database; with SQLite the driver runs them. That takes a tenth of the time, and the
errors are the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import BigInteger, ColumnElement, Connection, literal_column
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.expression import ClauseElement


def number(name: str) -> ColumnElement[int]:
    """The place of a whole number that is written into the text of a `Statement`."""
    return literal_column(f"{{{name}}}", BigInteger)


def numbers(name: str) -> list[ColumnElement[int]]:
    """The place of some numbers, for `in_`: one at least. Hundreds of parameters would take longer than the answer."""
    return [number(name)]


def run(connection: Connection, text: str, binds: Sequence[Any] = ()) -> list[Any]:
    """Have SQLite's driver run this, and return its rows.

    Raises:
        DBAPIError: as SQLAlchemy would have raised it.
    """
    try:
        return driver(connection).execute(text, binds).fetchall()
    except sqlite3.Error as error:
        raise as_sqlalchemy(connection, text, error) from error


def driver(connection: Connection) -> sqlite3.Connection:
    return cast(sqlite3.Connection, connection.connection.dbapi_connection)


def as_sqlalchemy(connection: Connection, text: str, error: sqlite3.Error) -> BaseException:
    return DBAPIError.instance(text, None, error, sqlite3.Error, dialect=connection.dialect)


class Statement:
    """Built and compiled once. `bindparam`s or `number`s, not both.

    Rows are as the driver makes them: numbers, bytes and texts are themselves, but a sum may be a Decimal.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, tuple[str, ...]]] = {}  # text and names, by the name of the database

    def rows(
        self, connection: Connection, binds: Mapping[str, Any] | None = None, **values: int | Collection[int]
    ) -> list[Any]:
        text, names = self._text(connection, values)
        if connection.dialect.name == "sqlite":
            return run(connection, text, [binds[name] for name in names] if binds else ())
        if binds:
            return list(connection.execute(self._statement, binds).fetchall())  # type: ignore[call-overload]
        return list(connection.exec_driver_sql(text).fetchall())

    def change(
        self, connection: Connection, binds: Mapping[str, Any] | None = None, **values: int | Collection[int]
    ) -> int:
        """How many rows it was that changed."""
        text, names = self._text(connection, values)
        if connection.dialect.name == "sqlite":
            try:
                return driver(connection).execute(text, [binds[name] for name in names] if binds else ()).rowcount
            except sqlite3.Error as error:
                raise as_sqlalchemy(connection, text, error) from error
        if binds:
            return int(connection.execute(self._statement, binds).rowcount)  # type: ignore[call-overload]
        return connection.exec_driver_sql(text).rowcount

    def change_each(self, connection: Connection, rows: Collection[Sequence[Any]]) -> None:
        """With SQLite, once for each row of binds, which are in the order of its text."""
        text, _ = self._text(connection, {})
        try:
            driver(connection).executemany(text, rows)
        except sqlite3.Error as error:
            raise as_sqlalchemy(connection, text, error) from error

    def _text(self, connection: Connection, values: Mapping[str, int | Collection[int]]) -> tuple[str, tuple[str, ...]]:
        dialect = connection.dialect
        found = self._compiled.get(dialect.name)
        if found is None:
            compiled: Any = self._statement.compile(dialect=dialect, compile_kwargs={"literal_binds": bool(values)})
            found = self._compiled[dialect.name] = str(compiled), tuple(compiled.positiontup or ())
        if not values:
            return found
        written = {
            name: str(int(value)) if isinstance(value, int) else ",".join([str(int(one)) for one in value])
            for name, value in values.items()
        }
        return found[0].format(**written), ()
