"""The ledger holds all that was noted, also while it is written, and never writes over another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulators import ledger_writer
from simulators.dialect import Outgoing
from simulators.faults.desk import FaultEvent
from simulators.fleet import SimulatedFleet
from simulators.ledger import Ledger, hash_payload
from simulators.ledger_writer import LedgerError, LedgerWriter
from simulators.simulated_device import CommandRecord


def test_what_was_noted_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    writer = LedgerWriter(path)
    first = writer.sent("pump-01", Outgoing(0, "a", b"x", 1, False, 7), 1.5)
    writer.sent("pump-02", Outgoing(1, "b", b"y", 0, True), 2.0)
    writer.acked(first, 1.75)
    writer.command(CommandRecord(3.0, "pump-01", "c1", "stop", "failed", "no"))
    writer.fault(FaultEvent(4.0, "pump-02", "spike", "flow 1 -> 60"))
    writer.close()
    writer.close()
    with Ledger.open(path) as ledger:
        sent = ledger.sent()
        assert sent[0] == ("pump-01", 7, "a", hash_payload(b"x"), 1, False, 1_500_000, 1_750_000)
        assert sent[1] == ("pump-02", None, "b", hash_payload(b"y"), 0, True, 2_000_000, None)
        assert ledger.acked() == sent[:1]
        assert ledger.counts() == {"a": 1, "b": 1}
        assert ledger.commands() == [("pump-01", "c1", "stop", 3_000_000, "failed", "no")]
        assert ledger.faults() == [(4_000_000, "pump-02", "spike", "flow 1 -> 60")]


def test_it_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path / "run.sqlite")
    try:
        with Ledger.open(tmp_path / "run.sqlite") as ledger:
            assert ledger.sent() == []
    finally:
        writer.close()


def test_nothing_is_written_over_and_nothing_is_made_by_reading(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    with pytest.raises(FileNotFoundError):
        Ledger.open(path)
    path.write_text("mine")
    with pytest.raises(LedgerError, match="name another file"):
        LedgerWriter(path)
    assert path.read_text() == "mine"
    with pytest.raises(LedgerError, match="cannot be written"):
        LedgerWriter(tmp_path / "nowhere" / "run.sqlite")


def test_a_backlog_holds_the_sender_back_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_writer, "MAX_BACKLOG", 10)
    writer = LedgerWriter(tmp_path / "run.sqlite")
    for number in range(500):
        assert writer.sent("d", Outgoing(0, "t", b"%d" % number), 1.0) == number + 1
    writer.close()
    with Ledger.open(tmp_path / "run.sqlite") as ledger:
        assert [message.payload_hash for message in ledger.sent()] == [hash_payload(b"%d" % n) for n in range(500)]


def test_a_ledger_that_breaks_is_told(tmp_path: Path) -> None:
    writer = LedgerWriter(tmp_path / "run.sqlite")
    writer._db.execute("DROP TABLE messages")
    writer._db.commit()
    writer.sent("d", Outgoing(0, "t", b""), 1.0)
    with pytest.raises(LedgerError, match="no such table"):
        writer.close()


def test_readings_are_numbered_only_while_a_ledger_is_kept() -> None:
    fleet = SimulatedFleet(1, kinds=["pump"])
    fleet.advance(1000.0)
    plain = fleet.advance(1001.0)
    assert b'"seq"' not in plain[0].payload
    assert plain[0].seq is None
    fleet.devices[0].seq = 0
    numbered = [message for step in range(3) for message in fleet.advance(1002.0 + step)]
    assert [message.seq for message in numbered] == [1, 2, 3]
    assert all(f'"seq":{message.seq}'.encode() in message.payload for message in numbered)
