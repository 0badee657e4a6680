"""The bridge's own HTTP and WebSocket client, for `fleetwire watch` and `fleetwire send`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from bridge.errors import BridgeError
from bridge.live.messages import SUBPROTOCOL_JSON


class ClientError(BridgeError):
    """The bridge cannot be reached, or refused; the text is for the person at the terminal."""


async def watch(url: str, token: str | None, channel: str) -> AsyncIterator[dict[str, Any]]:
    """All messages of a channel, the snapshot first, until the connection ends.

    Raises:
        ClientError: no connection, or the bridge answered with an error.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.ws_connect(f"{url.rstrip('/')}/ws", protocols=(SUBPROTOCOL_JSON,), max_msg_size=0) as socket,
        ):
            await socket.send_json({"type": "subscribe", "id": "watch", "channel": channel})
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue
                data = msgspec.json.decode(message.data)
                if data["type"] == "error":
                    raise ClientError(f"{data['code']}: {data['message']}")
                yield data
    except aiohttp.WSServerHandshakeError as error:
        if error.status == 503:
            after_s = error.headers.get("Retry-After", "some") if error.headers else "some"
            raise ClientError(f"{url} is busy: too many are connected; try again in {after_s} s") from None
        raise ClientError(f"{url} refused the connection ({error.status}); is the token right?") from None
    except aiohttp.ClientError as error:
        raise ClientError(f"cannot reach {url}: {error}") from None


async def send_command(
    url: str, token: str | None, device_id: str, name: str, args: dict[str, Any], ttl_s: float
) -> dict[str, Any]:
    """Run a command and wait for its end; the record.

    Raises:
        ClientError: no connection, or the command was refused.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    path = f"/api/v1/devices/{quote(device_id, safe='')}/commands?wait={ttl_s + 1:g}"
    address = URL(url.rstrip("/") + path, encoded=True)  # a slash in an id stays escaped
    body = {"name": name, "args": args, "ttl_ms": int(ttl_s * 1000)}
    try:
        async with aiohttp.ClientSession(headers=headers) as session, session.post(address, json=body) as response:
            answer: dict[str, Any] = msgspec.json.decode(await response.read())
    except (aiohttp.ClientError, ValueError) as error:
        raise ClientError(f"cannot reach {url}: {error}") from None
    if "error" in answer and "state" not in answer:
        raise ClientError(f"{answer['error']['code']}: {answer['error']['message']}")
    return answer
