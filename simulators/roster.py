"""Who belongs to a fleet: each device's name, kind, place and rhythm, before any of them is built."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from simulators.devices import KINDS, WEIGHTS
from simulators.devices.device import Device, Metric
from simulators.dialect import Identity
from simulators.site import DEFAULT_SITE, Site

DEVICE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


class Member(NamedTuple):
    """One device of a fleet."""

    who: Identity
    kind: type[Device]
    interval_s: float
    site: Site


@dataclass(frozen=True, slots=True)
class Group:
    """Devices of one kind that stand at one site: one `[[devices]]` table of a fleet file."""

    kind: type[Device]
    count: int
    site: Site
    areas: tuple[str, ...]
    rate_hz: float
    id: str  # ids are this, a dash and a number
    label: str


def mixed_roster(count: int, kinds: Sequence[str] = (), prefix: str = "", interval_s: float = 1.0) -> Iterator[Member]:
    """The plant without a file: deals out kinds, first one of each, then by weight, evenly mixed."""
    chosen = [KINDS[kind] for kind in kinds] or list(WEIGHTS)
    numbers = dict.fromkeys(chosen, 0)
    for index in range(count):
        kind = min(chosen, key=lambda kind: numbers[kind] / WEIGHTS.get(kind, 3))
        numbers[kind] += 1
        number = numbers[kind]
        area = kind.AREAS[(number - 1) % len(kind.AREAS)]
        who = Identity(index, _device_id(prefix, kind.KIND, number), f"{kind.LABEL} {number} · {area}", area)
        yield Member(who, kind, interval_s, DEFAULT_SITE)


def grouped_roster(groups: Sequence[Group], prefix: str = "", rate_hz: float | None = None) -> Iterator[Member]:
    """The devices of a fleet file, in its order. `rate_hz` replaces the file's own. `ValueError` for a bad id."""
    numbers: dict[str, int] = {}
    index = 0
    for group in groups:
        interval_s = 1.0 / (group.rate_hz if rate_hz is None else rate_hz)
        for place in range(group.count):
            # Two groups with the same id count on.
            number = numbers[group.id] = numbers.get(group.id, 0) + 1
            area = group.areas[place % len(group.areas)]
            who = Identity(index, _device_id(prefix, group.id, number), f"{group.label} {number} · {area}", area)
            yield Member(who, group.kind, interval_s, group.site)
            index += 1


def specialise(
    kind: type[Device], site: Site, parameters: Mapping[str, float], overrides: Mapping[str, Mapping[str, Any]]
) -> type[Device]:
    """`kind` with other parameters, at another place, or with metrics declared otherwise: a subclass without code."""
    sized = _subclass(kind, dict(parameters)) if parameters else kind
    metrics = dict(sized.metrics_at(site))
    for key, changes in overrides.items():
        metrics[key] = _converted(metrics[key], changes)
    commands = sized.commands_at(site)
    if metrics == sized.METRICS and commands == sized.COMMANDS:
        return sized
    return _subclass(sized, {"METRICS": metrics, "COMMANDS": commands})


def _converted(metric: Metric, changes: Mapping[str, Any]) -> Metric:
    """Limits go along with a conversion, unless the file gives them."""
    changed = replace(metric, **changes)
    if metric.min is None or metric.max is None or (changed.scale, changed.offset) == (1.0, 0.0):
        return changed
    ends = sorted(end * changed.scale + changed.offset for end in (metric.min, metric.max))
    return replace(changed, min=changes.get("min", ends[0]), max=changes.get("max", ends[1]))


def _subclass(kind: type[Device], attributes: dict[str, Any]) -> type[Device]:
    return type(kind.__name__, (kind,), {"__slots__": (), "__doc__": kind.__doc__, **attributes})


def _device_id(prefix: str, base: str, number: int) -> str:
    device_id = f"{prefix}{base}-{number:02d}"
    if not DEVICE_ID.fullmatch(device_id):
        raise ValueError(f"{device_id!r} is not a device id: 1 to 64 letters, digits or _ . : -")
    return device_id
