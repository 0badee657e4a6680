"""Runs the benchmark of lost connections. See the package's docstring for what it does."""

from __future__ import annotations

import argparse
import json
import math
import shlex
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.drops import __doc__ as about
from benchmarks.drops.run import WAYS, Outcome, run
from benchmarks.fanout.servers import install_peers
from benchmarks.report import machine, table, write_section

MODES = ("cut", "silent")


def report(outcomes: list[Outcome], command: str) -> str:
    """The Markdown section."""
    rows = [
        [
            WAYS[o.way].title,
            o.mode,
            f"{o.drops:,}",
            f"{math.floor(o.per_cent * 100) / 100:.2f} %" if o.delivered < o.expected else "100 %",
            f"{o.expected - o.delivered:,} of {o.expected:,}",
            *(f"{count:,}" for count in (o.duplicates, o.reordered, o.corrupt)),
        ]
        for o in outcomes
    ]
    columns = ("server", "loss", "drops", "delivered", "missing", "twice", "out of order", "corrupt")
    return f"{machine()}.\n\nCommand: `{command}`.\n\n{table(columns, rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS), help="these servers")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES), help="kinds of loss")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--rate", type=float, default=500.0, help="messages a second of all devices together")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long connections come and go")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--write", action="store_true", help="write the table into docs/performance.md")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything that was started is stopped
    install_peers()
    outcomes = []
    for name in options.only:
        for mode in options.modes:
            outcome = run(name, mode, options.clients, options.rate, options.seconds)
            outcomes.append(outcome)
            print(
                f"{WAYS[name].title:<26} {mode:<7} {outcome.drops:>4} drops  {outcome.per_cent:7.3f} % delivered"
                f"  {outcome.expected - outcome.delivered:>8,} missing  {outcome.duplicates:>6,} twice"
                f"  {outcome.reordered:>6,} out of order  {outcome.errors:>3} connection errors",
                flush=True,
            )
    text = report(outcomes, shlex.join(["python", "-m", "benchmarks.drops", *sys.argv[1:]]))
    print(f"\n{text}")
    if options.json:
        options.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    if options.write:
        write_section("drops", text)


if __name__ == "__main__":
    main()
