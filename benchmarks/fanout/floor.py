"""What the kernel alone asks for: one `send` of one small message to one of many loopback sockets.

At 50 messages a second, which come 20 ms apart and must not wait, every server has to make one such call for each
message and dashboard. None can cost less than this, so that this figure bounds every ratio at that rate.
"""

from __future__ import annotations

import os
import signal
import socket
import time

from benchmarks.fanout.receivers import SWEEP_S

MESSAGE_BYTES = 122  # a frame of five values: 40 bytes of header, 5 x 16, 2 of WebSocket
JOIN_S = 0.2


def send_floor_us(clients: int, rate: float, seconds: float) -> float:
    """Microseconds of processor time for each `send`, the way our dashboards read: most of them in turn."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(clients)
        reader = os.fork()
        if reader == 0:
            _read(listener.getsockname(), clients)
        try:
            sockets = [listener.accept()[0] for _ in range(clients)]
            for one in sockets:
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            time.sleep(JOIN_S)
            return _measure(sockets, rate, seconds)
        finally:
            os.kill(reader, signal.SIGKILL)
            os.waitpid(reader, 0)


def _measure(sockets: list[socket.socket], rate: float, seconds: float) -> float:
    message = bytes(MESSAGE_BYTES)
    spent = 0.0
    rounds = max(1, round(seconds * rate))
    began = time.monotonic()
    for number in range(1, rounds + 1):
        before = time.process_time()
        for one in sockets:
            one.send(message)
        spent += time.process_time() - before
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
    for one in sockets:
        one.close()
    return spent / (rounds * len(sockets)) * 1e6


def _read(address: tuple[str, int], clients: int) -> None:
    """The other side, in a process of its own, until it is ended."""
    sockets = [socket.create_connection(address) for _ in range(clients)]
    while True:
        for one in sockets:
            one.recv(65_536)
        time.sleep(SWEEP_S)
