"""Only one bridge records into a history: the one that began last. The other is told, and loses nothing by it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bridge.core.batch import make_batch
from bridge.core.frame import encode_frame
from bridge.history.faults import HistoryError
from bridge.history.journal import Entry, Failure, Journal
from bridge.history.store import Store
from tests.unit.history.databases import url_in

NOW_US = 1_767_225_600_000_000


def entry(offset: int, value: float) -> Entry:
    batch = make_batch([1], [NOW_US + offset], [value], NOW_US)
    return Entry(offset, NOW_US, (encode_frame(batch, offset=offset, channel_no=2),), 1, token=offset)


def test_a_run_that_is_not_the_last_writes_nothing(tmp_path: Path) -> None:
    store = Store(url_in(tmp_path))
    told: list[Entry] = []
    failures: list[Failure | None] = []
    with store.writing() as writer:
        first, _ = writer.begin_run()
    journal = Journal(
        store, run=first, commit_interval_s=0.01, backlog_bytes=10**6, on_commit=told.extend, on_failure=failures.append
    )
    journal.start()
    journal.submit(entry(1, 1.0))
    deadline = time.monotonic() + 10
    while not told and time.monotonic() < deadline:
        time.sleep(0.005)
    with store.writing() as writer:
        second, offset = writer.begin_run()
    assert (second, offset) == (first + 1, 1)
    journal.submit(entry(2, 2.0))
    while not failures and time.monotonic() < deadline:
        time.sleep(0.005)
    assert not journal.stop(5)
    assert [one.offset for one in told] == [1]
    assert failures[0] is not None
    assert "another bridge records into this history" in failures[0].reason
    with store.reading() as snapshot:
        assert (snapshot.last_offset(), snapshot.log_offset()) == (1, 1)
    with pytest.raises(HistoryError, match="run 2; this one is run 1"), store.writing() as writer:
        writer.check_run(first)
    store.close()
