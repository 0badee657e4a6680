"""What happened beside readings: availability, commands, notes. Records only.

A row for each happening, in time: the past shows who was online, what was commanded and what was written then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

AVAILABILITY = "availability"  # a device came or went; data: availability, source
COMMAND = "command"  # a command reached a state; data: the command's record
NOTE = "note"  # somebody wrote a note; data: the note
KINDS = (AVAILABILITY, COMMAND, NOTE)


class Event(NamedTuple):
    """One happening. `device_id`: empty where it concerns no device. `event_id`: 0 until it is stored; rises."""

    time_us: int
    kind: str
    device_id: str
    data: Mapping[str, Any]
    event_id: int = 0
