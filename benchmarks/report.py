"""Where the benchmarks' figures go: sections of docs/performance.md, each between its own pair of markers.

    write_section("ingest", f"{machine()}\\n\\n{table(['server', 'msg/s'], [['fleetwire', '20,000']])}")

A run replaces its own section and leaves every other byte alone, so that benchmarks that run at different times, or
are written by different people, share one page. The text around the sections is ours to edit by hand.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

PERFORMANCE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
HEADING = "# Performance\n\nThe sections between markers are written by `make bench`.\n"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table, padded so that it reads as text too. The first column is left aligned, figures right."""
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in (columns, *rows)]
    if any(len(row) != len(columns) for row in cells):
        raise ValueError("every row needs a cell for each column")
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(columns))]

    def line(row: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return f"| {' | '.join(padded)} |"

    rule = "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths))
    return "\n".join([line(cells[0]), f"|{rule}|", *map(line, cells[1:])])


def replace_section(page: str, name: str, body: str) -> str:
    """The page with this section in place of the old one, or appended when there was none."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    section = f"{begin}\n\n{body.strip()}\n\n{end}"
    found = page.count(begin), page.count(end)
    if found == (0, 0):
        return f"{page.rstrip()}\n\n{section}\n" if page.strip() else f"{section}\n"
    if found != (1, 1) or page.index(begin) > page.index(end):
        raise ValueError(f"the markers of {name!r} are not one pair: nothing was written")
    return page[: page.index(begin)] + section + page[page.index(end) + len(end) :]


def write_section(name: str, body: str, path: Path = PERFORMANCE) -> None:
    """Replace one section of the page; the page is made when it is missing."""
    page = path.read_text(encoding="utf-8") if path.exists() else HEADING
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(replace_section(page, name, body), encoding="utf-8")


def machine(tools: Mapping[str, Sequence[str]] | None = None) -> str:
    """One line: cores, processor, memory, system, Python, and what each command of `tools` says is its version."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = [
        f"{len(os.sched_getaffinity(0))} cores ({_processor()})",
        f"{memory:.0f} GB memory",
        f"{platform.system()} {platform.release()}",
        f"Python {platform.python_version()}",
    ]
    parts += [f"{name} {_version(command)}" for name, command in (tools or {}).items()]
    return ", ".join(parts)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(command: Sequence[str]) -> str:
    """The first word with a digit and a dot in what the command prints."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "(not found)"
    words = (done.stdout + done.stderr).split()
    return next((word.lstrip("v").rstrip(",") for word in words if "." in word and any(map(str.isdigit, word))), "?")
