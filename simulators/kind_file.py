"""The `[[kind]]` tables of a fleet file: new kinds of device, made from data alone."""

from __future__ import annotations

from typing import Any

from simulators.devices.device import REBOOT, Command, Device, Metric
from simulators.devices.generic import make_kind
from simulators.devices.laws import FOLLOWED, LAWS, Counter, Cycle, FirstOrder, Law, RandomWalk, State
from simulators.physics import DAY_S
from simulators.toml_table import NAME, Table

BIGGEST = 1e12
MAX_METRICS = 200
RESERVED = ("time", "seq")
_PERIODS = {"minute": 60.0, "hour": 3600.0, "day": DAY_S, "week": 7.0 * DAY_S}


def read_kind(table: Table, known: dict[str, type[Device]]) -> tuple[type[Device], float | None]:
    """The kind and its readings a second, if it names them. Raises `FleetFileError`."""
    name = table.take_text("name")
    if not NAME.fullmatch(name) or len(name) > 40:
        raise table.fail(f"name: {name[:60]!r} is no name: a letter, then up to 39 letters, digits or _ . -")
    if name in known:
        raise table.fail(f"name: there is a kind {name!r} already")
    table.name_it(name)
    label = table.take_text("label", name.replace("-", " ").replace("_", " ").capitalize(), 60)
    areas = table.take_texts("areas", ["Plant"]) or ("Plant",)
    rate = table.take_number("rate", 0.0001, 100.0) if table.has("rate") else None
    metrics: dict[str, Metric] = {}
    laws: list[Law] = []
    for metric_name, metric_table in table.take_named("metrics"):
        if metric_name in RESERVED:
            raise metric_table.fail(f"{metric_name} has a meaning of its own in every message; choose another name")
        metrics[metric_name], law = _read_metric(metric_table, metric_name)
        laws.append(law)
    if not 1 <= len(metrics) <= MAX_METRICS:
        raise table.fail(f"metrics: a kind has 1 to {MAX_METRICS} of them, not {len(metrics)}")
    commands: dict[str, Command] = {}
    targets: dict[str, int] = {}
    for command_name, command_table in table.take_named("commands"):
        if command_name == "reboot":
            raise command_table.fail("every kind has this command already")
        metric_name = command_table.take_one_of("metric", list(metrics))
        targets[command_name] = list(metrics).index(metric_name)
        commands[command_name] = _read_command(
            command_table, command_name, metrics[metric_name], laws[targets[command_name]]
        )
    table.finish()
    return make_kind(name, label, areas, metrics, tuple(laws), {**commands, "reboot": REBOOT}, targets), rate


def _read_metric(table: Table, key: str) -> tuple[Metric, Law]:
    name = table.take_text("name", key.replace("_", " ").capitalize(), 60)
    physics = table.take_one_of("physics", list(LAWS))
    if physics == State.NAME:
        metric, law = _read_state(table, name)
    else:
        unit = table.take_text("unit", "", 20)
        low = table.take_number("min", -BIGGEST, BIGGEST)
        high = table.take_number("max", -BIGGEST, BIGGEST)
        if high <= low:
            raise table.fail(f"max must be above min, which is {low:g}")
        metric = Metric(name, unit, "number", low, high, table.take_whole("precision", 0, 9, 1))
        law = _read_law(table, physics, low, high)
    table.finish()
    return metric, law


def _read_state(table: Table, name: str) -> tuple[Metric, Law]:
    law = State(0.0, 0.0, 0.0, 0.0)
    law.mean_s = table.take_number("mean_s", 0.1, BIGGEST, 60.0)
    if table.has("states"):
        states = table.take_texts("states")
        if len(states) < 2 or len(set(states)) < len(states):
            raise table.fail("states must be two or more texts, each once; leave it out for true and false")
        law.states = states
        return Metric(name, datatype="text"), law
    law.states = (False, True)
    return Metric(name, datatype="boolean"), law


def _read_law(table: Table, physics: str, low: float, high: float) -> Law:
    middle, width = (low + high) / 2.0, high - low
    if physics == Counter.NAME:
        start = table.take_number("start", low, high, low)
        law: Law = Counter(low, high, start, table.take_number("per_hour", 0.0, BIGGEST))
    else:
        goal = table.take_number("target", low, high, table.take("start", middle))
        law = LAWS[physics](low, high, table.take_number("start", low, high, goal), goal)
    if isinstance(law, RandomWalk):
        law.tau_s = table.take_number("tau_s", 0.1, BIGGEST, 300.0)
        law.spread = table.take_number("spread", 0.0, width, width / 20.0)
    elif isinstance(law, FirstOrder):
        law.noise = table.take_number("noise", 0.0, width, 0.0)
    if isinstance(law, Cycle):
        law.amplitude = table.take_number("amplitude", 0.0, width, width / 4.0)
        law.period_s = _PERIODS[table.take_one_of("period", list(_PERIODS), "day")]
        law.peak_s = table.take_number("peak_hour", 0.0, 168.0, 12.0) * 3600.0 if law.period_s >= DAY_S else 0.0
    elif isinstance(law, FirstOrder):
        law.tau_s = table.take_number("tau_s", 0.1, BIGGEST, 30.0)
    if table.has("follows"):
        law.follows = table.take_one_of("follows", FOLLOWED)
        law.gain = table.take_number("gain", -BIGGEST, BIGGEST, 1.0)
    return law


def _read_command(table: Table, name: str, metric: Metric, law: Law) -> Command:
    title = table.take_text("title", name.replace("_", " ").capitalize(), 80)
    description = table.take_text("description", "", 200)
    danger = table.take_bool("danger", False)
    rules: dict[str, Any]
    if isinstance(law, Counter):
        properties = {}
    elif isinstance(law, State):
        if metric.datatype == "boolean":
            rules = {"type": "boolean", "title": metric.name, "default": False}
        else:
            rules = {"type": "string", "title": metric.name, "enum": list(law.states), "default": law.states[0]}
        properties = {"value": rules}
    else:
        low, high = table.take_number("min", law.low, law.high, law.low), law.high
        high = table.take_number("max", low, law.high, law.high)
        default = table.take_number("default", low, high, min(high, max(low, law.goal)))
        title_of = f"{metric.name} ({metric.unit})" if metric.unit else metric.name
        rules = {"type": "number", "title": title_of, "minimum": low, "maximum": high, "default": default}
        properties = {"value": rules}
    table.finish()
    return Command(title, description, properties, danger)
