"""A broker of our own, for when nobody named one: a child process that lives exactly as long as the bridge.

The child is a guard (broker_guard.py) that holds the broker and lets go of it when our end of its standard input
closes, which the operating system does even after kill -9. A broker that dies is started again on the same port.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import random
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.errors import ConnectFailed, PortTaken
from bridge.settings import BrokerSettings
from bridge.sources.backoff import full_jitter
from bridge.sources.broker_engines import Program, find_program, prepare
from bridge.sources.mqtt_probe import Probe, probe
from bridge.sources.mqtt_url import format_address

logger = logging.getLogger(__name__)

GUARD = Path(__file__).with_name("broker_guard.py")

READY_TIMEOUT_S = 20.0
"""Time for the broker to accept connections. It takes milliseconds, but reading a gigabyte of queue takes longer."""

PROBE_INTERVAL_S = 0.02
"""Pause between two looks whether it accepts; the first start of Fleetwire waits for this."""

STOP_TIMEOUT_S = 8.0
"""Time to end: the guard kills the broker after 5 s, and needs a moment itself."""

FREE_PORT_TRIES = 5
"""How often a free port is picked, because another program may take it before the broker does."""

RESTART_MIN_S = 0.5
RESTART_MAX_S = 30.0
"""Pauses before a broker that died is started again (full jitter)."""

STABLE_AFTER_S = 60.0
"""A broker that lived this long did not die of its start: the next pause begins small again."""

TAIL_BYTES = 2_000
"""How much of the broker's own output is quoted when it does not start."""


@dataclass(frozen=True, slots=True)
class BrokerInfo:
    """Where the broker is. `reused`: it was there before us, and will be there after us."""

    host: str
    port: int
    engine: str  # mosquitto | nats | "" for a reused one, which we do not know
    url: str
    reused: bool


