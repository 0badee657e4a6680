"""The command line: `fleetwire serve | demo | watch | send | export | backup | check-... | token`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge import __version__
from bridge.errors import BridgeError
from bridge.settings import Settings, load_settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Every device on your MQTT broker, live in a browser, with commands that tell the truth.",
)

EXIT_PROBLEM = 2  # a setting, a port, a broker: something the person at the terminal can mend
DEMO_DEVICES = 50

Config = Annotated[Path | None, typer.Option("--config", help="TOML file; default: fleetwire.toml, if it is there.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder for token and state; default: data.")]
Url = Annotated[str, typer.Option("--url", help="Address of a running bridge.")]
Token = Annotated[str | None, typer.Option("--token", help="Default: the token in the data folder.")]


def main() -> None:
    """Entry point. Whatever we raise on purpose becomes one line and exit code 2, never a traceback."""
    try:
        app()
    except BridgeError as error:
        typer.echo(f"fleetwire: {error}", err=True)
        sys.exit(EXIT_PROBLEM)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; default 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; default 8080, 0 takes a free one.")] = None,
    mqtt_url: Annotated[
        list[str] | None, typer.Option(help="mqtt://[user:password@]host[:port]; repeat it for fall-backs.")
    ] = None,
    data_dir: DataDir = None,
    config: Config = None,
    auth: Annotated[str | None, typer.Option(help="token (default) or none; none is for loopback only.")] = None,
    simulate: Annotated[int | None, typer.Option(help="Simulate so many devices in process, without a broker.")] = None,
    broker_port: Annotated[int | None, typer.Option(help="Port of the embedded broker; default 1883.")] = None,
    broker_engine: Annotated[str | None, typer.Option(help="Embedded broker: auto, mosquitto or nats.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
) -> None:
    """Start the bridge. Without --mqtt-url it starts a broker of its own on 127.0.0.1:1883."""
    from bridge.runner import run

    flags = _flags(
        data_dir=data_dir,
        log_level=log_level,
        web={"host": host, "port": port, "auth": auth},
        mqtt={"urls": mqtt_url or None},
        simulated={"devices": simulate},
        broker={"port": broker_port, "engine": broker_engine},
    )
    sys.exit(run(load_settings(flags, config)))


@app.command()
def demo(
    devices: Annotated[int, typer.Option(help="How many devices to simulate.")] = DEMO_DEVICES,
    port: Annotated[int | None, typer.Option(help="Port of the page; default 8080, or a free one if taken.")] = None,
    data_dir: DataDir = None,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
    duration: Annotated[float | None, typer.Option(help="Stop after so many seconds.")] = None,
) -> None:
    """Bridge, broker and 50 simulated devices: everything, to look at."""
    from bridge.runner import free_port_unless, run

    flags = _flags(
        data_dir=data_dir,
        web={"port": port if port is not None else free_port_unless(8080)},
        # Never on a broker that is there already: simulated devices have no business among real ones.
        broker={"port": free_port_unless(1883)},
        log_level="warning",
    )
    settings = load_settings(flags, None)
    sys.exit(run(settings, demo_devices=devices, open_browser=open_browser, duration_s=duration))


@app.command()
def watch(
    device: Annotated[str | None, typer.Argument(help="A device id; without it, all devices.")] = None,
    url: Url = "http://127.0.0.1:8080",
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Live readings in the terminal."""
    from bridge.web.client import watch as watch_channel

    async def run() -> None:
        names: dict[int, tuple[str, str, str]] = {}
        channel = f"device/{device}" if device else "log"
        async for message in watch_channel(url, _token(token, data_dir), channel):
            for series in message.get("series", []) if message["type"] in ("snapshot", "series") else []:
                names[series["series_id"]] = (series["device_id"], series["metric"], series["unit"])
            if message["type"] != "readings":
                continue
            for series_id, time_ms, value in message["rows"]:
                device_id, metric, unit = names.get(series_id, ("?", "?", ""))
                when = datetime.fromtimestamp(time_ms / 1000).astimezone().strftime("%H:%M:%S.%f")[:-3]
                typer.echo(f"{when}  {device_id:<24} {metric:<24} {json.dumps(value, ensure_ascii=False)} {unit}")

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        return


