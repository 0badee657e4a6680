"""JSON answers, and the one shape that every error has."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

STATUS_OF_CODE = {
    "invalid_json": 400,
    "invalid_message": 400,
    "invalid_arguments": 422,
    "unauthorized": 401,
    "forbidden": 403,
    "unknown_device": 404,
    "unknown_command": 404,
    "not_found": 404,
    "no_history": 404,
    "id_reused": 409,
    "device_offline": 409,
    "busy": 429,
    "rate_limited": 429,
    "not_available": 501,
    "broker_unavailable": 503,
    "internal": 500,
}


def json_response(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """JSON as msgspec writes it: NaN and infinities are null."""
    return web.Response(body=msgspec.json.encode(data), status=status, content_type="application/json", headers=headers)


def error_response(
    code: str, message: str, status: int | None = None, headers: dict[str, str] | None = None
) -> web.Response:
    """The one error shape."""
    return json_response(
        {"error": {"code": code, "message": message}}, status or STATUS_OF_CODE.get(code, 400), headers
    )
