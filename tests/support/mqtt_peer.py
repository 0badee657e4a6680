"""The other side in tests: a plain paho client in a thread, as a device or a colleague would use it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

TIMEOUT_S = 10.0


class MqttPeer:
    """Use as `async with MqttPeer(port) as peer`. `messages` collects (topic, payload) of what it subscribed to."""

    def __init__(
        self,
        port: int,
        client_id: str = "",
        *,
        username: str = "",
        password: str = "",
        clean: bool = True,
        version_5: bool = False,
    ) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.raw: list[paho.MQTTMessage] = []
        self._port = port
        self._connected = threading.Event()
        self._subscribed = threading.Event()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if version_5 else clean,
            protocol=MQTTProtocolVersion.MQTTv5 if version_5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        if username:
            self._client.username_pw_set(username, password)
        self._client.max_inflight_messages = 20
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not reason.is_failure:
            self._connected.set()

    def _on_subscribe(self, *_ignored: Any) -> None:
        self._subscribed.set()

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self.raw.append(message)
        self.messages.append((message.topic, bytes(message.payload)))

    def connect(self) -> None:
        self._client.connect("127.0.0.1", self._port, keepalive=60)
        self._client.loop_start()
        assert self._connected.wait(TIMEOUT_S), "the peer cannot connect"

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    async def __aenter__(self) -> MqttPeer:
        await asyncio.to_thread(self.connect)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    async def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        """Returns when the broker has confirmed."""
        self._subscribed.clear()
        self._client.subscribe(topic_filter, qos)
        assert await asyncio.to_thread(self._subscribed.wait, TIMEOUT_S)

    async def publish(self, topic: str, payload: bytes | str = b"", qos: int = 1, *, retain: bool = False) -> None:
        """Returns when it was acknowledged (QoS 1) or written (QoS 0)."""
        await self.publish_all([(topic, payload)], qos, retain=retain)

    async def publish_all(
        self, messages: Iterable[tuple[str, bytes | str]], qos: int = 1, *, retain: bool = False
    ) -> None:
        """Publish them in this order; returns when all are acknowledged."""
        infos = [self._client.publish(topic, payload, qos, retain) for topic, payload in messages]

        def wait() -> None:
            for info in infos:
                info.wait_for_publish(TIMEOUT_S)

        await asyncio.to_thread(wait)
        assert all(info.is_published() for info in infos)
