"""Writes the ledger, in a thread of its own: the event loop only puts tuples into a list.

What was noted is on disk a quarter of a second later. Nothing is ever left out: when the disk cannot follow, the run
slows down.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import TypeAlias

from simulators.dialect import Outgoing
from simulators.faults.desk import FaultEvent
from simulators.ledger import SCHEMA, hash_payload
from simulators.simulated_device import CommandRecord

WRITE_EVERY_S = 0.25
# Above this many the loop waits for the thread; 200,000 entries are about 100 MB and seconds of a large fleet.
MAX_BACKLOG = 200_000

# id, device, seq, topic, payload, qos, retain, sent
_Message: TypeAlias = tuple[int, str, int | None, str, bytes, int, bool, int]

_INSERT_MESSAGE = (
    "INSERT INTO messages (id, device, seq, topic, payload_hash, qos, retain, sent_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_COMMAND = "INSERT INTO commands (device, command_id, name, time_us, outcome, error) VALUES (?, ?, ?, ?, ?, ?)"
_INSERT_FAULT = "INSERT INTO faults (time_us, device, fault, detail) VALUES (?, ?, ?, ?)"
_ACK = "UPDATE messages SET acked_us = ? WHERE id = ?"


class LedgerError(Exception):
    """The ledger cannot be written; the text is one line for people."""


class LedgerWriter:
    """`sent`, `acked`, `command` and `fault` belong to one thread; `close` writes what is left."""

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise LedgerError(f"{path} exists; a ledger is evidence and is not written over: name another file")
        self._path = path
        self._last_id = 0
        self._messages: list[_Message] = []
        self._acks: list[tuple[int, int]] = []
        self._commands: list[tuple[str, str, str, int, str, str | None]] = []
        self._faults: list[tuple[int, str, str, str]] = []
        self._lock = threading.Lock()  # held while the lists are exchanged, never while writing
        self._stop = threading.Event()
        self._urgent = threading.Event()
        self._written = threading.Condition()
        self._problem: Exception | None = None
        try:
            self._db = sqlite3.connect(path, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            # A crash of this program loses nothing that was written; a power cut may lose the last moments.
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(SCHEMA)
        except sqlite3.Error as problem:
            raise LedgerError(f"the ledger {path} cannot be written: {problem}") from None
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    def sent(self, device_id: str, message: Outgoing, now_s: float) -> int:
        """Note a message; returns its id, for `acked`. Raises `LedgerError` when writing has failed."""
        self._last_id += 1
        with self._lock:
            self._messages.append(
                (
                    self._last_id,
                    device_id,
                    message.seq,
                    message.topic,
                    message.payload,
                    message.qos,
                    message.retain,
                    round(now_s * 1e6),
                )
            )
            backlog = len(self._messages)
        if backlog >= MAX_BACKLOG or self._problem is not None:
            self._wait()
        return self._last_id

    def acked(self, message_id: int, now_s: float) -> None:
        with self._lock:
            self._acks.append((round(now_s * 1e6), message_id))

    def command(self, record: CommandRecord) -> None:
        with self._lock:
            self._commands.append(
                (
                    record.device_id,
                    record.command_id,
                    record.name,
                    round(record.time_s * 1e6),
                    record.outcome,
                    record.error,
                )
            )

    def fault(self, event: FaultEvent) -> None:
        with self._lock:
            self._faults.append((round(event.time_s * 1e6), event.device_id, event.fault, event.detail))

    def close(self) -> None:
        """Write what is left and stop. Safe to call twice. Raises `LedgerError` when something was not written."""
        self._stop.set()
        self._urgent.set()
        self._thread.join()
        self._db.close()
        self._check()

    def _wait(self) -> None:
        """Back-pressure: stop the loop until the thread has caught up, rather than leave something out."""
        self._urgent.set()
        with self._written:
            while self._problem is None and len(self._messages) >= MAX_BACKLOG:
                self._written.wait(WRITE_EVERY_S)
        self._check()

    def _check(self) -> None:
        if self._problem is not None:
            raise LedgerError(f"the ledger {self._path} cannot be written: {self._problem}")

    # ----- in the thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        stopping = False
        while not stopping:
            self._urgent.wait(WRITE_EVERY_S)
            self._urgent.clear()
            stopping = self._stop.is_set()
            try:
                self._write()
            except Exception as problem:
                self._problem = problem
                return
            with self._written:
                self._written.notify_all()

    def _write(self) -> None:
        with self._lock:
            messages, self._messages = self._messages, []
            acks, self._acks = self._acks, []
            commands, self._commands = self._commands, []
            faults, self._faults = self._faults, []
        if not (messages or acks or commands or faults):
            return
        with self._db:  # one transaction
            # An acknowledgement is noted after its message, so it never comes first.
            self._db.executemany(
                _INSERT_MESSAGE, ((*row[:4], hash_payload(row[4]), row[5], int(row[6]), row[7]) for row in messages)
            )
            self._db.executemany(_ACK, acks)
            self._db.executemany(_INSERT_COMMAND, commands)
            self._db.executemany(_INSERT_FAULT, faults)
