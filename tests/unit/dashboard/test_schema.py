"""schema.js: forms from what devices describe, however strange."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.dashboard.conftest import Tab

pytestmark = pytest.mark.browser


def fields(tab: Tab, schema: Any) -> Any:
    return tab.js("return (await load('schema')).fieldsOf(arg);", schema)


def read(tab: Tab, spec: Any, raw: Any, *, required: bool = False) -> Any:
    return tab.js(
        """
        const { fieldsOf, read } = await load('schema');
        const [spec, raw, required] = arg;
        return read(fieldsOf({ properties: { x: spec }, required: required ? ['x'] : [] })[0], raw);
        """,
        [spec, raw, required],
    )


def test_every_type_becomes_its_field(tab: Tab) -> None:
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "number", "minimum": 5, "maximum": 30, "default": 21, "title": "Setpoint (°C)"},
            "i": {"type": "integer", "multipleOf": 5},
            "b": {"type": "boolean"},
            "s": {"type": ["null", "string"], "maxLength": 4},
            "e": {"enum": ["a", 2, None]},
            "c": {"const": "fixed"},
            "o": {"type": "object"},
            "fan_speed": {},
            "bad": "not a schema",
        },
        "required": ["n"],
    }
    found = fields(tab, schema)
    assert [field["type"] for field in found] == [
        *("number", "integer", "boolean", "string", "enum", "enum", "json", "json", "json"),
    ]
    number = found[0]
    assert (number["min"], number["max"], number["initial"], number["required"]) == (5, 30, 21, True)
    assert number["label"] == "Setpoint (°C)"
    assert found[1]["step"] == 5
    assert found[5]["initial"] == "fixed"
    assert found[7]["label"] == "Fan speed"


@pytest.mark.parametrize("schema", [None, 7, "x", [], {}, {"properties": 3}, {"properties": []}, {"required": "x"}])
def test_what_is_no_schema_has_no_fields(tab: Tab, schema: Any) -> None:
    assert fields(tab, schema) == []


def test_a_huge_schema_is_bounded(tab: Tab) -> None:
    assert len(fields(tab, {"properties": {f"p{i}": {"type": "number"} for i in range(5_000)}})) == 40
    long = fields(tab, {"properties": {"x": {"enum": [f"v{i}" for i in range(5_000)]}}})[0]
    assert long["isLong"]
    title = fields(tab, {"properties": {"x": {"title": "y" * 10_000, "description": "z" * 10_000}}})[0]
    assert (len(title["label"]), len(title["description"])) == (80, 300)


@pytest.mark.parametrize(
    ("spec", "raw", "result"),
    [
        ({"type": "number"}, "21.5", {"value": 21.5}),
        ({"type": "number"}, "21,5", {"value": 21.5}),
        ({"type": "number"}, "-0.25", {"value": -0.25}),
        ({"type": "number"}, "abc", {"problem": "Not a number"}),
        ({"type": "number"}, " ", {"problem": "Not a number"}),
        ({"type": "number"}, "1e999", {"problem": "Not a number"}),
        ({"type": "number"}, "", {}),
        ({"type": "number", "minimum": 5}, "4.9", {"problem": "Must be at least 5"}),
        ({"type": "number", "minimum": 5}, "5", {"value": 5}),
        ({"type": "number", "exclusiveMinimum": 5}, "5", {"problem": "Must be more than 5"}),
        ({"type": "number", "maximum": 30}, "30.1", {"problem": "Must be at most 30"}),
        ({"type": "number", "exclusiveMaximum": 30}, "30", {"problem": "Must be less than 30"}),
        ({"type": "number", "multipleOf": 0.1}, "0.3", {"value": 0.3}),
        ({"type": "number", "multipleOf": 0.5}, "0.3", {"problem": "Must be a multiple of 0.5"}),
        ({"type": "integer"}, "3.5", {"problem": "Must be a whole number"}),
        ({"type": "integer"}, "3", {"value": 3}),
        ({"type": "boolean"}, True, {"value": True}),
        ({"type": "boolean"}, False, {"value": False}),
        ({"type": "string"}, "", {}),
        ({"type": "string", "default": "x"}, "", {"value": ""}),
        ({"type": "string", "maxLength": 2}, "abc", {"problem": "At most 2 characters"}),
        ({"type": "string", "maxLength": 2}, "😀😀", {"value": "😀😀"}),
        ({"type": "string", "minLength": 2}, "a", {"problem": "At least 2 characters"}),
        ({"type": "string", "pattern": "(a+)+$"}, "a" * 60 + "!", {"value": "a" * 60 + "!"}),
        ({"enum": ["a", 2, None]}, "1", {"value": 2}),
        ({"enum": ["a", 2, None]}, "2", {"value": None}),
        ({"enum": ["a"]}, "7", {"problem": "Choose one"}),
        ({"enum": ["a"]}, "constructor", {"problem": "Choose one"}),
        ({"type": "object"}, '{"a": [1]}', {"value": {"a": [1]}}),
        ({"type": "object"}, "{a: 1}", {"problem": "Not valid JSON"}),
    ],
)
def test_what_is_typed_becomes_a_value_or_a_problem(tab: Tab, spec: Any, raw: Any, result: Any) -> None:
    assert read(tab, spec, raw) == result


def test_what_is_required_is_required(tab: Tab) -> None:
    for spec in ({"type": "number"}, {"enum": ["a", "b"]}, {"type": "object"}, {"type": "string", "minLength": 1}):
        assert read(tab, spec, "", required=True) == {"problem": "Required"}
    assert read(tab, {"type": "string"}, "", required=True) == {"value": ""}


def test_a_field_named_proto_is_a_field(tab: Tab) -> None:
    text, polluted = tab.js(
        """
        const { fieldsOf, toArgs } = await load('schema');
        const text = '{"properties": {"__proto__": {"type": "number"}, "constructor": {"type": "string"}}}';
        const schema = JSON.parse(text);
        const args = toArgs(fieldsOf(schema).map((field) => [field.name, { polluted: true }]));
        return [JSON.stringify(args), ({}).polluted !== undefined || args.polluted !== undefined];
        """
    )
    assert text == '{"__proto__":{"polluted":true},"constructor":{"polluted":true}}'
    assert polluted is False


@pytest.mark.parametrize(
    ("spec", "step"),
    [({"minimum": 5, "maximum": 30}, 0.1), ({"minimum": 0, "maximum": 100}, 1), ({"minimum": 0, "maximum": 1}, 0.01)],
)
def test_a_slider_has_sensible_steps(tab: Tab, spec: Any, step: float) -> None:
    found = tab.js(
        """
        const { fieldsOf, hasSlider, sliderStep } = await load('schema');
        const [field] = fieldsOf({ properties: { x: { type: 'number', ...arg } } });
        return [hasSlider(field), sliderStep(field)];
        """,
        spec,
    )
    assert found == [True, pytest.approx(step)]
