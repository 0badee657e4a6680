"""The MQTT source against real brokers: what it promises when all is well, and when nothing is."""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from bridge.core.model import Message, Publish
from bridge.errors import PublishFailed
from bridge.settings import BrokerSettings, MqttSettings
from bridge.sources.embedded_broker import EmbeddedBroker
from bridge.sources.mqtt import MqttSource
from tests.support.mosquitto import Mosquitto, find_free_port
from tests.support.mqtt_peer import MqttPeer
from tests.support.proxy import Proxy
from tests.support.recorder import Recorder
from tests.support.servers import say_nothing, speak_http, speak_mqtt_5, tcp_server
from tests.support.tls import make_tls_files

pytestmark = [pytest.mark.broker, pytest.mark.usefixtures("nothing_blocks")]

CLIENT_ID = "fleetwire-test"
SHIPPED_CONFIG = Path(__file__).parents[2] / "config" / "mosquitto.conf"


def clock() -> int:
    return time.time_ns() // 1000


def make_settings(**values: Any) -> MqttSettings:
    # Short pauses: the tests are about what happens, not about how long people have patience.
    return MqttSettings(**{"reconnect_min_s": 0.05, "reconnect_max_s": 0.3, "keepalive_s": 15, **values})


@asynccontextmanager
async def running(*urls: str, client_id: str = CLIENT_ID, **values: Any) -> AsyncIterator[tuple[MqttSource, Recorder]]:
    source, recorder = MqttSource(make_settings(**values), clock, client_id, urls), Recorder()
    await source.start(recorder)
    try:
        yield source, recorder
    finally:
        await source.stop()


# ----- connecting ---------------------------------------------------------------------------------------------


async def test_connects_with_mqtt_5(mosquitto: Mosquitto) -> None:
    async with running(mosquitto.url) as (source, recorder):
        status = await recorder.wait_status("connected")
        assert status == source.status
        assert (status.protocol, status.detail, status.address) == ("MQTT 5", "", mosquitto.url)
        assert [each.state for each in recorder.statuses] == ["connecting", "connected"]
    assert source.status.state == "disconnected"
    assert f"Client {CLIENT_ID} disconnected." in mosquitto.log  # and not "closed its connection"


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_works_on_both_event_loops(mosquitto: Mosquitto, new_loop: Any) -> None:
    async def whole_round() -> None:
        async with running(mosquitto.url) as (source, recorder), MqttPeer(mosquitto.port) as peer:
            await recorder.wait_status("connected")
            await peer.subscribe("commands")
            await source.publish(Publish("commands", b"go"))
            await peer.publish_all([(f"a/{n}", b"x" * n * 100) for n in range(300)])
            await recorder.wait_messages(300)
            source.acknowledge(recorder.tokens)
            assert [len(message.payload) for message in recorder.messages] == [n * 100 for n in range(300)]
            assert peer.messages == [("commands", b"go")]
            mosquitto.restart()
            await recorder.wait(lambda: source.generation == 2 and source.status.state == "connected")

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(whole_round())


async def test_forced_version_is_used(mosquitto: Mosquitto) -> None:
    async with running(mosquitto.url, protocol="3.1.1") as (_, recorder):
        status = await recorder.wait_status("connected")
        assert (status.protocol, status.detail) == ("MQTT 3.1.1", "")


async def test_falls_back_to_3_1_1_with_a_notice(tmp_path: Path) -> None:
    broker = EmbeddedBroker(BrokerSettings(engine="nats", port=0), tmp_path, SHIPPED_CONFIG)
    info = await broker.start()
    try:
        async with running(info.url) as (source, recorder):
            status = await recorder.wait_status("connected")
            assert status.protocol == "MQTT 3.1.1"
            assert "fell back to MQTT 3.1.1" in status.detail
            await source.publish(Publish("a", b"1"))
            await recorder.wait_messages(1)
            source.acknowledge(recorder.tokens)
        async with running(info.url, protocol="5") as (_, recorder):
            await recorder.wait_status("disconnected", "Unsupported protocol version")
    finally:
        await broker.stop()


