"""The options of `simulate record` and `simulate replay`, and that `simulate` alone is still what it was."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from simulators.cli import app
from simulators.cli_common import amount, size


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["record"], "FILE"),
        (["record", "/nowhere/x.fwrec"], "no folder"),
        (["record", __file__], "exists"),
        (["record", "x.fwrec", "--topic", "a/#/b"], "a/#/b"),
        (["record", "x.fwrec", "--keep", "a"], "--redact"),
        (["record", "x.fwrec", "--broker", "http://x"], "http"),
        (["record", "x.fwrec", "--duration", "inf"], "--duration"),
        (["replay", __file__], "is not a recording"),
        (["replay", "/nowhere/x.fwrec"], "cannot read"),
        (["replay", __file__, "--from", "5", "--to", "4"], "--to"),
        (["replay", __file__, "--speed", "nan"], "--speed"),
        (["replay", __file__, "--prefix", "a/#"], "--prefix"),
        (["replay", __file__, "--qos", "3"], "--qos"),
        (["--devices", "3", "record", "x.fwrec"], "--devices"),
        (["recrod", "x.fwrec"], "recrod"),
        (["--unknown"], "--unknown"),
    ],
)
def test_bad_options_are_told_with_exit_code_2(args: list[str], message: str) -> None:
    done = CliRunner().invoke(app, args)
    assert done.exit_code == 2
    assert message in done.output


@pytest.mark.parametrize("command", ["record", "replay"])
def test_help_has_examples(command: str) -> None:
    assert f"simulate {command} plant.fwrec" in CliRunner().invoke(app, [command, "--help"]).output
    assert f"simulate {command} plant.fwrec" in CliRunner().invoke(app, ["--help"]).output


def test_numbers_for_people() -> None:
    assert [size(n) for n in (0, 999, 1_000, 999_960, 2_500_000, 3_210_000_000)] == [
        *("0 bytes", "999 bytes", "1.0 kB", "1.0 MB", "2.5 MB", "3.21 GB")
    ]
    assert (amount(1, "message"), amount(1_200, "message")) == ("1 message", "1,200 messages")
