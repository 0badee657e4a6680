"""The embedded broker with both engines: it starts, keeps its state, and never outlives the bridge."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from bridge.errors import ConfigError, ConnectFailed, PortTaken
from bridge.settings import BrokerSettings
from bridge.sources.broker_engines import find_program
from bridge.sources.embedded_broker import BrokerInfo, EmbeddedBroker
from bridge.sources.mqtt_probe import Probe, probe
from tests.support.mosquitto import Mosquitto, find_mosquitto
from tests.support.mqtt_peer import MqttPeer
from tests.support.servers import say_nothing, speak_http, tcp_server

pytestmark = [pytest.mark.broker, pytest.mark.usefixtures("nothing_blocks")]

ROOT = Path(__file__).parents[2]
SHIPPED_CONFIG = ROOT / "config" / "mosquitto.conf"
ENGINES = ("mosquitto", "nats")


def make_broker(folder: Path, engine: str, port: int = 0) -> EmbeddedBroker:
    return EmbeddedBroker(BrokerSettings(engine=engine, port=port), folder, SHIPPED_CONFIG)


@asynccontextmanager
async def running(folder: Path, engine: str, port: int = 0) -> AsyncIterator[tuple[EmbeddedBroker, BrokerInfo]]:
    broker = make_broker(folder, engine, port)
    info = await broker.start()
    try:
        yield broker, info
    finally:
        await broker.stop()


def find_children(pid: int) -> list[psutil.Process]:
    """The guard and the broker below it; other children of this process (a browser, another test's) are not ours."""
    guards = [child for child in psutil.Process(pid).children() if "broker_guard.py" in " ".join(child.cmdline())]
    return [*guards, *(broker for guard in guards for broker in guard.children())]


async def wait_gone(processes: list[psutil.Process], timeout_s: float) -> None:
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, timeout_s)
    assert alive == []


@pytest.mark.parametrize("engine", ENGINES)
async def test_keeps_retained_messages_and_sessions_over_a_restart(tmp_path: Path, engine: str) -> None:
    async with running(tmp_path, engine) as (broker, info):
        assert (info.host, info.engine, info.reused) == ("127.0.0.1", engine, False)
        assert info.url == f"mqtt://127.0.0.1:{info.port}"
        assert broker.running
        assert stat.S_IMODE((tmp_path / "broker").stat().st_mode) == 0o700
        async with MqttPeer(info.port, "away", clean=False) as peer:
            await peer.subscribe("queue/#")
        async with MqttPeer(info.port) as peer:
            await peer.publish("kept", b"retained", retain=True)
            await peer.publish_all([(f"queue/{n}", b"%d" % n) for n in range(50)])
    assert await probe("127.0.0.1", info.port) is Probe.NOTHING

    async with running(tmp_path, engine, info.port) as (_, again):
        assert again == info
        async with MqttPeer(info.port) as peer:
            await peer.subscribe("kept")
            await wait_until(lambda: peer.messages == [("kept", b"retained")])
        async with MqttPeer(info.port, "away", clean=False) as peer:
            await wait_until(lambda: len(peer.messages) == 50)


async def wait_until(condition: object, timeout_s: float = 10) -> None:
    assert callable(condition)
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("engine", ENGINES)
async def test_stop_ends_the_children_and_is_safe_to_repeat(tmp_path: Path, engine: str) -> None:
    broker = make_broker(tmp_path, engine)
    await broker.stop()  # before the start
    await broker.start()
    children = find_children(os.getpid())
    assert len(children) >= 2
    await broker.stop()
    await broker.stop()
    await wait_gone(children, 0)


