"""Runs the benchmark of the history. See the package's docstring for what it does."""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.history import __doc__ as about
from benchmarks.history.install import install_duckdb, install_server, versions
from benchmarks.history.keepers import KEEPERS
from benchmarks.history.readings import DAY_S, load, save, simulate
from benchmarks.history.run import Outcome
from benchmarks.history.tables import report
from benchmarks.report import write_section

SERVERS = {"influxdb": "influxd", "victoriametrics": "victoria-metrics"}
# Seconds that are simulated, and between two readings of a device.
SETS = {"hours": (3 * 3_600, 1.0), "month": (30 * DAY_S, 120.0)}
ROUNDS = 2
QUICK_SETS = {"hours": (1_800, 1.0), "month": (3 * DAY_S, 120.0)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=KEEPERS, default=list(KEEPERS), help="these keepers")
    parser.add_argument("--quick", action="store_true", help="a tenth of the readings, no year: does it work?")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="measure everyone so often, and take the best round")
    parser.add_argument("--no-year", action="store_true", help="without the store with a year in it")
    parser.add_argument("--data", type=Path, help="folder of simulated readings: used if there, else made and kept")
    parser.add_argument("--folder", type=Path, help="where there are 10 GB of room for a while; else the usual place")
    parser.add_argument("--json", type=Path, help="keeps all figures; those not measured now are taken from it")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/performance.md")
    options = parser.parse_args()
    if "duckdb" in options.only:
        install_duckdb()
    for name, server in SERVERS.items():
        if name in options.only:
            install_server(server)
    known = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}
    outcomes: dict[str, dict[str, Outcome]] = {
        title: {name: Outcome(**one) for name, one in known.get(title, {}).items()} for title in SETS
    }
    year: dict[str, object] | None = known.get("year")

    def keep() -> None:
        if options.json:
            figures = {title: {name: asdict(one) for name, one in some.items()} for title, some in outcomes.items()}
            options.json.write_text(json.dumps({**figures, "year": year}, indent=1))

    with tempfile.TemporaryDirectory(dir=options.folder, prefix="history-") as folder:
        for title, (seconds, every_s) in (QUICK_SETS if options.quick else SETS).items():
            data = Path(options.data or folder, f"{title}-{seconds}.npz")
            if not data.exists():
                save(simulate(seconds, every_s), data)
            print(f"{title}: {len(load(data)):,} readings", flush=True)
            for number, name in itertools.product(range(options.rounds), options.only):
                outcome = _measure(name, data, Path(folder, title, name))
                shutil.rmtree(Path(folder, title, name))
                if not number or outcome.cpu_us < outcomes[title][name].cpu_us:
                    outcomes[title][name] = outcome
                    keep()
        if not options.quick and not options.no_year:
            year = json.loads(_child("benchmarks.history.year", str(Path(folder, "year"))))
            keep()
    measured = {title: [some[name] for name in KEEPERS if name in some] for title, some in outcomes.items() if some}
    rounds = [] if options.rounds == ROUNDS else ["--rounds", str(options.rounds)]
    command = shlex.join(["python", "-m", "benchmarks.history", *(["--quick"] if options.quick else []), *rounds])
    # Said, because figures of several runs are not side by side: the machine may have been busier in one of them.
    command += " --json, put together from SEVERAL RUNS" if known else ""
    text = report(measured, year, command, versions())
    print(f"\n{text}")
    if options.write:
        write_section("history", text)


def _measure(name: str, data: Path, folder: Path) -> Outcome:
    outcome = Outcome(**json.loads(_child("benchmarks.history.run", name, str(data), str(folder / "data"))))
    asked = "  ".join(f"{title} {median:.1f}" for title, (median, _) in outcome.asked.items())
    print(
        f"  {KEEPERS[name].title:<16} {outcome.write_us:6.2f} + {outcome.settle_us:.2f} us  {outcome.bytes:6.2f} bytes"
        f" ({outcome.free_bytes:.2f} free)  {outcome.memory_mb:5.0f} MB  ms: {asked}",
        flush=True,
    )
    return outcome


def _child(module: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{module} {arguments[0]}: ended with {done.returncode}")
    return done.stdout.splitlines()[-1]


if __name__ == "__main__":
    main()
