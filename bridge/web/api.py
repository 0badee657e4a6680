"""The HTTP API: handlers that ask the operations and answer JSON. See docs/protocol.md."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec
from aiohttp import web

from bridge.core.commands import ENDED
from bridge.errors import ProtocolError
from bridge.live.messages import Id, Text
from bridge.web.counters import CONTENT_TYPE
from bridge.web.responses import error_response, json_response

if TYPE_CHECKING:
    from bridge.web.server import Server

MAX_WAIT_S = 60.0  # how long one request may wait for a command to end


class CommandBody(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST .../commands` takes."""

    name: Text
    id: Id | None = None
    args: dict[str, Any] = {}
    ttl_ms: int | None = None


class Api:
    """The handlers."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._operations = server.operations

    async def devices(self, _request: web.Request) -> web.Response:
        return json_response({"devices": self._operations.devices()})

    async def device(self, request: web.Request) -> web.Response:
        return json_response(self._operations.device(request.match_info["device_id"]))

    async def series(self, request: web.Request) -> web.Response:
        return json_response({"series": self._operations.series(request.query.get("device_id"))})

    async def rejections(self, _request: web.Request) -> web.Response:
        return json_response({"rejections": self._operations.rejections()})

    async def commands(self, request: web.Request) -> web.Response:
        return json_response({"commands": self._operations.recent_commands(request.query.get("device_id"))})

    async def command(self, request: web.Request) -> web.Response:
        return json_response(self._operations.find_command(request.match_info["command_id"]))

    async def run_command(self, request: web.Request) -> web.Response:
        """202 with the record; with `?wait=`, 200 with the record once it has ended, or 202 as it then is."""
        try:
            wait_s = min(MAX_WAIT_S, max(0.0, float(request.query.get("wait", "0"))))
        except ValueError:
            raise ProtocolError("invalid_message", "wait is a number of seconds") from None
        try:
            async with asyncio.timeout(self._server.settings.header_timeout_s):
                raw = await request.read()
        except TimeoutError:
            return error_response("invalid_message", "the body did not come in time", 408)
        try:
            body = msgspec.json.decode(raw, type=CommandBody)
        except msgspec.ValidationError as error:
            raise ProtocolError("invalid_message", str(error)) from None
        except (ValueError, RecursionError):
            raise ProtocolError("invalid_json", "the body is not JSON") from None
        record, _ = self._operations.run_command(
            request.match_info["device_id"],
            str(body.id) if body.id is not None else uuid4().hex,
            body.name,
            body.args,
            ttl_ms=body.ttl_ms,
            sent_by="http",
        )
        if wait_s > 0:
            record = await self._operations.wait_for_command(record["id"], wait_s)
        return json_response(record, 200 if record["state"] in ENDED else 202)

    async def metrics(self, _request: web.Request) -> web.Response:
        page = self._server.metrics_page.render()
        return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE})

    async def healthz(self, request: web.Request) -> web.Response:
        problems = self._operations.problems()
        return self._health(request, problems)

    async def readyz(self, request: web.Request) -> web.Response:
        problems = self._operations.problems() + self._operations.not_ready()
        return self._health(request, problems)

    def _health(self, request: web.Request, problems: list[str]) -> web.Response:
        body: dict[str, Any] = {"status": "failing" if problems else "ok"}
        if self._server.guard.role_of(request) is not None:
            body["problems"] = problems
            body["notices"] = self._operations.notices()
        return json_response(body, 503 if problems else 200, {"Cache-Control": "no-store"})