class EmbeddedBroker:
    """Use: `info = await start()`, later `await stop()`."""

    def __init__(
        self,
        settings: BrokerSettings,
        data_dir: Path,
        config_path: Path,
        on_exit: Callable[[str], None] | None = None,
    ) -> None:
        """
        Args:
            data_dir: the state goes into its folder `broker`.
            config_path: the shipped `mosquitto.conf`.
            on_exit: called on the event loop with a sentence when the broker died by itself; it is started again
                without anybody's help.
        """
        self._settings = settings
        # Absolute, because mosquitto and NATS resolve paths in their own ways.
        self._folder = data_dir.absolute() / "broker"
        self._template = config_path
        self._on_exit = on_exit
        self._program: Program | None = None  # from start
        self._guard: asyncio.subprocess.Process | None = None  # while a child runs
        self._watching: asyncio.Task[None] | None = None
        self.restarts = 0  # how often it died and was started again
        self.last_exit = ""  # what was said of the last death

    @property
    def running(self) -> bool:
        """Whether a broker of ours runs right now."""
        return self._guard is not None and self._guard.returncode is None

    async def start(self) -> BrokerInfo:
        """Start the broker, or find the one that is there. Returns when it accepts connections.

        Raises:
            ConfigError: no program for the wanted engine.
            PortTaken: something that is not a broker holds the port.
            ConnectFailed: the broker did not come up; quotes what it said.
        """
        host, port = self._settings.host, self._settings.port
        if port and await asyncio.to_thread(_is_taken, host, port):
            if await probe(host, port) is not Probe.BROKER:
                raise PortTaken(f"{host}:{port}")
            info = BrokerInfo(host, port, "", format_address(host, port), reused=True)
            logger.info("using the MQTT broker that already listens on %s", info.url)
            return info
        self._program = await asyncio.to_thread(find_program, self._settings.engine)
        await asyncio.to_thread(self._make_folder)
        for tries_left in reversed(range(FREE_PORT_TRIES if port == 0 else 1)):
            chosen = port or await asyncio.to_thread(_pick_free_port, host)
            try:
                await self._launch(chosen)
                break
            except ConnectFailed:
                if not tries_left:
                    raise
        info = BrokerInfo(host, chosen, self._program.engine, format_address(host, chosen), reused=False)
        self._watching = asyncio.get_running_loop().create_task(self._watch(chosen), name="embedded broker")
        logger.info("started %s on %s, state in %s", info.engine, info.url, self._folder)
        return info

    async def stop(self) -> None:
        """End the broker, after it has written its state. Safe to call twice, and leaves a reused one alone."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await self._end_child()

    def _make_folder(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Retained messages and queued commands are nobody else's business; also if the folder was there before.
        self._folder.chmod(0o700)
        # Of the last run only; the broker's output since then says more than anything before it.
        self._log_path.write_bytes(b"")

    @property
    def _log_path(self) -> Path:
        return self._folder / "broker.log"

    async def _launch(self, port: int) -> None:
        """Start the child and wait until it accepts; on failure nothing of it is left."""
        assert self._program is not None
        command = await asyncio.to_thread(prepare, self._program, self._settings, port, self._folder, self._template)
        # Its output goes into a file: a pipe would break with us, and Go programs die of a broken pipe before they
        # have written their state.
        log = await asyncio.to_thread(self._log_path.open, "ab")
        try:
            self._guard = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", str(GUARD), "--", *command,
                stdin=subprocess.PIPE, stdout=log, stderr=log,
                **_apart_from_our_terminal(),
            )  # fmt: skip
        finally:
            log.close()
        try:
            await self._wait_ready(port)
        except BaseException:
            await self._end_child()
            raise

    async def _wait_ready(self, port: int) -> None:
        assert self._guard is not None
        host = self._settings.host
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                while await probe(host, port) is not Probe.BROKER:
                    if self._guard.returncode is not None:
                        raise await self._failed(port, f"it ended with exit code {self._guard.returncode}")
                    await asyncio.sleep(PROBE_INTERVAL_S)
                # If the port was taken in the meantime, it was somebody else who answered, and ours is about to go.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(self._guard.wait()), PROBE_INTERVAL_S)
                    raise await self._failed(port, f"it ended with exit code {self._guard.returncode}")
        except TimeoutError:
            raise await self._failed(port, f"it accepts no connection after {READY_TIMEOUT_S:g} s") from None

    async def _failed(self, port: int, what: str) -> ConnectFailed:
        engine = self._program.engine if self._program else "the broker"
        said = await asyncio.to_thread(self._read_tail)
        return ConnectFailed(
            format_address(self._settings.host, port),
            f"{engine} did not start: {what}" + (f"; it said:\n{said}" if said else ""),
        )

    def _read_tail(self) -> str:
        with contextlib.suppress(OSError), self._log_path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            return file.read().decode("utf-8", "replace").strip()
        return ""

    async def _watch(self, port: int) -> None:
        """Start it again whenever it dies; ends by being cancelled."""
        loop = asyncio.get_running_loop()
        attempt = 0
        while True:
            assert self._guard is not None
            up_since = loop.time()
            code = await self._guard.wait()
            if loop.time() - up_since >= STABLE_AFTER_S:
                attempt = 0
            self.last_exit = f"the broker died (exit code {code})"
            said = await asyncio.to_thread(self._read_tail)
            logger.error("%s, starting it again; it said:\n%s", self.last_exit, said)
            if self._on_exit is not None:
                try:
                    self._on_exit(self.last_exit)
                except Exception:
                    logger.exception("whoever wanted to know of the broker's death failed")
            started = False
            while not started:
                await asyncio.sleep(full_jitter(attempt, RESTART_MIN_S, RESTART_MAX_S, random.SystemRandom().random))
                attempt += 1
                try:
                    await self._launch(port)
                    started = True
                except (ConnectFailed, OSError) as error:
                    logger.error("the broker does not come back: %s", error)
            self.restarts += 1
            logger.info("the broker is back")

    async def _end_child(self) -> None:
        guard, self._guard = self._guard, None
        if guard is None:
            return
        assert guard.stdin is not None
        guard.stdin.close()  # the guard takes it from here
        try:
            await asyncio.wait_for(guard.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            logger.error("the broker's guard does not end; killing it")
            guard.kill()
            await guard.wait()


def _apart_from_our_terminal() -> dict[str, Any]:
    """A group of its own, so that Ctrl-C reaches the bridge only."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _is_taken(host: str, port: int) -> bool:
    """Whether somebody listens there. Asked by binding, because a port may be held without being answered."""
    try:
        _bind(host, port).close()
    except OSError as error:
        # Anything else (no permission for port 80, no such address) is for the broker to say in its own words.
        return error.errno == errno.EADDRINUSE
    return False


def _pick_free_port(host: str) -> int:
    with _bind(host, 0) as sock:
        return int(sock.getsockname()[1])


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":
            # Connections that ended a moment ago do not count; on Windows the option would let us share a port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock
