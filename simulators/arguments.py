"""A device's own check of a command's arguments: the part of JSON Schema that our devices declare.

A real device cannot rely on whoever sends it commands, so neither does a simulated one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "string": (str,),
}


def problem_with(schema: Mapping[str, Any], args: Mapping[str, Any]) -> str | None:
    """The first thing wrong with `args`, in words for an operator; None when they fit."""
    properties: Mapping[str, Mapping[str, Any]] = schema.get("properties", {})
    for name in args:
        if name not in properties:
            return f"unknown argument {name[:64]!r}"
    for name, rules in properties.items():
        if name not in args:
            if name in schema.get("required", ()):
                return f"{name} is missing"
            continue
        problem = _problem_with_value(rules, args[name])
        if problem is not None:
            return f"{name} {problem}"
    return None


def default_args(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What a form filled with the declared defaults would send."""
    return {name: rules["default"] for name, rules in schema.get("properties", {}).items() if "default" in rules}


def _problem_with_value(rules: Mapping[str, Any], value: Any) -> str | None:
    kind: str = rules["type"]
    # bool is an int to Python, and a very different thing to a valve.
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return f"must be of type {kind}"
    if "enum" in rules and value not in rules["enum"]:
        return "must be one of " + ", ".join(map(str, rules["enum"]))
    if "minimum" in rules and value < rules["minimum"]:
        return f"must be at least {rules['minimum']}"
    if "maximum" in rules and value > rules["maximum"]:
        return f"must be at most {rules['maximum']}"
    return None
