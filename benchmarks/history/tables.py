"""The section of docs/performance.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.history.keepers import KEEPERS
from benchmarks.history.run import Outcome
from benchmarks.report import machine, table

MEMORY_TARGET = 1.25  # times that of a month: the same, but for caches that fill a little more
BYTES_TARGET, CPU_TARGET, READ_TARGET_MS, MOMENT_TARGET_MS, REPORT_TARGET_MS, START_TARGET_S = (
    1.5,
    0.5,
    20,
    100,
    2_000,
    2,
)
TITLES = {
    "month": "A month, every device every two minutes",
    "hours": "Three hours, every device every second",
}


def report(outcomes: dict[str, list[Outcome]], year: dict[str, Any] | None, command: str, others: str) -> str:
    parts = [f"{machine()}; {others}.", f"Command: `{command}`."]
    for name, some in outcomes.items():
        parts += [f"**{TITLES[name]}: {some[0].readings:,} readings**", _costs(some), _answers(some)]
    if year is not None:
        parts += ["**A year, 250 series at 1 Hz, Fleetwire alone**", _year(year)]
    parts += ["**Targets**", _targets(outcomes, year)]
    return "\n\n".join(parts)


def _costs(outcomes: Sequence[Outcome]) -> str:
    ours = outcomes[0]
    rows = []
    for one in outcomes:
        data = one.bytes - one.free_bytes
        rows.append(
            [
                KEEPERS[one.name].title, one.when or "earlier",
                f"{data:.2f}", f"{one.free_bytes:.2f}" if one.free_bytes else "",
                f"{one.write_us:.2f}", f"{one.settle_us:.2f}", f"{one.memory_mb:,.0f}",
                _times(data, ours.bytes - ours.free_bytes, one, ours),
                _times(one.cpu_us, ours.cpu_us, one, ours),
            ]
        )  # fmt: skip
    columns = (
        "",
        "measured UTC",
        "bytes a reading",
        "free besides",
        "write µs",
        "settle µs",
        "memory MB",
        "times our bytes",
        "times our CPU",
    )
    return table(columns, rows)


def _answers(outcomes: Sequence[Outcome]) -> str:
    titles = list(outcomes[0].asked)
    rows = [
        [KEEPERS[one.name].title]
        + [f"{one.asked[title][0]:,.1f} / {one.asked[title][1]:,.1f}" for title in titles]
        + [_times(one.asked[title][0], outcomes[0].asked[title][0], one, outcomes[0]) for title in titles]
        for one in outcomes
    ]
    return table(["ms, median / longest", *titles, *(f"times our {title}" for title in titles)], rows)


def _year(year: dict[str, Any]) -> str:
    rows = [[name, f"{p50:,.1f}", f"{p99:,.1f}", f"{cpu:,.1f}"] for name, p50, p99, cpu in year["taken"]]
    figures = ", ".join(f"{name} {value:,.2f}" for name, value in year["figures"].items())
    memory = [[title, *(f"{one:,.0f}" for one in taken)] for title, taken in year["memory"].items()]
    return (
        f"{table(['', 'p50 ms', 'p99 ms', 'CPU ms'], rows)}\n\n{figures}.\n\n"
        f"{table(['memory of a process, MB', 'before', 'store opened', 'after questions'], memory)}"
    )


def _targets(outcomes: dict[str, list[Outcome]], year: dict[str, Any] | None) -> str:
    rows: list[list[str]] = []

    def add(title: str, measured: float, wanted: float, unit: str) -> None:
        rows.append(
            [title, f"{measured:.2f} {unit}", f"{wanted} {unit}", "reached" if measured <= wanted else "MISSED"]
        )

    for name, some in outcomes.items():
        if some[0].name == "fleetwire":
            ours = some[0].bytes - some[0].free_bytes
            add(f"{name}: bytes a reading", ours, BYTES_TARGET, "B")
            if len(some) > 1:
                best = min(one.bytes - one.free_bytes for one in some[1:])
                add(f"{name}: bytes a reading, beside the best of the others", ours, round(best, 2), "B")
            add(f"{name}: CPU of writing, sealing, merging", some[0].cpu_us, CPU_TARGET, "µs")
    if year is not None:
        for title, _, p99, _ in year["taken"]:
            if title.startswith("one series"):
                add(f"{title}: p99", p99, READ_TARGET_MS, "ms")
            elif "moment of" in title:
                add(title, p99, MOMENT_TARGET_MS, "ms")
            elif "1,000 points each" in title:
                add(title, p99, REPORT_TARGET_MS, "ms")
        add("start with a year", year["figures"]["start s"], START_TARGET_S, "s")
        ratio = year["memory"]["a year"][-1] / year["memory"]["30 days"][-1]
        add("memory with a year, beside 30 days", ratio, MEMORY_TARGET, "x")
    return table(("target", "measured", "wanted", ""), rows)


def _times(measured: float, ours: float, one: Outcome, first: Outcome) -> str:
    return "" if one is first or not ours else f"{measured / ours:.2g}x"