async def test_falls_back_when_the_broker_hangs_up_on_version_5() -> None:
    async def old_broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connect = await reader.read(1000)
        if connect[8] == 4:
            writer.write(b"\x20\x02\x00\x00")
            subscribe = await reader.read(1000)
            writer.write(b"\x90\x03" + subscribe[2:4] + b"\x01")
            while await reader.read(1000):
                pass

    async with tcp_server(old_broker) as port, running(f"mqtt://127.0.0.1:{port}") as (_, recorder):
        status = await recorder.wait_status("connected")
        assert status.protocol == "MQTT 3.1.1"
        assert "closed the connection" in status.detail


async def test_second_url_is_used_when_the_first_is_dead(mosquitto: Mosquitto, free_port: int) -> None:
    dead = f"mqtt://127.0.0.1:{free_port}"
    async with running(dead, mosquitto.url, reconnect_min_s=20, reconnect_max_s=20) as (source, recorder):
        await recorder.wait_status("connected", timeout_s=5)
        assert source.status.address == mosquitto.url
        assert "Connection refused" in recorder.statuses[1].detail


async def test_something_that_never_answers_is_given_up() -> None:
    async with (
        tcp_server(say_nothing) as port,
        running(f"mqtt://127.0.0.1:{port}", connect_timeout_s=0.3) as (_, recorder),
    ):
        await recorder.wait_status("disconnected", "no answer within 0.3 s")


async def test_stops_at_once_while_connecting() -> None:
    async with tcp_server(say_nothing) as port:
        source = MqttSource(make_settings(), clock, CLIENT_ID, [f"mqtt://127.0.0.1:{port}"])
        await source.stop()
        await source.start(Recorder())
        await asyncio.sleep(0.1)
        began = time.monotonic()
        await source.stop()
        await source.stop()
        assert time.monotonic() - began < 1


async def test_wrong_password_is_told_and_kept_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mosquitto = make_broker_with_password(tmp_path, "bridge", "right")
    try:
        async with running(f"mqtt://bridge:wr%6Fng-pass@127.0.0.1:{mosquitto.port}") as (source, recorder):
            await recorder.wait_status("disconnected", "Not authorized")
            assert source.status.address == mosquitto.url
            assert "wrong-pass" not in repr(vars(source)) + repr(recorder.statuses)
        assert "wrong-pass" not in caplog.text
        async with running(f"mqtt://bridge:r%69ght@127.0.0.1:{mosquitto.port}") as (_, recorder):
            await recorder.wait_status("connected")
        async with running(mosquitto.url, username="bridge", password="right") as (_, recorder):
            await recorder.wait_status("connected")
    finally:
        mosquitto.stop()


def make_broker_with_password(folder: Path, user: str, password: str) -> Mosquitto:
    """A broker with a password file as `mosquitto_passwd` writes it."""
    salt = b"twelve bytes"  # as many as mosquitto wants
    digest = base64.b64encode(hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)).decode()
    users = folder / "users"
    users.write_text(f"{user}:$7$101${base64.b64encode(salt).decode()}${digest}\n")
    broker = Mosquitto(folder / "mosquitto", ["allow_anonymous false", f"password_file {users}"])
    broker.start()
    return broker


# ----- messages and acknowledgements --------------------------------------------------------------------------


async def test_messages_carry_what_the_broker_said(mosquitto: Mosquitto) -> None:
    async with MqttPeer(mosquitto.port) as peer:
        await peer.publish("kept", b"before", retain=True)
        async with running(mosquitto.url) as (_, recorder):
            await recorder.wait_messages(1)
            await peer.publish("plain", b"0", qos=0)
            await peer.publish("größe/µ", b"\x00\xff")
            await recorder.wait_messages(3)
        kept, plain, binary = recorder.messages
        assert (kept.topic, kept.payload, kept.qos, kept.retain) == ("kept", b"before", 1, True)
        assert (plain.qos, plain.retain, plain.duplicate, plain.ack_token) == (0, False, False, None)
        assert (binary.topic, binary.payload, binary.ack_token) == ("größe/µ", b"\x00\xff", (1, 2))
        assert abs(binary.received_us - clock()) < 60_000_000


async def test_large_and_small_messages_in_any_mixture(mosquitto: Mosquitto) -> None:
    sizes = [0, 1, 127, 128, 65_535, 65_536, 300_000, 5, 1_000_000, 16_383, 16_384]
    async with running(mosquitto.url) as (_, recorder), MqttPeer(mosquitto.port) as peer:
        await recorder.wait_status("connected")
        await peer.publish_all([(f"a/{size}", bytes([size % 256]) * size) for size in sizes])
        await recorder.wait_messages(len(sizes))
    assert recorder.payloads == [bytes([size % 256]) * size for size in sizes]


async def test_unacknowledged_messages_come_back_and_acknowledged_ones_do_not(mosquitto: Mosquitto) -> None:
    async with MqttPeer(mosquitto.port) as peer:
        async with running(mosquitto.url) as (source, recorder):
            await recorder.wait_status("connected")
            await peer.publish_all([("a", b"%d" % n) for n in range(10)])
            await recorder.wait_messages(10)
            assert not any(message.duplicate for message in recorder.messages)
            source.acknowledge(recorder.tokens[:6])
        await peer.publish("a", b"while away")
        async with running(mosquitto.url) as (source, recorder):
            await recorder.wait_messages(5)
            source.acknowledge(recorder.tokens)
        assert recorder.payloads == [b"6", b"7", b"8", b"9", b"while away"]
        assert [message.duplicate for message in recorder.messages] == [True] * 4 + [False]


async def test_window_is_as_wide_as_asked(mosquitto: Mosquitto) -> None:
    async with running(mosquitto.url, receive_maximum=50) as (source, recorder):
        await recorder.wait_status("connected")
        async with MqttPeer(mosquitto.port) as peer:
            await peer.publish_all([("a", b"%d" % n) for n in range(80)])
            await recorder.wait_messages(50)
            await asyncio.sleep(0.2)
            assert len(recorder.messages) == 50
            source.acknowledge(recorder.tokens)
            await recorder.wait_messages(80)


async def test_tokens_of_an_earlier_connection_are_dropped(mosquitto: Mosquitto) -> None:
    """The broker forgot us and counts from 1 again: an old acknowledgement must not destroy a new message."""
    async with running(mosquitto.url) as (source, recorder):
        await recorder.wait_status("connected")
        async with MqttPeer(mosquitto.port) as peer:
            await peer.publish("a", b"old")
            await recorder.wait_messages(1)
        mosquitto.stop()
        mosquitto.forget()
        await recorder.wait_status("disconnected")
        source.acknowledge(recorder.tokens)  # not connected: dropped as well
        mosquitto.start()
        status = await recorder.wait_status("connected", "session lost")
        assert status.protocol == "MQTT 5"
        async with MqttPeer(mosquitto.port) as peer:
            await peer.publish_all([("a", b"new 1"), ("a", b"new 2"), ("a", b"new 3")])
            await recorder.wait_messages(4)
        assert [token[1] for token in recorder.tokens[:2]] == [1, 1]  # the same message id, twice
        source.acknowledge([recorder.tokens[0]])
    async with running(mosquitto.url) as (source, recorder):
        await recorder.wait_messages(3)
        source.acknowledge(recorder.tokens)
    assert recorder.payloads == [b"new 1", b"new 2", b"new 3"]


