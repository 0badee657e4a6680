"""What stands around every handler: roles, origins, hosts, headers, the one error shape. Iterates the route table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bridge.errors import ProtocolError
from bridge.web.access import FAILURE_WINDOW_US, MAX_FAILURES
from bridge.web.guard import CSP, ROLES, SECURITY_HEADERS
from bridge.web.responses import STATUS_OF_CODE
from tests.unit.web.helpers import BEARER, TOKEN, Site, running

COMMANDS = "/api/v1/devices/d/commands"
COMMAND = {"name": "set"}
PAST = {"/api/v1/history", "/api/v1/statistics", "/api/v1/fleet", "/api/v1/events", "/api/v1/span", "/api/v1/report"}
"""Answered with 404 here: the server of these tests has no history."""


def example(path: str) -> str:
    """A path of that route."""
    return re.sub(r"\{name[^}]*\}", "js/main.js", re.sub(r"\{\w+\}", "some-id", path))


async def error(response: aiohttp.ClientResponse) -> str:
    """The code of an error answer, whose shape and headers are checked."""
    check_headers(response)
    assert response.status >= 400
    assert response.headers["Content-Type"].startswith("application/json")
    body = await response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message"}
    assert body["error"]["message"]
    code: str = body["error"]["code"]
    return code


def check_headers(response: aiohttp.ClientResponse) -> None:
    for name, value in SECURITY_HEADERS.items():
        assert response.headers.getall(name) == [value]


def test_the_policy_forbids_what_the_page_does_not_need() -> None:
    policy = dict(part.strip().split(" ", 1) for part in CSP.split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == "'none'"
    assert "unsafe-eval" not in CSP
    assert "*" not in CSP
    assert SECURITY_HEADERS["X-Content-Type-Options"] == "nosniff"
    assert SECURITY_HEADERS["Referrer-Policy"] == "no-referrer"


async def test_every_route_has_a_role_and_only_these_are_public(site: Site) -> None:
    routes = site.server.routes()
    assert all(role in ROLES for _, _, role, _ in routes)
    assert {(method, path) for method, path, role, _ in routes if role == "public"} == {
        ("GET", "/"),
        ("GET", "/static/{name:.+}"),
        ("GET", "/favicon.ico"),
        ("GET", "/ws"),  # authenticates for itself
        ("GET", "/healthz"),
        ("GET", "/readyz"),
    }
    assert all(role == "operator" for method, _, role, _ in routes if method not in ("GET", "HEAD"))
    assert len(routes) >= 14


WRONG: list[dict[str, str]] = [
    {},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer wrong"},
    {"Authorization": f"Bearer {TOKEN[:-1]}"},
    {"Authorization": f"Basic {TOKEN}"},
    {"Cookie": "fleetwire_PORT=wrong"},
    {"Cookie": f"fleetwire_PORT={TOKEN}"},
    {"Cookie": "fleetwire_PORT="},
    {"Cookie": "other=COOKIE"},
    {"X-Forwarded-For": "127.0.0.1"},
    {"X-Forwarded-User": "admin"},
]


@pytest.mark.parametrize("headers", WRONG, ids=[str(headers)[:40] for headers in WRONG])
async def test_every_route_that_is_not_public_refuses_who_has_no_token(site: Site, headers: dict[str, str]) -> None:
    sent = {
        name: value.replace("PORT", str(site.port)).replace("COOKIE", site.access.cookie)
        for name, value in headers.items()
    }
    for method, path, role, _ in site.server.routes():
        if role == "public":
            continue
        site.now_us += FAILURE_WINDOW_US  # there are more routes than wrong tokens that an address has in that time
        async with site.http.request(method, site.url + example(path), headers=sent, json=COMMAND) as response:
            assert await error(response) == "unauthorized"
            assert response.status == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"
    async with site.http.get(f"{site.url}/metrics?token={TOKEN}", headers=sent) as response:
        assert response.status == 401  # a token in a URL ends up in logs
    assert site.operations.asked == []
    assert site.counters.refused >= 9


async def test_every_route_lets_in_who_has_the_token(site: Site) -> None:
    for method, path, _, _ in site.server.routes():
        if path == "/ws":
            continue
        body = {"json": COMMAND} if method == "POST" else {}
        async with site.http.request(method, site.url + example(path), headers=BEARER, **body) as response:
            assert response.status == 404 if path in PAST else response.status < 300, path
            check_headers(response)


async def test_a_viewer_may_not_command(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.server.guard, "role_of", lambda request: "viewer")
    for method, path, role, _ in site.server.routes():
        if path == "/ws":
            continue
        body = {"json": COMMAND} if method == "POST" else {}
        async with site.http.request(method, site.url + example(path), **body) as response:
            assert (response.status == 401) == (role == "operator")
    assert not any(question == "run_command" for question, _ in site.operations.asked)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/api/v1/devices/", 404, "not_found"),
        ("GET", "/api/v2/devices", 404, "not_found"),
        ("GET", "/static/nothing.js", 404, "not_found"),
        ("GET", "/.git/config", 404, "not_found"),
        ("POST", "/", 405, "invalid_message"),
        ("PUT", "/api/v1/devices", 405, "invalid_message"),
        ("DELETE", "/api/v1/devices/d", 405, "invalid_message"),
        ("GET", "/api/v1/devices/d/commands", 405, "invalid_message"),
        ("OPTIONS", "/api/v1/devices", 405, "invalid_message"),
        ("TRACE", "/healthz", 405, "invalid_message"),
    ],
)
async def test_every_error_has_the_one_shape(site: Site, method: str, path: str, status: int, code: str) -> None:
    async with site.http.request(method, site.url + path, headers=BEARER) as response:
        assert await error(response) == code
        assert response.status == status
        assert "Access-Control-Allow-Origin" not in response.headers
        if status == 405:
            assert response.headers["Allow"]


async def test_no_answer_carries_the_token(site: Site) -> None:
    for path in ("/", "/healthz", "/nothing", "/metrics", "/api/v1/devices", "/static/js/main.js"):
        async with site.http.get(site.url + path, headers=BEARER) as response:
            assert TOKEN not in await response.text()
            assert TOKEN not in str(response.headers)


async def test_errors_of_the_bridge_keep_their_code_and_our_own_say_nothing(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    for code, status in STATUS_OF_CODE.items():
        site.operations.raises = ProtocolError(code, "because")
        async with site.http.get(f"{site.url}/api/v1/devices", headers=BEARER) as response:
            assert (await error(response), response.status) == (code, status)
    site.operations.raises = RuntimeError("a secret detail")
    async with site.http.get(f"{site.url}/api/v1/devices", headers=BEARER) as response:
        assert (await error(response), response.status) == ("internal", 500)
        assert "secret" not in await response.text()
    assert "a secret detail" in caplog.text


# ----- hosts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "evil.example:PORT", ""]
)
@pytest.mark.parametrize("path", ["/", "/api/v1/devices", "/ws", "/static/js/main.js", "/nothing"])
async def test_a_foreign_host_is_refused_even_with_the_token(site: Site, host: str, path: str) -> None:
    headers = {"Host": host.replace("PORT", str(site.port)), **BEARER}
    async with site.http.get(site.url + path, headers=headers) as response:
        assert (await error(response), response.status) == ("forbidden", 403)
    assert site.operations.asked == []
    assert site.counters.refused == 1


async def test_a_host_that_is_listed_is_known(dashboard: Path) -> None:
    async with running(dashboard, allowed_hosts=["dash.example"]) as site:
        headers = {"Host": "dash.example:443", **BEARER}
        async with site.http.get(f"{site.url}/api/v1/devices", headers=headers) as response:
            assert response.status == 200


# ----- cookies and origins ----------------------------------------------------------------------------------


async def test_the_printed_link_trades_the_token_for_a_cookie(site: Site) -> None:
    async with site.http.get(f"{site.url}/?token={TOKEN}", allow_redirects=False) as response:
        assert response.status == 303
        assert response.headers["Location"] == "/"
        assert response.headers["Cache-Control"] == "no-store"
        check_headers(response)
        cookie = response.headers["Set-Cookie"]
        assert TOKEN not in str(response.headers)
        assert TOKEN not in await response.text()
    assert cookie.startswith(f"fleetwire_{site.port}={site.access.cookie};")
    flags = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= flags
    assert "secure" not in flags  # plain http on loopback

    headers = {"Cookie": cookie.split(";")[0]}
    async with site.http.get(f"{site.url}/api/v1/devices", headers=headers) as response:
        assert response.status == 200


@pytest.mark.parametrize("token", ["wrong", "", TOKEN[:-1], TOKEN + "%00"])
async def test_a_link_with_a_wrong_token_sets_no_cookie_and_counts(site: Site, token: str) -> None:
    async with site.http.get(f"{site.url}/?token={token}", allow_redirects=False) as response:
        assert response.status == 303
        assert "Set-Cookie" not in response.headers
    assert site.counters.refused == 1


async def test_a_cookie_needs_the_origin_of_our_own_page_to_change_anything(site: Site) -> None:
    url = site.url + COMMANDS
    for origin in (
        {},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": f"http://localhost:{site.port}"},  # another name than the one asked for
        {"Origin": f"https://127.0.0.1:{site.port}"},
        {"Origin": f"http://127.0.0.1:{site.port + 1}"},
        {"Origin": f"{site.url}.evil.example"},
    ):
        async with site.http.post(url, json=COMMAND, headers={**site.cookie, **origin}) as response:
            assert (await error(response), response.status) == ("forbidden", 403)
    assert site.operations.asked == []
    async with site.http.post(url, json=COMMAND, headers={**site.cookie, **site.origin}) as response:
        assert response.status == 202


async def test_a_program_with_the_token_needs_no_origin_but_a_foreign_one_is_refused(site: Site) -> None:
    async with site.http.post(site.url + COMMANDS, json=COMMAND, headers=BEARER) as response:
        assert response.status == 202
    async with site.http.post(
        site.url + COMMANDS, json=COMMAND, headers={**BEARER, "Origin": "http://evil.example"}
    ) as response:
        assert response.status == 403


async def test_without_authentication_a_foreign_page_still_changes_nothing(dashboard: Path) -> None:
    async with running(dashboard, token=None, auth="none") as site:
        for origin in ("http://evil.example", "null"):
            async with site.http.post(site.url + COMMANDS, json=COMMAND, headers={"Origin": origin}) as response:
                assert response.status == 403
        for headers in ({}, site.origin):
            async with site.http.post(site.url + COMMANDS, json=COMMAND, headers=headers) as response:
                assert response.status == 202


async def test_a_listed_origin_is_let_in(dashboard: Path) -> None:
    async with running(dashboard, allowed_origins=["https://dash.example"]) as site:
        headers = {**site.cookie, "Origin": "https://dash.example"}
        async with site.http.post(site.url + COMMANDS, json=COMMAND, headers=headers) as response:
            assert response.status == 202


async def test_the_cookie_of_another_port_is_not_ours(site: Site) -> None:
    headers = {"Cookie": f"fleetwire_{site.port + 1}={site.access.cookie}"}
    async with site.http.get(f"{site.url}/api/v1/devices", headers=headers) as response:
        assert response.status == 401


# ----- guessing ---------------------------------------------------------------------------------------------


async def guess(site: Site, headers: dict[str, str]) -> int:
    async with site.http.get(f"{site.url}/api/v1/devices", headers=headers) as response:
        if response.status == 429:
            assert await error(response) == "rate_limited"
            assert int(response.headers["Retry-After"]) > 0
        return response.status


async def test_who_guesses_is_blocked_for_a_while_forged_headers_or_not(site: Site) -> None:
    for number in range(MAX_FAILURES):
        headers = {"Authorization": f"Bearer guess{number}", "X-Forwarded-For": f"10.0.0.{number}"}
        assert await guess(site, headers) == (401 if number < MAX_FAILURES - 1 else 429)
    assert await guess(site, BEARER) == 429  # or the last guess would tell
    async with site.http.get(f"{site.url}/?token={TOKEN}", allow_redirects=False) as response:
        assert "Set-Cookie" not in response.headers
    site.now_us += FAILURE_WINDOW_US + 1
    assert await guess(site, BEARER) == 200


async def test_guesses_over_http_the_link_and_the_socket_count_together(site: Site) -> None:
    for number in range(MAX_FAILURES):
        if number % 3 == 0:
            await guess(site, {"Authorization": "Bearer wrong"})
        elif number % 3 == 1:
            async with site.http.get(f"{site.url}/?token=wrong", allow_redirects=False):
                pass
        else:
            async with site.ws() as ws:
                await ws.send_json({"type": "auth", "token": "wrong"})
                await ws.receive(timeout=5)
    assert await guess(site, BEARER) == 429


async def test_a_page_that_is_logged_in_is_not_locked_out_by_guesses_made_in_its_browser(site: Site) -> None:
    """A foreign page can load `/?token=x` as an image, ten times, from the operator's own address."""
    for _ in range(MAX_FAILURES + 5):
        async with site.http.get(f"{site.url}/?token=x", allow_redirects=False):
            pass
    assert await guess(site, {}) == 429
    assert await guess(site, site.cookie) == 200
    async with site.ws(headers={**site.cookie, **site.origin}) as ws:
        assert (await ws.receive_json(timeout=5))["type"] == "welcome"


async def test_a_wrong_cookie_is_no_guess(site: Site) -> None:
    for _ in range(MAX_FAILURES + 1):  # a page that was left open while the installation changed
        assert await guess(site, {"Cookie": f"fleetwire_{site.port}=old"}) == 401
    assert await guess(site, BEARER) == 200


async def test_health_tells_no_details_without_a_token(site: Site) -> None:
    site.operations.trouble = ["the ticker has ended"]
    for path in ("/healthz", "/readyz"):
        async with site.http.get(site.url + path) as response:
            body: dict[str, Any] = await response.json()
            assert (response.status, body) == (503, {"status": "failing"})
            assert response.headers["Cache-Control"] == "no-store"
        async with site.http.get(site.url + path, headers=BEARER) as response:
            assert await response.json() == {"status": "failing", "problems": ["the ticker has ended"], "notices": []}
