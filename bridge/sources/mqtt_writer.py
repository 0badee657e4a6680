"""The writing half of one connection: what is written in one turn of the event loop leaves together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import paho.mqtt.client as paho

from bridge.sources.mqtt_reader import os_text
from bridge.sources.mqtt_stream import PacketStream


class Writer:
    """Use: put packets into the stream or into paho, then `schedule()`; `stop()` before the stream is closed."""

    def __init__(self, stream: PacketStream, client: paho.Client, on_end: Callable[[str], None]) -> None:
        """
        Args:
            on_end: called with the reason when the connection broke.
        """
        self._stream = stream
        self._client = client
        self._on_end = on_end
        self._fd = stream.fileno()
        self._loop = asyncio.get_running_loop()
        self._due: asyncio.Handle | None = None
        self._waiting = False  # until the socket takes more
        self._stopped = False

    def schedule(self) -> None:
        """Write at the end of this turn of the loop, not at once."""
        if self._due is None and not self._waiting and not self._stopped:
            self._due = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._due = None
        try:
            self._client.loop_write()
            finished = self._stream.flush() and not self._client.want_write()
        except OSError as error:
            self._on_end(f"the connection broke: {os_text(error)}")
            return
        if self._stopped:  # paho has given the connection up
            return
        if finished and self._waiting:
            self._loop.remove_writer(self._fd)
        elif not finished and not self._waiting:
            self._loop.add_writer(self._fd, self._flush)
        self._waiting = not finished

    def stop(self) -> None:
        """Write no more; to be called while the descriptor is open. Safe to call twice."""
        if self._stopped:
            return
        self._stopped = True
        if self._due is not None:
            self._due.cancel()
        if self._waiting:
            self._loop.remove_writer(self._fd)
