"""What it costs to take MQTT messages in, beside other clients. Run: python -m benchmarks.ingest

The same publisher sends the same stream (five values a message, 200 devices) through mosquitto to each in turn:
    fleetwire           the whole bridge as people run it, with a dashboard that follows `fleet` and `log`,
    paho, gmqtt, aiomqtt, mosquitto_sub    which do nothing with a message but count it, or print it to /dev/null.
Writes into docs/performance.md the messages taken in a second and the processor time of each message. What was lost is
counted, and marks the case. The bridge may cost 1.5 times a bare paho loop with an empty callback.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.ingest_rig import (
    FILTER,
    VALUES,
    Result,
    Sample,
    broker,
    leave_first_core,
    measured_bridge,
    pin_measured,
    publish,
    run_once,
)
from benchmarks.report import machine, table, write_section

PEERS = Path(__file__).parent / ".peers" / "mqtt"
PEERS_SCRIPT = Path(__file__).with_name("peers_mqtt.py")
REQUIREMENTS = ("paho-mqtt==2.2.0", "gmqtt==0.8.0", "aiomqtt==2.5.1")
RATES = {0: 20_000, 1: 10_000}  # messages a second by QoS: the targets of the bridge
TARGET = 1.5  # times the processor time of a bare paho loop
WARM_UP_S = 2.0
NAMES = {
    "fleetwire": "**fleetwire**, whole bridge",
    "paho-loop": "paho, driven by a loop",
    "paho-forever": "paho, loop_forever",
    "gmqtt": "gmqtt",
    "aiomqtt": "aiomqtt",
    "mosquitto_sub": "mosquitto_sub (C)",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="how long messages are sent, in each case")
    parser.add_argument("--only", default="", help="part of the name of a client")
    parser.add_argument("--quick", action="store_true", help="2 s in each case and nothing written: does it work?")
    options = parser.parse_args()
    where = machine({"mosquitto": ["mosquitto", "-h"]})  # first, while we may still use all cores
    leave_first_core()
    install_peers(REQUIREMENTS)
    seconds = 2.0 if options.quick else options.seconds
    results: dict[tuple[str, int], Result] = {}
    for qos, rate in RATES.items():
        for name in NAMES:
            if options.only in name:
                result = results[name, qos] = asyncio.run(_measure(name, qos, rate, seconds))
                print(
                    f"{name:<14} QoS {qos}  {result.received / result.seconds:9,.0f} messages/s"
                    f"  {result.cpu_us:6.1f} µs each  lost {result.lost:,}"
                    f"  (publisher {result.publisher_rate:,.0f}/s, {result.publisher_cpu_s:.2f} s of CPU)",
                    flush=True,
                )
    body = _render(where, results, seconds)
    print(body)
    if not options.quick and not options.only:
        write_section("ingest", body)


def install_peers(requirements: Sequence[str]) -> None:
    """Into a folder of their own: they are no dependencies of ours."""
    python = PEERS / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
    done = PEERS / "installed.txt"
    missing = set(requirements) - set(done.read_text().split() if done.exists() else ())
    if missing:
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*command, *requirements], check=True)
        with done.open("a") as file:
            file.writelines(f"{requirement}\n" for requirement in requirements)


async def _measure(name: str, qos: int, rate: float, seconds: float) -> Result:
    with broker() as mosquitto:
        if name == "mosquitto_sub":
            return await _measure_mosquitto_sub(mosquitto.port, qos, rate, seconds)
        if name == "fleetwire":
            async with measured_bridge(mosquitto.url, ("fleet", "log")) as bridge:
                # The devices are made, and everybody gets warm.
                await run_once(bridge, mosquitto.port, rate=rate / 2, seconds=WARM_UP_S, qos=qos)
                await asyncio.sleep(1.0)
                return await run_once(bridge, mosquitto.port, rate=rate, seconds=seconds, qos=qos)
        async with _peer(name, mosquitto.port, qos) as peer:
            await run_once(peer, mosquitto.port, rate=rate / 2, seconds=WARM_UP_S, qos=qos)
            return await run_once(peer, mosquitto.port, rate=rate, seconds=seconds, qos=qos)


class _Peer(NamedTuple):
    process: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        return self.process.pid

    async def sample(self) -> Sample:
        self.process.send_signal(signal.SIGUSR1)
        assert self.process.stdout is not None
        received, cpu = (await asyncio.wait_for(self.process.stdout.readline(), 20)).split()
        return Sample(int(received), float(cpu))


@asynccontextmanager
async def _peer(name: str, port: int, qos: int) -> AsyncIterator[_Peer]:
    process = await asyncio.create_subprocess_exec(
        *[str(PEERS / "bin" / "python"), str(PEERS_SCRIPT), name, str(port), str(qos)],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # what gmqtt and aiomqtt say when they are killed
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"ready\n", f"{name} does not connect"
        pin_measured(process.pid)
        yield _Peer(process)
    finally:
        process.kill()
        await process.wait()


async def _measure_mosquitto_sub(port: int, qos: int, rate: float, seconds: float) -> Result:
    """It cannot be asked what it has got, but told to leave after so many: one more than we send, then the last one."""
    count = round(rate * seconds)
    command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-t", FILTER, "-q", str(qos)]
    process = subprocess.Popen([*command, "-C", str(count + 1)], stdout=subprocess.DEVNULL)
    try:
        watched = psutil.Process(process.pid)
        pin_measured(process.pid)
        await asyncio.sleep(1.0)
        before = _cpu(watched)
        published = await publish(port, rate=rate, count=count, qos=qos)
        used = -1.0
        while used < (used := _cpu(watched)):
            await asyncio.sleep(0.3)
        cpu_s = used - before
        await publish(port, rate=1.0, count=1, qos=qos)
        for _ in range(50):
            if process.poll() is not None:
                break
            await asyncio.sleep(0.1)
        complete = process.poll() == 0
    finally:
        process.kill()
        process.wait()
    return Result(
        sent=count,
        received=count if complete else 0,
        seconds=published["seconds"],
        cpu_s=cpu_s,
        publisher_cpu_s=published["cpu_s"],
        publisher_rate=published["sent"] / published["seconds"],
    )


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _render(where: str, results: dict[tuple[str, int], Result], seconds: float) -> str:
    parts = [
        where,
        f"Peers: {', '.join(REQUIREMENTS).replace('==', ' ')}. {seconds:g} s in each case, {VALUES} values in each"
        " message; processor time of the subscriber alone.",
    ]
    for qos, rate in RATES.items():
        rows, bare = [], results.get(("paho-loop", qos))
        for name, title in NAMES.items():
            result = results.get((name, qos))
            if result is not None:
                rows.append(
                    [
                        title,
                        f"{result.received / result.seconds:,.0f}",
                        f"{result.lost:,}" if result.received else "some",
                        f"{result.cpu_us:.1f}" if result.received else "",
                        f"{1e6 / result.cpu_us:,.0f}" if result.received else "",
                        f"{result.cpu_us / bare.cpu_us:.2f}" if result.received and bare else "",
                    ]
                )
        parts.append(f"QoS {qos}, {rate:,} messages/s sent:")
        parts.append(table(["", "taken/s", "lost", "CPU µs a message", "messages/s a core", "times a paho loop"], rows))
        ours = results.get(("fleetwire", qos))
        if ours is not None and bare is not None:
            times = ours.cpu_us / bare.cpu_us
            verdict = "met" if times <= TARGET and not ours.lost else "**missed**"
            parts.append(f"Target (at most {TARGET:g} times a bare paho loop, nothing lost): {times:.2f}, {verdict}.")
    streams = [f"{result.publisher_cpu_s / result.sent * 1e6:.1f}" for result in results.values()]
    if streams:
        parts.append(f"The publisher itself cost {min(streams)} to {max(streams)} µs a message, on another core.")
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
