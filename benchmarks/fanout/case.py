"""One case: a server, so many dashboards, so many messages a second."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fanout.processes import cpu_s, machine_busy_s, uss_bytes
from benchmarks.fanout.receivers import Receivers
from benchmarks.fanout.servers import Server, Spec
from benchmarks.fanout.statistics import latency, per_message_us

DRAIN_S = 3.0
HOPELESS_S = 2.0  # messages older than this when the window should begin: the server falls further and further behind
BOUNDED_MS = 500.0  # a p99 above this is a queue that grows, not a latency
SATURATED = 0.92  # share of one core from which the client side may be what is measured
DISTURBED = 0.3  # share of one core that other programs may use before a case that was not held says nothing
ACHIEVED = 0.98  # share of the wanted rate that the devices have to reach


@dataclass
class Result:
    """What one case measured. Shares are of one core."""

    server: str
    clients: int
    rate: int
    qos: int = 0
    verdict: str = "held"  # or "not held", "invalid", "skipped"
    why: str = ""
    window_s: float = 0.0
    offered: float = 0.0
    achieved: float = 0.0
    delivered: int = 0
    cpu_s: float = 0.0
    total_us: float = float("nan")
    fan_out_us: float = float("nan")
    p50_ms: float = float("nan")
    p99_ms: float = float("nan")
    worst_ms: float = float("nan")
    memory_per_client: float = float("nan")
    uss: int = 0
    server_share: float = 0.0
    broker_share: float = 0.0
    devices_share: float = 0.0
    dashboards_share: float = 0.0
    others_share: float = 0.0  # of programs that have nothing to do with this benchmark
    slowest_sweep_s: float = 0.0
    sent: int = 0
    counted: int = 0
    faults: dict[str, int] = field(default_factory=dict)


def run_case(
    name: str, spec: Spec, clients: int, rate: int, *, window_s: float, warm_up_s: float, qos: int = 0
) -> Result:
    """Start everything, measure, stop everything."""
    result = Result(name, clients, rate, qos, offered=rate)
    with tempfile.TemporaryDirectory(prefix="fanout-") as folder, Server(spec, Path(folder)) as server:
        begin = time.monotonic()
        receivers = Receivers(spec.dialect(), server.port, begin)
        arguments = [str(server.broker.port), str(rate), str(qos), repr(begin)]
        devices = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.fanout.publisher", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            _join(receivers, server, clients, result)
            _measure(receivers, server, devices, result, window_s, warm_up_s)
        except OSError as error:
            result.verdict, result.why = "not held", f"dashboard {len(receivers.clients) + 1}: {error}"
        finally:
            receivers.close()
            devices.kill()
            devices.communicate()
    return result


def _join(receivers: Receivers, server: Server, clients: int, result: Result) -> None:
    receivers.join(1)
    receivers.run(0.3)
    one = uss_bytes(server.pids())
    receivers.join(clients)
    receivers.sample()
    receivers.run(1.0)
    if clients > 1:
        result.memory_per_client = (uss_bytes(server.pids()) - one) / (clients - 1)


def _measure(
    receivers: Receivers,
    server: Server,
    devices: subprocess.Popen[str],
    result: Result,
    window_s: float,
    warm_up_s: float,
) -> None:
    assert devices.stdin is not None
    assert devices.stdout is not None
    devices.stdout.readline()
    devices.stdin.write("begin\n")
    devices.stdin.flush()
    receivers.run(warm_up_s)
    receivers.read_all()
    if receivers.errors():
        result.verdict, result.why = "not held", f"{len(receivers.errors())} clients ended: {receivers.errors()[0]}"
    elif receivers.newest_age() > HOPELESS_S:
        result.verdict, result.why = "not held", f"{receivers.newest_age():.1f} s behind after {warm_up_s:g} s"
    pids = server.pids()
    receivers.slowest_sweep_s = 0.0

    def look() -> tuple[float, ...]:
        processes = (pids, [server.broker.pid], [devices.pid])
        return time.monotonic(), *map(cpu_s, processes), time.process_time(), machine_busy_s(), receivers.messages()

    before = look()
    receivers.run(window_s if result.verdict == "held" else 0.0)
    receivers.read_all()
    elapsed, server_s, broker_s, devices_s, dashboards_s, machine_s, delivered = (
        new - old for old, new in zip(before, look(), strict=True)
    )
    result.uss = uss_bytes(pids)
    devices.stdin.write("end\n")
    devices.stdin.flush()
    result.slowest_sweep_s = receivers.slowest_sweep_s
    if result.verdict != "held":
        return
    first = before[0] - receivers.begin
    delays = latency(receivers.receipts, receivers.reference.times, first, first + elapsed)
    result.p50_ms, result.p99_ms, result.worst_ms = delays
    result.window_s, result.delivered, result.cpu_s = elapsed, int(delivered), server_s
    result.total_us = per_message_us(server_s, delivered)
    result.server_share, result.broker_share = server_s / elapsed, broker_s / elapsed
    result.devices_share, result.dashboards_share = devices_s / elapsed, dashboards_s / elapsed
    ours_s = server_s + devices_s + dashboards_s + (broker_s if server.broker.pid not in pids else 0.0)
    result.others_share = max(0.0, machine_s - ours_s) / elapsed
    _drain(receivers, devices, result)


def _drain(receivers: Receivers, devices: subprocess.Popen[str], result: Result) -> None:
    """Let everything that was sent arrive, count it, and judge."""
    assert devices.stdout is not None
    deadline = time.monotonic() + DRAIN_S
    receivers.run(0.3)
    told = json.loads(devices.stdout.readline())
    result.sent, result.achieved = told["sent"], told["sent"] / told["seconds"]
    while receivers.messages() < told["sent"] * result.clients and time.monotonic() < deadline:
        receivers.run(0.1)
    judge(result, receivers)


def judge(result: Result, receivers: Receivers) -> None:
    """Whether every client got everything, intact, in order and in time; and whether it was the server we measured."""
    reference = receivers.reference
    streams = [client.stream for client in receivers.clients]
    for stream in streams:
        stream.finish()
    result.counted = sum(stream.messages for stream in streams)
    result.faults = {
        "missing": result.sent * result.clients - result.counted,
        "duplicates": sum(s.duplicates for s in streams) + reference.tally.duplicates,
        "reordered": sum(s.reordered for s in streams) + reference.tally.reordered,
        "corrupt": sum(s.corrupt for s in streams) + reference.corrupt,
        "strays": sum(s.strays for s in streams),
    }
    errors = receivers.errors()
    wrong = sum(result.faults.values()) - result.faults["missing"]  # no busy machine excuses that
    if errors:
        result.verdict, result.why = "not held", f"{len(errors)} clients ended: {errors[0]}"
    elif any(result.faults.values()):
        told = ", ".join(f"{count:,} {what}" for what, count in result.faults.items() if count)
        result.verdict, result.why = "not held", told
    elif not result.p99_ms <= BOUNDED_MS:
        result.verdict, result.why = "not held", f"p99 {result.p99_ms:,.0f} ms"
    if wrong:
        return
    if result.dashboards_share > SATURATED:
        result.verdict, result.why = "invalid", f"the dashboards needed {result.dashboards_share:.0%} of a core"
    elif result.achieved < ACHIEVED * result.offered:
        result.verdict, result.why = "invalid", f"the devices sent only {result.achieved:,.0f} a second"
    elif result.verdict != "held" and result.others_share > DISTURBED:
        result.verdict = "invalid"
        result.why += f"; other programs used {result.others_share:.0%} of a core"
