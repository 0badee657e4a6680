"""How a run is to be, apart from what the fleet is: connections, load, faults and the ledger."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from simulators.spans import Span

# A connection of its own for each device up to here: the numbers that were measured, and the files a system opens.
MAX_OWN_CONNECTIONS = 10_000
MAX_DEVICES = 100_000


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Every field has the default of the command line."""

    duration_s: float | None = None  # None: until it is stopped
    ramp_s: float = 0.0  # the connections are begun evenly over this time
    burst_s: float | None = None  # so often, all devices report in the same moment, besides their rhythm
    shared_connections: int | None = None  # None: each device has its own, with a last will
    shard: tuple[int, int] = (1, 1)  # the k-th of n processes that share the fleet
    faults: tuple[str, ...] = ()
    ledger: Path | None = None
    speed: float = 1.0  # simulated seconds in a real one, see clock.py
    history: Span | None = None  # write so much of the past before the live part


def parse_shard(text: str) -> tuple[int, int]:
    """Reads `2/4`. `ValueError` says what is wrong."""
    match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(f"{text!r} is not a shard: write 2/4 for the second of four")
    return int(match[1]), int(match[2])
