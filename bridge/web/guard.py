"""What stands around every handler.

Before it: host, role and origin. After it: security headers, and the one error shape.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web

from bridge.core.counters import Counters
from bridge.errors import ProtocolError
from bridge.sources.source import Clock
from bridge.web.access import Access, bearer
from bridge.web.responses import error_response

log = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

ROLES = {"public": 0, "viewer": 1, "operator": 2}

CSP = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    # Plotly writes inline styles, hence unsafe-inline for styles only.
    "style-src 'self' 'unsafe-inline'; font-src 'self'; manifest-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
RETRY_AFTER_FAILURES_S = "300"


class Guard:
    """The checks of one server."""

    def __init__(self, access: Access, counters: Counters, clock: Clock) -> None:
        self.port = 0  # set when the server is bound
        self._access = access
        self._counters = counters
        self._clock = clock

    @property
    def cookie_name(self) -> str:
        # Cookies do not know ports: two servers on one machine must not overwrite each other's.
        return f"fleetwire_{self.port}"

    def role_of(self, request: web.Request) -> str | None:
        """Who asks: by bearer token, or by cookie. None: nobody we know."""
        access = self._access
        if access.is_open:
            return "operator"
        token = bearer(request.headers.get("Authorization"))
        cookie = request.cookies.get(self.cookie_name)
        address = request.remote or ""
        if token is not None:
            if access.is_blocked(address, self._clock()):
                return None
            if access.token_matches(token):
                return "operator"
            access.note_failure(address, self._clock())
        elif cookie is not None and access.cookie_matches(cookie):
            # Also while the address is blocked: any page can make the operator's own browser guess (`/?token=x` as an
            # image), and must not be able to lock the operator out.
            return "operator"
        return None

    def requires(self, role: str, handler: Handler) -> Handler:
        """The handler, behind the check of role and origin."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            return self._refusal(request, role) or await handler(request)

        return guarded

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response: web.StreamResponse
        try:
            if self._access.host_allowed(request.headers.get("Host")):
                response = await handler(request)
            else:
                self._counters.refused += 1
                response = error_response(
                    "forbidden", "this server is not known by that name; see web.allowed_hosts", 403
                )
        except ProtocolError as error:
            response = error_response(error.code, error.message)
        except web.HTTPException as error:
            response = _as_response(error)
        except (ConnectionResetError, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            response = error_response("internal", "something went wrong on our side; it is in the log", 500)
        if not response.prepared:
            response.headers.update(SECURITY_HEADERS)
        return response

    def _refusal(self, request: web.Request, needed: str) -> web.Response | None:
        """The answer to a request that may not go on; None when it may."""
        role = self.role_of(request) if needed != "public" else None
        if ROLES[needed] > ROLES[role or "public"]:
            self._counters.refused += 1
            if self._access.is_blocked(request.remote or "", self._clock()):
                retry = {"Retry-After": RETRY_AFTER_FAILURES_S}
                return error_response("rate_limited", "too many wrong tokens; wait some minutes", 429, retry)
            return error_response("unauthorized", "a token is needed", 401, {"WWW-Authenticate": "Bearer"})
        if self._is_forged(request):
            self._counters.refused += 1
            return error_response("forbidden", "requests from that origin are not accepted", 403)
        return None

    def _is_forged(self, request: web.Request) -> bool:
        """Whether this may be a foreign page riding on the browser's cookie, or on the lack of any authentication."""
        if request.method in ("GET", "HEAD") and request.path != "/ws":
            return False  # changes nothing, and a foreign page cannot read the answer
        origin = request.headers.get("Origin")
        if origin is None:
            # No browser leaves it out where it matters, so the cookie must not count without it.
            has_bearer = bearer(request.headers.get("Authorization")) is not None
            return self.cookie_name in request.cookies and not has_bearer and not self._access.is_open
        return not self._access.origin_allowed(origin, request.scheme, request.headers.get("Host"))


def _as_response(error: web.HTTPException) -> web.Response:
    if error.status < 400:
        return web.Response(status=error.status, headers=error.headers)
    if error.status == 404:
        return error_response("not_found", "there is nothing at this address", 404)
    allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    return error_response("invalid_message", error.reason, error.status, allow)
