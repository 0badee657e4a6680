"""Other people's MQTT clients, each with a callback that only counts. Run by benchmarks/ingest.py in `.peers/mqtt/`.

    .peers/mqtt/bin/python peers_mqtt.py CLIENT PORT QOS

Prints `ready` once it is subscribed, and on SIGUSR1 a line with the messages counted and the processor seconds spent.
Knows nothing of the project, because its Python has only the peers installed.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import time
from typing import Any

TOPICS = "devices/#"
count = 0


def report(*_ignored: Any) -> None:
    os.write(1, f"{count} {time.process_time()}\n".encode())


def ready(*_ignored: Any) -> None:
    signal.signal(signal.SIGUSR1, report)
    os.write(1, b"ready\n")


def make_paho(port: int, qos: int) -> Any:
    import paho.mqtt.client as paho

    def on_message(_client: Any, _data: Any, _message: Any) -> None:
        global count
        count += 1

    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "peer")
    client.on_connect = lambda client, *_: client.subscribe(TOPICS, qos)
    client.on_subscribe = ready
    client.on_message = on_message
    client.connect("127.0.0.1", port)
    return client


def paho_forever(port: int, qos: int) -> None:
    """As in its manual: paho's own loop."""
    make_paho(port, qos).loop_forever()


def paho_driven(port: int, qos: int) -> None:
    """As a program with a loop of its own drives it, and as cheaply as that can be done: no thread, no timer at each
    message. `loop_read` takes one packet; whether there was one, it does not say."""
    client = make_paho(port, qos)
    poll = select.epoll()
    poll.register(client.socket().fileno(), select.EPOLLIN)
    next_misc = 0.0
    while True:
        if poll.poll(1.0):
            client.loop_read()
            if client.want_write():
                client.loop_write()
        now = time.monotonic()
        if now >= next_misc:
            client.loop_misc()
            next_misc = now + 1.0


def gmqtt(port: int, qos: int) -> None:
    from gmqtt import Client

    def on_message(*_ignored: Any) -> int:
        global count
        count += 1
        return 0

    async def run() -> None:
        client = Client("peer")
        client.on_connect = lambda client, *_: client.subscribe(TOPICS, qos=qos)
        client.on_subscribe = ready
        client.on_message = on_message
        await client.connect("127.0.0.1", port)
        await asyncio.Event().wait()

    asyncio.run(run())


def aiomqtt(port: int, qos: int) -> None:
    from aiomqtt import Client

    async def run() -> None:
        global count
        async with Client("127.0.0.1", port, identifier="peer") as client:
            await client.subscribe(TOPICS, qos)
            ready()
            async for _message in client.messages:
                count += 1

    asyncio.run(run())


CLIENTS = {"paho-loop": paho_driven, "paho-forever": paho_forever, "gmqtt": gmqtt, "aiomqtt": aiomqtt}

if __name__ == "__main__":
    CLIENTS[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
