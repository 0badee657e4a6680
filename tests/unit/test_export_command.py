"""`fleetwire export`, `backup` and `check-history`, as people and scripts meet them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest

from bridge.cli import main
from bridge.history.store import Store
from tests.unit.history.scene import START_US, Scene, damage_a_chunk
from tests.unit.web.past import HOSTILE, HOSTILE_SERIES, START_MS, TEMPERATURE, S, written
from tests.unit.web.test_history_api import expected_rows, parse_csv

ROOT = Path(__file__).parents[2]


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Scene]:
    """Open and written to all the while, as by a bridge that runs."""
    (tmp_path / "data").mkdir()
    with written(f"sqlite:///{tmp_path}/data/history.db") as one:
        yield one


@pytest.fixture
def fleetwire(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Callable[..., tuple[int, bytes, str]]:
    """Runs the program in `tmp_path`: exit code, standard output and standard error.

    In this process, because to start another one costs more than all that it does.
    """
    for name in [name for name in os.environ if name.startswith("FLEETWIRE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> tuple[int, bytes, str]:
        monkeypatch.setattr(sys, "argv", ["fleetwire", *args])
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
            sys.exit(0)
        out, err = capfdbinary.readouterr()
        code = ended.value.code
        return code if isinstance(code, int) else 0, out, err.decode()

    return run


Fleetwire = Callable[..., tuple[int, bytes, str]]


def test_everything_as_csv(fleetwire: Fleetwire, tmp_path: Path, past: Scene) -> None:
    code, out, err = fleetwire("export", "--tz", "Europe/Berlin")
    assert (code, err) == (0, "")
    expected = expected_rows(past, [0, 1, 2, 3], START_US, START_US + 10**10, ZoneInfo("Europe/Berlin"))
    assert parse_csv(out) == expected


def test_some_of_it_into_a_file(fleetwire: Fleetwire, tmp_path: Path, past: Scene) -> None:
    chosen = ["--device", HOSTILE, "--device", "hall/2", "--metric", "temperature", "--metric", '=1+1"']
    span = ["--from", str(START_MS + 1000), "--to", "2026-01-01T01:00:00"]
    code, out, err = fleetwire("export", *chosen, *span, "-o", "out.csv")
    assert (code, out, err) == (0, b"", "")
    rows = parse_csv((tmp_path / "out.csv").read_bytes())
    assert rows == expected_rows(past, [TEMPERATURE, HOSTILE_SERIES], START_US + S, START_US + 3600 * S)
    assert not list(tmp_path.glob("*.partial*"))


def test_json_lines_and_parquet(fleetwire: Fleetwire, tmp_path: Path, past: Scene) -> None:
    expected = expected_rows(past, [1, 2], START_US, START_US + 10**10)
    code, out, _ = fleetwire("export", "--device", "door", "--format", "json")
    assert code == 0
    assert [tuple(json.loads(line).values()) for line in out.decode().splitlines()] == expected
    code, out, _ = fleetwire("export", "--device", "door", "--format", "parquet")
    assert code == 0
    assert pq.read_table(io.BytesIO(out)).num_rows == len(expected)


def test_points_are_those_of_a_chart(fleetwire: Fleetwire, tmp_path: Path, past: Scene) -> None:
    span = ["--from", str(START_MS - 10**9), "--to", str(START_MS + 10**9)]
    code, out, _ = fleetwire("export", "--metric", "temperature", *span, "--points", "50")
    [answer] = past.history.query([0], START_US - 10**12, START_US + 10**12, 50)
    assert code == 0
    assert [row[4] for row in parse_csv(out)] == [value for value in answer.values.tolist() if value == value]


def test_what_could_not_be_read_is_told_beside_all_that_could(
    fleetwire: Fleetwire, tmp_path: Path, past: Scene
) -> None:
    whole = parse_csv(fleetwire("export")[1])
    damage_a_chunk(past.store)
    code, out, err = fleetwire("export", "-o", "out.csv")
    assert (code, out) == (1, b"")
    assert "fleetwire: One part of the history could not be read; what it held is missing" in err
    rows = parse_csv((tmp_path / "out.csv").read_bytes())
    assert 0 < len(rows) < len(whole)
    assert set(rows) < set(whole)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--device", "nobody"], "there is no device 'nobody'"),
        (["--metric", "nothing"], "there is no metric 'nothing'"),
        (["--from", "yesterday"], "a time is in milliseconds"),
        (["--from", "5", "--to", "5"], "--to must be later"),
        (["--tz", "../x"], "no time zone"),
        (["--format", "xml"], "--format is one of"),
        (["--points", "1"], "--points is from 2"),
        (["--points", "100001"], "--points is from 2"),
        (["-o", "no/such/folder.csv"], "cannot write no/such/folder.csv"),
    ],
)
def test_a_problem_is_one_line_and_exit_code_2(
    fleetwire: Fleetwire, tmp_path: Path, past: Scene, args: list[str], words: str
) -> None:
    code, _, err = fleetwire("export", *args)
    assert code == 2
    assert words in err
    assert len(err.strip().splitlines()) == 1, err


def test_half_a_file_never_has_the_name_of_a_whole_one(fleetwire: Fleetwire, tmp_path: Path, past: Scene) -> None:
    code, _, _ = fleetwire("export", "--points", "1", "-o", "out.csv")
    assert code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_reader_that_has_seen_enough_is_no_error_to_talk_of(
    fleetwire: Fleetwire, tmp_path: Path, past: Scene
) -> None:
    command = f"{sys.executable} -m bridge export | head -n 2"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, capture_output=True, timeout=50)
    assert done.stdout.startswith(b"time,device_id")
    assert done.stderr == b""


@pytest.mark.parametrize("command", [["export"], ["backup", "copy.db"], ["check-history"]])
def test_a_missing_history_is_said_and_not_made(fleetwire: Fleetwire, tmp_path: Path, command: list[str]) -> None:
    code, out, err = fleetwire(*command)
    assert (code, out) == (2, b"")
    assert f"there is no history in {tmp_path}/data/history.db" in err
    assert list(tmp_path.iterdir()) == []


def test_a_backup_is_the_whole_history(fleetwire: Fleetwire, tmp_path: Path, past: Scene) -> None:
    assert fleetwire("backup", "copy.db")[0] == 0
    copy = Store(f"sqlite:///{tmp_path}/copy.db")
    try:
        assert copy.find_damage(everything=True) == []
        with copy.reading() as theirs, past.store.reading() as ours:
            assert theirs.last_offset() == ours.last_offset()
            assert theirs.catalog() == ours.catalog()
    finally:
        copy.close()
    for target, words in ((".", "is a folder"), ("no/copy.db", "no folder"), ("data/history.db", "history itself")):
        code, _, err = fleetwire("backup", target)
        assert code == 2
        assert words in err


def test_a_good_history_is_checked_with_exit_code_0(fleetwire: Fleetwire, tmp_path: Path, past: Scene) -> None:
    assert fleetwire("check-history")[:2] == (0, b"The history is as it was written.\n")


def test_damage_is_named_with_exit_code_1(fleetwire: Fleetwire, tmp_path: Path, past: Scene) -> None:
    with past.store.writing() as writer:
        chunk_id = writer.connection.exec_driver_sql("SELECT max(chunk_id) FROM history_chunk").scalar_one()
        damage = "UPDATE history_chunk SET data = zeroblob(length(data)) WHERE chunk_id = ?"
        writer.connection.exec_driver_sql(damage, (chunk_id,))
    code, out, err = fleetwire("check-history")
    assert (code, err) == (1, "")
    assert out.decode().splitlines() == [f"history_chunk {chunk_id}"]


def test_a_file_that_is_no_database_is_damage_too_and_stays_where_it_is(fleetwire: Fleetwire, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "history.db"
    file.write_bytes(b"this is no database at all, but long enough to look like a file\n" * 100)
    code, out, _ = fleetwire("check-history")
    assert code == 1
    assert b"not a database" in out
    code, _, err = fleetwire("export")
    assert code == 2
    assert "damaged" in err
    assert file.read_bytes().startswith(b"this is no database")