@pytest.mark.parametrize("engine", ENGINES)
async def test_goes_down_when_the_bridge_is_killed(tmp_path: Path, engine: str) -> None:
    script = tmp_path / "bridge_like.py"
    script.write_text(
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from bridge.settings import BrokerSettings\n"
        "from bridge.sources.embedded_broker import EmbeddedBroker\n"
        "async def main():\n"
        "    settings = BrokerSettings(engine=sys.argv[1], port=0)\n"
        "    broker = EmbeddedBroker(settings, Path(sys.argv[2]), Path(sys.argv[3]))\n"
        "    info = await broker.start()\n"
        "    print(info.port, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    bridge = await asyncio.create_subprocess_exec(
        sys.executable, str(script), engine, str(tmp_path), str(SHIPPED_CONFIG),
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert bridge.stdout is not None
    port = int(await bridge.stdout.readline())
    children = find_children(bridge.pid)
    assert len(children) == 2
    async with MqttPeer(port) as peer:
        await peer.publish("kept", b"retained", retain=True)
    began = time.monotonic()
    bridge.kill()
    await bridge.wait()
    await wait_gone(children, 5)
    assert time.monotonic() - began < 5
    # It ended in good order: what it knew is on disk.
    async with running(tmp_path, engine, port), MqttPeer(port) as peer:
        await peer.subscribe("kept")
        await wait_until(lambda: peer.messages == [("kept", b"retained")])


async def test_ctrl_c_in_the_terminal_does_not_reach_it(tmp_path: Path) -> None:
    async with running(tmp_path, "mosquitto") as (_, info):
        for child in find_children(os.getpid()):
            assert os.getpgid(child.pid) != os.getpgid(0)
            if "broker_guard.py" in " ".join(child.cmdline()):
                child.send_signal(signal.SIGINT)
        await asyncio.sleep(0.2)
        assert await probe(info.host, info.port) is Probe.BROKER


@pytest.mark.parametrize("engine", ENGINES)
async def test_starts_again_when_the_broker_dies(tmp_path: Path, engine: str) -> None:
    told: list[str] = []
    settings = BrokerSettings(engine=engine, port=0)
    broker = EmbeddedBroker(settings, tmp_path, SHIPPED_CONFIG, on_exit=told.append)
    info = await broker.start()
    try:
        [victim] = [child for child in find_children(os.getpid()) if "broker_guard.py" not in " ".join(child.cmdline())]
        victim.kill()
        await wait_until(lambda: told)
        assert told == ["the broker died (exit code 137)"]
        await wait_until(lambda: broker.restarts == 1)
        assert broker.running
        assert await probe(info.host, info.port) is Probe.BROKER
    finally:
        await broker.stop()


async def test_shipped_configuration_survives_kill_minus_9_of_the_broker(tmp_path: Path) -> None:
    """The promise in config/mosquitto.conf: only the last two seconds may be gone."""
    async with running(tmp_path, "mosquitto") as (broker, info):
        async with MqttPeer(info.port, "away", clean=False) as peer:
            await peer.subscribe("queue/#")
        async with MqttPeer(info.port) as peer:
            await peer.publish_all([(f"queue/{n}", b"%d" % n) for n in range(500)])
        await asyncio.sleep(2.5)
        for child in find_children(os.getpid()):
            if "broker_guard.py" not in " ".join(child.cmdline()):
                child.kill()
        await wait_until(lambda: broker.restarts == 1)
        async with MqttPeer(info.port, "away", clean=False) as peer:
            await wait_until(lambda: len(peer.messages) == 500)


async def test_a_broker_that_is_there_is_used_and_left_alone(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async with running(tmp_path, "auto", mosquitto.port) as (broker, info):
        assert info == BrokerInfo("127.0.0.1", mosquitto.port, "", mosquitto.url, reused=True)
        assert not broker.running
    assert await probe("127.0.0.1", mosquitto.port) is Probe.BROKER
    assert not (tmp_path / "broker").exists()


@pytest.mark.parametrize("handler", [say_nothing, speak_http])
async def test_a_port_held_by_something_else_is_an_error(tmp_path: Path, handler: object) -> None:
    async with tcp_server(handler) as port:  # type: ignore[arg-type]
        with pytest.raises(PortTaken, match=f"127.0.0.1:{port}"):
            await make_broker(tmp_path, "auto", port).start()


async def test_a_broker_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    config = tmp_path / "mosquitto.conf"
    config.write_text("no_such_option true\n")
    broker = EmbeddedBroker(BrokerSettings(engine="mosquitto", port=0), tmp_path, config)
    with pytest.raises(ConnectFailed, match="no_such_option"):
        await broker.start()
    assert not broker.running
    with pytest.raises(ConfigError, match="nowhere"):
        await EmbeddedBroker(BrokerSettings(port=0), tmp_path, tmp_path / "nowhere").start()


def test_engines_are_found_even_with_an_empty_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert find_program("nats").engine == "nats"
    if find_mosquitto().startswith(("/usr/sbin", "/usr/local/sbin")):
        assert find_program("auto").engine == "mosquitto"
    monkeypatch.setattr("bridge.sources.broker_engines.MOSQUITTO_FOLDERS", ())
    assert find_program("auto").engine == "nats"
    with pytest.raises(ConfigError, match="mosquitto is not installed"):
        find_program("mosquitto")
