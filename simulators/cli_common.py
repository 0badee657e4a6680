"""What the subcommands of `simulate` share: checks of options, the signals that end them, the way they fail."""

from __future__ import annotations

import asyncio
import math
import signal
import sys
from typing import Annotated, NoReturn

import typer

from simulators.broker import parse_broker

# Something went wrong while it ran, as opposed to 2: it could not begin.
FAILED_MIDWAY = 1


def check_broker(url: str) -> str:
    try:
        parse_broker(url)
    except ValueError as problem:
        raise typer.BadParameter(f"the address {problem}") from None
    return url


def check_finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a number to count with")
    return value


def check_filters(filters: list[str] | None) -> list[str]:
    from simulators.topics import filter_problem

    for text in filters or []:
        problem = filter_problem(text)
        if problem is not None:
            raise typer.BadParameter(f"the topic filter {text!r} {problem}")
    return filters or []


BrokerOption = Annotated[
    str,
    typer.Option(
        envvar="SIMULATE_BROKER",
        callback=check_broker,
        metavar="URL",
        help="The MQTT broker: mqtt://[USER:PASSWORD@]HOST[:PORT], or mqtts:// for TLS.",
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


def stop_on_signals() -> asyncio.Event:
    """An event that Ctrl-C and SIGTERM set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows: its event loop has none
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    return stop


def fail(problem: str, code: int = 2) -> NoReturn:
    """One line, and out."""
    sys.stderr.write(f"simulate: {problem}\n")
    raise typer.Exit(code)


def size(count: float) -> str:
    """Bytes for people: 950 bytes, 1.2 kB, 3.4 MB."""
    if count < 1000:
        return f"{count:.0f} bytes"
    for unit in ("kB", "MB"):
        count /= 1000
        if count < 999.95:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.2f} GB"


def amount(number: int, noun: str) -> str:
    return f"{number:,} {noun if number == 1 else noun + 's'}"
