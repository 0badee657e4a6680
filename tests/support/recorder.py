"""A listener that remembers what a source told it, and waits for more without guessing times."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridge.core.model import Message
from bridge.sources.source import SourceStatus

TIMEOUT_S = 15.0


class Recorder:
    """Implements `bridge.sources.source.Listener`."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.statuses: list[SourceStatus] = []
        self.shed = 0
        # Called for each message before it is remembered; may raise, as a listener should not.
        self.before: Callable[[Message], None] | None = None
        self._changed = asyncio.Event()

    def on_message(self, message: Message) -> None:
        if self.before is not None:
            self.before(message)
        self.messages.append(message)
        self._changed.set()

    def on_status(self, status: SourceStatus) -> None:
        self.statuses.append(status)
        self._changed.set()

    def on_shed(self, count: int) -> None:
        self.shed += count
        self._changed.set()

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.messages]

    @property
    def tokens(self) -> list[tuple[int, int]]:
        return [message.ack_token for message in self.messages if message.ack_token is not None]

    async def wait(self, condition: Callable[[], object], timeout_s: float = TIMEOUT_S) -> None:
        """Until the condition holds; it is looked at after everything that is recorded."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(
                f"did not happen within {timeout_s} s; {len(self.messages)} messages, statuses {self.statuses}"
            ) from None

    async def wait_messages(self, count: int, timeout_s: float = TIMEOUT_S) -> None:
        await self.wait(lambda: len(self.messages) >= count, timeout_s)

    async def wait_status(self, state: str, detail: str = "", timeout_s: float = TIMEOUT_S) -> SourceStatus:
        """Until the newest status has this state, and a detail that contains this."""

        def holds() -> bool:
            return bool(self.statuses) and self.statuses[-1].state == state and detail in self.statuses[-1].detail

        await self.wait(holds, timeout_s)
        return self.statuses[-1]
