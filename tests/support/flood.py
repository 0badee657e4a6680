"""A publisher that costs next to nothing, in a process of its own: for floods, and for measuring others.

    python -m tests.support.flood --port 1883 --rate 3000 --count 9000

Its packets are made beforehand and leave in blocks. It speaks MQTT 3.1.1, and prints one line of JSON at its end:
messages sent and acknowledged, when it began (monotonic clock), the seconds that took, and the processor time. With
`--cycle` a number of packets is sent again and again; the payload's `%d` is then the number within the cycle.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import time
from collections.abc import Sequence

from simulators.mqtt_encode import MQTT311, encode_connect, encode_disconnect, encode_publish

BLOCK_S = 0.005
"""Time between two blocks: short against what anybody notices, long against what a block costs."""

IN_FLIGHT = 1_000
"""QoS 1 messages without PUBACK; mosquitto takes as many from a client as it sends."""

ACK_TIMEOUT_S = 30.0
"""How long the last acknowledgements are waited for."""


def make_packets(topic: str, payload: str, qos: int, count: int, topics: int) -> list[bytes]:
    """`topic` and `payload` may contain `%d`: the number of the topic, and of the message."""
    packets = []
    for number in range(count):
        name = topic.replace("%d", str(number % topics))
        body = payload.replace("%d", str(number)).encode()
        packets.append(encode_publish(name, body, qos, False, number % 65_535 + 1, MQTT311))
    return packets


class Flood:
    """One connection that publishes packets at a rate."""

    def __init__(self, port: int, client_id: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(encode_connect(client_id, MQTT311, 0))
        if self._socket.recv(4) != b"\x20\x02\x00\x00":
            raise SystemExit("the broker refused the publisher")
        self.sent = 0
        self._ack_bytes = 0

    @property
    def acked(self) -> int:
        """A PUBACK of MQTT 3.1.1 has four bytes, and nothing else comes."""
        return self._ack_bytes // 4

    def run(self, packets: Sequence[bytes], rate: float, count: int, qos: int) -> None:
        """Send `count` messages, evenly, from the packets in turn. Falls behind rather than send a burst later."""
        per_block = max(1, round(rate * BLOCK_S))
        pause_s = per_block / rate
        due = time.monotonic()
        while self.sent < count:
            number = min(per_block, count - self.sent)
            if qos:
                self._collect(self.sent + number - IN_FLIGHT)
            at = self.sent % len(packets)
            block = packets[at : at + number]
            while len(block) < number:
                block = [*block, *packets[: number - len(block)]]
            self._socket.sendall(b"".join(block))
            self.sent += number
            due = max(due + pause_s, time.monotonic() - 1.0)  # a second is made up for, no more
            time.sleep(max(0.0, due - time.monotonic()))
        if qos:
            self._collect(count)

    def _collect(self, acks: int) -> None:
        """Read acknowledgements: all that are there, and until so many have come."""
        while True:
            wait_s = ACK_TIMEOUT_S if self.acked < acks else 0.0
            if not select.select([self._socket], [], [], wait_s)[0]:
                return
            data = self._socket.recv(65_536)
            if not data:
                raise SystemExit("the broker closed the publisher's connection")
            self._ack_bytes += len(data)

    def close(self) -> None:
        self._socket.sendall(encode_disconnect())
        self._socket.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--client-id", default="flood")
    parser.add_argument("--topic", default="flood/%d")
    parser.add_argument("--topics", type=int, default=10)
    parser.add_argument("--payload", default="%d")
    parser.add_argument("--qos", type=int, default=0)
    parser.add_argument("--rate", type=float, required=True, help="messages a second")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--cycle", type=int, default=0, help="packets made beforehand; 0: one for each message")
    parser.add_argument("--wait", action="store_true", help="begin when a line comes on standard input")
    options = parser.parse_args()
    packets = make_packets(options.topic, options.payload, options.qos, options.cycle or options.count, options.topics)
    flood = Flood(options.port, options.client_id)
    if options.wait:
        print("ready", flush=True)
        sys.stdin.readline()
    began, cpu = time.monotonic(), time.process_time()
    flood.run(packets, options.rate, options.count, options.qos)
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    flood.close()
    print(
        json.dumps({"sent": flood.sent, "acked": flood.acked, "began": began, "seconds": seconds, "cpu_s": cpu}),
        flush=True,
    )


if __name__ == "__main__":
    main()
