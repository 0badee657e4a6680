"""What a database says when it refuses, in words for people; the one place that knows how each says it."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from sqlalchemy.exc import DBAPIError

from bridge.history.faults import HistoryError
from bridge.history.store_postgres import DRIVER

# What PostgreSQL calls it (its manual, appendix A), as far as people can do something about it.
_DISK_FULL = "53100"
_HELD = {"55P03", "40001", "40P01"}  # lock not available, serialization failure, deadlock
_MISTAKES = ("22", "23", "42")  # data, constraints, statements: ours, and a traceback helps
_NO_RIGHTS = "42501"


class Fault(NamedTuple):
    """`known`: a way of failing that we expect, whose traceback tells nothing."""

    reason: str
    disk_full: bool = False
    known: bool = True


def describe(error: BaseException) -> Fault:
    """Why a step failed."""
    if isinstance(error, HistoryError):
        return Fault(str(error))
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return Fault("the disk is full", disk_full=True)
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return Fault("another program holds the history")
        return Fault(f"the history cannot be written: {cause}", known=code != sqlite3.SQLITE_ERROR)
    if cause is not None and type(cause).__module__.partition(".")[0] == DRIVER:
        return _of_postgres(cause)
    if isinstance(cause, OSError):
        return Fault(f"the history cannot be written: {cause.strerror or cause}", disk_full=cause.errno == 28)
    return Fault(f"the history cannot be written: {type(cause).__name__}: {cause}", known=False)


def _of_postgres(cause: BaseException) -> Fault:
    """The server's own words, or the driver's when there is no server. Neither has the password in it."""
    told = cause.args[0] if cause.args else ""
    if not isinstance(told, dict):
        return Fault(f"the history's database does not answer: {told}")
    code, words = str(told.get("C", "")), str(told.get("M", ""))
    if code == _DISK_FULL:
        return Fault("the disk of the history's database is full")
    if code in _HELD:
        return Fault("another program holds the history")
    return Fault(
        f"the history cannot be written: {words} ({code})", known=code == _NO_RIGHTS or not code.startswith(_MISTAKES)
    )
