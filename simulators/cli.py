"""The `simulate` command: reads the options, runs the fleet until it is told to stop, and ends with a clear exit code.

Exit codes: 0 stopped as asked, 2 a bad option or no broker. What is heavy is imported only once it is needed, so that
`simulate --help` answers at once.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulators import cli_record, cli_replay
from simulators.broker import BrokerUnreachable, parse_broker
from simulators.cli_common import BrokerOption, QuietOption, check_finite, fail, stop_on_signals
from simulators.devices import KINDS
from simulators.options import MAX_DEVICES, MAX_OWN_CONNECTIONS, RunOptions, parse_shard
from simulators.spans import parse_span

if TYPE_CHECKING:
    from simulators.fleet_file import FleetFile

FLEETS = ("small-plant", "smart-building", "cold-chain", "solar-park", "chaos")

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
  simulate --fleet solar-park --speed 60
      a solar park; a day passes in 24 minutes
  simulate --fleet cold-chain --backfill 30d/5m
      a month of history first, then live
  simulate record plant.fwrec
      keep what a broker carries; simulate replay plant.fwrec plays it again
"""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command(help=cli_record.HELP, short_help="Record what a broker carries into a file.")(cli_record.record)
app.command(help=cli_replay.HELP, short_help="Publish a recording again.")(cli_replay.replay)


def _check_kinds(text: str) -> str:
    unknown = [kind for kind in _split(text) if kind not in KINDS]
    if unknown:
        raise typer.BadParameter(f"there is no kind {unknown[0]!r}; there are {', '.join(KINDS)}")
    return text


def _check_shard(text: str) -> str:
    try:
        parse_shard(text)
    except ValueError as problem:
        raise typer.BadParameter(str(problem)) from None
    return text


def _check_span(text: str) -> str:
    try:
        if text:
            parse_span(text)
    except ValueError as problem:
        raise typer.BadParameter(str(problem)) from None
    return text


def _split(kinds: str) -> list[str]:
    return [kind.strip() for kind in kinds.split(",") if kind.strip()]


