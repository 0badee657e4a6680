"""`simulate replay`: the options, the progress and the summary."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulators.broker import Broker, BrokerUnreachable, parse_broker
from simulators.cli_common import (
    FAILED_MIDWAY,
    BrokerOption,
    QuietOption,
    amount,
    check_filters,
    check_finite,
    fail,
    stop_on_signals,
)

if TYPE_CHECKING:
    from simulators.replay import Replayer, ReplayOptions

MAX_SPEED = 100_000.0

HELP = """
Publishes a recording to an MQTT broker, with the spacing it was recorded with.

Order, payloads, QoS and retain flags are those of the recording. With
--speed 10 an hour takes six minutes, with --speed 0 it goes as fast as the
broker takes it.

\b
Examples:
  simulate replay plant.fwrec
      once, as it was
  simulate replay plant.fwrec --speed 10 --loop --restamp
      ten times as fast, again and again, with times that look current
  simulate replay plant.fwrec --from 60 --to 120 --prefix test/
      the second minute, under topics that begin with test/
  simulate replay plant.fwrec --topic 'hall2/#' --speed 0
      one hall, as fast as possible
"""


def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that simulate record has written.")],
    broker: BrokerOption = "mqtt://127.0.0.1:1883",
    speed: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=MAX_SPEED,
            metavar="FACTOR",
            callback=check_finite,
            help="How much faster than recorded; 0.5 is half as fast, 0 is as fast as possible.",
        ),
    ] = 1.0,
    loop: Annotated[bool, typer.Option("--loop", help="Begin anew at the end, until Ctrl-C.")] = False,
    from_: Annotated[
        float,
        typer.Option(
            "--from", min=0.0, metavar="SECONDS", callback=check_finite, help="Leave out what lies before this second."
        ),
    ] = 0.0,
    to: Annotated[
        float | None,
        typer.Option(min=0.0, metavar="SECONDS", callback=check_finite, help="Leave out what lies after this second."),
    ] = None,
    topic: Annotated[
        list[str] | None,
        typer.Option(
            callback=check_filters,
            metavar="FILTER",
            help="Replay only these topics, such as 'hall2/#'; may be given several times.",
        ),
    ] = None,
    prefix: Annotated[str, typer.Option(metavar="TEXT", help="Put this in front of every topic.")] = "",
    qos: Annotated[
        int | None,
        typer.Option(min=0, max=2, metavar="0|1|2", help="MQTT quality of service; without it, as recorded."),
    ] = None,
    restamp: Annotated[
        bool,
        typer.Option(
            "--restamp",
            help="Move times inside JSON payloads (time, ts, timestamp, ...) so that they look current. "
            "Without it, payloads are replayed byte for byte.",
        ),
    ] = False,
    quiet: QuietOption = False,
) -> None:
    from simulators.replay import ReplayOptions

    if to is not None and to <= from_:
        raise typer.BadParameter("must lie after --from", param_hint="'--to'")
    if any(character in prefix for character in "+#\0") or prefix.startswith("$"):
        raise typer.BadParameter("must not hold + or #, nor begin with $", param_hint="'--prefix'")
    options = ReplayOptions(speed, loop, from_, to, topic or [], prefix, qos, restamp)
    asyncio.run(_run(parse_broker(broker), file, options, quiet))


async def _run(broker: Broker, path: Path, options: ReplayOptions, quiet: bool) -> None:
    from simulators.capture import NotACapture
    from simulators.display import choose_display
    from simulators.mqtt_dial import open_link
    from simulators.replay import Replayer

    stop = stop_on_signals()
    display = choose_display(quiet)
    replayer = Replayer(path, options)
    try:
        header = replayer.header()
        link = await open_link(broker, "replay", lambda _: None)
    except NotACapture as problem:
        fail(f"{path} {problem}")
    except OSError as problem:
        fail(f"cannot read {path}: {problem.strerror or problem}")
    except BrokerUnreachable as problem:
        fail(str(problem))
    recorded = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(header.started_us / 1e6))
    display.say(f"replaying {path} (recorded {recorded}) to {broker.address} ({link.protocol})")
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    beside = [
        asyncio.create_task(link.tend()),
        asyncio.create_task(display.follow(lambda: _progress(replayer, began_s))),
    ]
    problem_midway: str | None = None
    try:
        await replayer.run(link, stop)
    except ConnectionError as problem:
        problem_midway = f"connection to {broker.address} lost ({problem})"
    except (OSError, NotACapture) as problem:
        problem_midway = f"cannot read {path} any more: {problem}"
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await link.close()
    cpu_us = (time.process_time() - began_cpu_s) * 1e6
    display.say(_summary(replayer, link.window.refused, time.monotonic() - began_s, cpu_us))
    if problem_midway is not None:
        fail(problem_midway, FAILED_MIDWAY)
    if replayer.damage is not None:
        typer.echo(f"simulate: {path} {replayer.damage}; what lies before that was replayed", err=True)


def _progress(replayer: Replayer, began_s: float) -> str:
    rate = replayer.sent / max(time.monotonic() - began_s, 0.001)
    passes = f" · pass {replayer.passes + 1:,}" if replayer.passes else ""
    return f"{amount(replayer.sent, 'message')} sent · {rate:,.0f} messages/s · {replayer.late:,} late{passes}"


def _summary(replayer: Replayer, refused: int, seconds: float, cpu_us: float) -> str:
    parts = [f"replayed for {seconds:,.1f} s: {amount(replayer.sent, 'message')} sent"]
    if replayer.late:
        parts.append(f"{replayer.late:,} late (by up to {replayer.worst_s:.2f} s)")
    else:
        parts.append("0 late")
    if replayer.passes > 1:
        parts.append(f"{replayer.passes:,} passes")
    if replayer.unsendable:
        parts.append(f"{replayer.unsendable:,} that no client may publish were left out")
    if refused:
        parts.append(f"{refused:,} refused by the broker")
    if replayer.unconfirmed:
        parts.append(f"{replayer.unconfirmed:,} not confirmed by the broker")
    if replayer.sent:
        parts.append(f"{cpu_us / replayer.sent:.1f} µs of CPU per message")
    elif replayer.read:
        parts.append(f"none of {amount(replayer.read, 'message')} fits the options")
    return " · ".join(parts)
