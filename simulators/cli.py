"""The `simulate` command: reads the options, runs the fleet until it is told to stop, and ends with a clear exit code.

Exit codes: 0 stopped as asked, 2 a bad option or no broker. What is heavy is imported only once it is needed, so that
`simulate --help` answers at once.
"""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from simulators.broker import Broker, BrokerUnreachable, parse_broker
from simulators.devices import KINDS

if TYPE_CHECKING:
    from simulators.fleet import SimulatedFleet

MAX_DEVICES = 10_000
# Files that are open besides the connections: standard streams, the selector, libraries.
OTHER_FILES = 64

HELP = f"""
Simulates a plant: devices with real physics that publish to an MQTT broker and obey commands.

Start a broker, start this, and watch: temperatures follow their setpoints, pumps run down, doors are left open. Every
device has its own MQTT connection, describes itself, and goes offline when you press Ctrl-C.

\b
Kinds of device: {", ".join(KINDS)}

\b
Examples:
  simulate
      fifty devices on the broker of this machine
  simulate --devices 5 --kinds pump,tank --rate 2
      a few pumps and tanks, two readings a second each
  simulate --broker mqtt://192.168.1.10:1883 --prefix lab-
      on another machine's broker, with ids such as lab-pump-01
  simulate --devices 200 --duration 60 --quiet
      load for one minute, without a word
"""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _check_broker(url: str) -> str:
    try:
        parse_broker(url)
    except ValueError as problem:
        raise typer.BadParameter(f"the address {problem}") from None
    return url


def _check_kinds(text: str) -> str:
    unknown = [kind for kind in _split(text) if kind not in KINDS]
    if unknown:
        raise typer.BadParameter(f"there is no kind {unknown[0]!r}; there are {', '.join(KINDS)}")
    return text


def _check_finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a number to count with")
    return value


def _split(kinds: str) -> list[str]:
    return [kind.strip() for kind in kinds.split(",") if kind.strip()]


@app.command(help=HELP)
def simulate(
    devices: Annotated[int, typer.Option(min=1, max=MAX_DEVICES, metavar="N", help="How many devices.")] = 50,
    broker: Annotated[
        str,
        typer.Option(
            envvar="SIMULATE_BROKER",
            callback=_check_broker,
            metavar="URL",
            help="The MQTT broker: mqtt://[USER:PASSWORD@]HOST[:PORT], or mqtts:// for TLS.",
        ),
    ] = "mqtt://127.0.0.1:1883",
    rate: Annotated[
        float,
        typer.Option(
            min=0.01, max=100.0, metavar="HZ", callback=_check_finite, help="Readings a second, for each device."
        ),
    ] = 1.0,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Another number, another plant; the same number, the same one.")
    ] = 1,
    duration: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            metavar="SECONDS",
            callback=_check_finite,
            help="Stop after so many seconds; without it, run until Ctrl-C.",
        ),
    ] = None,
    qos: Annotated[int, typer.Option(min=0, max=1, metavar="0|1", help="MQTT quality of service of the readings.")] = 0,
    kinds: Annotated[
        str, typer.Option(callback=_check_kinds, metavar="LIST", help="Only these kinds, separated by commas.")
    ] = "",
    prefix: Annotated[str, typer.Option(metavar="TEXT", help="Put this in front of every device id.")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    from simulators.fleet import SimulatedFleet
    from simulators.native import NativeDialect

    try:
        fleet = SimulatedFleet(devices, seed, rate, kinds=_split(kinds), prefix=prefix, dialect=NativeDialect(qos))
    except ValueError as problem:
        raise typer.BadParameter(str(problem), param_hint="'--prefix'") from None
    _allow_open_files(devices)
    logging.basicConfig(format="simulate: %(message)s", level=logging.WARNING)
    try:
        asyncio.run(_run(fleet, parse_broker(broker), duration, quiet))
    except BrokerUnreachable as problem:
        _fail(str(problem))


async def _run(fleet: SimulatedFleet, broker: Broker, duration: float | None, quiet: bool) -> None:
    from simulators.display import Progress, choose_display
    from simulators.publisher import Publisher

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows: its event loop has none
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    if duration is not None:
        loop.call_later(duration, stop.set)
    display = choose_display(quiet)
    publisher = Publisher(fleet, broker, display.say)
    progress = Progress(fleet, publisher)
    began_s = time.monotonic()
    following = asyncio.create_task(display.follow(progress.line))
    try:
        await publisher.run(stop)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    display.say(progress.summary(time.monotonic() - began_s))


def _allow_open_files(devices: int) -> None:
    """One connection is one open file, and many systems allow only 1,024 unless asked for more."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    needed = devices + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        _fail(f"this system allows {hard} open files, and {devices} devices need {needed}; use fewer --devices")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _fail(problem: str) -> None:
    sys.stderr.write(f"simulate: {problem}\n")
    raise typer.Exit(2)


def main() -> None:
    app(prog_name="simulate")
