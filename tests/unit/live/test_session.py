"""One dashboard's conversation: what it may say, and what it is answered."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import CommandError, ProtocolError
from bridge.live.hub import LiveLimits
from bridge.live.messages import ERROR_CODES, TYPES
from bridge.live.session import ALLOWED, MESSAGES_AT_ONCE, MESSAGES_PER_S
from tests.unit.live.helpers import NOW_US, Plane, error_of

COMMAND = {"type": "command", "id": "c1", "device_id": "d", "name": "set", "args": {"v": 1}, "ttl_ms": 500}
EXAMPLES: dict[str, dict[str, Any]] = {
    "auth": {"type": "auth", "token": "t"},
    "subscribe": {"type": "subscribe", "id": "1", "channel": "fleet"},
    "unsubscribe": {"type": "unsubscribe", "id": "1"},
    "replay": {"type": "replay", "id": "1", "speed": 10},
    "command": COMMAND,
    "note": {"type": "note", "text": "hello"},
    "ping": {"type": "ping"},
    "pong": {"type": "pong"},
}


@pytest.fixture
def plane() -> Plane:
    return Plane()


def test_ping_is_answered_with_pong_and_from_then_on_it_is_known_to_ping(plane: Plane) -> None:
    client = plane.client()
    assert not client.session.answers_pings
    assert client.says({"type": "ping", "id": "p", "client_time_ms": 12.5}) == [
        {"type": "pong", "id": "p", "client_time_ms": 12.5, "server_time_ms": NOW_US / 1000}
    ]
    assert client.session.answers_pings
    assert client.says({"type": "ping"})[0]["id"] is None


def test_who_says_too_much_is_told_so_and_may_go_on_after_a_while(plane: Plane) -> None:
    client = plane.client()
    for _ in range(MESSAGES_AT_ONCE):
        assert client.says({"type": "ping"})[0]["type"] == "pong"
    assert error_of(client.says({"type": "ping"})) == ("rate_limited", None)
    plane.now_us += 1_000_000
    answers = [client.says({"type": "ping"})[0]["type"] for _ in range(MESSAGES_PER_S + 1)]
    assert answers == ["pong"] * MESSAGES_PER_S + ["error"]


def test_every_message_type_is_in_the_examples_and_a_role_decides_on_each() -> None:
    assert set(EXAMPLES) == set(TYPES)


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("viewer", {"subscribe", "unsubscribe", "replay", "ping", "pong"}),
        ("operator", {"subscribe", "unsubscribe", "replay", "ping", "pong", "command", "note"}),
        ("nobody", set()),
    ],
)
def test_roles_are_checked_for_each_message(plane: Plane, role: str, may: set[str]) -> None:
    client = plane.client(role=role)
    for name, raw in EXAMPLES.items():
        answers = client.says(raw)
        code = answers[0].get("code") if answers else None
        if name == "auth":
            assert code == "invalid_message"
        else:
            assert (code != "forbidden") == (name in may), name
    assert bool(plane.operations.commands) == ("command" in may)
    assert bool(plane.hub.notes) == ("note" in may)


def test_a_role_that_is_lowered_loses_its_rights_at_the_next_message(plane: Plane) -> None:
    client = plane.client()
    assert client.says(COMMAND) == []
    client.session.role = "viewer"
    assert error_of(client.says(COMMAND | {"id": "c2"})) == ("forbidden", "c2")
    assert len(plane.operations.commands) == 1


def test_every_role_allows_only_known_types() -> None:
    assert all(allowed <= set(TYPES.values()) for allowed in ALLOWED.values())


def test_a_command_is_handed_on_with_its_id_as_the_idempotency_key(plane: Plane) -> None:
    client = plane.client()
    assert client.says(COMMAND) == []  # everybody is told by broadcast
    client.says(COMMAND | {"id": 7})
    assert plane.operations.commands == [
        ("d", "c1", "set", {"v": 1}, 500, client.session.session_id),
        ("d", "7", "set", {"v": 1}, 500, client.session.session_id),
    ]


def test_a_command_that_was_known_is_told_to_the_sender_alone(plane: Plane) -> None:
    plane.operations.is_new = False
    client = plane.client()
    assert client.says(COMMAND) == [{"type": "command", "id": "c1", "device_id": "d", "state": "accepted"}]


@pytest.mark.parametrize("error", [CommandError("busy", "wait"), ProtocolError("broker_unavailable", "gone", "other")])
def test_a_refused_command_is_an_error_with_its_id(plane: Plane, error: ProtocolError) -> None:
    plane.operations.refuse_with = error
    assert error_of(plane.client().says(COMMAND)) == (error.code, "c1")


def test_our_own_failure_is_told_as_internal_without_details(plane: Plane, caplog: pytest.LogCaptureFixture) -> None:
    plane.operations.refuse_with = RuntimeError("a secret detail")
    answers = plane.client().says(COMMAND)
    assert error_of(answers) == ("internal", "c1")
    assert "secret" not in json.dumps(answers)
    assert "a secret detail" in caplog.text


def test_ids_of_subscriptions(plane: Plane) -> None:
    client = plane.client()
    client.subscribes("fleet", "1")
    assert error_of(client.subscribes("log", "1")) == ("id_reused", "1")
    assert error_of(client.subscribes("fleet", "2")) == ("id_reused", "2")  # it follows that one already
    assert client.subscribes("log", 1)[0]["id"] == 1  # a number is another id than the text
    assert error_of(client.says({"type": "unsubscribe", "id": "3"})) == ("unknown_channel", "3")
    assert client.says({"type": "unsubscribe", "id": "1"}) == []
    assert error_of(client.says({"type": "unsubscribe", "id": "1"})) == ("unknown_channel", "1")
    assert client.subscribes("fleet", "1")[0]["type"] == "snapshot"


def test_subscriptions_are_limited() -> None:
    plane = Plane(limits=LiveLimits(max_subscriptions=2))
    for name in "abc":
        plane.says(name, n=1)
    plane.flush()
    client = plane.client()
    client.subscribes("device/a", "1")
    client.subscribes("device/b", "2")
    assert error_of(client.subscribes("device/c", "3")) == ("too_many_subscriptions", "3")
    client.says({"type": "unsubscribe", "id": "1"})
    assert client.subscribes("device/c", "3")[0]["type"] == "snapshot"


def test_a_refused_subscription_leaves_no_follower(plane: Plane) -> None:
    client = plane.client()
    client.subscribes("nothing")
    client.subscribes("device/none")
    plane.says("a", n=1)
    plane.flush()
    assert client.inbox("readings", "series", "device") == []


@pytest.mark.parametrize("ref", [2**63, 2**64 - 1, 2**64, 2**70, -(2**70), 10**63])
def test_an_id_beyond_64_bits_is_answered_like_any_other(plane: Plane, ref: int) -> None:
    assert error_of(plane.client().says({"type": "nothing", "id": ref})) == ("unknown_type", ref)


junk = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
        max_leaves=5,
    ).map(json.dumps),
    st.builds(
        lambda base, changes: json.dumps({**base, **changes}),
        st.sampled_from(list(EXAMPLES.values())),
        st.dictionaries(
            st.sampled_from(["id", "channel", "offset", "epoch", "args", "text", "name", "type"]),
            st.none() | st.booleans() | st.integers() | st.text(max_size=70) | st.lists(st.integers(), max_size=2),
            max_size=3,
        ),
    ),
)


@given(st.lists(junk, max_size=12), st.booleans())
@settings(max_examples=50, deadline=None)
def test_no_message_whatever_raises_and_the_session_goes_on(messages: list[str | bytes], binary: bool) -> None:
    plane = Plane()
    plane.says("d", n=1)
    plane.flush()
    client = plane.client(binary=binary)
    for raw in messages:
        for answer in client.says(raw):
            assert answer["type"] != "error" or answer["code"] in ERROR_CODES - {"internal"}
    assert client.says({"type": "ping", "id": "still here"})[0]["id"] == "still here"