async def test_retained_messages_come_at_the_first_connect_only(mosquitto: Mosquitto) -> None:
    async with MqttPeer(mosquitto.port) as peer:
        await peer.publish("devices/1/description", b"{}", retain=True)
        for _ in range(2):  # the second time the session is there already, but the program knows nothing
            async with running(mosquitto.url) as (source, recorder):
                await recorder.wait_messages(1)
                source.acknowledge(recorder.tokens)
        async with running(mosquitto.url) as (source, recorder):
            await recorder.wait_messages(1)
            source.acknowledge(recorder.tokens)
            await asyncio.sleep(2.5)  # until mosquitto has saved the session
            mosquitto.kill()
            await recorder.wait_status("disconnected")
            mosquitto.start()
            await recorder.wait_status("connected")
            await source.publish(Publish("done", b""))
            await asyncio.sleep(0.3)
            assert recorder.payloads == [b"{}"]


async def test_a_listener_that_raises_does_not_stop_the_flow(
    mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    def fail_on_bad(message: Message) -> None:
        if message.payload == b"bad":
            raise RuntimeError("cannot digest this")

    async with MqttPeer(mosquitto.port) as peer:
        async with running(mosquitto.url, receive_maximum=3) as (source, recorder):
            recorder.before = fail_on_bad
            await recorder.wait_status("connected")
            # More bad ones than the window is wide: each must have been acknowledged.
            await peer.publish_all([("a", b"bad")] * 10 + [("a", b"good")])
            await recorder.wait_messages(1)
            source.acknowledge(recorder.tokens)
            assert source.callback_errors == 10
            assert caplog.text.count("a listener failed") == 1
            assert source.status.state == "connected"
        async with running(mosquitto.url) as (_, recorder):
            await recorder.wait_status("connected")
            await asyncio.sleep(0.2)
            assert recorder.payloads == []


async def test_refused_topic_filter_is_told() -> None:
    # mosquitto refuses no filter, it only delivers nothing; others answer with these codes.
    async with (
        tcp_server(speak_mqtt_5(suback=[0x01, 0x87, 0x00])) as port,
        running(f"mqtt://127.0.0.1:{port}", topics=["a/#", "b/#", "c/#"]) as (_, recorder),
    ):
        status = await recorder.wait_status("connected", "QoS 0 only")
        assert status.detail == (
            "the broker refused the topic filter 'b/#': Not authorized; "
            "the broker gives 'c/#' with QoS 0 only; messages may be lost"
        )


# ----- publishing ---------------------------------------------------------------------------------------------


async def test_publish_is_done_when_the_broker_has_it(mosquitto: Mosquitto) -> None:
    async with running(mosquitto.url) as (source, recorder), MqttPeer(mosquitto.port, version_5=True) as peer:
        await recorder.wait_status("connected")
        await peer.subscribe("devices/#")
        await source.publish(Publish("devices/1/commands", b"go", expires_s=30))
        await source.publish(Publish("nobody/listens", b""))  # "no matching subscribers" is a success
        await source.publish(Publish("devices/1/commands", b"qos 0", qos=0))
        # Far more than any broker takes at a time.
        await asyncio.gather(*(source.publish(Publish(f"devices/{n}", b"")) for n in range(500)))
        async with asyncio.timeout(10.0):
            while len(peer.messages) < 502:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)  # for what must not come
        assert peer.messages[0] == ("devices/1/commands", b"go")
        assert 25 <= peer.raw[0].properties.MessageExpiryInterval <= 30  # type: ignore[union-attr]
        assert len(peer.messages) == 502
        assert recorder.messages == []  # our own words do not come back to us


async def test_publish_fails_when_it_cannot_be_sent(mosquitto: Mosquitto) -> None:
    source = MqttSource(make_settings(), clock, CLIENT_ID, [mosquitto.url])
    with pytest.raises(PublishFailed, match="not connected"):
        await source.publish(Publish("a", b""))
    async with running(mosquitto.url) as (source, recorder):
        await recorder.wait_status("connected")
        with pytest.raises(PublishFailed, match="wildcard"):
            await source.publish(Publish("a/+", b""))
    with pytest.raises(PublishFailed, match="not connected"):
        await source.publish(Publish("a", b""))


