"""How fast and how light `fleetwire demo` is: the figures in README. Run: make bench

Starts the real demo (bridge, embedded broker, 50 simulated devices), opens the page in a real Chromium, and prints
    seconds from the start of the command to the first live value in the page,
    memory (USS: what would be free again without the process) and CPU of each process over a while.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from playwright.sync_api import sync_playwright

from tests.support.chromium import ARGUMENTS, find_chromium

FIRST_VALUE = "() => [...document.querySelectorAll('[data-role=value]')].some(e => /[0-9]/.test(e.textContent))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long CPU is measured")
    parser.add_argument("--runs", type=int, default=3, help="starts measured; the median is printed")
    options = parser.parse_args()
    starts = [_run(options.devices, 0.0) for _ in range(options.runs - 1)]
    last = _run(options.devices, options.seconds)
    starts.append(last)
    median = sorted(run["first_value_s"] for run in starts)[len(starts) // 2]
    print(f"fleetwire demo, {options.devices} devices, median of {options.runs} starts")
    print(f"  command to ready line                 {sorted(r['ready_s'] for r in starts)[len(starts) // 2]:5.2f} s")
    print(f"  command to first live value in page   {median:5.2f} s  (Chromium was running already)")
    print(f"over {options.seconds:g} s with one page open:")
    for name, (cpu, memory) in last["processes"].items():
        print(f"  {name:<12} {cpu:5.1f} % of one core   {memory:6.1f} MB")
    print(json.dumps({"first_value_s": median, **last}))


def _run(devices: int, seconds: float) -> dict:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        page = browser.new_page()
        page.goto("about:blank")  # so that the start of Chromium itself is not in the figure
        began = time.monotonic()
        demo = subprocess.Popen(
            [
                *[sys.executable, "-m", "bridge", "demo", "--no-open", "--port", "0", "--devices", str(devices)],
                "--data-dir",
                str(Path(folder) / "data"),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert demo.stdout is not None
            url = ""
            while not url:
                line = demo.stdout.readline()
                assert line, "the demo ended before it was ready"
                match = re.match(r"Fleetwire ready: (\S+)", line)
                url = match[1] if match else ""
            ready_s = time.monotonic() - began
            page.goto(url)
            page.wait_for_function(FIRST_VALUE, polling=20)
            first_value_s = time.monotonic() - began
            processes = _measure(psutil.Process(demo.pid), seconds) if seconds else {}
        finally:
            demo.terminate()
            demo.wait(10)
            browser.close()
    return {"ready_s": ready_s, "first_value_s": first_value_s, "processes": processes}


def _measure(root: psutil.Process, seconds: float) -> dict[str, tuple[float, float]]:
    """CPU (per cent of one core) and memory (MB) by role, over a while that begins after the start-up has settled."""
    time.sleep(5)
    members = [root, *root.children(recursive=True)]
    before = [sum(member.cpu_times()[:2]) for member in members]
    began = time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - began
    result: dict[str, tuple[float, float]] = {}
    for member, cpu_before in zip(members, before, strict=True):
        cpu = 100 * (sum(member.cpu_times()[:2]) - cpu_before) / elapsed
        name = _role(member.cmdline())
        known = result.get(name, (0.0, 0.0))
        result[name] = (known[0] + cpu, known[1] + member.memory_full_info().uss / 1e6)
    return result


def _role(command: list[str]) -> str:
    text = " ".join(command)
    if "broker_guard" in text:
        return "guards"
    if "simulators" in text:
        return "simulators"
    return "broker" if "mosquitto" in text or "nats" in text else "bridge"


if __name__ == "__main__":
    main()
