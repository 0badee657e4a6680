"""One device at work: reports when it is due, executes commands once, in time and after a short while, and reboots.

Pure like the device models: time comes in as `now_s`, messages go out as a list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from simulators.devices.device import CommandFailed, Device
from simulators.dialect import Dialect, Identity, Outgoing, Request

if TYPE_CHECKING:
    from simulators.faults.fault import Fault
    from simulators.faults.plan import FaultPlan

# A broker hands a command over again after a lost acknowledgement, which is a matter of seconds: of this many ids we
# know that they were executed and what the answer was.
REMEMBERED_COMMANDS = 64
# More at once than any operator sends; a flood must not grow the memory of the device.
MAX_PENDING = 32
# After a pause (a suspended laptop) the physics does not replay hours.
LONGEST_GAP_S = 600.0


class CommandRecord(NamedTuple):
    """What a device did with a command: for a ledger."""

    time_s: float
    device_id: str
    command_id: str
    name: str
    outcome: str  # succeeded | failed | expired
    error: str | None


class SimulatedDevice:
    """Runs a `Device` model. `wake_s` says when `run` has something to do next."""

    __slots__ = (
        "_answers",
        "_back_s",
        "_next_report_s",
        "_pending",
        "_phase",
        "_stepped_s",
        "dialect",
        "executed",
        "failed",
        "faults",
        "ignored",
        "journal",
        "late",
        "model",
        "seq",
        "who",
    )

    def __init__(self, who: Identity, model: Device, dialect: Dialect, phase: float) -> None:
        self.who = who
        self.model = model
        self.executed = 0
        self.failed = 0  # of the executed ones
        self.ignored = 0  # not a command, repeated, or more than we can hold
        self.late = 0  # readings that were left out because their time had passed when we were run
        self.dialect = dialect
        self.faults: FaultPlan | None = None  # set by the plan that is in force
        self.journal: Callable[[CommandRecord], None] | None = None  # told of every command; set while a ledger is kept
        self.seq: int | None = None  # of the last reading; a number while readings are numbered, for a ledger
        self._phase = phase  # 0 to 1: where in the interval this device reports, so that not all do at once
        self._next_report_s = 0.0
        self._stepped_s: float | None = None
        self._back_s: float | None = None  # when a reboot ends; None: the device runs
        self._pending: list[tuple[float, Request]] = []
        # Answers by command id, oldest first; an empty one belongs to a command that is still to be executed.
        self._answers: dict[str, Outgoing | None] = {}

    @property
    def online(self) -> bool:
        return self._back_s is None

    @property
    def wake_s(self) -> float:
        if self._back_s is not None:
            return self._back_s
        return min(self._next_report_s, self._pending[0][0]) if self._pending else self._next_report_s

    @property
    def answered_ids(self) -> list[str]:
        """Ids of the commands we know of, oldest first."""
        return list(self._answers)

    def schedule(self, now_s: float) -> None:
        """Take up the reporting rhythm at `now_s`: at the start, and when the clock was put back."""
        self._next_report_s = now_s + self._phase * self.model.interval_s
        self._stepped_s = now_s
        self._pending = [(min(due_s, now_s + 1.0), request) for due_s, request in self._pending]
        if self._back_s is not None:
            self._back_s = min(self._back_s, now_s + 5.0)

    def announce(self) -> list[Outgoing]:
        return self.dialect.announce(self.who, self.model, self.online)

    def receive(self, payload: bytes, now_s: float) -> Outgoing | None:
        """Take a command in. Returns the earlier answer when it is one that was executed before."""
        request = self.dialect.parse_command(payload) if self.online else None
        if request is None:
            # A device that reboots hears nothing: nobody answers, and the sender's time-out tells the truth.
            self.ignored += 1
            return None
        if request.command_id in self._answers:
            self.ignored += 1
            return self._answers[request.command_id]
        if len(self._pending) >= MAX_PENDING:
            self.ignored += 1
            return None
        self._remember(request.command_id, None)
        # One after the other: a controller that is busy answers later.
        start_s = max(now_s, self._pending[-1][0]) if self._pending else now_s
        self._pending.append((start_s + self.model.rng.uniform(0.03, 0.2), request))
        return None

    def run(self, now_s: float, out: list[Outgoing]) -> None:
        """Do what is due by `now_s`; messages are appended to `out`."""
        if self._back_s is not None:
            if now_s < self._back_s:
                return
            self._back_s = None
            self._next_report_s = now_s
            out.extend(self.announce())
        reported = False
        while self._pending and self._pending[0][0] <= now_s and self.online:
            _, request = self._pending.pop(0)
            self._step(now_s)
            answer = self._execute(request, now_s)
            if answer is not None:
                out.append(answer)
            reported = True
        if not self.online:  # that was a reboot
            out.append(self.dialect.status(self.who, online=False))
            return
        if self._next_report_s <= now_s:
            self._step(now_s)
            reported = True
            self._plan_report(now_s)
        if reported:
            # Also right after a command, so that nobody waits for the next report to see what it did.
            self._report(now_s, out)

    def _plan_report(self, now_s: float) -> None:
        interval_s = self.model.interval_s
        self._next_report_s += interval_s
        if self._next_report_s <= now_s:  # we are late: skip what was missed, keep the rhythm
            missed = int((now_s - self._next_report_s) / interval_s) + 1
            self._next_report_s += missed * interval_s
            self.late += missed

    def report_now(self, now_s: float, out: list[Outgoing]) -> None:
        """Report besides the rhythm, unless the device is off; the physics moves on to `now_s`."""
        if self.online:
            self._step(now_s)
            self._report(now_s, out)

    def _report(self, now_s: float, out: list[Outgoing]) -> None:
        values, time_ms, faults = self.model.values(), round(now_s * 1000.0), self.faults
        if faults is not None:
            values, time_ms = faults.measure(self, values, time_ms, now_s)
        if self.seq is not None:
            self.seq += 1
            values = {**values, "seq": self.seq}
        message = self.dialect.telemetry(self.who, values, time_ms)
        if self.seq is not None:
            message = message._replace(seq=self.seq)
        if faults is None:
            out.append(message)
        else:
            out += faults.carry(self, message, now_s)

    def _step(self, now_s: float) -> None:
        before = now_s if self._stepped_s is None else self._stepped_s
        self.model.step(now_s, min(now_s - before, LONGEST_GAP_S))
        self._stepped_s = now_s

    def _execute(self, request: Request, now_s: float) -> Outgoing | None:
        """Carry out a command. Returns the answer, or None when a fault swallowed it or holds it back."""
        interval_s = self.model.interval_s
        value = None
        error: str | None = None
        fault: Fault | None = None
        if request.expires_ms is not None and now_s * 1000.0 >= request.expires_ms:
            error = "expired before it could be executed"
            outcome = "expired"
            self.ignored += 1
        else:
            fault = None if self.faults is None else self.faults.command(self, now_s)
            self.executed += 1
            try:
                refusal = None if fault is None else fault.refuse(self, request)
                if refusal is not None:
                    raise CommandFailed(refusal)
                value = self.model.execute(request.name, request.args)
                outcome = "succeeded"
            except CommandFailed as failure:
                error = str(failure)
                outcome = "failed"
                self.failed += 1
        if self.model.interval_s != interval_s:
            self._next_report_s = now_s + self.model.interval_s
        if self.journal is not None:
            self.journal(CommandRecord(now_s, self.who.device_id, request.command_id, request.name, outcome, error))
        answer: Outgoing | None = self.dialect.result(self.who, request.command_id, value, error)
        if fault is not None and answer is not None:
            answer = fault.answer(self, request, answer, now_s)
        if self.model.off_for_s > 0.0:
            self._back_s = now_s + self.model.off_for_s
            self.model.off_for_s = 0.0
            self._pending.clear()
        self._remember(request.command_id, answer)
        return answer

    def _remember(self, command_id: str, answer: Outgoing | None) -> None:
        self._answers[command_id] = answer
        while len(self._answers) > REMEMBERED_COMMANDS:
            del self._answers[next(iter(self._answers))]
