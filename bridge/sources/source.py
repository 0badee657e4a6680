"""The interface between the bridge and whatever carries device messages.

Everything here runs on the event loop; no callback is ever called from another thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from bridge.core.model import Message, Publish


class SourceStatus(msgspec.Struct, frozen=True):
    """What the page shows of a source."""

    name: str
    state: str  # connecting | connected | disconnected
    since_ms: int
    address: str = ""
    protocol: str = ""  # "MQTT 5", "MQTT 3.1.1"
    detail: str = ""  # why it is disconnected, or a notice (fell back to 3.1.1, session lost)
    dropped: int | None = None  # messages lost in the broker since we first asked, for any client; None: not told


class Listener(Protocol):
    """What a source calls. Implementations must not raise; a source guards against it all the same."""

    def on_message(self, message: Message) -> None: ...

    def on_status(self, status: SourceStatus) -> None: ...

    def on_shed(self, count: int) -> None:
        """The source dropped so many QoS 0 messages, because they came faster than `on_message` takes them."""
        ...


class Source(Protocol):
    """A carrier of device messages."""

    name: str

    async def start(self, listener: Listener) -> None:
        """Begin. Returns at once; connecting goes on in the background and is told through `on_status`."""
        ...

    async def stop(self) -> None:
        """Leave cleanly. Safe to call twice, and before `start`."""
        ...

    @property
    def status(self) -> SourceStatus: ...

    def publish(self, publish: Publish) -> asyncio.Future[None]:
        """Send a message. The future is done when the broker has acknowledged it (PUBACK).

        The future fails with `PublishFailed` when the broker is not connected, refuses, or the connection is
        lost before the acknowledgement. Nothing is queued for later: a command must not run late by surprise.
        """
        ...

    def acknowledge(self, tokens: Iterable[tuple[int, int]]) -> None:
        """Tell the broker that these messages are safe with us. Tokens of an earlier connection are ignored."""
        ...


Clock = Callable[[], int]
"""Returns the time as microseconds since 1970 UTC."""
