"""`fleetwire` as people and scripts meet it: exit codes, one-line errors, the embedded broker, clean ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.support.bridge import Bridge

pytestmark = pytest.mark.broker


async def run(*args: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `fleetwire ARGS`."""
    environment = {**os.environ, **(env or {})}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge", *args),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=cwd,
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def wait_for_end(process: psutil.Process, timeout_s: float) -> None:
    process.wait(timeout_s)


@pytest.mark.parametrize(
    ("args", "env", "expected"),
    [
        (["--host", "0.0.0.0", "--auth", "none"], {}, "web.auth"),
        (["--port", "70000"], {}, "web.port"),
        (["--mqtt-url", "http://broker"], {}, "mqtt.urls"),
        (["--config", "missing.toml"], {}, "missing.toml"),
        ([], {"FLEETWIRE_WEB__PROT": "1"}, "FLEETWIRE_WEB__PROT"),
        ([], {"FLEETWIRE_MQTT__CA_FILE": "missing.pem"}, "mqtt.ca_file"),
        (["--broker-engine", "amqtt"], {}, "broker.engine"),
    ],
    ids=["open to all", "port", "scheme", "no file", "misspelt", "no certificate", "engine"],
)
async def test_a_wrong_setting_names_itself_in_one_line(
    tmp_path: Path, args: list[str], env: dict[str, str], expected: str
) -> None:
    code, out, err = await run("serve", *args, "--data-dir", str(tmp_path / "data"), env=env, cwd=tmp_path)
    assert code == 2
    assert out == ""
    assert expected in err
    assert len(err.strip().splitlines()) == 1, err


async def test_check_config(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text('[web]\nport = 9000\n\n[mqtt]\npassword = "hunter2"\n', encoding="utf-8")
    bad.write_text("[web]\nprot = 9000\n", encoding="utf-8")
    assert (await run("check-config", "--config", str(good)))[0] == 0
    code, out, _ = await run("check-config", "--config", str(good), "--show")
    assert code == 0
    assert "port = 9000" in out
    assert "hunter2" not in out
    code, _, err = await run("check-config", "--config", str(bad))
    assert code == 2
    assert "web.prot" in err


async def test_the_embedded_broker_serves_and_goes_down_with_a_killed_bridge(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path / "data", "--broker-port", "0")
    await bridge.start()
    children = psutil.Process(bridge.pid).children(recursive=True)
    assert any("mosquitto" in child.name() for child in children)
    await bridge.kill()
    for child in children:
        await asyncio.to_thread(wait_for_end, child, 5)


async def test_the_bundled_broker_works_where_there_is_no_mosquitto(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path / "data", "--broker-port", "0", "--broker-engine", "nats")
    await bridge.start()
    try:
        async with bridge.dashboard() as dashboard:
            sources = dashboard.heard[0]["sources"]
            if sources[0]["state"] != "connected":
                sources = [await dashboard.until("source", lambda m: m["state"] == "connected")]
            port = sources[0]["address"].rsplit(":", 1)[1]
            assert sources[0]["protocol"] == "MQTT 3.1.1"
            await dashboard.subscribe("fleet")
            publisher = await asyncio.create_subprocess_exec(
                "mosquitto_pub", "-p", port, "-t", "lab/oven", "-m", '{"temp": 181.5}'
            )
            assert await publisher.wait() == 0
            assert await dashboard.value("lab/oven", "temp") == 181.5
    finally:
        assert await bridge.stop() == 0


async def test_a_port_that_something_else_holds_is_said_plainly(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        data = ("--data-dir", str(tmp_path / "data"))
        code, out, err = await run("serve", "--port", "0", "--broker-port", port, *data)
        assert (code, out) == (2, "")
        assert port in err
        assert "not an MQTT broker" in err
        code, out, err = await run("serve", "--port", port, "--broker-port", "0", *data)
        assert (code, out) == (2, "")
        assert f"web.port: cannot listen on 127.0.0.1:{port}" in err


async def test_devices_in_process_need_no_broker_and_obey(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path / "data", "--simulate", "8")
    await bridge.start()
    try:
        async with bridge.dashboard() as dashboard:
            snapshot = await dashboard.subscribe("fleet")
            assert len(snapshot["devices"]) == 8
        common = ("--url", bridge.url, "--token", bridge.token)
        code, out, _ = await run("send", "thermostat-01", "set_setpoint", "value=24", *common)
        assert code == 0
        assert out.startswith("accepted")
        code, _, err = await run("send", "thermostat-01", "set_setpoint", "value=99", *common)
        assert code == 2
        assert "invalid_arguments" in err
        code, _, err = await run("send", "nobody", "set_setpoint", "value=20", *common)
        assert code == 2
        assert "unknown_device" in err
        code, _, err = await run(
            "send", "thermostat-01", "set_setpoint", "value=20", "--url", bridge.url, "--token", "x"
        )
        assert code == 2
        assert "unauthorized" in err
    finally:
        assert await bridge.stop() == 0


async def test_a_second_signal_forces_the_end(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path / "data", "--simulate", "1")
    await bridge.start()
    began = time.monotonic()
    os.kill(bridge.pid, signal.SIGTERM)
    code = await bridge.stop(signal.SIGTERM)
    assert code in (0, 1)  # 0: the first signal had done its work already
    assert time.monotonic() - began < 5
