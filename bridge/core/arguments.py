"""Checks a command's arguments against the JSON Schema that the device published.

The schema comes from a device and is therefore not trusted: references (which could fetch or loop) are refused, and
patterns run in RE2, which cannot be made to backtrack for minutes. So are the keywords that jsonschema evaluates by
following references or running Python's `re` on its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import re2
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from referencing import Registry

# Enough for any sensible pattern; a device must not make us build a huge automaton.
MAX_PATTERN_LENGTH = 500

# jsonschema's own registry fetches over the network what it does not know.
_NOTHING: Registry[Any] = Registry()

_options = re2.Options()
_options.log_errors = False


def problem_with(schema: dict[str, Any], args: dict[str, Any]) -> str | None:
    """The first thing wrong with `args`, in words for an operator; None when they fit."""
    try:
        errors = _Validator(schema, registry=_NOTHING).iter_errors(args)
        error = min(errors, key=lambda e: list(map(str, e.path)), default=None)
    except Exception as fault:  # jsonschema raises whatever a malformed schema provokes
        return f"the device's own schema cannot be used ({type(fault).__name__})"
    if error is None:
        return None
    where = ".".join(str(part) for part in error.absolute_path)
    message = error.message if len(error.message) <= 300 else error.message[:300] + "…"
    return f"{where}: {message}" if where else message


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, str):
        return
    try:
        if len(pattern) > MAX_PATTERN_LENGTH:
            raise re2.error("too long")
        matches = re2.compile(pattern, _options).search(instance) is not None
    except re2.error:
        yield ValidationError("the device's pattern for this text cannot be used")
        return
    if not matches:
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _refused(_validator: Any, _value: Any, _instance: Any, _schema: Any) -> Iterator[ValidationError]:
    yield ValidationError("the device's schema uses references or keywords that are not followed")


def _unique_items(_validator: Any, unique: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    # jsonschema compares each with each when the items cannot be sorted: a minute for five thousand objects.
    if not unique or not isinstance(instance, list):
        return
    if len({msgspec.json.encode(item, order="sorted") for item in instance}) < len(instance):
        yield ValidationError("the items have to be different from each other")


def _additional_properties(validator: Any, additional: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if "patternProperties" in schema:
        return  # refused by itself; jsonschema would run its patterns here, in Python's backtracking `re`
    yield from Draft202012Validator.VALIDATORS["additionalProperties"](validator, additional, instance, schema)


_Validator = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        "pattern": _pattern,
        "additionalProperties": _additional_properties,
        "uniqueItems": _unique_items,
        **dict.fromkeys(
            ("patternProperties", "unevaluatedProperties", "unevaluatedItems", "$ref", "$dynamicRef"), _refused
        ),
    },
)
