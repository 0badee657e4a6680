"""Short ways to feed a convention and to look at what came out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bridge.conventions.convention import Convention
from bridge.conventions.registry import Registry
from bridge.core.model import Message, Observation, Readings, Reason, Rejection, Value

RECEIVED_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
RECEIVED_US = RECEIVED_MS * 1000


def message(topic: str, payload: Any, *, retain: bool = False, received_us: int = RECEIVED_US) -> Message:
    """A message; a payload that is neither text nor bytes is sent as JSON."""
    if not isinstance(payload, str | bytes):
        payload = json.dumps(payload)
    if isinstance(payload, str):
        payload = payload.encode()
    return Message(topic, payload, received_us, retain=retain)


def decode(convention: Convention | Registry, topic: str, payload: Any, **more: Any) -> list[Observation]:
    observations: Sequence[Observation]
    if isinstance(convention, Registry):
        _, observations = convention.decode(message(topic, payload, **more))
    else:
        observations = convention.decode(message(topic, payload, **more))
    return list(observations)


def readings(observations: Sequence[Observation]) -> list[Readings]:
    return [one for one in observations if isinstance(one, Readings)]


def values(observations: Sequence[Observation]) -> dict[tuple[str, str], Value]:
    """All values by device and metric. Fails when one metric is told twice."""
    pairs = [((one.device, metric), value) for one in readings(observations) for metric, value in one.values]
    assert len(dict(pairs)) == len(pairs), f"told twice: {pairs}"
    return dict(pairs)


def metrics(observations: Sequence[Observation]) -> dict[str, Value]:
    """The values of the one device that spoke."""
    devices = {device for device, _ in values(observations)}
    assert len(devices) <= 1, devices
    return {metric: value for (_, metric), value in values(observations).items()}


def units(observations: Sequence[Observation]) -> dict[str, tuple[str, str]]:
    return {
        metric: (info.unit, info.unit_source)
        for one in readings(observations)
        for metric, info in (one.units or {}).items()
    }


def reasons(observations: Sequence[Observation]) -> list[Reason]:
    return [one.reason for one in observations if isinstance(one, Rejection)]


def the_readings(observations: Sequence[Observation]) -> Readings:
    (one,) = readings(observations)
    return one
