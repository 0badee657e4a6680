"""A small live plane, and a dashboard that believes only what docs/protocol.md promises."""

from __future__ import annotations

import json
from typing import Any

from bridge.core.counters import Counters
from bridge.core.fleet import Fleet, FleetLimits
from bridge.core.frame import KIND_MERGED, KIND_RECENT, decode_frame
from bridge.core.model import Readings, Value
from bridge.core.recent import RecentLog
from bridge.errors import ProtocolError
from bridge.live.hub import Hub, LiveLimits
from bridge.live.messages import Packet
from bridge.live.session import OpensReplays, Session

NOW_US = 1_767_225_600_000_000
S = 1_000_000


class RecordingOperations:
    """The far side of a session: notes the commands, and answers as it is told."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, str, str, dict[str, Any], int | None, str]] = []
        self.is_new = True
        self.replays: OpensReplays | None = None
        self.refuse_with: Exception | None = None

    def run_command(
        self, device_id: str, command_id: str, name: str, args: dict[str, Any], *, ttl_ms: int | None, sent_by: str
    ) -> tuple[dict[str, Any], bool]:
        self.commands.append((device_id, command_id, name, args, ttl_ms, sent_by))
        if self.refuse_with is not None:
            raise self.refuse_with
        return {"id": command_id, "device_id": device_id, "state": "accepted"}, self.is_new


def message(packet: Packet) -> dict[str, Any]:
    """A packet as a client reads it: JSON, or a frame as the same words."""
    if packet.is_text:
        decoded: dict[str, Any] = json.loads(packet.payload)
        return decoded
    frame = decode_frame(packet.payload)
    rows = [list(row) for row in zip(frame.series_ids.tolist(), frame.times_us.tolist(), frame.values, strict=True)]
    return {
        "type": "recent" if frame.kind == KIND_RECENT else "readings",
        **({"merged": True} if frame.kind == KIND_MERGED else {}),
        "channel_no": frame.channel_no,
        "offset": frame.offset,
        "rows": rows,
    }


class Plane:
    """Fleet, hub and clock; `flush` does what the pipeline does."""

    def __init__(self, epoch: str = "e1", limits: LiveLimits | None = None, recent_bytes: int = 1_000_000) -> None:
        self.now_us = NOW_US
        self.counters = Counters()
        self.fleet = Fleet(FleetLimits(), self.counters)
        self.recent = RecentLog(recent_bytes, 900)
        self.hub = Hub(epoch, self.fleet, self.recent, self.counters, limits or LiveLimits())
        self.operations = RecordingOperations()
        self._sessions = 0

    def says(self, device: str, **values: Value) -> None:
        self.fleet.observe_readings("native", "mqtt", Readings(device, list(values.items())), self.now_us)

    def flush(self) -> None:
        batch = self.fleet.take_batch(self.now_us)
        changes = self.fleet.take_changes()
        if changes:
            self.hub.publish_changes(changes, self.now_us)
        if batch is not None:
            self.recent.append(batch)
            self.hub.publish_readings(batch, self.now_us)

    def flush_fleet(self) -> None:
        batch = self.fleet.latest.take_dirty(self.now_us)
        if batch is not None:
            self.hub.publish_fleet(batch, self.now_us)

    def tick(self) -> None:
        """What is told with time, as the pipeline does: changes first, so that nothing told of a lag is news."""
        self.fleet.tick(self.now_us)
        changes = self.fleet.take_changes()
        if changes:
            self.hub.publish_changes(changes, self.now_us)
        self.hub.tick(self.now_us)

    def client(self, *, binary: bool = False, role: str = "operator") -> Client:
        self._sessions += 1
        return Client(self, f"s{self._sessions}", role, binary=binary)


class Client:
    """One connection. What it was sent lies in `inbox`, decoded."""

    def __init__(self, plane: Plane, session_id: str, role: str, *, binary: bool) -> None:
        self.plane = plane
        self.packets: list[Packet] = []
        self.reads = True  # while it does not, its messages wait where a socket would hold them...
        self.holds = 0  # ... which takes so many more of its channels
        self.session = Session(plane.hub, plane.operations, session_id, role, self, binary=binary)
        plane.hub.join(self.session)

    # ----- what the bridge finds at the other end of the socket

    def send(self, packet: Packet) -> None:
        self.packets.append(packet)

    def send_state(self, packets: list[Packet]) -> None:
        self.packets += packets

    def offer(self, packet: Packet) -> bool:
        if not self.reads and not self.holds:
            return False
        if not self.reads:
            self.holds -= 1
        self.packets.append(packet)
        return True

    def has_room(self) -> bool:
        return self.reads

    def says(self, raw: Any) -> list[dict[str, Any]]:
        """Say something; the answers, which also go to the inbox, as on a socket."""
        text = raw if isinstance(raw, str | bytes) else json.dumps(raw)
        answers = self.session.receive(text, self.plane.now_us)
        self.packets += answers
        return [message(packet) for packet in answers]

    def subscribes(self, channel: str, id_: str | int = "sub", **fields: Any) -> list[dict[str, Any]]:
        return self.says({"type": "subscribe", "id": id_, "channel": channel, **fields})

    def inbox(self, *types: str) -> list[dict[str, Any]]:
        """Everything received so far, decoded; of these types, if any are named. Emptied by reading."""
        messages = [message(packet) for packet in self.packets]
        self.packets.clear()
        return [m for m in messages if not types or m["type"] in types]

    def leaves(self) -> None:
        self.plane.hub.part(self.session, self.plane.now_us)


def error_of(answers: list[dict[str, Any]]) -> tuple[str, Any]:
    """The code and ref of the one error that was answered."""
    assert len(answers) == 1, answers
    assert set(answers[0]) == {"type", "code", "message", "ref"}
    assert answers[0]["type"] == "error"
    assert answers[0]["message"]
    return answers[0]["code"], answers[0]["ref"]


__all__ = ["NOW_US", "Client", "Plane", "ProtocolError", "RecordingOperations", "S", "error_of", "message"]
