"""How faults are written, and how a mistake in that is told."""

from __future__ import annotations

import tomllib

import pytest

from simulators.faults.dice import bell, draw
from simulators.faults.plan import make_plan
from simulators.faults.registry import FAULTS, describe_faults
from simulators.faults.spec import FaultError, FaultSpec, Window, faults_from_tables, parse_faults

KNOWN = tuple(FAULTS)


def test_the_short_form() -> None:
    specs = parse_faults(["dropout:0.1,stuck:0.2@10-30/60,metric=temperature,devices=pump-*,amount=2", "nan@5-"], KNOWN)
    assert specs == [
        FaultSpec("dropout", 0.1),
        FaultSpec("stuck", 0.2, Window(10, 30, 60), "pump-*", "temperature", 2.0),
        FaultSpec("nan", 1.0, Window(5)),
    ]
    assert [spec.number for spec in specs] == [0, 1, 2]


def test_tables_say_the_same() -> None:
    text = '[[faults]]\nname = "stuck"\nprobability = 0.2\nfrom_s = 10\nto_s = 30\nevery_s = 60\nmetric = "t"\n'
    assert faults_from_tables(tomllib.loads(text)["faults"], KNOWN) == parse_faults(
        ["stuck:0.2@10-30/60,metric=t"], KNOWN
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dorpout", "there is no fault 'dorpout'; did you mean 'dropout'?"),
        ("zzzzzz", "--faults help"),
        ("dropout:2", "probability 2 is not between 0 and 1"),
        ("dropout:much", "must be a number"),
        ("dropout@30-10", "is empty"),
        ("dropout@0-30/10", "must last no longer"),
        ("dropout@x", "is not a fault; write NAME"),
        ("droput@x", "did you mean 'dropout'"),
        ("metric=x,dropout", "names no fault in front of metric="),
        ("dropout,metrik=x", "did you mean 'metric'"),
        ("dropout,amount=nan", "must be a number"),
    ],
)
def test_mistakes_are_told_in_one_line(text: str, message: str) -> None:
    with pytest.raises(FaultError) as caught:
        parse_faults([text], KNOWN)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_boolean_is_no_number() -> None:
    with pytest.raises(FaultError, match="must be a number"):
        faults_from_tables([{"name": "dropout", "probability": True}], KNOWN)


def test_windows() -> None:
    window = Window(10.0, 30.0, 60.0)
    assert window.at(9.9) is None
    assert window.at(10.0) == (0, 10.0, 30.0)
    assert window.at(30.0) is None
    assert window.at(75.0) == (1, 70.0, 90.0)


def test_help_names_every_fault_in_a_line() -> None:
    lines = describe_faults().splitlines()
    for name in FAULTS:
        assert sum(line.startswith(f"  {name} ") for line in lines) == 1


def test_no_faults_no_plan() -> None:
    assert make_plan([]) is None


def test_chance_is_fixed_for_ever() -> None:
    """Golden values: they must be the same on every platform, and in every version of this program."""
    assert draw("seed", 1) == 0.4667139535949859
    assert bell("seed", 1) == -0.669770109700039
