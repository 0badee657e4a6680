"""The HTTP server: routes with the role each needs, the guards in front of them, and the life of all sockets."""

from __future__ import annotations

import asyncio
import logging
import random
import sys
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from bridge import __version__
from bridge.core.counters import Counters
from bridge.errors import ConfigError
from bridge.history.archive import Archive
from bridge.live.hub import Hub
from bridge.live.messages import MAX_NOTE_LENGTH
from bridge.live.session import Operations as SessionOperations
from bridge.live.session import Session
from bridge.settings import WebSettings
from bridge.sources.source import Clock
from bridge.web.access import Access, bearer
from bridge.web.admission import Admission
from bridge.web.api import Api
from bridge.web.counters import MetricsPage
from bridge.web.deadlines import Deadlines, connection_places
from bridge.web.guard import Guard, Handler
from bridge.web.history_api import HistoryApi
from bridge.web.report import ReportApi
from bridge.web.responses import error_response
from bridge.web.socket import Connection
from bridge.web.static import Assets

log = logging.getLogger(__name__)

COOKIE_MAX_AGE_S = 30 * 24 * 3600  # a wall display should not ask for the token every day
SHUTDOWN_S = 2.0  # for open requests; sockets are closed before
MAX_BODY_BYTES = 65_536  # the largest body is a command
# Connections that the kernel may hold for us while we are busy. When 2,000 dashboards reconnect at once, one that finds
# no room waits a second or three before it asks again. The kernel takes less if net.core.somaxconn is less.
LISTEN_BACKLOG = 4_096
KEEPALIVE_S = 30.0  # a quiet connection of a browser, which opens another when it needs one
LINGERING_S = 2.0  # for the rest of a body that we refused unread, so that the refusal can be read


class Operations(SessionOperations, Protocol):
    """What the web layer may ask of the bridge. Handed in by `app`."""

    archive: Archive | None  # None: there is no history

    def welcome(self) -> dict[str, Any]: ...
    def devices(self) -> list[dict[str, Any]]: ...
    def device(self, device_id: str) -> dict[str, Any]: ...
    def series(self, device_id: str | None) -> list[dict[str, Any]]: ...
    def rejections(self) -> list[dict[str, Any]]: ...
    def recent_commands(self, device_id: str | None) -> list[dict[str, Any]]: ...
    def find_command(self, command_id: str) -> dict[str, Any]: ...
    async def wait_for_command(self, command_id: str, timeout_s: float) -> dict[str, Any]: ...
    def stats(self) -> dict[str, Any]: ...
    def sources_as_dicts(self) -> list[dict[str, Any]]: ...
    def problems(self) -> list[str]: ...
    def not_ready(self) -> list[str]: ...
    def notices(self) -> list[str]: ...


