"""All dashboards of a case, in this process, read with as little work as can be: sockets and one memory comparison.

A few, spread over the order of joining, are read the moment something arrives: they tell the latency. The others only
have to be counted and checked, and are visited in turn, each every SWEEP_S. A server is then spared waking each of
them, all servers alike, and the client side does not need the processor on which the server is measured.
"""

from __future__ import annotations

import select
import socket
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.fanout.dialects import PlainWebSocket, Wire
from benchmarks.fanout.statistics import Receipt
from benchmarks.fanout.stream import ClientStream, Reference

SAMPLED = 8
SWEEP_S = 0.05
STEPS = 10  # parts of a sweep, so that the sampled ones never wait for all others
BLOCK = 262_144
TOGETHER = 20  # dashboards that join at the same time


class Client:
    """One dashboard."""

    def __init__(self, dialect: PlainWebSocket, reference: Reference, wire: Wire) -> None:
        self.socket: socket.socket = wire.socket
        self.socket.setblocking(False)
        self.error = ""
        self.stream = ClientStream(reference, self._other)
        self._dialect = dialect
        self._take(wire.buffer)

    def read(self, buffer: bytearray) -> bool:
        """Take what has arrived; whether there was anything."""
        any_came = False
        while not self.error:
            try:
                size = self.socket.recv_into(buffer)
            except BlockingIOError:
                break
            except OSError as error:
                self.error = str(error)
                break
            if size == 0:
                self.error = "closed by the server"
                break
            any_came = True
            self._take(bytes(memoryview(buffer)[:size]))
            if size < len(buffer):
                break
        return any_came

    def _take(self, block: bytes) -> None:
        try:
            self.stream.take(block)
        except (ValueError, OSError) as error:
            self.error = str(error)

    def _other(self, opcode: int, body: bytes) -> None:
        answer = self._dialect.answer(opcode, body)
        if answer:
            self.socket.sendall(answer)


class Receivers:
    """The clients and the loop that reads them."""

    def __init__(self, dialect: PlainWebSocket, port: int, begin: float) -> None:
        self.reference = Reference(dialect.decode)
        self.clients: list[Client] = []
        self.receipts: list[Receipt] = []
        self.slowest_sweep_s = 0.0
        self._dialect = dialect
        self._port = port
        self.begin = begin
        self._buffer = bytearray(BLOCK)
        self._sampled: dict[int, Client] = {}
        self._epoll = select.epoll()

    def join(self, count: int) -> None:
        """Connect until there are this many, some at a time: mosquitto takes a quarter of a second for each."""
        with ThreadPoolExecutor(TOGETHER) as pool:
            while (left := count - len(self.clients)) > 0:
                wires = pool.map(lambda _: self._dialect.join(self._port), range(min(left, TOGETHER)))
                self.clients += [Client(self._dialect, self.reference, wire) for wire in wires]
                self.read_all()  # those who are there hear of each other

    def sample(self) -> None:
        """Choose whose latency is told."""
        step = max(1, len(self.clients) // SAMPLED)
        for client in self.clients[step // 2 :: step][:SAMPLED]:
            self._sampled[client.socket.fileno()] = client
            self._epoll.register(client.socket, select.EPOLLIN)

    def run(self, seconds: float) -> None:
        """Read for so long."""
        others = [client for client in self.clients if client.socket.fileno() not in self._sampled]
        share = -(-len(others) // STEPS)
        at, due = 0, time.monotonic()
        last_full = due
        until = due + seconds
        while (now := time.monotonic()) < until:
            if now >= due:
                for client in others[at : at + share]:
                    client.read(self._buffer)
                at += share
                if at >= len(others):
                    at = 0
                    self.slowest_sweep_s = max(self.slowest_sweep_s, now - last_full)
                    last_full = now
                due = max(due + SWEEP_S / STEPS, now)
            for fd, _ in self._epoll.poll(max(0.0, min(due, until) - time.monotonic())):
                self._read_sampled(self._sampled[fd])

    def read_all(self) -> None:
        for client in self.clients:
            client.read(self._buffer)

    def messages(self) -> int:
        """Delivered so far, to all clients together."""
        return sum(client.stream.messages for client in self.clients)

    def newest_age(self) -> float:
        """Seconds since the sending of the newest message that the slowest client has."""
        at = min(self.reference.messages_at(client.stream.position) for client in self.clients)
        sent = self.reference.times[at - 1] if at else 0.0
        return time.monotonic() - self.begin - sent

    def errors(self) -> list[str]:
        return [client.error for client in self.clients if client.error]

    def close(self) -> None:
        self._epoll.close()
        for client in self.clients:
            client.socket.close()

    def _read_sampled(self, client: Client) -> None:
        if client.error:
            self._epoll.unregister(client.socket)
            return
        before = client.stream.position
        client.read(self._buffer)
        now = time.monotonic() - self.begin
        begin = self.reference.messages_at(before)
        end = self.reference.messages_at(client.stream.position)
        if end > begin:
            self.receipts.append(Receipt(now, begin, end))
