"""Decides when which connection is made: a few at a time, spread out, and again after a loss.

The number under way is bounded, because a broker accepts from a short queue (mosquitto: 100); connections that do not
fit are lost or wait a second for the next try of the network.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable

# Under way at the same time: below the broker's queue, with room for another shard's.
CONNECTING_AT_ONCE = 40
BACKOFF_BASE_S = 1.0
BACKOFF_MAX_S = 30.0
# More doublings change nothing.
MAX_ATTEMPTS = 10
# After a break that was made on purpose, a device comes back at once.
ON_PURPOSE_S = 0.3


class Pool:
    """Keeps `count` connections wanted. `connect` makes one attempt and says whether it succeeded."""

    def __init__(self, count: int, connect: Callable[[int], Awaitable[bool]]) -> None:
        self._connect = connect
        self._wanted: list[tuple[float, int]] = []  # (when, which)
        self._attempts = bytearray(count)  # failures in a row
        self._changed = asyncio.Event()
        self._free = asyncio.Semaphore(CONNECTING_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._problem: BaseException | None = None

    def start(self, line_no: int, after_s: float) -> None:
        """Want connection `line_no` after a while, for the first time."""
        self._want(line_no, after_s)

    def again(self, line_no: int, failed: bool, on_purpose: bool = False) -> None:
        """Want it again after it was lost, or could not be made (`failed`)."""
        if on_purpose:
            self._want(line_no, random.uniform(0.0, ON_PURPOSE_S))
            return
        attempts = min(self._attempts[line_no] + 1, MAX_ATTEMPTS) if failed else 0
        self._attempts[line_no] = attempts
        # Full jitter: after a restart of the broker, a fleet comes back spread out.
        self._want(line_no, random.uniform(0.0, min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2.0**attempts)))

    async def run(self) -> None:
        """Until cancelled; an error in `connect` ends it, because nothing of this may go on half dead."""
        try:
            while True:
                await self._wait_for_next()
                _, line_no = heapq.heappop(self._wanted)
                await self._free.acquire()
                task = asyncio.create_task(self._attempt(line_no))
                self._tasks.add(task)
                task.add_done_callback(self._done)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _attempt(self, line_no: int) -> None:
        if not await self._connect(line_no):
            self.again(line_no, failed=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._free.release()
        if not task.cancelled() and task.exception() is not None:
            self._problem = task.exception()
            self._changed.set()

    async def _wait_for_next(self) -> None:
        while True:
            if self._problem is not None:
                raise self._problem
            wait_s = self._wanted[0][0] - self._loop.time() if self._wanted else None
            if wait_s is not None and wait_s <= 0.0:
                return
            self._changed.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                return

    def _want(self, line_no: int, after_s: float) -> None:
        heapq.heappush(self._wanted, (self._loop.time() + after_s, line_no))
        self._changed.set()
