"""How large and how fast a simulated fleet can be: the figures in docs/simulate.md. Run: python -m benchmarks.simulate

Each scenario runs in a process of its own against a mosquitto of its own on this machine, and prints
    seconds from the start of connecting until every device is connected, subscribed and announced,
    memory (resident set) for each device beyond what the process had before the fleet was made,
    messages in a second, and the processor time that each of them cost this process.
On a system with several cores the fleet runs on one, the broker on the others.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import json
import os
import pstats
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from simulators.runner import loop_factory
from tests.support.mosquitto import Mosquitto

# A broker for this many clients on one machine.
BROKER = ("max_connections -1", "max_queued_messages 1000", "log_type error", "connection_messages false")
# name: devices, readings a second of each, shared connections, QoS
SCENARIOS: dict[str, tuple[int, float, int, int]] = {
    "10,000 devices, a connection each": (10_000, 0.1, 0, 0),
    "10,000 connections, all it can send": (10_000, 10.0, 0, 0),
    "1,000 connections, all it can send": (1_000, 100.0, 0, 0),
    "1,000 connections, all it can send, QoS 1": (1_000, 100.0, 0, 1),
    "100,000 devices over 50 connections": (100_000, 0.1, 50, 0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="how long messages are counted")
    parser.add_argument("--only", default="", help="part of the name of a scenario")
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        scenario = json.loads(options.child)
        profile = cProfile.Profile() if options.profile else None
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            print(json.dumps(runner.run(_measure(scenario, options.seconds, profile))))
        if profile is not None:
            pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(25)
        return
    for name, scenario in SCENARIOS.items():
        if options.only in name:
            _report(name, _run(scenario, options.seconds, options.profile))


def _run(scenario: tuple[int, float, int, int], seconds: float, profile: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        broker = Mosquitto(Path(folder), BROKER)
        broker.start()
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        if len(cores) > 1:
            os.sched_setaffinity(broker.pid, cores[1:])
        try:
            child = json.dumps([*scenario, broker.url, cores[0] if len(cores) > 1 else -1])
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.simulate", "--child", child, "--seconds", str(seconds)]
                + (["--profile"] if profile else []),
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                timeout=300,
            )
        finally:
            broker.stop()
        return json.loads(done.stdout)


async def _measure(scenario: list, seconds: float, profile: cProfile.Profile | None) -> dict[str, float]:
    from simulators.broker import parse_broker
    from simulators.fleet import SimulatedFleet
    from simulators.native import NativeDialect
    from simulators.options import RunOptions
    from simulators.publisher import Publisher
    from simulators.runner import allow_open_files

    devices, rate, shared, qos, url, core = scenario
    if core >= 0:
        os.sched_setaffinity(0, [core])
    allow_open_files(shared or devices)
    gc.collect()
    process = psutil.Process()
    base = process.memory_info().rss
    fleet = SimulatedFleet(devices, 1, rate, dialect=NativeDialect(qos))
    models = process.memory_info().rss
    publisher = Publisher(
        fleet, parse_broker(url), lambda line: None, options=RunOptions(shared_connections=shared or None)
    )
    stop = asyncio.Event()
    began = time.monotonic()
    running = asyncio.create_task(publisher.run(stop))
    while publisher.ready_s is None and not running.done() and time.monotonic() - began < 120:
        await asyncio.sleep(0.1)
    ready = publisher.ready_s
    await asyncio.sleep(2.0)  # let the announcements be acknowledged
    memory = process.memory_info().rss
    sent, late = publisher.sent, sum(device.late for device in fleet.devices)
    cpu, clock = time.process_time(), time.monotonic()
    if profile is not None:
        profile.enable()
    await asyncio.sleep(seconds)
    if profile is not None:
        profile.disable()
    cpu, clock = time.process_time() - cpu, time.monotonic() - clock
    sent, late = publisher.sent - sent, sum(device.late for device in fleet.devices) - late
    stop.set()
    await running
    return {
        "devices": devices,
        "ready_s": ready or -1.0,
        "bytes_per_device": (memory - base) / devices,
        "model_bytes_per_device": (models - base) / devices,
        "messages_per_s": sent / clock,
        "wanted_per_s": devices * rate,
        "cpu_share": cpu / clock,
        "cpu_us_per_message": cpu / max(sent, 1) * 1e6,
        "late": late,
        "missed": publisher.missed,
        "acked": publisher.acked,
    }


def _report(name: str, figures: dict[str, float]) -> None:
    print(name)
    print(f"  ready after            {figures['ready_s']:8.1f} s")
    print(
        f"  memory for each device {figures['bytes_per_device'] / 1024:8.1f} KB"
        f"   of which the model {figures['model_bytes_per_device'] / 1024:.1f} KB"
    )
    print(f"  messages               {figures['messages_per_s']:8,.0f} /s  of {figures['wanted_per_s']:,.0f} wanted")
    print(
        f"  processor time         {figures['cpu_us_per_message']:8.1f} µs a message"
        f"   ({100 * figures['cpu_share']:.0f} % of one core,"
        f" {figures['late']:,} readings left out, {figures['missed']:,} missed)",
        flush=True,
    )


if __name__ == "__main__":
    main()
