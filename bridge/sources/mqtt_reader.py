"""The read loop of one connection: a bounded amount of work in each turn of the event loop, and reading ahead."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from bridge.sources.mqtt_backlog import MalformedPacket
from bridge.sources.mqtt_open import os_reason
from bridge.sources.mqtt_stream import OnPublish, PacketStream

logger = logging.getLogger(__name__)

PACKETS_PER_WAKE = 200
"""Packets handled before the event loop gets its turn again: some milliseconds, whatever the pipeline costs."""


class OnEnd(Protocol):
    """Called once with the reason why nothing more can be read. `hung_up`: the broker closed without a word."""

    def __call__(self, reason: str, *, hung_up: bool = False) -> None: ...


class Reader:
    """Use: `on_readable` for the event loop's reader; `stop()` before the stream is closed."""

    def __init__(
        self,
        stream: PacketStream,
        *,
        on_message: OnPublish,
        on_other: Callable[[], object],
        on_shed: Callable[[int], None],
        on_end: OnEnd,
    ) -> None:
        """
        Args:
            on_message: called for every message; must not raise.
            on_other: called for any other packet; lets paho read it.
            on_shed: called with a number of QoS 0 messages that were dropped; must not raise.
        """
        self._stream = stream
        self._on_message = on_message
        self._on_other = on_other
        self._on_shed = on_shed
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._due: asyncio.Handle | None = None  # while there is a backlog in memory
        self._stopped = False

    def on_readable(self) -> None:
        """The socket has something for us, which may be its end."""
        if self._stopped:
            return
        if self._due is None:
            self._guard(self._fill_and_handle)
        else:
            self._guard(self._read_ahead)

    def _go_on(self) -> None:
        self._due = None
        self._guard(self._handle)

    def _guard(self, step: Callable[[], None]) -> None:
        """Whatever the broker sends may cost the connection, but not the program."""
        try:
            step()
        except OSError as error:
            self._end(f"the connection broke: {os_text(error)}")
        except MalformedPacket as error:
            self._end(f"the broker sent what is not MQTT: {error}")
        except Exception:  # paho stumbled over a packet
            logger.exception("a packet of the broker cannot be handled")
            self._end("the broker sent a packet that cannot be handled")

    def _fill_and_handle(self) -> None:
        # Before anything is handled: what stays in the socket for as long as that takes backs up in the broker.
        if self._stream.fill():
            self._read_ahead()
        self._handle()

    def _read_ahead(self) -> None:
        self._tell_shed(self._stream.read_ahead())

    def _handle(self) -> None:
        stream = self._stream
        more = stream.take_packets(PACKETS_PER_WAKE, self._on_message, self._on_other)
        if self._stopped:
            return
        if more:
            self._due = self._loop.call_soon(self._go_on)
        elif stream.failure is not None:
            self._end(f"the connection broke: {os_text(stream.failure)}")
        elif stream.ended:
            self._end("the broker closed the connection", hung_up=True)

    def _tell_shed(self, count: int) -> None:
        if count:
            self._on_shed(count)

    def _end(self, reason: str, *, hung_up: bool = False) -> None:
        if not self._stopped:
            self._on_end(reason, hung_up=hung_up)

    def stop(self) -> None:
        """Read no more. QoS 0 messages that were not handled are lost with the connection, and told. Safe twice."""
        if self._stopped:
            return
        self._stopped = True
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self._tell_shed(self._stream.abandon())


def os_text(error: OSError) -> str:
    """What an error of the socket means, in words."""
    return os_reason(error.errno) if error.errno else str(error)
