"""The watch for silence on one connection: pings, and gives up when nothing comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridge.sources.mqtt_stream import PacketStream

TICKS_PER_KEEPALIVE = 10
"""Ticks of the watch in one keep-alive. We ping every 5, and give up before 15 without a byte from the broker."""

PINGREQ = b"\xc0\x00"


class Watch:
    """Counts ticks that we really lived through, not the clock: after a stop of the whole process (SIGSTOP, a
    laptop's lid) the broker's bytes lie unread, and it is not the silent one."""

    def __init__(
        self, stream: PacketStream, keepalive_s: float, on_ping: Callable[[], None], on_end: Callable[[str], None]
    ) -> None:
        """
        Args:
            keepalive_s: after 1.5 times this a silent connection is given up.
            on_ping: called when a ping is to be written; it is in the stream already.
            on_end: called with the reason when nothing was heard for too long.
        """
        self._stream = stream
        self._keepalive_s = keepalive_s
        self._on_ping = on_ping
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._ticks = 0
        self._silent_ticks = 0
        self._due = self._schedule()

    def _schedule(self) -> asyncio.TimerHandle:
        return self._loop.call_later(self._keepalive_s / TICKS_PER_KEEPALIVE, self._tick)

    def _tick(self) -> None:
        self._due = self._schedule()
        stream = self._stream
        self._ticks += 1
        self._silent_ticks = 0 if stream.received else self._silent_ticks + 1
        stream.received = False
        # The byte that we last heard came up to one tick before the count began, hence one tick less than 1.5.
        if self._silent_ticks >= TICKS_PER_KEEPALIVE * 3 // 2 - 1:
            self._on_end(f"the broker has said nothing for {self._keepalive_s * 1.5:g} s (half-open connection)")
        elif self._ticks % (TICKS_PER_KEEPALIVE // 2) == 0:
            # Ours, because paho sends its first ping after a whole keep-alive and waits another for the answer.
            stream.queue(PINGREQ)
            self._on_ping()

    def stop(self) -> None:
        """Watch no more. Safe to call twice."""
        self._due.cancel()
