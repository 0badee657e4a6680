"""Whether a reading costs the same, however many devices there are. Run: python -m benchmarks.growth

50, 500, 5,000 and 50,000 devices send 2,000 messages a second all together, five values each, to the whole bridge
with a dashboard that follows `fleet`. First every device is seen, twice, and the bridge comes to rest; then processor
time is measured. It must be the same within 20 %. Writes into docs/performance.md, also the memory for each device.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.ingest import PEERS, install_peers
from benchmarks.ingest_rig import VALUES, broker, leave_first_core, measured_bridge, run_once
from benchmarks.report import machine, table, write_section

SIZES = (50, 500, 5_000, 50_000)
RATE = 2_000  # messages a second, of all devices together
WARM_UP_RATE = 5_000
TARGET = 0.2
SETTLE_S = 3.0  # at the least, from the warm-up to the window
PY_SPY = "py-spy==0.4.1"


class Growth(NamedTuple):
    """Of one size."""

    devices: int
    cpu_us: float  # of a reading
    lost: int
    rss: int  # bytes, after the window
    rss_empty: int  # before the first device
    readings: int  # a second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="how long is measured, with each number of devices")
    parser.add_argument("--devices", type=int, action="append", help="instead of 50, 500, 5,000 and 50,000; repeatable")
    parser.add_argument("--quick", action="store_true", help="3 s each, up to 5,000, nothing written: does it work?")
    parser.add_argument("--profile", action="store_true", help="print where the time goes (py-spy); figures are void")
    options = parser.parse_args()
    where = machine({"mosquitto": ["mosquitto", "-h"]})  # first, while we may still use all cores
    leave_first_core()
    if options.profile:
        install_peers((PY_SPY,))
    seconds = 3.0 if options.quick else options.seconds
    sizes = options.devices or (SIZES[:3] if options.quick else SIZES)
    rows: list[Growth] = []
    for devices in sizes:
        rows.append(asyncio.run(_measure(devices, seconds, options.profile)))
        print(_line(rows[-1]), flush=True)
    body = _render(where, rows, seconds)
    print(body)
    if not (options.quick or options.profile or options.devices):
        write_section("growth", body)


async def _measure(devices: int, seconds: float, profile: bool) -> Growth:
    with broker() as mosquitto:
        async with measured_bridge(mosquitto.url, ("fleet",)) as bridge:
            await asyncio.sleep(1.0)
            empty = bridge.rss
            # Fast, but not so fast that making the devices would be shed or late.
            warm_up_s = max(2.0, devices / WARM_UP_RATE)
            await run_once(bridge, mosquitto.port, rate=WARM_UP_RATE, seconds=warm_up_s, qos=0, devices=devices)
            assert (count := (await bridge.counters())["devices"]) == devices, f"{count} of {devices} devices are there"
            # Then once more at the rate of the window and without a pause before it: a device that is heard again
            # after a longer silence than it had before may have become stale, and telling that is not what we measure.
            skip_s = max(SETTLE_S, devices / RATE)
            begun = (await bridge.sample()).received
            running = asyncio.create_task(
                run_once(bridge, mosquitto.port, rate=RATE, seconds=skip_s + seconds, qos=0, devices=devices)
            )
            while (before := await bridge.sample()).received < begun + skip_s * RATE:
                assert not running.done(), "messages were lost before the window began"
                await asyncio.sleep(0.2)
            began, counters = time.monotonic(), await bridge.counters()
            profiler = _start_profiler(bridge.pid, seconds) if profile else None
            result = await running
            after_cpu, elapsed = (await bridge.sample()).cpu_s, time.monotonic() - began
            if profiler is not None:
                _print_profile(*profiler)
            await asyncio.sleep(0.5)  # readings are counted with their batch, a moment after the message
            after = await bridge.counters()
            readings = after["readings"] - counters["readings"]
            assert after["readings"] == after["received"] * VALUES, "not every value became a reading"
            return Growth(
                devices, (after_cpu - before.cpu_s) / readings * 1e6, result.lost, bridge.rss, empty,
                round(readings / elapsed),
            )  # fmt: skip


def _start_profiler(pid: int, seconds: float) -> tuple[subprocess.Popen[bytes], Path]:
    path = Path(tempfile.gettempdir()) / f"growth-{pid}.txt"
    command = [str(PEERS / "bin" / "py-spy"), "record", "--pid", str(pid), "--duration", str(max(1, round(seconds)))]
    process = subprocess.Popen(
        [*command, "--rate", "500", "--format", "raw", "--output", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=sys.stderr,
    )
    return process, path


def _print_profile(process: subprocess.Popen[bytes], path: Path) -> None:
    process.wait(60)
    alone: collections.Counter[str] = collections.Counter()
    below: collections.Counter[str] = collections.Counter()
    for line in path.read_text().splitlines():
        stack, _, samples = line.rpartition(" ")
        frames = [frame.rpartition(":")[0] or frame for frame in stack.split(";")]
        alone[frames[-1]] += int(samples)
        for frame in set(frames):
            below[frame] += int(samples)
    path.unlink()
    total = sum(alone.values()) or 1
    print("   alone   with what it calls")
    for frame, samples in alone.most_common(20):
        print(f"  {samples / total:6.1%}  {below[frame] / total:6.1%}  {frame}")
    print("   the largest with what they call:")
    for frame, samples in below.most_common(25):
        print(f"  {alone[frame] / total:6.1%}  {samples / total:6.1%}  {frame}")


def _line(row: Growth) -> str:
    return (
        f"{row.devices:7,} devices  {row.cpu_us:6.2f} µs a reading  {row.readings:,} readings/s  lost {row.lost:,}"
        f"  memory {row.rss / 1e6:.0f} MB, {row.rss_empty / 1e6:.0f} MB when it was empty"
    )


def _kilobytes(row: Growth, fewest: Growth) -> str:
    """What each further device takes: the rest (program, recent readings) the smallest fleet has as well."""
    if row.devices == fewest.devices:
        return ""
    return f"{(row.rss - fewest.rss) / (row.devices - fewest.devices) / 1024:.1f}"


def _render(where: str, rows: list[Growth], seconds: float) -> str:
    least, most = min(row.cpu_us for row in rows), max(row.cpu_us for row in rows)
    spread = most / least - 1
    verdict = "met" if spread <= TARGET and not any(row.lost for row in rows) else "**missed**"
    return "\n\n".join(
        [
            where,
            f"{RATE:,} messages/s of {VALUES} values, from all devices together; one dashboard on `fleet`;"
            f" {seconds:g} s each, after every device was seen.",
            table(
                ["devices", "CPU µs a reading", "readings/s", "lost", "memory MB", "KB each further device"],
                [
                    [
                        f"{row.devices:,}",
                        f"{row.cpu_us:.2f}",
                        f"{row.readings:,}",
                        f"{row.lost:,}",
                        f"{row.rss / 1e6:.0f}",
                        _kilobytes(row, rows[0]),
                    ]
                    for row in rows
                ],
            ),
            f"Target (the same within {TARGET:.0%}): from least to most {spread:.0%}, {verdict}.",
        ]
    )


if __name__ == "__main__":
    main()
