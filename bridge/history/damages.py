"""What could not be read of a history, remembered once for all who stumble over it, so that nobody leaves it out in
silence."""

from __future__ import annotations

import threading
from collections.abc import Iterable


class Damages:
    """Names of chunks and columns of times, in the order in which they were found. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: dict[str, None] = {}

    @property
    def names(self) -> list[str]:
        with self._lock:
            return list(self._names)

    def add(self, names: Iterable[str]) -> None:
        with self._lock:
            self._names.update(dict.fromkeys(names))

    def __str__(self) -> str:
        """One sentence for people; empty if all could be read."""
        names = self.names
        if not names:
            return ""
        parts, they = ("One part", "it") if len(names) == 1 else (f"{len(names)} parts", "they")
        return (
            f"{parts} of the history could not be read; what {they} held is missing in charts, replays and files"
            " (`fleetwire check-history` names all that is damaged)."
        )
