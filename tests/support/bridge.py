"""Runs the real `fleetwire serve` as a child process, and talks to it as a program would."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

START_S = 60.0  # for what never starts; how long a start takes is measured elsewhere
READY = re.compile(r"Fleetwire ready: (http://([^:/]+):(\d+)/)(?:\?token=(\S+))?")


class Bridge:
    """One bridge process. Start it, talk to `url`, stop or kill it; `log` is its standard error."""

    def __init__(
        self,
        data_dir: Path,
        *args: str,
        mqtt_url: str | None = None,
        env: dict[str, str] | None = None,
        module: str = "bridge",
    ) -> None:
        """`module`: what to run; a test may have one that runs the bridge with something added to it."""
        self._args = ["--data-dir", str(data_dir), *args]
        if mqtt_url is not None:
            self._args += ["--mqtt-url", mqtt_url]
        self._module = module
        self._log_path = data_dir / "bridge.log"
        self._env = {**os.environ, **(env or {})}
        self._process: asyncio.subprocess.Process | None = None
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.url = ""
        self.token = ""
        self.port = 0

    async def start(self) -> None:
        """Returns once the bridge has said that it serves. A restart takes the port it had before."""
        args = [*self._args, "--port", str(self.port)]
        with self._log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self._module,
                "serve",
                *args,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=self._env,
            )
        assert self._process.stdout is not None
        line = (await asyncio.wait_for(self._process.stdout.readline(), START_S)).decode()
        match = READY.match(line)
        assert match, f"no ready line but {line!r}; log:\n{self.log}"
        self.url, self.port, self.token = match[1].rstrip("/"), int(match[3]), match[4] or ""

    @property
    def log(self) -> str:
        return self._log_path.read_text(encoding="utf-8")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def stop(self, number: int = signal.SIGTERM, timeout_s: float = 8.0) -> int:
        """Signal it and wait for its end; the exit code."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
        code = await asyncio.wait_for(self._process.wait(), timeout_s)
        # The transport of a child's pipe closes one loop turn after its end of file.
        assert self._process.stdout is not None
        await self._process.stdout.read()
        await asyncio.sleep(0)
        return code

    async def ends_by_itself(self, timeout_s: float) -> bool:
        """Whether the process ended within this time."""
        assert self._process is not None
        try:
            await asyncio.wait_for(self._process.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def kill(self) -> None:
        await self.stop(signal.SIGKILL)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    async def get(self, path: str) -> Any:
        """The JSON answer of a GET."""
        async with aiohttp.ClientSession(headers=self.headers) as http, http.get(self.url + path) as response:
            return await response.json()

    @asynccontextmanager
    async def dashboard(self, protocol: str = "fleetwire.v1.json") -> AsyncIterator[Dashboard]:
        """A program on the WebSocket, welcomed."""
        async with (
            aiohttp.ClientSession(headers=self.headers) as http,
            http.ws_connect(f"{self.url}/ws", protocols=(protocol,), max_msg_size=0) as socket,
        ):
            dashboard = Dashboard(socket)
            await dashboard.until("welcome")
            yield dashboard


@asynccontextmanager
async def simulated_devices(count: int, broker_url: str, *args: str) -> AsyncIterator[None]:
    """The real `simulate` as a child process; its end must be clean."""
    command = [sys.executable, "-m", "simulators", "--devices", str(count), "--broker", broker_url, "--quiet", *args]
    process = await asyncio.create_subprocess_exec(*command)
    try:
        yield
    finally:
        process.terminate()
        code = await asyncio.wait_for(process.wait(), 15)
    assert code == 0


class Dashboard:
    """The far side of the socket: says things, remembers all it hears."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.heard: list[dict[str, Any]] = []
        self.names: dict[int, tuple[str, str]] = {}

    async def say(self, type_: str, **fields: Any) -> None:
        await self.socket.send_str(json.dumps({"type": type_, **fields}))

    async def until(
        self, type_: str, test: Callable[[dict[str, Any]], bool] = lambda _: True, timeout_s: float = 10.0
    ) -> dict[str, Any]:
        """The next message of this type that passes the test."""
        deadline = time.monotonic() + timeout_s
        while True:
            left = deadline - time.monotonic()
            assert left > 0, f"no {type_!r} in {timeout_s} s; heard: {self._summary()}"
            try:
                message = await self.socket.receive(timeout=left)
            except TimeoutError:
                continue
            assert message.type is aiohttp.WSMsgType.TEXT, f"{message} instead of {type_!r}; heard {self._summary()}"
            data = json.loads(message.data)
            self.heard.append(data)
            for series in data.get("series", []) if data["type"] in ("snapshot", "series") else []:
                self.names[series["series_id"]] = (series["device_id"], series["metric"])
            if data["type"] == type_ and test(data):
                return data

    async def subscribe(self, channel: str, **fields: Any) -> dict[str, Any]:
        await self.say("subscribe", id=channel, channel=channel, **fields)
        return await self.until("snapshot", lambda m: m["channel"] == channel)

    async def value(
        self, device_id: str, metric: str, test: Callable[[Any], bool] = lambda _: True, timeout_s: float = 10.0
    ) -> Any:
        """The next reading of that metric that passes the test."""
        found: list[Any] = []

        def matches(message: dict[str, Any]) -> bool:
            found.extend(
                value
                for series_id, _, value in message["rows"]
                if self.names.get(series_id) == (device_id, metric) and test(value)
            )
            return bool(found)

        await self.until("readings", matches, timeout_s)
        return found[0]

    def _summary(self) -> str:
        return ", ".join(message["type"] for message in self.heard[-30:])
