"""Faults in answering commands. The command is carried out (but for `refuse`); what is told about it is wrong.

An answer that was held back is not repeated when the command is delivered again: the device believes it has answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulators.dialect import Outgoing, Request
from simulators.faults.fault import Fault

if TYPE_CHECKING:
    from simulators.simulated_device import SimulatedDevice

# Where a command does not expire, an answer counts as late after as long as anybody would wait.
LATE_WITHOUT_EXPIRY_S = 60.0


class CommandFault(Fault):
    CHANCE = "command"


class SlowAck(CommandFault):
    NAME = "slow_ack"
    SUMMARY = "the answer to a command comes AMOUNT seconds late (3)"
    AMOUNT = 3.0

    def answer(self, device: SimulatedDevice, request: Request, answer: Outgoing, now_s: float) -> Outgoing | None:
        self.report(now_s, device, f"{request.command_id}: answered {self.amount:g} s later")
        self.desk.hold(now_s + self.amount, answer)
        return None


class LateAck(CommandFault):
    NAME = "late_ack"
    SUMMARY = "the answer to a command comes AMOUNT seconds after the command has expired (1)"
    AMOUNT = 1.0

    def answer(self, device: SimulatedDevice, request: Request, answer: Outgoing, now_s: float) -> Outgoing | None:
        expires_s = now_s + LATE_WITHOUT_EXPIRY_S if request.expires_ms is None else request.expires_ms / 1000.0
        due_s = max(now_s, expires_s) + self.amount
        self.report(now_s, device, f"{request.command_id}: answered {due_s - now_s:.3f} s later")
        self.desk.hold(due_s, answer)
        return None


class WrongAck(CommandFault):
    NAME = "wrong_ack"
    SUMMARY = "the answer carries the id of another command"

    def answer(self, device: SimulatedDevice, request: Request, answer: Outgoing, now_s: float) -> Outgoing | None:
        others = [command_id for command_id in device.answered_ids if command_id != request.command_id]
        wrong = others[-1] if others else f"not-{request.command_id}"[:64]
        self.report(now_s, device, f"{request.command_id}: answered as {wrong}")
        return device.dialect.result(device.who, wrong, None, None)


class NoAck(CommandFault):
    NAME = "no_ack"
    SUMMARY = "the command is carried out and never answered"

    def answer(self, device: SimulatedDevice, request: Request, answer: Outgoing, now_s: float) -> Outgoing | None:
        self.report(now_s, device, f"{request.command_id}: not answered")
        return None


class Refuse(CommandFault):
    NAME = "refuse"
    SUMMARY = "the command is refused without a reason of its own"

    def refuse(self, device: SimulatedDevice, request: Request) -> str | None:
        return "refused: the device does not want to"

    def answer(self, device: SimulatedDevice, request: Request, answer: Outgoing, now_s: float) -> Outgoing | None:
        self.report(now_s, device, f"{request.command_id}: refused")
        return answer


class RebootOnCommand(CommandFault):
    NAME = "reboot_on_command"
    SUMMARY = "the device carries out the command, falls over, and is back after AMOUNT seconds (5) without an answer"
    AMOUNT = 5.0

    def answer(self, device: SimulatedDevice, request: Request, answer: Outgoing, now_s: float) -> Outgoing | None:
        self.report(now_s, device, f"{request.command_id}: rebooted instead of answering")
        device.model.off_for_s = self.amount
        return None
