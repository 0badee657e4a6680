"""What can go wrong with a history, for those who must tell it apart.

HistoryError          nothing was changed; the text says what to do
├── StoreTooNew       a later Fleetwire wrote this store
├── NotInstalled      a package is missing that not every installation needs
└── Damaged           bytes that are not what was written
"""

from __future__ import annotations


class HistoryError(Exception):
    """A request to the history that cannot be carried out."""


class StoreTooNew(HistoryError):
    """The store has schema `found`; this program knows schemas up to `known`. It is left untouched."""

    def __init__(self, found: int, known: int) -> None:
        self.found = found
        self.known = known
        super().__init__(found, known)

    def __str__(self) -> str:
        return f"the history was written by a later Fleetwire (schema {self.found}, this one knows {self.known})"


class NotInstalled(HistoryError):
    """A package that is not part of every installation. The text says how to get it."""


class Damaged(HistoryError):
    """`what` is not as it was written."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(what)

    def __str__(self) -> str:
        return f"damaged: {self.what}"
