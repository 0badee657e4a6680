"""Runs the benchmark of delivery to dashboards. See the package's docstring for what it does."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.fanout import __doc__ as about
from benchmarks.fanout.case import Result, run_case
from benchmarks.fanout.floor import send_floor_us
from benchmarks.fanout.plan import TARGET_CLIENTS, add_fan_out, find_highest, run_matrix
from benchmarks.fanout.servers import NPM, SPECS, install_peers, peer_version
from benchmarks.fanout.tables import OURS, comparison, figure, ingest, matrix, targets
from benchmarks.report import machine, write_section
from tests.support.mosquitto import find_mosquitto

CLIENTS = (1, 50, 200, 1000)
RATES = (50, 500, 5000)
QUICK_RATES = (50, 5000)
FLOOR_RATE = 50
QUICK_LADDER = (50, 150, 250, 350, 500, 700, 1000, 2000, 5000)
TRIES = 2
BUSY = 0.8  # share of a core from which a server that does not hold a rate has reached its own limit
# Our own limit on two cores: dashboards, messages a second, QoS.
INGEST = ((50, 20_000, 0), (50, 10_000, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200 dashboards at 50 and 5,000 msg/s only, short windows")
    parser.add_argument("--only", nargs="+", choices=SPECS, default=list(SPECS), help="these servers")
    parser.add_argument("--clients", nargs="+", type=int, help="numbers of dashboards (one is always measured too)")
    parser.add_argument("--rates", nargs="+", type=int, help="messages a second")
    parser.add_argument("--window", type=float, help="seconds that are measured")
    parser.add_argument("--no-ingest", action="store_true", help="without our own cases at 20,000 and 10,000 msg/s")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/performance.md")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything that was started is stopped
    clients = options.clients or ([TARGET_CLIENTS] if options.quick else CLIENTS)
    rates = options.rates or (QUICK_RATES if options.quick else RATES)
    window_s = options.window or (2.0 if options.quick else 6.0)
    bench = Bench(window_s, min(2.0, window_s))
    if NPM & set(options.only):
        install_peers()
    for name in options.only:
        bench.compare(name, clients, rates, quick=options.quick)
    if OURS in options.only and not options.no_ingest:
        bench.ingest()
    text = bench.report(options.only, clients, rates)
    print(f"\n{text}")
    if options.json:
        figures = {"about": bench.machine(options.only), "results": list(map(dataclasses.asdict, bench.results))}
        options.json.write_text(json.dumps(figures, indent=1))
    if options.write:
        write_section("fanout", text)


class Bench:
    """Runs cases, prints each as it ends, keeps the results."""

    def __init__(self, window_s: float, warm_up_s: float) -> None:
        self.results: list[Result] = []
        self.limits: list[Result] = []  # of our own ingest cases
        self._window_s = window_s
        self._warm_up_s = warm_up_s

    def compare(self, name: str, clients: Sequence[int], rates: Sequence[int], *, quick: bool) -> None:
        """All cases of one server, and the highest rate that it holds."""

        def run(count: int, rate: int) -> Result:
            return self._run(name, count, rate)

        results = run_matrix(clients, rates, run)
        if TARGET_CLIENTS in clients:
            find_highest(results, TARGET_CLIENTS, run, *([QUICK_LADDER] if quick else []))
        for result in results:
            result.server = name
        self.results += results

    def ingest(self) -> None:
        for count, rate, qos in INGEST:
            one = self._run(OURS, 1, rate, qos)
            many = self._run(OURS, count, rate, qos)
            self.limits += add_fan_out([one, many])[1:]

    def report(self, servers: Sequence[str], clients: Sequence[int], rates: Sequence[int]) -> str:
        """The Markdown section."""
        titles = {name: SPECS[name].title for name in servers}
        parts = [
            self.machine(servers),
            f"Command: `python -m benchmarks.fanout {shlex.join(sys.argv[1:])}`. CPU is that of the server, for each "
            "message of five values delivered to one dashboard; see `benchmarks/fanout/__init__.py`.",
        ]
        if TARGET_CLIENTS in clients:
            for rate in (max(rates), min(rates)):
                head = (
                    f"{TARGET_CLIENTS} dashboards, {rate:,} messages a second, or the highest rate below that is held"
                )
                parts.append(f"**{head}**\n\n{comparison(self.results, titles, TARGET_CLIENTS, rate)}")
        if TARGET_CLIENTS in clients:
            floor = send_floor_us(TARGET_CLIENTS, FLOOR_RATE, 2 * self._window_s)
            parts.append(
                f"One `send` of a message of five values to one of {TARGET_CLIENTS} loopback sockets, {FLOOR_RATE} "
                f"times a second, costs {floor:.1f} µs here: at that rate no server can deliver for less."
            )
        if OURS in servers:
            parts.append(f"**Targets**\n\n{targets(self.results, titles)}")

        def cases(field: str) -> str:
            return matrix(self.results, titles, field, clients, rates)

        parts.append(f"**CPU in all, µs a delivered message**\n\n{cases('total_us')}")
        parts.append(f"**Fan-out share, µs a delivered message**\n\n{cases('fan_out_us')}")
        parts.append(f"**p99 latency, ms**\n\n{cases('p99_ms')}")
        if self.limits:
            parts.append(f"**Our own limit on this machine**\n\n{ingest(self.limits)}")
        return "\n\n".join(parts)

    def machine(self, servers: Sequence[str]) -> str:
        tools = {"mosquitto": [find_mosquitto(), "-h"], "Node.js": ["node", "--version"]}
        versions = [f"{name} {peer_version(name)}" for name in (*sorted(NPM & set(servers)), "mqtt")]
        return f"{time.strftime('%Y-%m-%d')}, {', '.join([machine(tools), *versions])}."

    def _run(self, name: str, count: int, rate: int, qos: int = 0) -> Result:
        spec = SPECS[name]
        for _ in range(TRIES):
            result = run_case(name, spec, count, rate, window_s=self._window_s, warm_up_s=self._warm_up_s, qos=qos)
            self._print(spec.title, result)
            if result.verdict == "held" or result.server_share > BUSY:
                break
        return result

    def _print(self, title: str, result: Result) -> None:
        print(
            f"{title:<22} {result.clients:>5} x {result.rate:>6,}/s  {result.verdict:<9}"
            f"{figure(result.total_us):>7} µs  p50 {figure(result.p50_ms):>6}  p99 {figure(result.p99_ms):>6} ms"
            f"  {figure(result.memory_per_client / 1024):>6} KB/client"
            f"  server {result.server_share:4.0%}  broker {result.broker_share:4.0%}"
            f"  devices {result.devices_share:4.0%}  dashboards {result.dashboards_share:4.0%}"
            f"  others {result.others_share:4.0%}  {result.why}",
            flush=True,
        )


if __name__ == "__main__":
    main()
