"""Opens a connection for recording and replaying: MQTT 5 if the broker speaks it, else 3.1.1, else one clear reason."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Callable

from simulators.broker import Broker, BrokerUnreachable
from simulators.mqtt_encode import MQTT5, MQTT311
from simulators.mqtt_link import MqttLink
from simulators.mqtt_packets import Publish
from simulators.mqtt_reasons import ConnectFailed
from simulators.os_reasons import plain_reason

# Somebody is waiting for the answer.
CONNECT_S = 2.5


async def open_link(broker: Broker, purpose: str, on_publish: Callable[[Publish], None]) -> MqttLink:
    """Connect. `purpose` becomes part of the client id. Raises `BrokerUnreachable`."""
    client_id = f"fw-{purpose}-{secrets.token_hex(4)}"  # 23 characters at most are sure to be accepted
    try:
        try:
            return await _attempt(broker, MQTT5, client_id, on_publish)
        except ConnectFailed as refusal:
            if not refusal.other_version:
                raise
            return await _attempt(broker, MQTT311, client_id, on_publish)
    except ConnectFailed as refusal:
        raise BrokerUnreachable(broker, refusal.reason, refusal.answered) from None


async def _attempt(broker: Broker, version: int, client_id: str, on_publish: Callable[[Publish], None]) -> MqttLink:
    link = MqttLink(broker, version, client_id, on_publish)
    context = ssl.create_default_context() if broker.tls else None
    try:
        async with asyncio.timeout(CONNECT_S):
            await asyncio.get_running_loop().create_connection(lambda: link, broker.host, broker.port, ssl=context)
            await link.handshake()
    except TimeoutError:
        link.abort()
        raise ConnectFailed("no answer", answered=False) from None
    except OSError as problem:
        raise ConnectFailed(plain_reason(problem), answered=False) from None
    return link
