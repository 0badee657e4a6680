"""The way of a command: accepted, sent, delivered, and how it ended. Pure: it decides, others publish and tell.

    accepted ──▶ sent ──▶ delivered ──▶ succeeded | failed | timed_out

A record never moves out of an end state: an answer that comes too late is noted as late, and does not rewrite history.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from bridge.core.arguments import problem_with
from bridge.core.model import Availability, CommandReply, CommandRequest
from bridge.core.series import Device
from bridge.errors import CommandError


class State(StrEnum):
    ACCEPTED = "accepted"
    SENT = "sent"
    DELIVERED = "delivered"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"


ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.TIMED_OUT})
_ON_ITS_WAY = (State.ACCEPTED, State.SENT, State.DELIVERED)  # in this order, never back


class CommandLimits(NamedTuple):
    """Bounds of the ledger."""

    default_ttl_ms: int = 30_000
    max_ttl_ms: int = 3_600_000
    max_pending_per_device: int = 10
    kept: int = 1_000


class Command:
    """The record of one command."""

    __slots__ = (
        "args",
        "command_id",
        "confirmed_by",
        "device_id",
        "doubt",
        "error",
        "expires_us",
        "late",
        "name",
        "sent_by",
        "state",
        "times_us",
        "ttl_ms",
        "value",
    )

    def __init__(
        self,
        command_id: str,
        device_id: str,
        name: str,
        args: dict[str, Any],
        ttl_ms: int,
        sent_by: str,
        now_us: int,
    ) -> None:
        self.command_id = command_id
        self.device_id = device_id
        self.name = name
        self.args = args
        self.ttl_ms = ttl_ms
        self.sent_by = sent_by
        self.expires_us = now_us + ttl_ms * 1000
        self.state = State.ACCEPTED
        self.times_us: dict[State, int] = {State.ACCEPTED: now_us}
        self.confirmed_by: str | None = None  # how we know that it worked, once it ended well
        self.value: Any = None  # what the device answered
        self.error: tuple[str, str] | None = None  # code, message
        self.late = False  # the device answered after the time-out
        self.doubt = ""  # why we do not know whether the broker has it; told if the device does not answer either

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    def as_dict(self) -> dict[str, Any]:
        """The record as docs/protocol.md shows it."""
        return {
            "id": self.command_id,
            "device_id": self.device_id,
            "name": self.name,
            "args": self.args,
            "state": self.state,
            "confirmed_by": self.confirmed_by,
            "times": {state: time_us // 1000 for state, time_us in self.times_us.items()},
            "ttl_ms": self.ttl_ms,
            "sent_by": self.sent_by,
            "value": self.value,
            "error": {"code": self.error[0], "message": self.error[1]} if self.error else None,
            "late": self.late,
        }


class Commands:
    """All commands that are running, and the last ones that have ended."""

    def __init__(self, limits: CommandLimits) -> None:
        self._limits = limits
        self._records: OrderedDict[str, Command] = OrderedDict()  # in order of acceptance
        self._pending: dict[str, int] = {}  # by device
        self._deadlines: list[tuple[int, str]] = []

    def accept(
        self,
        device: Device,
        command_id: str,
        name: str,
        args: dict[str, Any],
        *,
        ttl_ms: int | None,
        sent_by: str,
        now_us: int,
    ) -> tuple[Command, bool]:
        """Check a command and open its record.

        Returns the record and whether it is new: the same id with the same content is the same command, and must not
        be sent again.

        Raises:
            CommandError: with the code that docs/protocol.md lists.
        """
        known = self._records.get(command_id)
        if known is not None:
            if (known.device_id, known.name, known.args) != (device.device_id, name, args):
                raise CommandError("id_reused", f"the id {command_id!r} was used for another command")
            return known, False
        info = device.commands.get(name)
        if info is None:
            raise CommandError("unknown_command", f"{device.device_id!r} has no command {name!r}")
        problem = problem_with(info.schema, args)
        if problem is not None:
            raise CommandError("invalid_arguments", problem)
        if device.availability is Availability.OFFLINE:
            raise CommandError("device_offline", f"{device.device_id!r} is offline; nothing was sent")
        if self._pending.get(device.device_id, 0) >= self._limits.max_pending_per_device:
            raise CommandError("busy", f"{device.device_id!r} has too many unanswered commands")
        ttl_ms = self._limits.default_ttl_ms if ttl_ms is None else ttl_ms
        if not 100 <= ttl_ms <= self._limits.max_ttl_ms:
            raise CommandError("invalid_message", f"ttl_ms must be between 100 and {self._limits.max_ttl_ms}")
        command = Command(command_id, device.device_id, name, args, ttl_ms, sent_by, now_us)
        self._records[command_id] = command
        self._pending[device.device_id] = self._pending.get(device.device_id, 0) + 1
        heapq.heappush(self._deadlines, (command.expires_us, command_id))
        self._forget_oldest()
        return command, True

    def restore(self, record: Mapping[str, Any]) -> None:
        """A command of an earlier run, as `as_dict` told it last. One that had not ended may still be answered, until
        its time is over; it is not sent again, and its id stays taken.
        """
        times_us = {State(state): time_ms * 1000 for state, time_ms in record["times"].items()}
        command = Command(
            record["id"], record["device_id"], record["name"], record["args"], record["ttl_ms"], record["sent_by"],
            times_us[State.ACCEPTED],
        )  # fmt: skip
        command.state, command.times_us = State(record["state"]), times_us
        command.confirmed_by, command.value, command.late = record["confirmed_by"], record["value"], record["late"]
        if record["error"]:
            command.error = (record["error"]["code"], record["error"]["message"])
        self._records[command.command_id] = command
        if not command.has_ended:
            command.doubt = "the bridge ended while it was under way"
            self._pending[command.device_id] = self._pending.get(command.device_id, 0) + 1
            heapq.heappush(self._deadlines, (command.expires_us, command.command_id))

    def request(self, command: Command, device: Device) -> CommandRequest:
        """What the convention has to encode."""
        return CommandRequest(command.command_id, device.native_id, command.name, command.args, command.expires_us)

    def advance(self, command: Command, state: State, now_us: int) -> bool:
        """Note that the command was sent or delivered; whether that was news."""
        command.times_us.setdefault(state, now_us)
        if command.has_ended or _ON_ITS_WAY.index(state) <= _ON_ITS_WAY.index(command.state):
            return False  # the device's answer overtook the broker's acknowledgement
        command.state = state
        return True

    def fail(self, command: Command, code: str, message: str, now_us: int) -> bool:
        """The command could not be sent; whether that was news."""
        if command.has_ended:
            return False
        command.error = (code, message)
        self._end(command, State.FAILED, now_us)
        return True

    def doubt(self, command: Command, why: str) -> None:
        """The connection broke while the command was under way: it may run or not. Only the device can tell now."""
        command.doubt = why

    def answer(self, device: Device, reply: CommandReply, now_us: int) -> Command | None:
        """The device's own answer. None when it answers nothing that *this* device still owes us an answer to."""
        command = self._records.get(reply.command_id)
        if command is None or command.device_id != device.device_id:
            return None
        if command.has_ended:
            if command.state is not State.TIMED_OUT or command.late:
                return None  # a second answer is only noise, and must not be told to everybody
            # Too late to count, but the operator should know.
            command.late = True
            command.value = reply.value
            return command
        command.confirmed_by = "device_reply"
        command.value = reply.value
        if not reply.succeeded:
            command.error = ("device_failed", reply.error or "the device refused")
        self._end(command, State.SUCCEEDED if reply.succeeded else State.FAILED, now_us)
        return command

    def tick(self, now_us: int) -> list[Command]:
        """The commands that have just timed out."""
        timed_out = []
        while self._deadlines and self._deadlines[0][0] <= now_us:
            deadline_us, command_id = heapq.heappop(self._deadlines)
            command = self._records.get(command_id)
            if command is None or command.has_ended or command.expires_us != deadline_us:
                continue  # the latter: its id was forgotten, and used again since
            doubt = f"; {command.doubt}" if command.doubt else ""
            command.error = ("timed_out", f"no answer within {command.ttl_ms / 1000:g} s{doubt}")
            self._end(command, State.TIMED_OUT, now_us)
            timed_out.append(command)
        return timed_out

    def find(self, command_id: str) -> Command | None:
        return self._records.get(command_id)

    def recent(self, count: int, device_id: str | None = None) -> list[Command]:
        """The newest `count` commands, oldest first."""
        records = [c for c in self._records.values() if device_id is None or c.device_id == device_id]
        return records[-count:]

    def _end(self, command: Command, state: State, now_us: int) -> None:
        command.state = state
        command.times_us[state] = now_us
        left = self._pending.get(command.device_id, 0) - 1
        if left > 0:
            self._pending[command.device_id] = left
        else:
            self._pending.pop(command.device_id, None)

    def _forget_oldest(self) -> None:
        excess = len(self._records) - self._limits.kept
        if excess <= 0:
            return
        for command_id in [i for i, c in self._records.items() if c.has_ended][:excess]:
            del self._records[command_id]
