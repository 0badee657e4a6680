"""The HTTP API: what is asked of the bridge, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from tests.unit.web.helpers import BEARER, Site

DEVICE_COMMANDS = "/api/v1/devices/d/commands"


async def get(site: Site, path: str) -> tuple[int, Any]:
    async with site.http.get(URL(site.url + path, encoded=True), headers=BEARER) as response:
        return response.status, await response.json()


async def post(site: Site, body: Any, path: str = DEVICE_COMMANDS) -> tuple[int, Any]:
    kwargs = {"data": body} if isinstance(body, bytes) else {"json": body}
    async with site.http.post(URL(site.url + path, encoded=True), headers=BEARER, **kwargs) as response:
        return response.status, await response.json()


@pytest.mark.parametrize(
    ("path", "asked", "answer"),
    [
        ("/api/v1/devices", ("devices", None), {"devices": [{"device_id": "d"}]}),
        ("/api/v1/devices/d", ("device", "d"), {"device_id": "d"}),
        ("/api/v1/series", ("series", None), {"series": []}),
        ("/api/v1/series?device_id=a%2Fb", ("series", "a/b"), {"series": []}),
        ("/api/v1/commands", ("recent_commands", None), {"commands": []}),
        ("/api/v1/commands?device_id=d", ("recent_commands", "d"), {"commands": []}),
        ("/api/v1/commands/c-1", ("find_command", "c-1"), {"id": "c-1"}),
        ("/api/v1/rejections", ("rejections", None), {"rejections": []}),
    ],
)
async def test_questions(site: Site, path: str, asked: tuple[str, Any], answer: Any) -> None:
    assert await get(site, path) == (200, answer)
    assert site.operations.asked == [asked]


@pytest.mark.parametrize(
    ("encoded", "device_id"),
    [
        ("a%2Fb", "a/b"),
        ("a%2fb%2Fc", "a/b/c"),
        ("%2F", "/"),
        ("a%20b", "a b"),
        ("a+b", "a+b"),
        ("%C3%A4%F0%9F%92%A5", "ä💥"),
        ("100%25", "100%"),
        ("a%252Fb", "a%2Fb"),
        ("a%3Fb%23c", "a?b#c"),
        ("__proto__", "__proto__"),
        ("%3Cscript%3E", "<script>"),
        ("plain:d", "plain:d"),
        ("...", "..."),
    ],
)
async def test_device_ids_are_percent_encoded(site: Site, encoded: str, device_id: str) -> None:
    assert await get(site, f"/api/v1/devices/{encoded}") == (200, {"device_id": device_id})
    status, record = await post(site, {"name": "set"}, f"/api/v1/devices/{encoded}/commands")
    assert (status, record["device_id"]) == (202, device_id)


async def test_a_command_is_handed_on(site: Site) -> None:
    status, record = await post(site, {"id": "mine", "name": "set", "args": {"v": [1]}, "ttl_ms": 500})
    assert (status, record) == (202, {"id": "mine", "device_id": "d", "state": "accepted"})
    assert site.operations.asked == [("run_command", ("d", "mine", "set", {"v": [1]}, 500, "http"))]


async def test_a_command_without_an_id_gets_one(site: Site) -> None:
    ids = {(await post(site, {"name": "set"}))[1]["id"] for _ in range(3)}
    assert len(ids) == 3
    assert all(len(command_id) == 32 for command_id in ids)
    assert (await post(site, {"id": 7, "name": "set"}))[1]["id"] == "7"


@pytest.mark.parametrize(
    ("wait", "waited"), [("2.5", 2.5), ("1000", 60.0), ("inf", 60.0), ("-1", None), ("0", None), ("nan", None)]
)
async def test_wait_answers_when_the_command_has_ended(site: Site, wait: str, waited: float | None) -> None:
    status, record = await post(site, {"id": "w", "name": "set"}, f"{DEVICE_COMMANDS}?wait={wait}")
    if waited is None:
        assert (status, len(site.operations.asked)) == (202, 1)
    else:
        assert (status, record["state"]) == (200, "succeeded")
        assert site.operations.asked[1] == ("wait_for_command", ("w", waited))


async def test_a_command_that_ended_at_once_is_200(site: Site) -> None:
    site.operations.state = "failed"
    assert (await post(site, {"name": "set"}))[0] == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"\xff", "invalid_json"),
        (b"[" * 50_000, "invalid_message"),
        (b'{"name": "set", "args": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001, "invalid_json"),
        ([], "invalid_message"),
        ("text", "invalid_message"),
        ({}, "invalid_message"),
        ({"name": ""}, "invalid_message"),
        ({"name": 5}, "invalid_message"),
        ({"name": "set", "args": []}, "invalid_message"),
        ({"name": "set", "args": None}, "invalid_message"),
        ({"name": "set", "id": ""}, "invalid_message"),
        ({"name": "set", "id": "x" * 65}, "invalid_message"),
        ({"name": "set", "id": True}, "invalid_message"),
        ({"name": "set", "ttl_ms": "500"}, "invalid_message"),
        ({"name": "set", "ttl": 500}, "invalid_message"),  # a misspelt limit is no limit
    ],
)
async def test_a_broken_command_is_refused(site: Site, body: Any, code: str) -> None:
    status, answer = await post(site, body)
    assert (status, answer["error"]["code"]) == (400, code)
    assert site.operations.asked == []


async def test_a_wait_that_is_no_number_is_refused_before_anything_is_sent(site: Site) -> None:
    status, answer = await post(site, {"name": "set"}, f"{DEVICE_COMMANDS}?wait=soon")
    assert (status, answer["error"]["code"]) == (400, "invalid_message")
    assert site.operations.asked == []


async def test_a_body_that_is_too_large_is_refused(site: Site) -> None:
    status, answer = await post(site, {"name": "set", "args": {"v": "x" * 100_000}})
    assert (status, answer["error"]["code"]) == (413, "invalid_message")


async def test_numbers_that_json_does_not_know_are_null(site: Site) -> None:
    site.operations.device = lambda device_id: {"value": float("nan")}  # type: ignore[method-assign]
    assert await get(site, "/api/v1/devices/d") == (200, {"value": None})


async def test_health_and_readiness(site: Site) -> None:
    assert await get(site, "/healthz") == (200, {"status": "ok", "problems": [], "notices": []})
    site.operations.unready = ["mqtt is disconnected"]
    assert (await get(site, "/healthz"))[0] == 200
    assert await get(site, "/readyz") == (
        503,
        {"status": "failing", "problems": ["mqtt is disconnected"], "notices": []},
    )
