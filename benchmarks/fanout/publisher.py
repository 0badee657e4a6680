"""The devices: one process that publishes at an even rate until it is told to stop, and says how well it kept up.

Run by the benchmark: python -m benchmarks.fanout.publisher PORT RATE QOS BEGIN. It connects, prints "ready", begins
with the first line on standard input, ends with the second, and prints one line of JSON. Up to BURSTS_PER_S messages a
second go one by one at even distances; above that in bursts of a few, as many devices together do.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

from benchmarks.fanout.messages import FIRST, LAST, TIME_LIMIT, TIME_ZERO, payload, topic_of
from simulators.mqtt_encode import MQTT311, encode_connect, encode_disconnect, encode_publish

BURSTS_PER_S = 1000
# QoS 1: unacknowledged messages at which the publisher waits, far above what the round trip needs.
IN_FLIGHT = 10_000


class Publisher:
    """Sends message after message; `late_s` is the worst it was ever behind its schedule."""

    def __init__(self, port: int, qos: int, begin: float) -> None:
        self.sent = 0
        self.acknowledged = 0
        self.late_s = 0.0
        self._qos = qos
        self._begin = begin
        self._heard = 0  # bytes
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(encode_connect("benchmark-devices", MQTT311, 600))
        if self._socket.recv(4)[:1] != b"\x20":
            raise ConnectionError("the broker refused the publisher")

    def run(self, rate: float) -> dict[str, float]:
        burst = max(1, round(rate / BURSTS_PER_S))
        began = time.monotonic()
        while not select.select([sys.stdin], [], [], 0)[0] and time.monotonic() - self._begin < TIME_LIMIT - TIME_ZERO:
            due = began + (self.sent + burst) / rate
            pause = due - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            self.late_s = max(self.late_s, -pause)
            self._send(burst)
        elapsed = time.monotonic() - began
        deadline = time.monotonic() + 5
        while self._qos and self.acknowledged < self.sent and time.monotonic() < deadline:
            self._hear(0.1)
        self._socket.sendall(encode_disconnect())
        return {"sent": self.sent, "seconds": elapsed, "late_s": self.late_s, "acknowledged": self.acknowledged}

    def _send(self, count: int) -> None:
        packets = []
        for number in range(FIRST + self.sent, min(FIRST + self.sent + count, LAST + 1)):
            body = payload(number, time.monotonic() - self._begin)
            packet_id = number % 65_535 + 1
            packets.append(encode_publish(topic_of(number), body, self._qos, False, packet_id, MQTT311))
        self._socket.sendall(b"".join(packets))
        self.sent += len(packets)
        if self._qos:
            self._hear(0)
            while self.sent - self.acknowledged > IN_FLIGHT:
                self._hear(1)

    def _hear(self, timeout_s: float) -> None:
        """PUBACKs have four bytes each; nothing else comes."""
        if select.select([self._socket], [], [], timeout_s)[0]:
            self._heard += len(self._socket.recv(65_536))
            self.acknowledged = self._heard // 4


def main() -> None:
    port, rate, qos, begin = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    publisher = Publisher(port, qos, begin)
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(publisher.run(rate)), flush=True)


if __name__ == "__main__":
    main()
