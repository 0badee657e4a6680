"""The obvious bridge: paho in its own thread, then `send_str` to one client after the other.

Run: python naive_aiohttp.py PORT MQTT_PORT
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import paho.mqtt.client as paho
import uvloop
from aiohttp import WSMsgType, web
from paho.mqtt.enums import CallbackAPIVersion


async def main(port: int, broker_port: int) -> None:
    clients: set[web.WebSocketResponse] = set()
    queue: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        clients.add(socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.ERROR:
                    break
        finally:
            clients.discard(socket)
        return socket

    def on_connect(client: paho.Client, *_: Any) -> None:
        client.subscribe("devices/+/telemetry")

    def on_message(client: paho.Client, data: Any, message: paho.MQTTMessage) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, (message.topic, message.payload))

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    broker = paho.Client(CallbackAPIVersion.VERSION2)
    broker.on_subscribe = lambda *_: print("ready", flush=True)
    broker.on_connect = on_connect
    broker.on_message = on_message
    broker.connect("127.0.0.1", broker_port)
    broker.loop_start()
    while True:
        topic, payload = await queue.get()
        text = json.dumps({"topic": topic, "data": json.loads(payload)})
        for socket in list(clients):
            try:
                await socket.send_str(text)
            except ConnectionError:
                clients.discard(socket)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
