"""Answers of any length: sent part by part, as they are made, and no faster than they are read."""

from __future__ import annotations

import asyncio
import re

from aiohttp import web

from bridge.core.counters import Counters
from bridge.web.deadlines import UNREAD_TIMEOUT_S
from bridge.web.guard import SECURITY_HEADERS

# One write, so that a slow line has UNREAD_TIMEOUT_S for so much and not for megabytes.
BYTES_AT_ONCE = 262_144
MAX_FILE_NAME = 100


class Stream:
    """One answer. Once it has begun it ends with `end`, or the connection does: a part must not look like the whole."""

    def __init__(self, request: web.Request, counters: Counters) -> None:
        self._request = request
        self._counters = counters
        self._response = web.StreamResponse()

    async def begin(self, content_type: str, file_name: str, headers: dict[str, str] | None = None) -> None:
        """`headers`: of its own, which win over ours."""
        self._response.headers.update(SECURITY_HEADERS)
        self._response.headers.update(
            {
                "Content-Type": content_type,
                "Content-Disposition": f'attachment; filename="{safe_file_name(file_name)}"',
                "Cache-Control": "no-store",
                **(headers or {}),
            }
        )
        await self._response.prepare(self._request)

    @property
    def has_begun(self) -> bool:
        return self._response.prepared

    @property
    def wants_body(self) -> bool:
        return self._request.method != "HEAD"

    async def send(self, data: bytes) -> None:
        """Returns when the other side has taken nearly all of it. Nothing is sent in answer to a HEAD.

        Raises:
            ConnectionResetError: it is gone, or has read nothing for a minute.
        """
        view = memoryview(data)
        for at in range(0, len(view) if self.wants_body else 0, BYTES_AT_ONCE):
            try:
                async with asyncio.timeout(UNREAD_TIMEOUT_S):
                    await self._response.write(view[at : at + BYTES_AT_ONCE])
            except TimeoutError:
                self._counters.closed_slow += 1
                self.cut()
                raise ConnectionResetError("the other side does not read") from None

    async def end(self) -> web.StreamResponse:
        await self._response.write_eof()
        return self._response

    def cut(self) -> None:
        """End the connection, so that nobody takes what was sent for all there is."""
        if self._request.transport is not None:
            self._request.transport.abort()


def safe_file_name(name: str) -> str:
    """Of any name one that every system can take, and that needs no quoting in a header."""
    stem, dot, ending = name.rpartition(".")
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-") or "fleetwire"
    return f"{plain[:MAX_FILE_NAME]}{dot}{ending}"
