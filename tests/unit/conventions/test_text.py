"""What pieces of text mean."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.conventions.text import parse_text
from bridge.core.model import Reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("21.5", 21.5),
        ("-5", -5),
        ("+4.5", 4.5),
        ("5.", 5.0),
        (".5", 0.5),
        ("0", 0),
        ("-0", 0),
        ("0.5", 0.5),
        ("1e3", 1000.0),
        (" -3,7 ", -3.7),
        (str(2**70), 2**70),
        ("ON", True),
        ("Off", False),
        ("TRUE", True),
        ("false", False),
        ("open", "open"),
        ("home", "home"),
        ("0012", "0012"),
        ("-01", "-01"),
        ("00.5", "00.5"),
        ("00,5", "00,5"),
        ("1_000", "1_000"),
        ("١٢", "١٢"),
        ("0x1F", "0x1F"),
        ("1,2,3", "1,2,3"),
        ("1.2.3", "1.2.3"),
        ("12:30", "12:30"),
        ("5 apples", "5 apples"),
        ("none", "none"),
        ("<b>bold</b>", "<b>bold</b>"),
        ("\u202e12", "\u202e12"),
        ("x" * 1024, "x" * 1024),
    ],
)
def test_values(text: str, value: Any) -> None:
    meaning = parse_text(text)
    assert meaning == (value, "", None)
    assert type(meaning.value) is type(value)


@pytest.mark.parametrize(
    "text",
    ["", "  ", "unavailable", "Unknown", "None", "null", "nan", "NaN", "-nan", "N/A", "---", "-nan(ind)"],
)
def test_no_value(text: str) -> None:
    assert parse_text(text) == (None, "", None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("inf", Reason.NOT_FINITE),
        ("-Infinity", Reason.NOT_FINITE),
        ("1e999", Reason.OUT_OF_RANGE),
        ("-1e400", Reason.OUT_OF_RANGE),
        ("9" * 400, Reason.OUT_OF_RANGE),
        ("9" * 401, Reason.OUT_OF_RANGE),
        ("9" * 4301, Reason.OUT_OF_RANGE),
        ("x" * 1025, Reason.TEXT_TOO_LONG),
        ("a\0b", Reason.BINARY),
        ("data:image/png;base64,iVBORw0KGgo=", Reason.BINARY),
        ("data:image/png;base64," + "A" * 5000, Reason.BINARY),
    ],
)
def test_refused(text: str, reason: Reason) -> None:
    assert parse_text(text) == (None, "", reason)


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("12.4 km/h", 12.4, "km/h"),
        ("21 C", 21, "°C"),
        ("21.5°C", 21.5, "°C"),
        ("50%", 50, "%"),
        ("-3,5 bar", -3.5, "bar"),
        ("5\tkWh", 5, "kWh"),
    ],
)
def test_with_unit(text: str, value: Any, unit: str) -> None:
    assert parse_text(text) == (value, unit, None)


@pytest.mark.parametrize("name", ["version", "fwVersion", "sw_ver", "serial", "SN", "deviceIP", "ledColor", "tag"])
def test_labels_stay_text(name: str) -> None:
    assert parse_text("1.10", name).value == "1.10"


@pytest.mark.parametrize("name", ["", "temperature", "conversion", "snow", "description", "tagged"])
def test_other_names_are_quantities(name: str) -> None:
    assert parse_text("1.10", name).value == 1.1
