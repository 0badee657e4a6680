"""Runs an `App` until it is told to stop: event loop, signals, the ready line, and the demo's simulated devices."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import subprocess
import sys
import webbrowser
from pathlib import Path

from bridge.app import App
from bridge.settings import Settings

log = logging.getLogger(__name__)

STOP_S = 5.0  # from the signal to the exit; what has not stopped by then is cut off
EXIT_FORCED = 1
# Sockets and files we want to be allowed: 1,000 dashboards, as many pages that load, and room for a stampede. The usual
# soft limit of 1,024 is from a time of select(), and any process may raise it up to the hard one.
DESCRIPTORS_WANTED = 8_192


def run(
    settings: Settings, *, demo_devices: int = 0, open_browser: bool = False, duration_s: float | None = None
) -> int:
    """Serve until SIGTERM or Ctrl-C; the exit code. A second signal forces the exit."""
    # Nothing that was imported is ever garbage. To look through it again and again would halt the bridge for 40 ms.
    gc.freeze()
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    _raise_descriptor_limit()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_run(settings, demo_devices, open_browser, duration_s))


def _raise_descriptor_limit() -> None:
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(DESCRIPTORS_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def free_port_unless(preferred: int) -> int:
    """`preferred` if nothing on this machine listens there, else 0, which takes a free one."""
    with socket.socket() as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            return 0
    return preferred


async def _run(settings: Settings, demo_devices: int, open_browser: bool, duration_s: float | None) -> int:
    stop = asyncio.Event()
    _on_signals(stop)
    app = App(settings)
    simulators: subprocess.Popen[bytes] | None = None
    try:
        await app.start()
        if demo_devices:
            simulators = _start_simulators(app.broker_url, demo_devices)
            print(f"{demo_devices} simulated devices on {app.broker_url}", flush=True)  # noqa: T201
        # The line that scripts and people wait for; everything else goes to the log.
        print(f"Fleetwire ready: {app.url}", flush=True)  # noqa: T201
        if open_browser and _has_display():
            await asyncio.to_thread(webbrowser.open, app.url)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), duration_s)
    finally:
        if simulators is not None:
            _end(simulators)
        try:
            await asyncio.wait_for(app.stop(), STOP_S)
        except TimeoutError:
            log.error("not everything stopped within %g s; exiting all the same", STOP_S)
    return 0


def _loop_factory() -> type[asyncio.AbstractEventLoop]:
    if sys.platform == "win32":
        return asyncio.SelectorEventLoop  # the default one there cannot watch paho's socket
    import uvloop

    return uvloop.Loop


def _on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(EXIT_FORCED)  # asked twice: now
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, on_signal)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(on_signal))


def _start_simulators(broker_url: str, devices: int) -> subprocess.Popen[bytes]:
    """In a process of their own, over real MQTT; the guard ends them with us, even if we are killed."""
    guard = Path(__file__).parent / "sources" / "broker_guard.py"
    simulate = [sys.executable, "-m", "simulators", "--devices", str(devices), "--broker", broker_url, "--quiet"]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(guard), "--", *simulate],
        stdin=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(2)


def _has_display() -> bool:
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
