"""Arguments against schemas that come from devices: right, wrong, broken and hostile."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.arguments import MAX_PATTERN_LENGTH, problem_with

SETPOINT = {
    "type": "object",
    "properties": {"value": {"type": "number", "minimum": 5, "maximum": 30}},
    "required": ["value"],
    "additionalProperties": False,
}


def one(schema: Any) -> dict[str, Any]:
    """A schema of which `x` has to fit."""
    return {"type": "object", "properties": {"x": schema}}


@pytest.mark.parametrize(
    ("schema", "args"),
    [
        ({}, {}),
        ({}, {"anything": [1, {"goes": None}]}),
        (SETPOINT, {"value": 5}),
        (SETPOINT, {"value": 29.9}),
        (one({"type": "integer"}), {"x": 3}),
        (one({"type": "integer"}), {"x": 3.0}),
        (one({"type": "boolean"}), {"x": False}),
        (one({"type": "string", "minLength": 2, "maxLength": 3}), {"x": "äöü"}),
        (one({"type": "null"}), {"x": None}),
        (one({"type": ["string", "null"]}), {"x": None}),
        (one({"type": "array", "items": {"type": "integer"}, "uniqueItems": True}), {"x": [1, 2]}),
        (one({"type": "array", "prefixItems": [{"type": "string"}], "items": False}), {"x": ["a"]}),
        (one({"enum": ["on", "off", 1]}), {"x": "off"}),
        (one({"const": "go"}), {"x": "go"}),
        (one({"pattern": "^[a-z]+$"}), {"x": "abc"}),
        (one({"pattern": "^[a-z]+$"}), {"x": 5}),  # a pattern speaks of texts only
        (one({"multipleOf": 0.5}), {"x": 2.5}),
        (one({"oneOf": [{"type": "string"}, {"type": "number"}]}), {"x": 1}),
        ({"additionalProperties": {"type": "integer"}}, {"a": 1, "b": 2}),
        (one({"type": "object", "properties": {"y": {"type": "integer"}}}), {"x": {"y": 1}}),
    ],
)
def test_arguments_that_fit(schema: dict[str, Any], args: dict[str, Any]) -> None:
    assert problem_with(schema, args) is None


@pytest.mark.parametrize(
    ("schema", "args", "told"),
    [
        (SETPOINT, {}, "'value' is a required property"),
        (SETPOINT, {"value": 4.9}, "value: 4.9 is less than the minimum of 5"),
        (SETPOINT, {"value": 31}, "value: "),
        (SETPOINT, {"value": "21"}, "value: '21' is not of type 'number'"),
        (SETPOINT, {"value": True}, "value: True is not of type 'number'"),
        (SETPOINT, {"value": 20, "extra": 1}, "Additional properties are not allowed ('extra' was unexpected)"),
        (one({"type": "integer"}), {"x": 3.5}, "x: "),
        (one({"type": "boolean"}), {"x": 0}, "x: "),
        (one({"type": "string", "maxLength": 3}), {"x": "abcd"}, "x: "),
        (one({"type": "null"}), {"x": 0}, "x: "),
        (one({"type": "array", "items": {"type": "integer"}}), {"x": [1, "two"]}, "x.1: "),
        (one({"enum": ["on", "off"]}), {"x": "ON"}, "x: "),
        (one({"pattern": "^[a-z]+$"}), {"x": "ABC"}, "x: 'ABC' does not match '^[a-z]+$'"),
        (one({"not": {}}), {"x": 1}, "x: "),
        ({"additionalProperties": {"type": "integer"}}, {"a": "1"}, "a: "),
        ({"maxProperties": 1}, {"a": 1, "b": 2}, ""),
        ({"propertyNames": {"pattern": "^[a-z]$"}}, {"A": 1}, ""),
        (one({"type": "object", "required": ["y"]}), {"x": {}}, "x: 'y' is a required property"),
    ],
)
def test_arguments_that_do_not_fit(schema: dict[str, Any], args: dict[str, Any], told: str) -> None:
    problem = problem_with(schema, args)
    assert problem is not None
    assert problem.startswith(told)
    assert len(problem) < 500


def test_the_first_problem_by_path_is_told() -> None:
    schema = {"properties": {name: {"type": "integer"} for name in "cab"}}
    problem = problem_with(schema, {"c": "", "a": "", "b": ""})
    assert problem is not None
    assert problem.startswith("a: ")


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef"])
@pytest.mark.parametrize("target", ["#", "#/$defs/x", "http://127.0.0.1:1/x", "file:///etc/passwd", "urn:x"])
def test_references_are_refused(keyword: str, target: str) -> None:
    for schema in (
        {keyword: target, "$defs": {"x": {}}},
        one({keyword: target}),
        {"allOf": [{"properties": {"x": {keyword: target}}}]},
    ):
        problem = problem_with(schema, {"x": 1})
        assert problem is not None
        assert "references" in problem


@pytest.mark.parametrize("keyword", ["patternProperties", "unevaluatedProperties", "unevaluatedItems"])
def test_keywords_that_follow_references_or_run_patterns_on_their_own_are_refused(keyword: str) -> None:
    problem = problem_with({keyword: {}}, {})
    assert problem is not None
    assert "keywords" in problem


class _Canary(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def canary() -> Iterator[tuple[str, list[str]]]:
    """A web server that nobody should ever ask; its address, and what it was asked."""
    asked: list[str] = []
    server = http.server.HTTPServer(("127.0.0.1", 0), type("Canary", (_Canary,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/schema.json", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_no_schema_makes_the_bridge_ask_another_server(canary: tuple[str, list[str]]) -> None:
    url, asked = canary
    for keyword in ("$ref", "$dynamicRef", "$recursiveRef", "$schema", "$id"):
        for around in ({}, {"unevaluatedProperties": False}, {"unevaluatedItems": False}):
            problem_with({keyword: url, **around}, {"x": [1]})
            problem_with({**around, "allOf": [{keyword: url}]}, {"x": [1]})
            problem_with(one({**around, keyword: url}), {"x": [1]})
    assert asked == []


@pytest.mark.parametrize("pattern", ["(a+)+$", "^(a|a)*$", "(a|b|ab)*c", "(.*a){20}$"])
def test_a_catastrophic_pattern_is_answered_at_once(pattern: str) -> None:
    text = "a" * 60 + "!"
    started = time.monotonic()
    problem = problem_with(one({"pattern": pattern}), {"x": text})
    for schema in (
        {"patternProperties": {pattern: {}}},
        {"patternProperties": {pattern: {}}, "additionalProperties": False},
        {"additionalProperties": False, "patternProperties": {pattern: {}}},
        {"allOf": [{"patternProperties": {pattern: {}}}], "unevaluatedProperties": False},
        {"unevaluatedProperties": False, "allOf": [{"patternProperties": {pattern: {}}}]},
        {"propertyNames": {"pattern": pattern}},
    ):
        assert problem_with(schema, {text: 1}) is not None
    assert problem is not None
    assert time.monotonic() - started < 1


def test_many_different_items_are_answered_at_once() -> None:
    unique = one({"uniqueItems": True})
    items: list[Any] = [{"a": number, "b": [number]} for number in range(5_000)]
    started = time.monotonic()
    assert problem_with(unique, {"x": items}) is None
    problem = problem_with(unique, {"x": [*items, {"b": [7], "a": 7}]})
    assert time.monotonic() - started < 1
    assert problem == "x: the items have to be different from each other"
    assert problem_with(unique, {"x": [1, True, "1", None, "", 0, False]}) is None
    assert problem_with(one({"uniqueItems": False}), {"x": [1, 1]}) is None
    assert problem_with(unique, {"x": "aa"}) is None


@pytest.mark.parametrize("pattern", ["(?=a)b", "(a", "a" * (MAX_PATTERN_LENGTH + 1), "(a{1000}){1000}", r"\1"])
def test_a_pattern_that_cannot_be_used_says_so(pattern: str) -> None:
    problem = problem_with(one({"pattern": pattern}), {"x": "a"})
    assert problem is not None
    assert "pattern" in problem


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "no such type"},
        {"type": 5},
        {"properties": []},
        {"properties": {"x": 5}},
        {"required": 5},
        {"properties": {"x": {"pattern": 5}}},
        {"properties": {"x": {"minimum": "low"}}},
        {"properties": {"x": {"multipleOf": 0}}},
        {"properties": {"x": {"maxLength": "many"}}},
        {"properties": {"x": {"enum": 5}}},
        {"allOf": {"x": 1}},
        {"properties": {"x": {"items": "integer"}}},
        {"additionalProperties": "no"},
        {"$id": 5},
    ],
)
def test_a_malformed_schema_is_an_answer_not_an_exception(schema: dict[str, Any]) -> None:
    for x in (1, "text", [1], {}):
        assert isinstance(problem_with(schema, {"x": x}), str | None)


def test_a_malformed_schema_is_called_the_devices_fault() -> None:
    problem = problem_with({"type": "no such type"}, {})
    assert problem is not None
    assert "device's own schema" in problem


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYWORDS = [
    "type", "properties", "required", "enum", "const", "items", "prefixItems", "pattern", "minimum", "maximum",
    "multipleOf", "additionalProperties", "patternProperties", "allOf", "anyOf", "oneOf", "not", "if", "then", "else",
    "$ref", "$dynamicRef", "$id", "$schema", "$defs", "$anchor", "unevaluatedProperties", "dependentSchemas",
    "contains", "propertyNames", "uniqueItems", "minLength", "format",
]  # fmt: skip
schemas = st.dictionaries(st.sampled_from(KEYWORDS), json_values, max_size=4)


@given(schemas, st.dictionaries(st.text(max_size=5), json_values, max_size=3))
@settings(max_examples=60, deadline=None)
def test_any_schema_gets_an_answer(schema: dict[str, Any], args: dict[str, Any]) -> None:
    problem = problem_with(schema, args)
    assert problem is None or 0 < len(problem) < 2_000


@pytest.mark.parametrize("key", ["__proto__", "constructor", "$ref", "", "a.b", "../x", "\0", "💥", "x" * 1000])
def test_hostile_keys_are_just_keys(key: str) -> None:
    assert problem_with({"properties": {key: {"type": "integer"}}}, {key: 1}) is None
    problem = problem_with({"properties": {key: {"type": "integer"}}}, {key: "one"})
    assert problem is not None
    assert problem_with({"additionalProperties": False}, {key: 1}) is not None


def test_a_deeply_nested_schema_is_answered() -> None:
    schema: dict[str, Any] = {}
    for _ in range(5_000):
        schema = {"allOf": [schema]}
    assert problem_with(schema, {}) is not None  # refused: too deep for the checker