class Server:
    """Everything that listens. `start` binds the port, `stop` closes every socket with 4001."""

    def __init__(
        self,
        settings: WebSettings,
        access: Access,
        hub: Hub,
        operations: Operations,
        counters: Counters,
        clock: Clock,
        dashboard: Path,
        plotly: Path | None,
    ) -> None:
        self.settings = settings
        self.access = access
        self.guard = Guard(access, counters, clock)
        self.admission = Admission(
            settings.max_connections, settings.max_connections_per_address, settings.max_new_connections_per_s
        )
        self.deadlines = Deadlines(settings, connection_places(settings, _max_descriptors()), counters, clock)
        self.hub = hub
        self.operations = operations
        self.counters = counters
        self.clock = clock
        self.connections: dict[Connection, None] = {}
        self.metrics_page = MetricsPage(operations.stats, operations.sources_as_dicts)
        self._assets = Assets(dashboard, plotly)
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._random = random.SystemRandom().random
        self._port = settings.port

    @property
    def port(self) -> int:
        """The port in use, once started."""
        return self._port

    async def start(self) -> None:
        """Bind and serve.

        Raises:
            ConfigError: the address cannot be used.
        """
        if self.deadlines.places.total < self.settings.max_connections:
            log.warning(
                "web.max_connections is %d, but this process may open files and sockets for %d connections only; "
                "raise its limit (ulimit -n)",
                self.settings.max_connections,
                self.deadlines.places.total,
            )
        app = web.Application(
            middlewares=[self.deadlines.middleware, self.guard.middleware], client_max_size=MAX_BODY_BYTES
        )
        for method, path, role, handler in self.routes():
            guarded = self.guard.requires(role, handler)
            app.router.add_route(method, path, guarded)
            if method == "GET" and path != "/ws":
                app.router.add_route("HEAD", path, guarded)  # aiohttp leaves out the body
        runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=SHUTDOWN_S,
            keepalive_timeout=KEEPALIVE_S,
            lingering_time=LINGERING_S,
        )
        await runner.setup()
        assert runner.server is not None
        try:
            # Not aiohttp's TCPSite, which has no place for a gate.
            self._listener = await asyncio.get_running_loop().create_server(
                self.deadlines.behind_gate(runner.server),
                self.settings.host,
                self.settings.port,
                backlog=LISTEN_BACKLOG,
            )
        except OSError as error:
            await runner.cleanup()
            raise ConfigError(
                "web.port", f"cannot listen on {self.settings.host}:{self.settings.port}: {error.strerror}"
            ) from None
        self._runner = runner
        self._port = self.guard.port = int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening, and tell every dashboard to come back later."""
        if self._listener is not None:
            self._listener.close()  # first: who was told to come back must not meet us again
            self._listener = None
        closing = list(self.connections)
        for connection in closing:
            connection.shut_down()
        await asyncio.gather(*(connection.closed() for connection in closing), return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def tick(self, now_us: int) -> None:
        """Look after late, stuck and silent connections. Called a few times a second."""
        self.deadlines.tick(now_us)
        for connection in list(self.connections):
            connection.check(now_us)

    def welcome(self, session: Session) -> dict[str, Any]:
        return {
            "version": __version__,
            "session_id": session.session_id,
            "role": session.role,
            **self.operations.welcome(),
            "limits": {
                "max_subscriptions": self.hub.max_subscriptions,
                "max_message_bytes": self.settings.max_message_bytes,
                "max_note_length": MAX_NOTE_LENGTH,
            },
        }

    def routes(self) -> list[tuple[str, str, str, Handler]]:
        """Every route with the role it needs. A test walks this table: what is not here is not served."""
        api = Api(self)
        past = HistoryApi(self)
        return [
            ("GET", "/", "public", self._index),
            ("GET", "/static/{name:.+}", "public", self._static),
            ("GET", "/favicon.ico", "public", self._favicon),
            ("GET", "/ws", "public", self._socket),  # authenticates for itself, also by its first message
            ("GET", "/healthz", "public", api.healthz),
            ("GET", "/readyz", "public", api.readyz),
            ("GET", "/metrics", "viewer", api.metrics),
            ("GET", "/api/v1/devices", "viewer", api.devices),
            ("GET", "/api/v1/devices/{device_id}", "viewer", api.device),
            ("GET", "/api/v1/series", "viewer", api.series),
            ("GET", "/api/v1/rejections", "viewer", api.rejections),
            ("GET", "/api/v1/commands", "viewer", api.commands),
            ("GET", "/api/v1/commands/{command_id}", "viewer", api.command),
            ("POST", "/api/v1/devices/{device_id}/commands", "operator", api.run_command),
            ("GET", "/api/v1/history", "viewer", past.history),
            ("GET", "/api/v1/statistics", "viewer", past.statistics),
            ("GET", "/api/v1/fleet", "viewer", past.fleet),
            ("GET", "/api/v1/events", "viewer", past.events),
            ("GET", "/api/v1/span", "viewer", past.span),
            ("GET", "/api/v1/report", "viewer", ReportApi(self, past).report),
        ]

    # ----- handlers ---------------------------------------------------------------------------------------

    async def _index(self, request: web.Request) -> web.StreamResponse:
        token = request.query.get("token")
        if token is None:
            return await self._assets.response("index.html", request)
        # The printed link: trade the token for a cookie, and get it out of the address bar and the history.
        response = web.Response(status=303, headers={"Location": "/", "Cache-Control": "no-store"})
        address = request.remote or ""
        if self.access.is_open:
            return response
        if not self.access.is_blocked(address, self.clock()) and self.access.token_matches(token):
            response.set_cookie(
                self.guard.cookie_name,
                self.access.cookie,
                max_age=COOKIE_MAX_AGE_S,
                path="/",
                httponly=True,
                samesite="Strict",
                secure=request.secure,
            )
        else:
            self.access.note_failure(address, self.clock())
            self.counters.refused += 1
        return response

    async def _static(self, request: web.Request) -> web.StreamResponse:
        return await self._assets.response(request.match_info["name"], request)

    async def _favicon(self, request: web.Request) -> web.StreamResponse:
        return await self._assets.response("img/favicon.svg", request)

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        address = request.remote or ""
        refusal = self.admission.enter(address, self.clock(), self._random())
        if refusal is not None:
            self.counters.turned_away += 1
            response = error_response("busy", refusal.reason, 503, {"Retry-After": str(refusal.retry_after_s)})
            response.force_close()  # it comes back later, so its connection is of no use meanwhile
            return response
        try:
            if bearer(request.headers.get("Authorization")) is not None and self.guard.role_of(request) is None:
                self.counters.refused += 1
                return error_response("unauthorized", "this is not the token of this server", 401)
            return await Connection(self, request).run(self.guard.role_of(request))
        finally:
            self.admission.leave(address)


def _max_descriptors() -> int | None:
    """How many files and sockets this process may open; None where there is no such limit."""
    if sys.platform == "win32":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft
