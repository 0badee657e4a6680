"""From bytes to JSON or text: strict, forgiving once, and never deep."""

from __future__ import annotations

import time
from typing import Any

import pytest

from bridge.conventions.payload import LENIENT_MAX_BYTES, is_too_deep, read, read_json
from bridge.core.model import Reason


def refusal(payload: bytes) -> Reason:
    content = read(payload)
    assert content.is_refused
    assert content.data is None
    assert content.text is None
    (problem,) = content.problems
    return problem.reason


@pytest.mark.parametrize(
    ("payload", "data"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b" [1, 2.5]\r\n", [1, 2.5]),
        (b"5", 5),
        (b"-0", 0),
        (b"true", True),
        (b"null", None),
        (b'"on"', "on"),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": 1}\0\0', {"a": 1}),
        (b'{"a": 1}\n\0', {"a": 1}),
        (b'{"a":1,"a":2}', {"a": 2}),
        (str(2**70).encode(), 2**70),
        (b'{"a":"[{[{[{[{[{[{[{[{[{[{[{[{[{[{"}', {"a": "[{[{[{[{[{[{[{[{[{[{[{[{[{[{"}),
        (b'{"a":"\\"[[[[[[[[[[[[[[[[[[[["}', {"a": '"[[[[[[[[[[[[[[[[[[[['}),
    ],
)
def test_json(payload: bytes, data: Any) -> None:
    content = read(payload)
    assert (content.data, content.text, content.problems, content.is_refused) == (data, None, [], False)


@pytest.mark.parametrize("payload", [b"open", b"0012", b"+5", "grün".encode(), b"nan", b"1_000", b"x {", b"'a'"])
def test_text(payload: bytes) -> None:
    content = read(payload)
    assert (content.data, content.text, content.problems) == (None, payload.decode(), [])
    assert read_json(payload).problems[0].reason is Reason.INVALID_JSON


@pytest.mark.parametrize(
    ("payload", "data", "reasons"),
    [
        (b'{"a": NaN, "b": 1}', {"a": None, "b": 1}, []),
        (b'{"a": nan}', {"a": None}, []),
        (b'{"a":-nan,"b":[nan,NAN]}', {"a": None, "b": [None, None]}, []),
        (b'{"a":-nan(ind)}', {"a": None}, []),
        (b'{"a": Infinity}', {"a": None}, [Reason.NOT_FINITE]),
        (b'{"a": -inf, "b": +Inf}', {"a": None, "b": None}, [Reason.NOT_FINITE]),
        (b'{"a": 1e999, "b": 2}', {"a": None, "b": 2}, [Reason.OUT_OF_RANGE]),
        (b'{"a": -1e999}', {"a": None}, [Reason.OUT_OF_RANGE]),
        (b'{"a": ' + b"9" * 250 + b"e99}", {"a": None}, [Reason.OUT_OF_RANGE]),
        (b'{"a": ' + b"9" * 4301 + b"}", {"a": None}, [Reason.OUT_OF_RANGE]),
        (b'{"a": ' + b"9" * 4301 + b".5}", {"a": None}, [Reason.OUT_OF_RANGE]),
        (b"[1e999]", [None], [Reason.OUT_OF_RANGE]),
        (b'{"nan": nan, "s": "nan 1e999 \\" Infinity"}', {"nan": None, "s": 'nan 1e999 " Infinity'}, []),
        (b'{"a":1e308,"b":nan}', {"a": 1e308, "b": None}, []),
    ],
)
def test_what_is_forgiven(payload: bytes, data: Any, reasons: list[Reason]) -> None:
    content = read(payload)
    assert content.data == data
    assert [problem.reason for problem in content.problems] == reasons


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b'{"temp": 21.5',
        b"{'temp': 21.5}",
        b'{"a": 1}\n{"a": 2}',
        b'{"a": nano}',
        b'{"a": nan.5}',
        b'{"a": undefined}',
        b'{"a": "\\ud800"}',
        b'{"a": nan, "b": "\\udc00"}',
        b"[1,]",
        b'{"a": 01}',
        b'{"a": "x\ny"}',
        b"[" + b"nan," * (LENIENT_MAX_BYTES // 4) + b"1]",
    ],
    ids=lambda payload: repr(payload[:20]),
)
def test_what_is_not(payload: bytes) -> None:
    assert refusal(payload) is Reason.INVALID_JSON


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xff\xd8\xff\xe0 jpeg", Reason.BINARY),
        (b"\x89PNG\r\n", Reason.BINARY),
        (b"\x1f\x8b\x08", Reason.BINARY),
        (b"a\0b", Reason.BINARY),
        ('{"a": 1}'.encode("utf-16"), Reason.BINARY),
        ('{"a": 1}'.encode("utf-32-be"), Reason.BINARY),
        (b"K\xfcche", Reason.INVALID_UTF8),
        (b'{"a": "\xff"}', Reason.INVALID_UTF8),
        (b'{"\xff": 1}', Reason.INVALID_UTF8),
        (b'{"a": nan, "b": "\xff"}', Reason.INVALID_UTF8),
        (b'"\xed\xa0\x80"', Reason.INVALID_UTF8),
    ],
)
def test_binary(payload: bytes, reason: Reason) -> None:
    assert refusal(payload) is reason


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]", inner: bytes = b"1") -> bytes:
    return opening * depth + inner + closing * depth


@pytest.mark.parametrize("depth", [17, 100, 1000, 10_000, 100_000])
@pytest.mark.parametrize(
    ("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b"[", b""), (b'{"a":', b""), (b'[{"[":', b"}]")]
)
def test_deep(depth: int, opening: bytes, closing: bytes) -> None:
    assert refusal(nested(depth, opening, closing)) is Reason.TOO_DEEP


def test_very_deep() -> None:
    assert refusal(b"[" * 1_000_000) is Reason.TOO_DEEP
    assert refusal(nested(1_000_000)) is Reason.TOO_DEEP


def test_depth_is_exact() -> None:
    assert not read(nested(16)).is_refused
    assert not read(nested(16, b'{"a":', b"}")).is_refused
    assert refusal(nested(17)) is Reason.TOO_DEEP
    assert not is_too_deep(b"[" + b"[]," * 100 + b"[]]")
    assert not is_too_deep(b'["[[[[[[[[[[[[[[[[[[", "\\"[[[[[[[[[[[[["]')
    assert is_too_deep(b'["\\\\", ' + nested(16) + b"]")


@pytest.mark.parametrize(
    "payload",
    [
        b'{"' + b'\\"' * 100_000,
        b"[" + b'"' * 100_001,
        b"[" + b"-" * 60_000,
        b"[" + b"n" * 60_000,
        b"[" + b"9" * 60_000,
        b"[" + b"9." * 30_000,
        b"[" + b"9e" * 30_000,
        b"[" + b"nan(" * 15_000,
        b"[" + b"+" * 60_000 + b"nan",
        b"[" + b'"\\' * 30_000,
        b"[" + b"{}" * 100_000,
    ],
    ids=lambda payload: repr(payload[:8]),
)
def test_no_payload_takes_long(payload: bytes) -> None:
    started = time.process_time()
    assert refusal(payload) in (Reason.INVALID_JSON, Reason.TOO_DEEP, Reason.INVALID_UTF8)
    assert time.process_time() - started < 0.5  # quadratic behaviour takes seconds to hours
