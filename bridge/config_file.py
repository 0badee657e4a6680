"""Writes settings as TOML.

Commented, for the shipped `config/fleetwire.toml`; bare, for `check-config --show`.
"""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from bridge.settings import Settings

# As much as can be the password of a broker URL: up to the last @, because it may hold one that should be escaped.
_URL_PASSWORD = re.compile(r"^(mqtts?://[^:@]*:).+@")

HEADER = """\
# Fleetwire settings. Every value here is the default; change what you need and leave the rest out.
# Precedence: command-line flag, environment FLEETWIRE_<SECTION>__<FIELD>, this file, default.
# Check it with: fleetwire check-config --config fleetwire.toml
"""


def render(settings: Settings, *, commented: bool) -> str:
    """The settings as TOML. `commented`: as a template, with help above each value and optional ones commented out."""
    lines = [HEADER] if commented else []
    sections = []
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            sections.append((name, value))
        else:
            lines += _entry(name, value, field.description, commented)
    for name, section in sections:
        doc = (type(section).__doc__ or "").strip().splitlines()[0]
        lines += ["", f"[{name}]"] if not commented else ["", f"# ----- {doc}", f"[{name}]"]
        for key, field in type(section).model_fields.items():
            lines += _entry(key, getattr(section, key), field.description, commented)
    return "\n".join(lines).strip() + "\n"


def _entry(name: str, value: Any, description: str | None, commented: bool) -> list[str]:
    lines = []
    if commented:
        lines = [f"# {line}" for line in textwrap.wrap(description or "", 110)]
    if value is None:
        return [*lines, f"# {name} = ..."] if commented else []
    return [*lines, f"{name} = {_toml(value)}"]


def _toml(value: Any) -> str:
    if isinstance(value, SecretStr):
        # Shown as set or not set; a secret is never printed.
        return '"**********"' if value.get_secret_value() else '""'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:_}" if value >= 10_000 else str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, str | Path):
        text = _URL_PASSWORD.sub(r"\1**********@", str(value))
        return json.dumps(text, ensure_ascii=False)  # a JSON string is a TOML basic string
    raise TypeError(f"no TOML form for {type(value).__name__}")
