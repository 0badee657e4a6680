"""`simulate record`: the options, the file, the progress and the summary."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, cast

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
    size,
    stop_on_signals,
)

if TYPE_CHECKING:
    from simulators.display import Display
    from simulators.record import Recorder, RecordOptions

# Where a recording ends that nobody watches: large enough for days of a plant, small enough for any disk.
DEFAULT_MAX_MB = 1000
MAX_MAX_MB = 1_000_000

HELP = """
Records what any MQTT broker carries into a compact file, to be replayed later.

It only listens. Topic, payload, time, QoS and retain flag of every message
are kept, byte for byte; retained messages that the broker had before are
marked. Ctrl-C ends the recording; even after a crash the file can be read,
up to about the last second.

\b
Examples:
  simulate record plant.fwrec
      everything on the broker of this machine, until Ctrl-C
  simulate record hall2.fwrec --topic 'hall2/#' --duration 600
      ten minutes of one hall
  simulate record plant.fwrec --broker mqtt://192.168.1.10:1883
      another machine's broker
  simulate record bug.fwrec --redact --keep devices --keep telemetry
      names, texts and places replaced, to be attached to a bug report
"""


def record(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, for example plant.fwrec.")],
    broker: BrokerOption = "mqtt://127.0.0.1:1883",
    topic: Annotated[
        list[str] | None,
        typer.Option(
            callback=check_filters,
            metavar="FILTER",
            help="Record only these topics, such as 'hall2/#'; may be given several times. "
            "Without it: '#', which is everything but the broker's own $SYS.",
        ),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(
            min=0.1, metavar="SECONDS", callback=check_finite, help="End after so many seconds; else on Ctrl-C."
        ),
    ] = None,
    max_mb: Annotated[
        float,
        typer.Option(
            min=0.01,
            max=MAX_MAX_MB,
            metavar="N",
            callback=check_finite,
            help="End when the file has so many megabytes.",
        ),
    ] = DEFAULT_MAX_MB,
    redact: Annotated[
        bool,
        typer.Option(
            "--redact",
            help="Replace topics and texts by pseudonyms and move GPS positions. Numbers, times and JSON keys stay.",
        ),
    ] = False,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD", help="With --redact: leave this word as it is; may be given several times."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE if it exists.")] = False,
    quiet: QuietOption = False,
) -> None:
    from simulators.record import RecordOptions
    from simulators.redact import Redactor

    if keep and not redact:
        raise typer.BadParameter("only makes sense together with --redact", param_hint="'--keep'")
    if file.is_dir() or not file.parent.is_dir():
        fail(f"cannot write {file}: {'it is a folder' if file.is_dir() else f'there is no folder {file.parent}'}")
    if file.exists() and not force:
        fail(f"{file} exists; name another file, or overwrite it with --force")
    redactor = Redactor(keep or ()) if redact else None
    options = RecordOptions(topic or ["#"], round(max_mb * 1e6), redactor)
    asyncio.run(_run(parse_broker(broker), file, options, duration, force, quiet))


async def _run(
    broker: Broker, path: Path, options: RecordOptions, duration: float | None, force: bool, quiet: bool
) -> None:
    from simulators.display import choose_display
    from simulators.mqtt_link import SubscriptionRefused
    from simulators.record import Recorder

    stop = stop_on_signals()
    display = choose_display(quiet)
    recorder = Recorder(broker, options, display.say)
    try:
        link = await recorder.open()
    except (BrokerUnreachable, SubscriptionRefused) as problem:
        fail(str(problem))
    except ConnectionError as problem:
        fail(str(BrokerUnreachable(broker, str(problem), refused=True)))
    if duration is not None:
        asyncio.get_running_loop().call_later(duration, stop.set)
    began_s = time.monotonic()
    following: asyncio.Task[None] | None = None
    try:
        with _create(path, force) as file:
            recorder.begin(link, file)
            display.say(f"recording {', '.join(options.filters)} of {broker.address} ({link.protocol}) into {path}")
            following = asyncio.create_task(display.follow(_Progress(recorder).line))
            await recorder.run(link, stop)
            os.fsync(file.fileno())
    except OSError as problem:
        link.abort()
        _stop_following(following)
        kept = recorder.writer.messages - recorder.writer.pending if recorder.writer else 0
        said = problem.strerror or str(problem)
        fail(f"cannot write {path}: {said}; {amount(kept, 'message')} in the file", FAILED_MIDWAY)
    finally:
        _stop_following(following)
        if following is not None:
            await asyncio.gather(following, return_exceptions=True)
    _say_summary(recorder, options, time.monotonic() - began_s, display)


def _create(path: Path, force: bool) -> BinaryIO:
    """Recordings hold what was said in confidence: nobody else on this machine may read them.

    No buffer: what a crash leaves behind are whole blocks.
    """
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0) | (os.O_TRUNC if force else os.O_EXCL)
    return cast(BinaryIO, open(os.open(path, flags, 0o600), "wb", buffering=0))


def _stop_following(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()


def _say_summary(recorder: Recorder, options: RecordOptions, seconds: float, display: Display) -> None:
    writer = recorder.writer
    assert writer is not None
    ended = f"the limit of {size(options.max_bytes)} is reached after" if recorder.full.is_set() else "recorded"
    parts = [
        f"{ended} {seconds:,.0f} s: {amount(writer.messages, 'message')} on {amount(writer.topics, 'topic')}",
        f"{size(writer.payload_bytes)} of payload in a file of {size(writer.file_bytes)}",
    ]
    if writer.messages:
        parts.append(f"{writer.file_bytes / writer.messages:.1f} bytes per message")
    if recorder.stored:
        parts.append(f"{recorder.stored:,} were retained before")
    if recorder.gaps_us:
        missing_s = sum(until_us - from_us for from_us, until_us in recorder.gaps_us) / 1e6
        parts.append(f"{missing_s:.1f} s are missing, because the connection was lost")
    display.say(" · ".join(parts))


class _Progress:
    """The counters as a line; the rate is that since the line before."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._seen = (time.monotonic(), 0)

    def line(self) -> str:
        writer = self._recorder.writer
        if writer is None:
            return "recording"
        now_s, messages = time.monotonic(), writer.messages
        before_s, before = self._seen
        self._seen = (now_s, messages)
        rate = (messages - before) / max(now_s - before_s, 0.001)
        return (
            f"{amount(messages, 'message')} on {amount(writer.topics, 'topic')} · {rate:,.0f} messages/s · "
            f"{size(writer.file_bytes)}"
        )