@app.command()
def send(
    device: Annotated[str, typer.Argument(help="The device id.")],
    command: Annotated[str, typer.Argument(help="The command's name.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="key=value, as many as the command takes.")] = None,
    url: Url = "http://127.0.0.1:8080",
    token: Token = None,
    data_dir: DataDir = None,
    ttl: Annotated[float, typer.Option(help="Seconds the device has to answer.")] = 30.0,
) -> None:
    """Send a command and wait for its end. Exit code 0: succeeded; 1: failed or timed out; 2: refused."""
    from bridge.web.client import send_command

    args = dict(_argument(text) for text in arguments or [])
    record = asyncio.run(send_command(url, _token(token, data_dir), device, command, args, ttl))
    times = record["times"]
    began = times["accepted"]
    for state, time_ms in sorted(times.items(), key=lambda item: item[1]):
        typer.echo(f"{state:<10} +{time_ms - began} ms")
    if record["error"]:
        typer.echo(f"{record['error']['code']}: {record['error']['message']}", err=True)
    elif record["value"] is not None:
        typer.echo(json.dumps(record["value"], ensure_ascii=False))
    sys.exit(0 if record["state"] == "succeeded" else 1)


@app.command()
def export(
    device: Annotated[list[str] | None, typer.Option(help="A device id; repeat it. Default: all.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="A metric; repeat it. Default: all.")] = None,
    begin: Annotated[str | None, typer.Option("--from", help="Like 2026-01-31T13:00+01:00, or ms since 1970.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="The same; readings before it. Default: the newest.")] = None,
    points: Annotated[
        int | None, typer.Option(help="About so many of each series, as in a chart. Default: all.")
    ] = None,
    format_: Annotated[str, typer.Option("--format", help="csv, json (an object a line) or parquet.")] = "csv",
    zone: Annotated[str, typer.Option("--tz", help="Time zone of the times, like Europe/Berlin.")] = "UTC",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="A file; default: standard output.")] = None,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Write recorded readings to a file, whether the bridge runs or not. Exit code 1: not all could be read."""
    from bridge.export_command import Wanted
    from bridge.export_command import export as write

    settings = load_settings(_flags(data_dir=data_dir), config)
    try:
        notice = write(settings, Wanted(device or [], metric or [], begin, end, points, format_, zone), output)
    except BrokenPipeError:  # whoever read has seen enough (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains once more at its end
        sys.exit(1)
    if notice:
        typer.echo(f"fleetwire: {notice}", err=True)
        sys.exit(1)


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="The file to write; one of that name is replaced.")],
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Copy the whole history into one file, while the bridge goes on."""
    from bridge.export_command import back_up

    back_up(load_settings(_flags(data_dir=data_dir), config), target)


@app.command("check-history")
def check_history(data_dir: DataDir = None, config: Config = None) -> None:
    """Read all of the history and compare it with its checksums. Exit code 1: something is damaged."""
    from bridge.export_command import find_damage

    damage = find_damage(load_settings(_flags(data_dir=data_dir), config))
    for what in damage:
        typer.echo(what)
    if damage:
        sys.exit(1)
    typer.echo("The history is as it was written.")


@app.command("check-config")
def check_config(
    config: Config = None,
    show: Annotated[bool, typer.Option("--show", help="Print the settings in force, secrets masked.")] = False,
    print_default: Annotated[bool, typer.Option("--print-default", help="Print the commented default file.")] = False,
) -> None:
    """Check the settings; a wrong one is named, with exit code 2."""
    from bridge.config_file import render

    if print_default:
        typer.echo(render(Settings.model_construct(), commented=True), nl=False)
        return
    settings = load_settings({}, config)
    typer.echo(render(settings, commented=False) if show else "The settings are fine.")


@app.command("token")
def show_token(data_dir: DataDir = None, config: Config = None) -> None:
    """Print this installation's token, making it if there is none."""
    typer.echo(_token(None, data_dir, config))


@app.callback(invoke_without_command=True)
def options(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(f"fleetwire {__version__}")
        raise typer.Exit


def _flags(**values: Any) -> dict[str, Any]:
    """Nested flags without those that were not given."""
    flags: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            value = {key: inner for key, inner in value.items() if inner is not None}
        if value is not None and value != {}:
            flags[name] = value
    return flags


def _token(token: str | None, data_dir: Path | None, config: Path | None = None) -> str:
    from bridge.installation import prepare_data_dir, read_token

    if token is not None:
        return token
    settings = load_settings(_flags(data_dir=data_dir), config)
    return read_token(prepare_data_dir(settings.data_dir))


def _argument(text: str) -> tuple[str, Any]:
    """`key=value`; the value as JSON if it is that, else as text."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise typer.BadParameter(f"'{text}' is not key=value")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
