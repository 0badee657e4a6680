"""The ledger of a run: every message sent, every command executed, every fault that happened. This is the reading side.

An SQLite file, so that any tool can ask it; `Ledger` is for tests. Who writes it: `ledger_writer`.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

SCHEMA = """
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,       -- in the order of sending
    device TEXT NOT NULL,
    seq INTEGER,                  -- the "seq" in the payload; only readings have one
    topic TEXT NOT NULL,
    payload_hash TEXT NOT NULL,   -- see ledger.hash_payload
    qos INTEGER NOT NULL,
    retain INTEGER NOT NULL,
    sent_us INTEGER NOT NULL,     -- handed to the connection; microseconds since 1970
    acked_us INTEGER              -- PUBACK; only QoS 1 has one
);
CREATE TABLE commands (
    id INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    command_id TEXT NOT NULL,
    name TEXT NOT NULL,
    time_us INTEGER NOT NULL,
    outcome TEXT NOT NULL,        -- succeeded, failed, expired (not carried out)
    error TEXT
);
CREATE TABLE faults (
    id INTEGER PRIMARY KEY,
    time_us INTEGER NOT NULL,
    device TEXT NOT NULL,
    fault TEXT NOT NULL,
    detail TEXT NOT NULL
);
"""


def hash_payload(payload: bytes) -> str:
    """16 bytes of BLAKE2b as hexadecimal digits: enough to know a payload again, and small."""
    return blake2b(payload, digest_size=16).hexdigest()


class SentMessage(NamedTuple):
    device: str
    seq: int | None
    topic: str
    payload_hash: str
    qos: int
    retain: bool
    sent_us: int
    acked_us: int | None


class ExecutedCommand(NamedTuple):
    device: str
    command_id: str
    name: str
    time_us: int
    outcome: str
    error: str | None


class FaultSeen(NamedTuple):
    time_us: int
    device: str
    fault: str
    detail: str


_MESSAGES = "SELECT device, seq, topic, payload_hash, qos, retain, sent_us, acked_us FROM messages"


class Ledger:
    """Reads a ledger, also while it is being written. `with Ledger.open(path) as ledger`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    @classmethod
    def open(cls, path: Path) -> Ledger:
        """Raises `FileNotFoundError`; a ledger is never created by reading it."""
        if not path.exists():
            raise FileNotFoundError(path)
        return cls(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True))

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    def sent(self) -> list[SentMessage]:
        """Every message, in the order of sending."""
        return self._messages(f"{_MESSAGES} ORDER BY id")

    def acked(self) -> list[SentMessage]:
        """Those that the broker acknowledged: whoever subscribed with QoS 1 must have them."""
        return self._messages(f"{_MESSAGES} WHERE acked_us IS NOT NULL ORDER BY id")

    def counts(self) -> Counter[str]:
        """How many messages were sent on each topic."""
        return Counter(dict(self._db.execute("SELECT topic, count(*) FROM messages GROUP BY topic")))

    def commands(self) -> list[ExecutedCommand]:
        rows = self._db.execute("SELECT device, command_id, name, time_us, outcome, error FROM commands ORDER BY id")
        return [ExecutedCommand(*row) for row in rows]

    def faults(self) -> list[FaultSeen]:
        rows = self._db.execute("SELECT time_us, device, fault, detail FROM faults ORDER BY id")
        return [FaultSeen(*row) for row in rows]

    def _messages(self, query: str) -> list[SentMessage]:
        return [
            SentMessage(device, seq, topic, payload_hash, qos, bool(retain), sent_us, acked_us)
            for device, seq, topic, payload_hash, qos, retain, sent_us, acked_us in self._db.execute(query)
        ]
