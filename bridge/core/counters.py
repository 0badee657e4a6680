"""What happened, counted. Every drop has a name here; the page and /metrics show all of them.

"counter" and "gauge" are our own numbers; "metric" is always a device's.
"""

from __future__ import annotations

from typing import Any, ClassVar

from bridge.core.model import Reason


class Counters:
    """Plain integers that only grow. One object for the whole bridge, handed to whoever counts."""

    FIELDS: ClassVar[dict[str, str]] = {
        "received": "MQTT messages received",
        "received_bytes": "bytes of their payloads",
        "readings": "values taken from them",
        "ignored": "messages that are not telemetry (commands on their way, cleared topics)",
        "retained": "retained values: shown as of unknown age, never taken as new",
        "late": "readings older than the newest of their series: kept, but not shown as the latest",
        "clock_suspect": "messages whose time cannot be right: the receive time was taken",
        "duplicates": "messages that the broker delivered again",
        "inexact": "integers beyond 2^53, kept as the nearest double",
        "batches": "batches made",
        "recorded": "readings safe on disk",
        "unrecorded": "readings in no history: the disk refused them for too long (QoS 0 only)",
        "sealed": "readings compressed",
        "recorded_twice": "readings that were in the history already, and are there once",
        "conflicts": "readings refused by the history: it has another value of that series and time",
        "forgotten": "pieces of the history that made room or were too old",
        "damaged": "pieces of the history that could not be read",
        "frames_sent": "frames and messages handed to dashboards' sockets",
        "bytes_sent": "their bytes",
        "conflated": "readings merged into a newer one of their series on the fleet channel",
        "resumed": "dashboards that came back and got exactly what they had missed",
        "not_resumed": "dashboards that came back too late and got a snapshot instead",
        "lagged": "times a dashboard fell behind and got merged readings until it had caught up",
        "merged": "readings merged into others of their series for dashboards that fell behind",
        "dropped": "messages that a dashboard did not even get merged: it fell too far behind and got a snapshot",
        "closed_slow": "connections closed because the other side did not read",
        "closed_silent": "dashboards closed because they went silent",
        "closed_unauthenticated": "connections closed because no token came in time",
        "closed_headers": "connections cut because their request did not come in time",
        "turned_away": "connections refused because there were too many (503, or closed at once)",
        "refused": "connections refused (token, origin, host)",
        "commands": "commands accepted",
        "commands_refused": "commands refused before they were sent",
        "shed": "QoS 0 messages dropped, the oldest first, because they came faster than we can take them",
        "source_errors": "device messages that made our own code fail (a defect: see the log)",
    }

    __slots__ = (*FIELDS, "rejected")

    def __init__(self) -> None:
        for field in self.FIELDS:
            setattr(self, field, 0)
        self.rejected: dict[Reason, int] = {}

    # Named for the type checker; the values live in the slots.
    received: int
    received_bytes: int
    readings: int
    ignored: int
    retained: int
    late: int
    clock_suspect: int
    duplicates: int
    inexact: int
    batches: int
    recorded: int
    unrecorded: int
    sealed: int
    recorded_twice: int
    conflicts: int
    forgotten: int
    damaged: int
    frames_sent: int
    bytes_sent: int
    conflated: int
    resumed: int
    not_resumed: int
    lagged: int
    merged: int
    dropped: int
    closed_slow: int
    closed_silent: int
    closed_unauthenticated: int
    closed_headers: int
    turned_away: int
    refused: int
    commands: int
    commands_refused: int
    shed: int
    source_errors: int

    def reject(self, reason: Reason) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1

    def as_dict(self) -> dict[str, Any]:
        """All counters by name; `rejected` is a dict by reason."""
        numbers: dict[str, Any] = {field: getattr(self, field) for field in self.FIELDS}
        numbers["rejected"] = {str(reason): count for reason, count in self.rejected.items()}
        return numbers
