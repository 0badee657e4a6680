"""Hosts, origins, tokens, and the limit on guesses."""

from __future__ import annotations

import hmac

import pytest

from bridge.web import access as access_module
from bridge.web.access import FAILURE_WINDOW_US, MAX_ADDRESSES, MAX_FAILURES, Access, bearer

TOKEN = "correct-horse-battery-staple"
NOW_US = 1_767_225_600_000_000


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8080", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080", "127.0.0.1:"],
)
def test_loopback_names_are_ours(host: str) -> None:
    assert Access(TOKEN, "127.0.0.1").host_allowed(host)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        ":8080",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1.nip.io:8080",
        "evil.example:8080",
        "localhost:port",
        "localhost:8080:8080",
        "localhost/evil",
        "localhost?x",
        "localhost#x",
        "localhost@evil.example",
        "evil.example@localhost",
        "user@localhost",
        "user:pw@localhost",
        "localhost evil",
        "localhost,evil.example",
        "localhost.",
        "[::1",
        "::1]",
        "192.168.1.5",
        "0.0.0.0",
        "127.0.0.2",
        "2130706433",
        "0x7f000001",
        "ⅼocalhost",
    ],
)
def test_other_names_are_not_whatever_they_look_like(host: str | None) -> None:
    assert not Access(TOKEN, "127.0.0.1").host_allowed(host)


def test_a_public_address_answers_to_numbers_and_not_to_names() -> None:
    access = Access(TOKEN, "0.0.0.0")
    for host in ("192.168.1.5:8080", "10.0.0.1", "[fe80::1]:8080", "localhost", "127.0.0.1"):
        assert access.host_allowed(host)
    for host in ("evil.example", "192.168.1.5.evil.example", "a192.168.1.5"):
        assert not access.host_allowed(host)


@pytest.mark.parametrize("as_iterator", [False, True])
def test_names_that_are_listed_replace_the_numbers(as_iterator: bool) -> None:
    names = ["Dash.example.org"]
    access = Access(TOKEN, "0.0.0.0", iter(names) if as_iterator else names)
    assert access.host_allowed("dash.example.org")
    assert access.host_allowed("DASH.example.org:443")
    assert access.host_allowed("localhost")
    assert not access.host_allowed("192.168.1.5")
    assert not access.host_allowed("sub.dash.example.org")


def test_the_address_we_are_bound_to_is_ours() -> None:
    assert Access(TOKEN, "192.168.1.5", ["x.example"]).host_allowed("192.168.1.5:8080")
    assert Access(TOKEN, "[::1]").host_allowed("[::1]:8080")


HOST = "dash.local:8080"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://dash.local:8080", True),
        ("HTTP://DASH.LOCAL:8080", True),
        (None, False),
        ("", False),
        ("null", False),
        ("https://dash.local:8080", False),
        ("http://dash.local", False),
        ("http://dash.local:80", False),
        ("http://dash.local:8081", False),
        ("http://dash.local:8080/", False),
        ("http://dash.local:8080.evil.example", False),
        ("http://dash.local.evil.example:8080", False),
        ("http://evil.example/dash.local:8080", False),
        ("http://evil.example#http://dash.local:8080", False),
        ("http://dash.local:8080@evil.example", False),
        ("http://evildash.local:8080", False),
        ("http://localhost:8080", False),
        ("file://", False),
        ("chrome-extension://abc", False),
        ("http://dash.local:8080 http://evil.example", False),
        ("https://listed.example", True),
        ("https://LISTED.example", True),
        ("http://listed.example", False),
        ("https://listed.example:444", False),
        ("https://listed.example.evil", False),
    ],
)
def test_origins(origin: str | None, allowed: bool) -> None:
    access = Access(TOKEN, "127.0.0.1", [], ["https://listed.example/"])
    assert access.origin_allowed(origin, "http", HOST) is allowed


def test_the_scheme_of_the_request_counts() -> None:
    access = Access(TOKEN, "127.0.0.1")
    assert access.origin_allowed("https://dash.local", "https", "dash.local")
    assert not access.origin_allowed("http://dash.local", "https", "dash.local")


@pytest.mark.parametrize("given", ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), " " + TOKEN, "\ud800", "é"])
def test_a_wrong_token_or_cookie_does_not_match(given: str) -> None:
    access = Access(TOKEN, "127.0.0.1")
    assert not access.token_matches(given)
    assert not access.cookie_matches(given)


def test_the_token_is_no_cookie_and_the_cookie_no_token() -> None:
    access = Access(TOKEN, "127.0.0.1")
    assert access.token_matches(TOKEN)
    assert access.cookie_matches(access.cookie)
    assert not access.token_matches(access.cookie)
    assert not access.cookie_matches(TOKEN)
    assert TOKEN not in access.cookie
    assert len(access.cookie) == 64
    assert access.cookie == Access(TOKEN, "0.0.0.0").cookie  # survives a restart
    assert access.cookie != Access(TOKEN + "x", "127.0.0.1").cookie


def test_comparisons_take_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def recording(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return hmac.compare_digest(a, b)

    access = Access(TOKEN, "127.0.0.1")
    cookie = access.cookie
    recorder = type("hmac", (), {"compare_digest": staticmethod(recording), "new": staticmethod(hmac.new)})
    monkeypatch.setattr(access_module, "hmac", recorder)
    assert access.token_matches(TOKEN)
    assert not access.token_matches("wrong")
    assert access.cookie_matches(cookie)
    assert not access.cookie_matches("wrong")
    assert [a for a, _ in compared] == [TOKEN.encode(), b"wrong", cookie.encode(), b"wrong"]


def test_without_a_token_everything_is_open_but_no_cookie_is_right() -> None:
    access = Access(None, "127.0.0.1")
    assert access.is_open
    assert access.token_matches("anything")
    assert not access.cookie_matches(access.cookie)


def test_guessing_is_blocked_and_released_after_the_window() -> None:
    access = Access(TOKEN, "127.0.0.1")
    for number in range(MAX_FAILURES):
        assert not access.is_blocked("guesser", NOW_US + number)
        access.note_failure("guesser", NOW_US + number)
    assert access.is_blocked("guesser", NOW_US + MAX_FAILURES)
    assert not access.is_blocked("another", NOW_US + MAX_FAILURES)
    assert access.is_blocked("guesser", NOW_US + FAILURE_WINDOW_US - 1)
    assert not access.is_blocked("guesser", NOW_US + FAILURE_WINDOW_US)
    access.note_failure("guesser", NOW_US + FAILURE_WINDOW_US)
    assert access.is_blocked("guesser", NOW_US + FAILURE_WINDOW_US)  # nine of its guesses are still recent


def test_failures_that_are_far_apart_do_not_block() -> None:
    access = Access(TOKEN, "127.0.0.1")
    for number in range(100):
        at_us = NOW_US + number * FAILURE_WINDOW_US // (MAX_FAILURES - 1)
        access.note_failure("page", at_us)
        assert not access.is_blocked("page", at_us)


def test_the_memory_for_guessers_is_bounded() -> None:
    access = Access(TOKEN, "127.0.0.1")
    for number in range(MAX_ADDRESSES + 500):
        access.note_failure(f"address {number}", NOW_US)
    assert len(access._failures) == MAX_ADDRESSES
    for _ in range(1000):
        access.note_failure("one", NOW_US)
    assert len(access._failures["one"]) == MAX_FAILURES


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (None, None),
        ("", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("BEARER abc", "abc"),
        ("Basic abc", None),
        ("Bearerabc", None),
        ("abc", None),
    ],
)
def test_bearer(header: str | None, token: str | None) -> None:
    assert bearer(header) == token