async def test_publish_fails_when_the_broker_refuses(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite open/#\n")
    broker = Mosquitto(tmp_path / "mosquitto", [f"acl_file {acl}"])
    broker.start()
    try:
        async with running(broker.url, topics=["open/#"]) as (source, recorder):
            await recorder.wait_status("connected")
            await source.publish(Publish("open/1", b""))
            with pytest.raises(PublishFailed, match="Not authorized"):
                await source.publish(Publish("closed/1", b""))
    finally:
        broker.stop()


async def test_publish_fails_when_the_connection_is_lost(mosquitto: Mosquitto) -> None:
    async with (
        Proxy(mosquitto.port) as proxy,
        running(f"mqtt://127.0.0.1:{proxy.port}") as (source, recorder),
        MqttPeer(mosquitto.port) as peer,
    ):
        await recorder.wait_status("connected")
        await peer.subscribe("#")
        proxy.silent = True
        pending = [source.publish(Publish(f"a/{n}", b"late")) for n in range(200)]
        await asyncio.sleep(0.1)
        assert not any(future.done() for future in pending)
        mosquitto.kill()
        proxy.silent = False
        await source.stop()
        for future in pending:
            with pytest.raises(PublishFailed, match="lost before"):
                await future


# ----- losing the connection ----------------------------------------------------------------------------------


async def test_comes_back_by_itself_after_the_broker_was_killed(mosquitto: Mosquitto) -> None:
    async with running(mosquitto.url) as (source, recorder):
        await recorder.wait_status("connected")
        for _ in range(3):
            mosquitto.kill()
            await recorder.wait_status("disconnected")
            down_since = source.status.since_ms
            await asyncio.sleep(0.5)
            assert source.status.state == "disconnected"  # retrying does not flicker
            assert source.status.since_ms == down_since
            mosquitto.start()
            await recorder.wait_status("connected", timeout_s=5)
            async with MqttPeer(mosquitto.port) as peer:
                count = len(recorder.messages)
                await peer.publish("a", b"x")
                await recorder.wait_messages(count + 1)


async def test_half_open_connection_is_noticed(mosquitto: Mosquitto) -> None:
    async with (
        Proxy(mosquitto.port) as proxy,
        running(f"mqtt://127.0.0.1:{proxy.port}", keepalive_s=5) as (_, recorder),
    ):
        await recorder.wait_status("connected")
        await asyncio.sleep(8)  # longer than 1.5 keep-alives without a message: pings keep it alive
        assert {status.state for status in recorder.statuses[1:]} == {"connected"}
        proxy.silent = True
        began = time.monotonic()
        await recorder.wait_status("disconnected", "half-open")
        assert 2.5 < time.monotonic() - began <= 1.5 * 5 + 4  # a busy machine is late
        proxy.silent = False
        await recorder.wait_status("connected")


async def test_another_client_with_our_id_is_told_and_not_fought() -> None:
    taken_over = b"\xe0\x01\x8e"
    async with (
        tcp_server(speak_mqtt_5(after_suback=taken_over)) as port,
        running(f"mqtt://127.0.0.1:{port}") as (source, recorder),
    ):
        await recorder.wait_status("disconnected", f"another client uses our client id '{CLIENT_ID}'")
        await asyncio.sleep(4.5)
        assert source.generation == 1


async def test_another_client_with_our_id_is_suspected_when_the_broker_says_nothing(mosquitto: Mosquitto) -> None:
    async with running(mosquitto.url) as (source, recorder):
        for _ in range(2):
            await recorder.wait_status("connected")
            async with MqttPeer(mosquitto.port, CLIENT_ID, version_5=True):
                await recorder.wait_status("disconnected")
        assert f"perhaps another client uses our client id '{CLIENT_ID}'" in source.status.detail
        await asyncio.sleep(1)
        assert source.status.state == "disconnected"


async def test_bytes_that_are_not_mqtt_cost_the_connection_only() -> None:
    async with tcp_server(speak_http) as port, running(f"mqtt://127.0.0.1:{port}") as (source, recorder):
        await recorder.wait_status("disconnected", timeout_s=5)
        await asyncio.sleep(0.3)
        assert source.status.state == "disconnected"


# ----- TLS ----------------------------------------------------------------------------------------------------


async def test_tls_with_the_right_and_the_wrong_authority(tmp_path: Path) -> None:
    files = make_tls_files(tmp_path / "tls")
    broker = Mosquitto(
        tmp_path / "mosquitto",
        [f"cafile {files.ca}", f"certfile {files.server_cert}", f"keyfile {files.server_key}"],
    )
    broker.start()
    url = f"mqtts://localhost:{broker.port}"
    try:
        async with (
            running(url, ca_file=files.ca) as (source, recorder),
            running(url, ca_file=files.ca, client_id="other") as (_, other),
        ):
            status = await recorder.wait_status("connected")
            await other.wait_status("connected")
            assert (status.address, status.protocol) == (url, "MQTT 5")
            payload = b"x" * 1_000_000  # many TLS records
            await source.publish(Publish("a", payload))
            await other.wait_messages(1)
            assert other.payloads == [payload]
        for wrong in (files.other_ca, None):
            async with running(url, ca_file=wrong) as (_, recorder):
                await recorder.wait_status("disconnected", "certificate is not accepted")
        # The certificate is for localhost, not for this address.
        async with running(f"mqtts://127.0.0.1:{broker.port}", ca_file=files.ca) as (_, recorder):
            await recorder.wait_status("disconnected", "certificate is not accepted")
        assert broker.log.count("New client connected") == 2
    finally:
        broker.stop()


async def test_mqtts_never_goes_down_to_plain(mosquitto: Mosquitto) -> None:
    async with running(f"mqtts://localhost:{mosquitto.port}", connect_timeout_s=2) as (_, recorder):
        await recorder.wait(lambda: recorder.statuses[-1].state == "disconnected")
        await asyncio.sleep(0.5)
        assert all(status.state != "connected" for status in recorder.statuses)
    assert f"as {CLIENT_ID}" not in mosquitto.log


async def test_client_certificate_is_presented(tmp_path: Path) -> None:
    files = make_tls_files(tmp_path / "tls")
    broker = Mosquitto(
        tmp_path / "mosquitto",
        [
            f"cafile {files.ca}",
            f"certfile {files.server_cert}",
            f"keyfile {files.server_key}",
            "require_certificate true",
        ],
    )
    broker.start()
    url = f"mqtts://localhost:{broker.port}"
    try:
        async with running(url, ca_file=files.ca) as (_, recorder):
            await recorder.wait(lambda: recorder.statuses[-1].state == "disconnected")
        async with running(url, ca_file=files.ca, cert_file=files.client_cert, key_file=files.client_key) as (
            _,
            recorder,
        ):
            await recorder.wait_status("connected")
    finally:
        broker.stop()


def test_no_socket_is_left_open(mosquitto: Mosquitto) -> None:
    """Counted by the operating system: descriptors before and after a busy life."""

    def count() -> int:
        return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

    async def life() -> None:
        dead = f"mqtt://127.0.0.1:{find_free_port()}"
        async with running(dead, mosquitto.url) as (_, recorder):
            await recorder.wait_status("connected")
            mosquitto.kill()
            await recorder.wait_status("disconnected")
            await asyncio.sleep(0.3)
            mosquitto.start()
            await recorder.wait_status("connected")

    gc.collect()  # what other tests left is not counted
    before = count()
    asyncio.run(life())
    gc.collect()
    assert count() <= before
