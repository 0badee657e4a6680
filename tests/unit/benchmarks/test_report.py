"""The report writer changes its own section of docs/performance.md and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.report import HEADING, machine, replace_section, table, write_section


def test_table_is_padded_and_aligned() -> None:
    assert table(["server", "µs"], [["ws", 8.4], ["mosquitto", "12"]]).splitlines() == [
        "| server    |  µs |",
        "|-----------|----:|",
        "| ws        | 8.4 |",
        "| mosquitto |  12 |",
    ]


def test_table_without_rows_and_with_a_pipe_in_a_cell() -> None:
    assert table(["a"], []).count("\n") == 1
    assert "x\\|y" in table(["a"], [["x|y"]])


def test_table_refuses_a_short_row() -> None:
    with pytest.raises(ValueError, match="every row"):
        table(["a", "b"], [["1"]])


def test_a_section_is_appended_once_then_replaced() -> None:
    page = replace_section("# Title\n", "one", "first")
    page = replace_section(page, "two", "other")
    again = replace_section(page, "one", "second")
    assert "first" not in again
    assert again.count("<!-- one:begin -->") == 1
    assert again == page.replace("first", "second")
    assert replace_section(again, "one", "second") == again


def test_text_around_a_section_stays() -> None:
    page = "before\n<!-- a:begin -->\nold\n<!-- a:end -->\nafter\n"
    assert replace_section(page, "a", "new") == "before\n<!-- a:begin -->\n\nnew\n\n<!-- a:end -->\nafter\n"


@pytest.mark.parametrize(
    "page",
    [
        "<!-- a:begin -->",
        "<!-- a:end -->",
        "<!-- a:end --> <!-- a:begin -->",
        "<!-- a:begin --> <!-- a:begin --> <!-- a:end -->",
    ],
)
def test_broken_markers_are_refused(page: str) -> None:
    with pytest.raises(ValueError, match="markers"):
        replace_section(page, "a", "new")


def test_the_page_is_made_when_missing(tmp_path: Path) -> None:
    path = tmp_path / "docs" / "performance.md"
    write_section("a", "figures", path)
    assert path.read_text(encoding="utf-8").startswith(HEADING.rstrip())
    assert "figures" in path.read_text(encoding="utf-8")


def test_machine_tells_versions_and_missing_tools() -> None:
    line = machine({"sh": ["echo", "tool v1.2.3,"], "none": ["/nonexistent/tool"]})
    assert "sh 1.2.3" in line
    assert "none (not found)" in line
    assert "cores" in line
