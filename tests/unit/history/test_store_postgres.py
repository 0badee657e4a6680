"""What is PostgreSQL's own: durability, one writer at a time, and what it says when it refuses."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.history import store_postgres
from bridge.history.faults import HistoryError, NotInstalled
from bridge.history.store import Store, open_store
from bridge.history.store_faults import describe
from tests.support.postgres import PASSWORD, name_in, running_postgres
from tests.support.tls import make_tls_files
from tests.unit.history.databases import new_url, server
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
        ("SET ROLE pg_read_all_data; CREATE TABLE public.x ()", "permission denied for schema public (42501)", True),
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


def test_backup_and_reusable_room_are_its_administrators(store: Store, tmp_path: Path) -> None:
    assert store.path is None
    assert store.reusable_bytes() == 0
    with pytest.raises(HistoryError, match="pg_dump"):
        store.backup(tmp_path)


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_postgres, "DRIVER", "no_such_driver")
    with pytest.raises(NotInstalled, match=r"pip install 'fleetwire\[postgres\]'"):
        Store("postgresql://someone@127.0.0.1/x")


def test_what_others_set_for_the_database_changes_nothing(url: str) -> None:
    for change in ("client_encoding = 'LATIN1'", "bytea_output = 'escape'", "extra_float_digits = 0",
                   "default_transaction_isolation = 'serializable'"):  # fmt: skip
        server().ask(f"ALTER DATABASE {name_in(url)} SET {change}", "postgres")
    store = open_store(url, START_US)
    with store.reading() as snapshot:
        values = snapshot.connection.exec_driver_sql("SELECT 1.0::float8 / 3, 'grün 温', '\\x00ff'::bytea").one()
        assert values == (1 / 3, "grün 温", b"\x00\xff")
    with store.writing() as writer:
        assert writer.connection.exec_driver_sql("SHOW transaction_isolation").scalar_one() == "read committed"
    store.close()


def test_a_database_that_cannot_hold_every_text_is_refused() -> None:
    url = server().new_database("TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    with pytest.raises(HistoryError, match="must have the encoding UTF8, not SQL_ASCII"):
        Store(url)


def test_a_writer_that_is_frozen_does_not_keep_the_others_waiting(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_postgres, "IDLE_MS", 200)
    frozen, other = Store(url), Store(url)
    with pytest.raises(Exception, match=r"25P03|network") as caught, frozen.writing() as writer:
        writer.begin_run()
        time.sleep(0.5)
        with other.writing() as second:
            assert second.begin_run()[0] == 1  # what the frozen one wrote is undone
        writer.begin_run()
    assert describe(caught.value).known
    frozen.close()
    other.close()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql://someone:p@ss@127.0.0.1/x", "%40 for an @"),
        ("postgresql://someone:pass@127.0.0.1:port/x", "must look like"),
        ("postgresql://127.0.0.1/x", "must look like"),
        ("postgresql://someone:pass@127.0.0.1/x?sslmode=allow", "sslmode is one of disable, prefer, require"),
        ("postgresql://someone:pass@127.0.0.1/x?options=-cfsync=off", "are known, not options"),
        ("postgresql://someone:pass@127.0.0.1/x?sslmode=verify-full&sslrootcert=/missing.pem", "No such file"),
    ],
)
def test_an_address_that_is_none_is_told_without_its_password(address: str, words: str) -> None:
    with pytest.raises(HistoryError, match=words) as caught:
        Store(address)
    assert "pass" not in str(caught.value).replace("user:password", "").replace("in user or password", "")


def test_tls_is_used_and_verified_as_the_address_says(tmp_path: Path) -> None:
    files = make_tls_files(tmp_path / "tls")
    with running_postgres(tmp_path / "postgres", tls=files) as protected:
        url = protected.new_database().partition("?")[0].replace("127.0.0.1", "localhost")
        expected = {"": True, "?sslmode=disable": False, "?sslmode=prefer": True, "?sslmode=require": True,
                    f"?sslmode=verify-full&sslrootcert={files.ca}": True}  # fmt: skip
        for query, encrypted in expected.items():
            store = Store(url + query)
            with store.reading() as snapshot:
                statement = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
                assert snapshot.connection.exec_driver_sql(statement).scalar_one() is encrypted, query
            store.close()
        for address in (
            f"{url}?sslmode=verify-full&sslrootcert={files.other_ca}",
            f"{url}?sslmode=verify-full",  # nobody whom this machine trusts signed it
            f"{url}?sslmode=verify-full&sslrootcert={files.ca}".replace("localhost", "127.0.0.1"),
        ):
            with pytest.raises(Exception, match="certificate verify failed") as caught:
                Store(address)
            assert "certificate verify failed" in describe(caught.value).reason
            assert PASSWORD not in describe(caught.value).reason


def test_who_requires_tls_does_not_go_without_it(url: str) -> None:
    with pytest.raises(Exception, match="SSL"):
        Store(url.replace("disable", "require"))
    store = Store(url.replace("disable", "prefer"))
    store.close()
