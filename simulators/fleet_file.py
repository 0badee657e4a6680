"""Fleet files: which devices there are, where they stand, how fast they report, and what goes wrong, written as TOML.

`load_fleet_file("cold-chain")` reads a shipped one, `load_fleet_file("my/plant.toml")` your own. Everything is checked
before anything runs; a `FleetFileError` is one line that names the file, the table and the key. docs/simulate.md tells
what may be written.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulators.devices import KINDS
from simulators.devices.device import Device
from simulators.kind_file import BIGGEST, read_kind
from simulators.roster import DEVICE_ID, Group, Member, grouped_roster, specialise
from simulators.site import DEFAULT_SITE, Site
from simulators.toml_table import FleetFileError, Table, suggest

__all__ = ["FleetFile", "FleetFileError", "load_fleet_file", "parse_fleet", "shipped_fleets"]

MAX_DEVICES = 100_000
MAX_FILE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class FleetFile:
    """A fleet file that was read and found good. `faults` are as written: whoever carries them out checks them."""

    name: str
    title: str
    description: str
    groups: tuple[Group, ...]
    fault_texts: tuple[str, ...]
    fault_tables: tuple[Mapping[str, Any], ...]

    def __len__(self) -> int:
        return sum(group.count for group in self.groups)

    def roster(self, prefix: str = "", rate_hz: float | None = None, speed: float = 1.0) -> list[Member]:
        """The devices, for `SimulatedFleet`; with `speed`, intervals are in simulated time and therefore longer.

        Raises `ValueError` when `prefix` makes no valid ids.
        """
        members = grouped_roster(self.groups, prefix, rate_hz)
        return [member._replace(interval_s=member.interval_s * speed) for member in members]


def shipped_fleets() -> dict[str, Path]:
    """The fleets that come along, by name: beside the package in a checkout, inside of the wheel's assets otherwise."""
    above = Path(__file__).resolve().parent.parent
    for folder in (above / "config" / "fleets", above / "bridge" / "_assets" / "config" / "fleets"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.toml"))}
    return {}


def load_fleet_file(name_or_path: str) -> FleetFile:
    """Read a fleet by the name of a shipped one or by its path. Raises `FleetFileError`."""
    shipped = shipped_fleets()
    path = shipped.get(name_or_path, Path(name_or_path))
    try:
        content = path.read_bytes()
    except OSError as problem:
        if "/" in name_or_path or "\\" in name_or_path or name_or_path.endswith(".toml"):
            raise FleetFileError(f"{name_or_path}: {problem.strerror or problem}") from None
        raise FleetFileError(f"there is no fleet {name_or_path!r}; {suggest(name_or_path, shipped)}") from None
    if len(content) > MAX_FILE_BYTES:
        raise FleetFileError(f"{name_or_path}: larger than {MAX_FILE_BYTES:,} bytes; is this a fleet file?")
    try:
        return parse_fleet(path.stem, content.decode(), str(name_or_path))
    except UnicodeDecodeError:
        raise FleetFileError(f"{name_or_path}: not text in UTF-8") from None


def parse_fleet(name: str, text: str, file: str | None = None) -> FleetFile:
    """Read a fleet from the text of its file. `file` is what complaints call it."""
    file = name if file is None else file
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise FleetFileError(f"{file}: not TOML: {problem}") from None
    except RecursionError:
        raise FleetFileError(f"{file}: nested too deeply") from None
    top = Table(file, "", content)
    title = top.take_text("title", name)
    description = top.take_text("description", "", 1000)
    rate = top.take_number("rate", 0.0001, 100.0, 1.0)
    sites = _read_sites(top)
    kinds = dict(KINDS)
    rates: dict[str, float] = {}
    for table in top.take_list("kind"):
        kind, own_rate = read_kind(table, kinds)
        kinds[kind.KIND] = kind
        if own_rate is not None:
            rates[kind.KIND] = own_rate
    groups = [_read_group(table, kinds, sites, rates, rate) for table in top.take_list("devices")]
    fault_texts, fault_tables = _read_faults(top)
    top.finish()
    total = sum(group.count for group in groups)
    if not 1 <= total <= MAX_DEVICES:
        raise top.fail(f"[[devices]]: {total:,} devices; a fleet has 1 to {MAX_DEVICES:,}")
    return FleetFile(name, title, description, tuple(groups), fault_texts, fault_tables)


def _read_sites(top: Table) -> dict[str, Site]:
    """By name; the first one is the default of every group."""
    sites: dict[str, Site] = {}
    for table in top.take_list("site"):
        name = table.take_text("name", longest=60)
        table.name_it(name)
        if name in sites:
            raise table.fail("name: there is a site of this name already")
        latitude = table.take_number("latitude", -85.0, 85.0)
        longitude = table.take_number("longitude", -180.0, 180.0)
        # The sun's own time, to the hour, where nobody says what the clocks show.
        usual = float(round(longitude / 15.0))
        sites[name] = Site(name, latitude, longitude, table.take_number("utc_offset", -12.0, 14.0, usual))
        table.finish()
    return sites or {DEFAULT_SITE.name: DEFAULT_SITE}


def _read_group(
    table: Table, kinds: Mapping[str, type[Device]], sites: Mapping[str, Site], rates: Mapping[str, float], rate: float
) -> Group:
    kind = kinds[table.take_one_of("kind", list(kinds))]
    table.name_it(kind.KIND)
    site = sites[table.take_one_of("site", list(sites), next(iter(sites)))]
    base = table.take_text("id", kind.KIND, 50)
    if not DEVICE_ID.fullmatch(base):
        raise table.fail(f"id: {base!r} must be letters, digits or _ . : -")
    special = specialise(kind, site, _read_parameters(table, kind), _read_overrides(table, kind))
    for key, metric in special.METRICS.items():
        if metric.min is not None and metric.max is not None and metric.min >= metric.max:
            raise table.fail(f"metrics {key}: max {metric.max:g} must be above min {metric.min:g}")
    group = Group(
        special,
        table.take_whole("count", 1, MAX_DEVICES, 1),
        site,
        table.take_texts("areas", kind.AREAS) or kind.AREAS,
        table.take_number("rate", 0.0001, 100.0, rates.get(kind.KIND, rate)),
        base,
        table.take_text("label", kind.LABEL, 60),
    )
    table.finish()
    return group


def _read_parameters(table: Table, kind: type[Device]) -> dict[str, float]:
    given = table.take_table("parameters")
    for key in given.names():
        if key not in kind.PARAMETERS:
            hint = suggest(key, kind.PARAMETERS) if kind.PARAMETERS else f"a {kind.KIND} has none"
            raise given.fail(f"there is no parameter {key[:64]!r}; {hint}")
    return {key: given.take_number(key, kind.PARAMETERS[key].low, kind.PARAMETERS[key].high) for key in given.names()}


def _read_overrides(table: Table, kind: type[Device]) -> dict[str, dict[str, Any]]:
    overrides: dict[str, dict[str, Any]] = {}
    for name, given in table.take_named("metrics"):
        metric = kind.METRICS.get(name)
        if metric is None:
            raise given.fail(f"a {kind.KIND} has no such metric; {suggest(name, kind.METRICS)}")
        changes: dict[str, Any] = {}
        if given.has("name"):
            changes["name"] = given.take_text("name", longest=60)
        if metric.datatype == "number":
            if given.has("unit"):
                changes["unit"] = given.take_text("unit", longest=20)
            if given.has("precision"):
                changes["precision"] = given.take_whole("precision", 0, 9)
            for key in ("min", "max", "scale", "offset"):
                if given.has(key):
                    changes[key] = given.take_number(key, -BIGGEST, BIGGEST)
            if changes.get("scale") == 0.0:
                raise given.fail("scale must not be 0")
        given.finish()
        overrides[name] = changes
    return overrides


def _read_faults(top: Table) -> tuple[tuple[str, ...], tuple[Mapping[str, Any], ...]]:
    """`faults = ["stuck:0.1"]`, or `[[faults]]` tables; which faults exist is known where they are carried out."""
    value = top.take("faults", [])
    if isinstance(value, list) and all(isinstance(fault, str) for fault in value):
        return tuple(value), ()
    if isinstance(value, list) and all(isinstance(fault, Mapping) for fault in value):
        return (), tuple(value)
    raise top.fail('faults must be a list of texts such as "stuck:0.1", or tables [[faults]]')
