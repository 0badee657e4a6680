"""What is PostgreSQL's own: durability, one writer at a time, and what it says when it refuses."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from bridge.history import store_postgres
from bridge.history.faults import HistoryError, NotInstalled
from bridge.history.store import Store, open_store
from bridge.history.store_faults import describe
from tests.support.postgres import PASSWORD
from tests.unit.history.databases import new_url
from tests.unit.history.scene import START_US, Scene

pytestmark = pytest.mark.postgres


@pytest.fixture
def url() -> str:
    return new_url()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = open_store(url, START_US)
    yield store
    store.close()


def test_commits_are_durable_although_the_server_does_not_wait_for_others(store: Store) -> None:
    with store.writing() as writer:
        assert writer.connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
    with store.reading() as snapshot:
        assert snapshot.connection.exec_driver_sql("SHOW transaction_isolation").scalar_one() == "repeatable read"
        assert snapshot.connection.exec_driver_sql("SHOW transaction_read_only").scalar_one() == "on"


def test_who_reads_sees_one_moment(store: Store) -> None:
    scene = Scene(store)
    scene.append([(1, START_US, 1.0)])
    with store.reading() as snapshot:
        assert snapshot.count_journal() == 1
        scene.append([(1, START_US + 1, 2.0)])
        assert snapshot.count_journal() == 1
    with store.reading() as snapshot:
        assert snapshot.count_journal() == 2


def test_writers_wait_for_each_other_and_see_what_the_other_wrote(url: str, store: Store) -> None:
    other = Store(url)
    order: list[str] = []

    def write() -> None:
        with other.writing() as writer:
            order.append("second")
            runs.append(writer.begin_run()[0])

    runs: list[int] = []
    thread = threading.Thread(target=write)
    with store.writing() as writer:
        thread.start()
        time.sleep(0.3)
        order.append("first")
        runs.append(writer.begin_run()[0])
    thread.join(10)
    other.close()
    assert (order, runs) == (["first", "second"], [1, 2])


def test_who_waits_too_long_for_another_writer_says_so(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_postgres, "LOCK_TIMEOUT_MS", 100)
    first, second = Store(url), Store(url)
    with first.writing(), pytest.raises(Exception, match="lock timeout") as caught, second.writing():
        pass
    assert describe(caught.value) == ("another program holds the history", False, True)
    with second.writing() as writer:
        writer.begin_run()
    first.close()
    second.close()


def test_two_programs_may_create_it_at_once(url: str) -> None:
    made: list[Store] = []
    threads = [threading.Thread(target=lambda: made.append(Store(url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(made) == 4
    assert {store.opened.schema for store in made} == {1}
    assert [store.opened.is_new for store in made].count(True) == 1
    assert len({store.epoch for store in made}) == 1
    for store in made:
        store.close()


def test_a_connection_that_the_server_has_ended_is_replaced(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    other = Store(store._url)
    with pytest.raises(Exception, match=r"57P01|network") as caught, store.writing() as writer:
        number = writer.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with other.reading() as snapshot:
            snapshot.connection.exec_driver_sql(f"SELECT pg_terminate_backend({number})")
        for _ in range(2):
            writer.begin_run()
    other.close()
    assert describe(caught.value).known
    with store.writing() as writer:
        assert writer.begin_run() == (1, 0)
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("statement", "words", "known"),
    [
        ("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '53100'; END $$", "the disk of the history's database", True),
        ("DO $$ BEGIN RAISE EXCEPTION 'no more' USING ERRCODE = '53200'; END $$", "no more (53200)", True),
        ("DO $$ BEGIN RAISE EXCEPTION 'over' USING ERRCODE = '40001'; END $$", "another program holds", True),
        ("SELECT nothing FROM nowhere", "does not exist (42P01)", False),
    ],
)
def test_what_the_server_says_is_told(store: Store, statement: str, words: str, known: bool) -> None:
    with pytest.raises(Exception, match=r"\w") as caught, store.writing() as writer:
        writer.connection.exec_driver_sql(statement)
    fault = describe(caught.value)
    assert words in fault.reason
    assert (fault.known, fault.disk_full) == (known, False)  # there is no room that we could make


def test_a_wrong_password_is_told_without_it(url: str) -> None:
    with pytest.raises(Exception, match=r"\w") as caught:
        Store(url.replace(PASSWORD, "guess"))
    assert "password authentication failed" in describe(caught.value).reason
    assert "guess" not in describe(caught.value).reason + str(caught.value)


def test_backup_and_reusable_room_are_its_administrators(store: Store, tmp_path: object) -> None:
    assert store.path is None
    assert store.reusable_bytes() == 0
    with pytest.raises(HistoryError, match="pg_dump"):
        store.backup(tmp_path)  # type: ignore[arg-type]


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_postgres, "DRIVER", "no_such_driver")
    with pytest.raises(NotInstalled, match=r"pip install 'fleetwire\[postgres\]'"):
        Store("postgresql://someone@127.0.0.1/x")