@app.callback(invoke_without_command=True, help=HELP)
def simulate(
    context: typer.Context,
    devices: Annotated[int, typer.Option(min=1, max=MAX_DEVICES, metavar="N", help="How many devices.")] = 50,
    broker: BrokerOption = "mqtt://127.0.0.1:1883",
    rate: Annotated[
        float,
        typer.Option(
            min=0.01, max=100.0, metavar="HZ", callback=check_finite, help="Readings a second, for each device."
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
            callback=check_finite,
            help="Stop after so many seconds; without it, run until Ctrl-C.",
        ),
    ] = None,
    qos: Annotated[int, typer.Option(min=0, max=1, metavar="0|1", help="MQTT quality of service of the readings.")] = 0,
    kinds: Annotated[
        str, typer.Option(callback=_check_kinds, metavar="LIST", help="Only these kinds, separated by commas.")
    ] = "",
    prefix: Annotated[str, typer.Option(metavar="TEXT", help="Put this in front of every device id.")] = "",
    quiet: QuietOption = False,
    faults: Annotated[
        list[str] | None,
        typer.Option(metavar="FAULT", help="What goes wrong, such as dropout:0.1 or stuck@10-30; help lists them."),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Note every message, command and fault in a new SQLite file."),
    ] = None,
    ramp: Annotated[
        float,
        typer.Option(
            min=0.0, metavar="SECONDS", callback=check_finite, help="Begin the connections evenly over this time."
        ),
    ] = 0.0,
    burst: Annotated[
        float | None,
        typer.Option(
            min=0.1, metavar="SECONDS", callback=check_finite, help="So often, all devices report at the same moment."
        ),
    ] = None,
    shared_connections: Annotated[
        int | None,
        typer.Option(
            min=1, max=MAX_OWN_CONNECTIONS, metavar="N", help="Share so many connections; no last will per device."
        ),
    ] = None,
    shard: Annotated[
        str, typer.Option(callback=_check_shard, metavar="K/N", help="Only the K-th of N parts of the fleet.")
    ] = "1/1",
    fleet: Annotated[
        str,
        typer.Option(metavar="NAME|FILE", help=f"A fleet file instead of --devices: a path, or {', '.join(FLEETS)}."),
    ] = "",
    speed: Annotated[
        float,
        typer.Option(
            min=1.0, max=100_000.0, metavar="X", callback=check_finite, help="Simulated time runs X times as fast."
        ),
    ] = 1.0,
    backfill: Annotated[
        str,
        typer.Option(
            callback=_check_span,
            metavar="SPAN",
            help="First write the past: 90d, or 90d/5m: a reading every 5 minutes.",
        ),
    ] = "",
) -> None:
    if context.invoked_subcommand is not None:
        _refuse_options(context)
        return
    from simulators.faults.plan import make_plan
    from simulators.faults.registry import describe_faults
    from simulators.faults.spec import FaultError
    from simulators.fleet import SimulatedFleet
    from simulators.ledger_writer import LedgerError
    from simulators.native import NativeDialect
    from simulators.runner import allow_open_files, run

    if faults == ["help"]:
        typer.echo(describe_faults())
        return
    history = parse_span(backfill) if backfill else None
    if history is not None and speed > 1.0:
        fail("--backfill writes the past at once; it does not go with --speed")
    options = RunOptions(
        duration, ramp, burst, shared_connections, parse_shard(shard), tuple(faults or ()), ledger, speed, history
    )
    part, parts = options.shard
    fleet_file = _read_fleet(context, fleet) if fleet else None
    if fleet_file is not None:
        devices = len(fleet_file)
    if shared_connections is None and devices > MAX_OWN_CONNECTIONS * parts:
        fail(f"{devices} devices are too many for a connection each; add --shared-connections 50")
    try:
        if fleet_file is None:
            plan = make_plan(options.faults, seed)
        else:
            plan = make_plan([*fleet_file.fault_texts, *options.faults], seed, fleet_file.fault_tables)
    except FaultError as problem:
        fail(f"{fleet}: {problem}" if fleet else str(problem))
    try:
        every_rate = rate if _was_given(context, "rate") else None
        simulated = SimulatedFleet(
            devices if fleet_file is None else fleet_file.roster(prefix, every_rate, speed),
            seed,
            rate / speed,
            kinds=_split(kinds),
            prefix=prefix,
            dialect=NativeDialect(qos),
            faults=plan,
            shard=options.shard,
        )
    except ValueError as problem:
        raise typer.BadParameter(str(problem), param_hint="'--prefix'") from None
    if not len(simulated):
        fail(f"of {devices} devices, none is left for part {part} of {parts}")
    in_the_way = allow_open_files(shared_connections or len(simulated))
    if in_the_way is not None:
        fail(in_the_way)
    logging.basicConfig(format="simulate: %(message)s", level=logging.WARNING)
    try:
        run(simulated, parse_broker(broker), options, quiet, stop_on_signals)
    except (BrokerUnreachable, LedgerError) as problem:
        fail(str(problem))


def _was_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _read_fleet(context: typer.Context, name: str) -> FleetFile:
    for other in ("devices", "kinds"):
        if _was_given(context, other):
            fail(f"--fleet says which devices there are; it does not go with --{other}")
    from simulators.fleet_file import FleetFileError, load_fleet_file

    try:
        return load_fleet_file(name)
    except FleetFileError as problem:
        fail(str(problem))


def _refuse_options(context: typer.Context) -> None:
    """`simulate --broker X record FILE` would not do what it says: each command has options of its own."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE":
            option = parameter.opts[0]
            fail(f"{option} stands before {context.invoked_subcommand}; write it behind, if it is an option of that")


def main() -> None:
    app(prog_name="simulate")
