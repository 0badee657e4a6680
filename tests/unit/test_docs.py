"""docs/ and the code say the same: codes, messages, counters, routes, settings."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import msgspec
import pytest

from bridge.core.commands import State
from bridge.core.counters import Counters
from bridge.core.model import Availability, Kind, Quality
from bridge.live import messages
from bridge.live.messages import DEVICE, FLEET, LOG, REPLAY, STATS
from bridge.settings import Section, Settings
from bridge.web.responses import STATUS_OF_CODE
from bridge.web.server import Server

RAISING = {"ProtocolError", "CommandError", "error_packet", "error_response"}
PROTOCOL = Path("docs/protocol.md").read_text(encoding="utf-8")
ARCHITECTURE = Path("docs/architecture.md").read_text(encoding="utf-8")


def section(title: str, level: str = "###") -> str:
    """The text below a heading, up to the next one of the same or a higher level."""
    found = re.search(rf"^{level} {title}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", PROTOCOL, re.DOTALL | re.MULTILINE)
    assert found, title
    return found.group(1)


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in a text, without heads and rules."""
    lines = [line.strip().strip("|") for line in text.splitlines() if line.startswith("|")]
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines if not re.fullmatch(r"[-| ]+", line)
    ]


def first_words(text: str) -> set[str]:
    return {row[0].strip("`") for row in rows(text) if row[0].startswith("`")}


def test_error_codes() -> None:
    assert first_words(section("Errors")) == messages.ERROR_CODES
    assert set(STATUS_OF_CODE) <= messages.ERROR_CODES


def test_every_code_that_the_code_raises_is_one_of_them() -> None:
    raised = set()
    for path in Path("bridge").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RAISING:
                raised |= {argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant)}
    assert len(raised) > 10
    assert raised <= messages.ERROR_CODES


def test_close_codes() -> None:
    told = {int(code) for code in re.findall(r"\b(\d{4}) [a-z]", section("Close codes").split("4500-4999")[1])}
    ours = {value for name, value in vars(messages).items() if name.startswith("CLOSE_")}
    assert ours <= told
    # aiohttp closes with the one; the other is kept for when tokens can be revoked
    assert told - ours <= {1009, 4503}


def test_messages_from_the_client_and_their_fields() -> None:
    table = {row[0].strip("`"): row[1] for row in rows(section("From the client")) if row[0].startswith("`")}
    assert set(table) == set(messages.TYPES)
    for name, type_ in messages.TYPES.items():
        told = {field.strip("`?") for field in table[name].split(", ") if field}
        optional = {field.strip("`?") for field in table[name].split(", ") if field.strip("`").endswith("?")}
        fields = msgspec.structs.fields(type_)
        assert told == {field.name for field in fields}, name
        assert {field.name for field in fields if field.default is None} == optional, name


def test_messages_from_the_server() -> None:
    told = first_words(section("From the server"))
    told |= set(re.findall(r'"type": "(\w+)"', PROTOCOL))
    sent = {"snapshot", "device", "series", "stats"}  # these are put together from bytes, in live/hub.py
    for path in Path("bridge").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        sent |= set(re.findall(r'json_packet\(\s*"(\w+)"', text))
        sent |= set(re.findall(r'"type": "(\w+)"', text)) if path.parent.name == "live" else set()
    assert {"welcome", "auth_required", "pong", "readings", "stats", "source", "presence", "note"} <= sent
    assert sent <= told


def test_counters() -> None:
    told = section("Counters")
    assert first_words(told) >= {*Counters.FIELDS, "rejected"}
    for field, text in Counters.FIELDS.items():
        assert [row[1] for row in rows(told) if row[0] == f"`{field}`"] == [text]


def test_the_page_has_words_for_every_counter() -> None:
    told = set(re.findall(r'(?:count|bytes)\("(\w+)"', Path("dashboard/js/hops.js").read_text(encoding="utf-8")))
    assert told == {*Counters.FIELDS, "rejected", "broker_dropped"}


def test_routes() -> None:
    told = set(re.findall(r"`((?:GET|POST) /[^`?]*)", section("HTTP", "##")))
    told.add("GET /ws")  # has a chapter of its own
    assert "`GET /ws`" in PROTOCOL
    routes = {f"{method} {path}" for method, path, _, _ in Server.routes(_ServerWithoutBridge())}  # type: ignore[arg-type]
    ours = {re.sub(r"\{command_id\}", "{id}", route) for route in routes}
    files = {"GET /static/{name:.+}", "GET /favicon.ico"}  # the page's own business
    assert ours - files == told


class _ServerWithoutBridge:
    """As much of a server as `routes` asks for."""

    operations = None
    _index = _static = _favicon = _socket = None


@pytest.mark.parametrize("words", [State, Availability, Kind, Quality])
def test_words_of_the_model(words: type) -> None:
    for word in words:  # type: ignore[attr-defined]
        assert re.search(rf"\b{word}\b", PROTOCOL), word


def test_channels_and_subprotocols() -> None:
    assert {row[0].strip("`") for row in rows(section("Channels"))[1:]} == {
        FLEET, f"{DEVICE}<device_id>", LOG, STATS, REPLAY
    }  # fmt: skip
    assert f"`{messages.SUBPROTOCOL_BINARY}`" in PROTOCOL
    assert f"`{messages.SUBPROTOCOL_JSON}`" in PROTOCOL


def test_setting_sections_are_explained_where_people_change_them() -> None:
    shipped = Path("config/fleetwire.toml").read_text(encoding="utf-8")
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, Section):
            first_line = (type(field.default).__doc__ or "").strip().splitlines()[0]
            assert f"# ----- {first_line}\n[{name}]\n" in shipped


def test_files_that_the_docs_name_exist() -> None:
    for text in (PROTOCOL, ARCHITECTURE):
        for name in re.findall(r"`((?:bridge|tests|config|docs|dashboard|simulators)/[\w/.-]+\.\w+)`", text):
            assert Path(name).exists(), name
