"""What a database says when it refuses, in words for people; the one place that knows how each says it."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from sqlalchemy.exc import DBAPIError

from bridge.history.faults import HistoryError


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
    if isinstance(cause, OSError):
        return Fault(f"the history cannot be written: {cause.strerror or cause}", disk_full=cause.errno == 28)
    return Fault(f"the history cannot be written: {type(cause).__name__}: {cause}", known=False)
