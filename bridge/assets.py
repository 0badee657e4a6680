"""Where the shipped files are: the page and the configuration, in a checkout or in an installed wheel."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def asset_dir(name: str) -> Path:
    """The folder `dashboard` or `config`: beside the package in a checkout, inside it in a wheel."""
    inside = _PACKAGE / "_assets" / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def plotly_js() -> Path | None:
    """plotly.min.js as the plotly package ships it. Found without importing plotly, which takes a while."""
    spec = importlib.util.find_spec("plotly")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "package_data" / "plotly.min.js"
    return path if path.is_file() else None
