"""The end of the log in memory: what the journal holds and no chunk does, decoded once instead of at every question."""

from __future__ import annotations

import threading

from bridge.history.arrivals import EMPTY, Arrivals, decode_arrivals
from bridge.history.store_session import Snapshot


class Tail:
    """As large as the journal, which sealing keeps small: 36 bytes a reading. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sealed = -1  # what is at or before this offset has been dropped
        self._read_to = -1
        self._arrivals = EMPTY

    def read(self, snapshot: Snapshot) -> Arrivals:
        """Everything that this snapshot sees in no chunk, in the order of arrival; perhaps some that came later.

        Raises:
            Damaged: the journal is not as it was written.
        """
        sealed = snapshot.sealed_offset()
        with self._lock:
            if sealed < self._sealed:
                # Another thread has seen a later sealing; what it dropped is not in this snapshot's chunks yet.
                return decode_arrivals(data for _, data in snapshot.read_commits(sealed))
            if sealed > self._sealed:
                self._arrivals = self._arrivals.select(self._arrivals.offsets > sealed)
                self._sealed, self._read_to = sealed, max(self._read_to, sealed)
            commits = list(snapshot.read_commits(self._read_to))
            if commits:
                self._arrivals = Arrivals.join([self._arrivals, decode_arrivals(data for _, data in commits)])
                self._read_to = commits[-1][0]
            return self._arrivals
