"""Checks a command's arguments against the JSON Schema that the device published.

The schema comes from a device and is therefore not trusted: references (which could fetch or loop) are refused, and
patterns run in RE2, which cannot be made to backtrack for minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import re2
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

# Enough for any sensible pattern; a device must not make us build a huge automaton.
MAX_PATTERN_LENGTH = 500

_options = re2.Options()
_options.log_errors = False


def problem_with(schema: dict[str, Any], args: dict[str, Any]) -> str | None:
    """The first thing wrong with `args`, in words for an operator; None when they fit."""
    try:
        error = next(iter(sorted(_Validator(schema).iter_errors(args), key=lambda e: list(map(str, e.path)))), None)
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
    yield ValidationError("the device's schema uses references, which are not followed")


_Validator = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {"pattern": _pattern, "patternProperties": _refused, "$ref": _refused, "$dynamicRef": _refused},
)
