"""Publishes of one connection that the broker has not acknowledged yet. Ends with the connection; nothing is kept.

MQTT 5 brokers say how many they take at a time (Receive Maximum) and throw out who sends more; paho does not look
at it, so the window is kept here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from bridge.core.model import Publish
from bridge.errors import DeliveryUnknown, PublishFailed

IN_FLIGHT_LIMIT = 100
"""Publishes without PUBACK at a time, even if the broker allows more: enough for any wave of commands."""

IN_FLIGHT_311 = 20
"""The same for MQTT 3.1.1, where a broker cannot say what it takes: mosquitto's default."""

WAITING_LIMIT = 1_000
"""Publishes that wait for room in flight; one more fails at once, because it would only time out later."""


class PublishWindow:
    """Sends as many as the broker takes, and tells each sender what became of its message."""

    def __init__(self, send: Callable[[Publish], int]) -> None:
        """
        Args:
            send: hands a message to paho and returns its message id; raises PublishFailed.
        """
        self._send = send
        self.limit = IN_FLIGHT_311  # raised when the broker has said what it takes
        # By message id, from sending to PUBACK.
        self._in_flight: dict[int, tuple[str, asyncio.Future[None]]] = {}
        self._waiting: deque[tuple[Publish, asyncio.Future[None]]] = deque()

    def publish(self, publish: Publish, done: asyncio.Future[None]) -> None:
        """Send now or when there is room; `done` is set when the broker has answered, or will not any more."""
        if len(self._in_flight) < self.limit:
            self._start(publish, done)
        elif len(self._waiting) < WAITING_LIMIT:
            self._waiting.append((publish, done))
        else:
            done.set_exception(PublishFailed(publish.topic, f"{WAITING_LIMIT} messages wait for the broker already"))

    def _start(self, publish: Publish, done: asyncio.Future[None]) -> None:
        try:
            mid = self._send(publish)
        except PublishFailed as error:
            done.set_exception(error)
            return
        if publish.qos == 0:
            done.set_result(None)  # nobody will ever acknowledge it
        else:
            self._in_flight[mid] = (publish.topic, done)

    def acknowledged(self, mid: int, refusal: str) -> None:
        """The broker has answered: it took the message, or `refusal` says why not."""
        topic, done = self._in_flight.pop(mid, ("", None))
        if done is not None and not done.done():
            if refusal:
                done.set_exception(PublishFailed(topic, f"the broker refused it: {refusal}"))
            else:
                done.set_result(None)
        while self._waiting and len(self._in_flight) < self.limit:
            publish, waiting = self._waiting.popleft()
            if not waiting.done():  # otherwise its sender has given up, and it must not run late
                self._start(publish, waiting)

    def fail_all(self) -> None:
        """The connection is gone, and with it every answer."""
        in_flight, waiting = list(self._in_flight.values()), list(self._waiting)
        self._in_flight.clear()
        self._waiting.clear()
        for topic, done in in_flight:
            if not done.done():
                done.set_exception(DeliveryUnknown(topic, "the connection was lost before the acknowledgement"))
        for publish, done in waiting:
            if not done.done():
                done.set_exception(PublishFailed(publish.topic, "the connection was lost before it was sent"))
