"""Which cases are run for a server, and in which order. Pure: `run` does the work."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.fanout.case import Result
from benchmarks.fanout.statistics import fan_out_us

Run = Callable[[int, int], Result]  # dashboards, messages a second

# Steps for the highest rate that a server holds.
LADDER = (50, 100, 150, 200, 250, 350, 500, 700, 1000, 1400, 2000, 2800, 4000, 5000)
TARGET_CLIENTS = 200


def run_matrix(clients: Sequence[int], rates: Sequence[int], run: Run) -> list[Result]:
    """All cases, the easy ones first. What is harder than a case that was not held is not tried."""
    results: list[Result] = []
    failed: list[tuple[int, int]] = []
    for rate in sorted(rates):
        for count in sorted({1, *clients}):
            easier = next((case for case in failed if case[0] <= count and case[1] <= rate), None)
            if easier is not None:
                why = f"{easier[0]} x {easier[1]} was not held"
                results.append(Result("", count, rate, verdict="skipped", why=why))
                continue
            result = run(count, rate)
            results.append(result)
            if result.verdict == "not held":
                failed.append((count, rate))
    return add_fan_out(results)


def find_highest(results: list[Result], clients: int, run: Run, ladder: Sequence[int] = LADDER) -> Result | None:
    """The highest rate of the ladder that is held with so many clients. Cases run for it are added to `results`."""
    known = {result.rate: result for result in results if result.clients == clients}
    held = [rate for rate, result in known.items() if result.verdict == "held"]
    failed = [rate for rate, result in known.items() if result.verdict != "held"]
    low, high = max(held, default=0), min((rate for rate in failed if rate > max(held, default=0)), default=0)
    steps = [rate for rate in ladder if low < rate < high]
    while steps:
        middle = len(steps) // 2
        result = known[steps[middle]] = run(clients, steps[middle])
        results.append(result)
        if result.verdict == "held":
            low, steps = steps[middle], steps[middle + 1 :]
        else:
            steps = steps[:middle]
    if low and not any(result.clients == 1 and result.rate == low for result in results):
        results.append(run(1, low))
    add_fan_out(results)
    return known.get(low)


def add_fan_out(results: list[Result]) -> list[Result]:
    """Fill in the share of the further dashboards, where the case with one dashboard is known."""
    ones = {result.rate: result for result in results if result.clients == 1 and result.verdict == "held"}
    for result in results:
        one = ones.get(result.rate)
        if one is not None and result.clients > 1 and result.verdict == "held":
            scale = result.window_s / one.window_s
            result.fan_out_us = fan_out_us(result.cpu_s, result.delivered, one.cpu_s * scale, one.delivered * scale)
    return results
