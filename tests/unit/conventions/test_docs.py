"""docs/conventions.md tells the truth: every reason is explained, and its examples work."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from bridge.conventions import limits, times
from bridge.conventions.registry import default_registry
from bridge.core.model import Availability, AvailabilityChange, Reason
from tests.unit.conventions.helpers import decode, units, values

DOC = (Path(__file__).parents[3] / "docs" / "conventions.md").read_text()


def test_every_reason_is_explained() -> None:
    section = DOC[DOC.index("## What is not taken") : DOC.index("## Adding a convention")]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [str(reason) for reason in Reason]


def test_the_examples_work() -> None:
    examples = [shlex.split(line) for line in re.findall(r"^    (mosquitto_pub .*)$", DOC, re.MULTILINE)]
    oven, fridge, will = (
        decode(default_registry(), example[2], example[4], retain="-r" in example) for example in examples
    )
    assert values(oven) == {
        ("lab/oven", "temp_C"): 182.4,
        ("lab/oven", "door"): "closed",
        ("lab/oven", "heating"): True,
    }
    assert units(oven) == {"temp_C": ("°C", "inferred")}
    assert values(fridge) == {("lab/fridge", "temperature"): 4.5}
    assert will == [AvailabilityChange("lab/oven", Availability.OFFLINE)]


def test_limits_are_as_documented() -> None:
    assert (limits.MAX_TOPIC_LENGTH, limits.MAX_PAYLOAD_BYTES, limits.MAX_DEPTH) == (1024, 256 * 1024, 16)
    assert (limits.MAX_VALUES, limits.MAX_KEY_LENGTH, limits.MAX_METRIC_LENGTH) == (500, 128, 256)
    assert (limits.MAX_TEXT_LENGTH, limits.MAX_LIST_LENGTH) == (1024, 16)
    assert (times.LATE_AFTER_US, times.AHEAD_LIMIT_US) == (60_000_000, 300_000_000)
