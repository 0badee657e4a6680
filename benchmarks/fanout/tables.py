"""Results as Markdown. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

from benchmarks.fanout.case import Result
from benchmarks.fanout.statistics import ratio
from benchmarks.report import table

OURS = "fleetwire"
FIGURES = ("CPU in all µs", "of which fan-out µs", "p50 ms", "p99 ms", "memory/client KB")


def figure(value: float, digits: int = 3) -> str:
    """Three significant digits, or a dash where there is nothing to say."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "∞"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{min(places, 4)}f}"


def times(value: float) -> str:
    """A ratio: 134x."""
    text = figure(value, 2)
    return text if text == "-" else f"{text}x"


def at(results: Sequence[Result], server: str, clients: int, rate: int) -> Result | None:
    """The held case, if it was."""
    same = [r for r in results if (r.server, r.clients, r.rate, r.qos) == (server, clients, rate, 0)]
    return next((result for result in same if result.verdict == "held"), None)


def highest(results: Sequence[Result], server: str, clients: int, limit: int) -> Result | None:
    """The case with the highest held rate up to a limit."""
    held = [r for r in results if (r.server, r.clients, r.verdict, r.qos) == (server, clients, "held", 0)]
    return max((result for result in held if result.rate <= limit), key=lambda result: result.rate, default=None)


def comparison(results: Sequence[Result], titles: Mapping[str, str], clients: int, rate: int) -> str:
    """We at this rate, each rival at the highest rate up to it that it holds."""
    ours = at(results, OURS, clients, rate)
    rows = []
    for server, title in titles.items():
        theirs = highest(results, server, clients, rate)
        if theirs is None:
            rows.append([title, "none", *["-"] * (len(FIGURES) + 2)])
            continue
        more = ["", ""]
        if server != OURS and ours is not None:
            more = [times(ratio(theirs.total_us, ours.total_us)), times(ratio(theirs.fan_out_us, ours.fan_out_us))]
        rows.append([title, f"{theirs.rate:,}", *_figures(theirs), *more])
    return table(["server", "msg/s held", *FIGURES, "times our CPU", "times our fan-out"], rows)


class Target(NamedTuple):
    """What we want to reach, at so many dashboards and messages a second. A ratio of 0 is not asked for."""

    clients: int
    rate: int
    total: float
    fan_out: float
    p99_ms: float


TARGETS = (Target(200, 5000, 25, 100, 60), Target(200, 50, 3, 0, 5))
RIVALS = ("ws", "mosquitto", "node-red", "socket.io")


def targets(results: Sequence[Result], titles: Mapping[str, str]) -> str:
    """Whether the targets were reached, against each of the rivals that they name."""
    rows: list[list[str]] = []

    def judge(what: str, measured: str, wanted: str, is_met: bool) -> None:
        rows.append([what, measured, wanted, "reached" if is_met else "MISSED"])

    for target in TARGETS:
        ours = at(results, OURS, target.clients, target.rate)
        if ours is None:
            continue
        case = f"{target.clients} x {target.rate:,}"
        judge(f"{case}: p99", f"{figure(ours.p99_ms)} ms", f"{target.p99_ms:g} ms", ours.p99_ms <= target.p99_ms)
        for server in (name for name in RIVALS if name in titles):
            theirs = highest(results, server, target.clients, target.rate)
            if theirs is None:
                continue
            total = ratio(theirs.total_us, ours.total_us)
            judge(f"{case}: CPU of {titles[server]}", times(total), f"{target.total:g}x", total >= target.total)
            if target.fan_out:
                share = ratio(theirs.fan_out_us, ours.fan_out_us)
                what = f"{case}: fan-out share of {titles[server]}"
                judge(what, times(share), f"{target.fan_out:g}x", share >= target.fan_out)
    return table(["target", "measured", "wanted", ""], rows)


def matrix(
    results: Sequence[Result], titles: Mapping[str, str], field: str, clients: Sequence[int], rates: Sequence[int]
) -> str:
    """One figure of every case: a row for each number of dashboards and rate, a column for each server."""
    rows = []
    for count, rate in product(sorted({1, *clients}), sorted(rates)):
        cells = []
        for server in titles:
            found = [r for r in results if (r.server, r.clients, r.rate, r.qos) == (server, count, rate, 0)]
            cells.append(_cell(found[0], field) if found else "")
        rows.append([f"{count:,} x {rate:,}", *cells])
    return table(["dashboards x msg/s", *titles.values()], rows)


def ingest(results: Sequence[Result]) -> str:
    """Our own cases at the limit of the machine."""
    rows = [
        [
            f"{r.clients} x {r.rate:,} msg/s QoS {r.qos}",
            r.verdict,
            f"{r.achieved:,.0f}",
            *_figures(r)[:4],
            *(f"{share:.0%}" for share in (r.server_share, r.broker_share, r.devices_share, r.dashboards_share)),
        ]
        for r in results
    ]
    shares = ("Fleetwire", "mosquitto", "devices", "dashboards")
    return table(["case", "verdict", "sent msg/s", *FIGURES[:4], *(f"{name} of a core" for name in shares)], rows)


def _figures(result: Result) -> list[str]:
    memory = result.memory_per_client / 1024
    return [*map(figure, (result.total_us, result.fan_out_us, result.p50_ms, result.p99_ms, memory))]


def _cell(result: Result, field: str) -> str:
    return figure(getattr(result, field)) if result.verdict == "held" else result.verdict
