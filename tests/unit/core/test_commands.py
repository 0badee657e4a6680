"""The ledger of commands: what it accepts, and that no record ever moves out of an end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bridge.core.commands import ENDED, Command, CommandLimits, Commands, State
from bridge.core.model import Availability, CommandInfo, CommandReply
from bridge.core.series import Device
from bridge.errors import CommandError

NOW_US = 1_767_225_600_000_000
S = 1_000_000
SCHEMA = {"type": "object", "properties": {"v": {"type": "integer"}}, "additionalProperties": False}


def make_device(name: str = "d") -> Device:
    device = Device(name, f"native-{name}", "native", "mqtt", NOW_US)
    device.commands = {"set": CommandInfo(schema=SCHEMA), "reboot": CommandInfo()}
    device.set_availability(Availability.ONLINE, "derived", NOW_US)
    return device


def accept(
    commands: Commands,
    device: Device,
    command_id: str = "1",
    name: str = "set",
    args: dict[str, Any] | None = None,
    ttl_ms: int | None = None,
    now_us: int = NOW_US,
) -> tuple[Command, bool]:
    return commands.accept(device, command_id, name, args or {}, ttl_ms=ttl_ms, sent_by="me", now_us=now_us)


def refused(commands: Commands, device: Device, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(CommandError) as caught:
        accept(commands, device, *args, **kwargs)
    return caught.value.code


@pytest.fixture
def commands() -> Commands:
    return Commands(CommandLimits())


def test_the_whole_way(commands: Commands) -> None:
    device = make_device()
    command, is_new = accept(commands, device, args={"v": 3})
    assert is_new
    assert command.state is State.ACCEPTED
    assert commands.request(command, device).device == "native-d"  # the id as its convention knows it
    assert commands.request(command, device).expires_us == NOW_US + 30 * S

    assert commands.advance(command, State.SENT, NOW_US + 1000)
    assert commands.advance(command, State.DELIVERED, NOW_US + 2000)
    assert commands.answer(device, CommandReply("native-d", "1", True, value=7), NOW_US + 3000) is command

    assert command.as_dict() == {
        "id": "1",
        "device_id": "d",
        "name": "set",
        "args": {"v": 3},
        "state": "succeeded",
        "confirmed_by": "device_reply",
        "times": {
            "accepted": NOW_US // 1000,
            "sent": NOW_US // 1000 + 1,
            "delivered": NOW_US // 1000 + 2,
            "succeeded": NOW_US // 1000 + 3,
        },
        "ttl_ms": 30_000,
        "sent_by": "me",
        "value": 7,
        "error": None,
        "late": False,
    }


def test_what_is_refused_and_with_which_code() -> None:
    commands = Commands(CommandLimits(max_pending_per_device=2, max_ttl_ms=60_000))
    device = make_device()
    assert refused(commands, device, name="fly") == "unknown_command"
    assert refused(commands, device, args={"v": "three"}) == "invalid_arguments"
    assert refused(commands, device, args={"w": 3}) == "invalid_arguments"
    assert refused(commands, device, ttl_ms=99) == "invalid_message"
    assert refused(commands, device, ttl_ms=60_001) == "invalid_message"
    device.set_availability(Availability.OFFLINE, "lwt", NOW_US)
    assert refused(commands, device) == "device_offline"
    device.set_availability(Availability.STALE, "timeout", NOW_US)
    assert commands.recent(10) == []  # nothing of that left a record

    accept(commands, device, "1")  # stale is no proof that it is gone
    accept(commands, device, "2", ttl_ms=100)
    assert refused(commands, device, "3") == "busy"
    assert accept(commands, make_device("other"), "3")[1]
    assert refused(commands, device, "1", args={"v": 1}) == "id_reused"
    assert refused(commands, device, "1", name="reboot") == "id_reused"
    assert refused(commands, make_device("third"), "1") == "id_reused"


def test_the_same_command_again_is_the_same_record(commands: Commands) -> None:
    device = make_device()
    command, _ = accept(commands, device, args={"v": 1})
    assert accept(commands, device, args={"v": 1}) == (command, False)
    commands.fail(command, "broker_unavailable", "gone", NOW_US)
    device.set_availability(Availability.OFFLINE, "lwt", NOW_US)
    assert accept(commands, device, args={"v": 1}, now_us=NOW_US + S) == (command, False)  # also when it has ended
    assert len(commands.recent(10)) == 1


def test_a_command_goes_forward_only(commands: Commands) -> None:
    command, _ = accept(commands, make_device())
    assert commands.advance(command, State.DELIVERED, NOW_US + 1)
    assert not commands.advance(command, State.SENT, NOW_US + 2)
    assert not commands.advance(command, State.DELIVERED, NOW_US + 3)
    assert command.state is State.DELIVERED
    assert command.times_us[State.DELIVERED] == NOW_US + 1


def test_an_answer_that_overtakes_the_acknowledgement_stands(commands: Commands) -> None:
    device = make_device()
    command, _ = accept(commands, device)
    commands.advance(command, State.SENT, NOW_US + 1)
    commands.answer(device, CommandReply("d", "1", True), NOW_US + 2)
    assert not commands.advance(command, State.DELIVERED, NOW_US + 3)
    assert command.state is State.SUCCEEDED
    assert command.times_us[State.DELIVERED] == NOW_US + 3  # when it was is known all the same


def test_an_answer_counts_only_from_the_device_that_was_asked(commands: Commands) -> None:
    device = make_device()
    command, _ = accept(commands, device)
    assert commands.answer(make_device("other"), CommandReply("other", "1", True), NOW_US) is None
    assert commands.answer(device, CommandReply("d", "no such id", True), NOW_US) is None
    assert command.state is State.ACCEPTED


def test_a_device_that_refuses_says_why(commands: Commands) -> None:
    device = make_device()
    command, _ = accept(commands, device)
    commands.answer(device, CommandReply("d", "1", False, error="too hot"), NOW_US + 1)
    assert (command.state, command.error) == (State.FAILED, ("device_failed", "too hot"))
    second, _ = accept(commands, device, "2")
    commands.answer(device, CommandReply("d", "2", False), NOW_US + 1)
    assert second.error is not None
    assert second.error[1]


def test_silence_times_out_at_its_time_and_a_late_answer_is_noted(commands: Commands) -> None:
    device = make_device()
    command, _ = accept(commands, device, ttl_ms=1_500)
    assert commands.tick(NOW_US + 1_499_999) == []
    assert commands.tick(NOW_US + 1_500_000) == [command]
    assert commands.tick(NOW_US + 1_500_001) == []
    assert command.error == ("timed_out", "no answer within 1.5 s")

    assert commands.answer(device, CommandReply("d", "1", True, value="done"), NOW_US + 9 * S) is command
    assert (command.state, command.late, command.value) == (State.TIMED_OUT, True, "done")
    assert commands.answer(device, CommandReply("d", "1", False, value="no"), NOW_US + 10 * S) is None
    assert command.value == "done"


def test_a_connection_that_broke_under_way_is_a_doubt_and_no_failure(commands: Commands) -> None:
    device = make_device()
    command, _ = accept(commands, device, ttl_ms=1_500)
    commands.advance(command, State.SENT, NOW_US + 1)
    commands.doubt(command, "the connection broke")
    assert (command.state, command.error) == (State.SENT, None)
    commands.tick(NOW_US + 1_500_000)
    assert command.error == ("timed_out", "no answer within 1.5 s; the connection broke")


def test_a_device_that_answers_all_the_same_settles_the_doubt(commands: Commands) -> None:
    device = make_device()
    command, _ = accept(commands, device)
    commands.doubt(command, "the connection broke")
    assert commands.answer(device, CommandReply("d", "1", True, value=3), NOW_US + 5) is command
    assert (command.state, command.error) == (State.SUCCEEDED, None)


def test_a_second_answer_is_not_late(commands: Commands) -> None:
    device = make_device()
    command, _ = accept(commands, device)
    commands.answer(device, CommandReply("d", "1", True, value=1), NOW_US)
    assert commands.answer(device, CommandReply("d", "1", False, value=2, error="?"), NOW_US + 1) is None
    assert (command.state, command.late, command.value, command.error) == (State.SUCCEEDED, False, 1, None)


def test_ended_commands_are_forgotten_oldest_first_and_running_ones_never() -> None:
    commands = Commands(CommandLimits(kept=3, max_pending_per_device=100))
    device = make_device()
    running, _ = accept(commands, device, "running")
    for number in range(10):
        command, _ = accept(commands, device, f"c{number}")
        commands.fail(command, "internal", "", NOW_US)
    accept(commands, device, "last")
    assert [c.command_id for c in commands.recent(100)] == ["running", "c9", "last"]
    assert commands.find("running") is running
    assert commands.find("c1") is None


def test_a_forgotten_id_may_come_again_without_the_old_deadline() -> None:
    commands = Commands(CommandLimits(kept=1))
    device = make_device()
    first, _ = accept(commands, device, "again", ttl_ms=1_000)
    commands.fail(first, "internal", "", NOW_US)
    other, _ = accept(commands, device, "other")
    commands.fail(other, "internal", "", NOW_US)
    second, is_new = accept(commands, device, "again", ttl_ms=60_000, now_us=NOW_US + 500_000)
    assert is_new
    assert commands.tick(NOW_US + 2 * S) == []
    assert second.state is State.ACCEPTED
    assert commands.tick(NOW_US + 61 * S) == [second]


def test_recent_narrows_by_device_and_count(commands: Commands) -> None:
    for number in range(6):
        accept(commands, make_device("ab"[number % 2]), str(number))
    assert [c.command_id for c in commands.recent(2)] == ["4", "5"]
    assert [c.command_id for c in commands.recent(2, "a")] == ["2", "4"]


LIMITS = CommandLimits(default_ttl_ms=5_000, max_ttl_ms=20_000, max_pending_per_device=3, kept=8)
IDS = [f"id{number}" for number in range(6)]


class LedgerMachine(RuleBasedStateMachine):
    """Everything that can happen to commands, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.commands = Commands(LIMITS)
        self.devices = {name: make_device(name) for name in "ab"}
        self.now_us = NOW_US
        self.all: list[Command] = []
        self.ended: dict[Command, tuple[Any, ...]] = {}

    @rule(
        device=st.sampled_from("ab"),
        command_id=st.sampled_from(IDS),
        value=st.integers(0, 1),
        ttl_ms=st.sampled_from([None, 100, 2_000, 20_000]),
    )
    def accept(self, device: str, command_id: str, value: int, ttl_ms: int | None) -> None:
        known = self.commands.find(command_id)
        pending = sum(c.device_id == device and not c.has_ended for c in self.all)
        try:
            command, is_new = accept(
                self.commands, self.devices[device], command_id, "set", {"v": value}, ttl_ms, self.now_us
            )
        except CommandError as error:
            if error.code == "id_reused":
                assert known is not None
                assert (known.device_id, known.args) != (device, {"v": value})
            else:
                assert error.code == "busy"  # noqa: PT017  (accepting may end both ways)
                assert pending >= LIMITS.max_pending_per_device
            return
        if known is not None:
            assert (command, is_new) == (known, False)
            assert (command.device_id, command.args) == (device, {"v": value})
        else:
            assert is_new
            assert pending < LIMITS.max_pending_per_device
            assert command.expires_us == self.now_us + (ttl_ms or LIMITS.default_ttl_ms) * 1000
            self.all.append(command)

    @rule(at=st.integers(0, 200), state=st.sampled_from([State.SENT, State.DELIVERED]))
    def advance(self, at: int, state: State) -> None:
        if self.all:
            command = self.all[at % len(self.all)]
            before = command.state
            news = self.commands.advance(command, state, self.now_us)
            assert news == (command.state is not before)
            assert command.state is (state if news else before)

    @rule(device=st.sampled_from("ab"), command_id=st.sampled_from(IDS), succeeded=st.booleans(), value=st.integers())
    def answer(self, device: str, command_id: str, succeeded: bool, value: int) -> None:
        command = self.commands.find(command_id)
        had_ended = command is not None and command.has_ended
        reply = CommandReply(device, command_id, succeeded, value=value, error="" if succeeded else "no")
        was_late = command is not None and command.late
        answered = self.commands.answer(self.devices[device], reply, self.now_us)
        if command is None or command.device_id != device:
            assert answered is None
            return
        # Only the first answer is one: to a running command, or to one that has timed out.
        is_owed = not had_ended or (command.state is State.TIMED_OUT and not was_late)
        assert answered is (command if is_owed else None)
        if not had_ended:
            assert command.state is (State.SUCCEEDED if succeeded else State.FAILED)
            assert command.value == value
        assert command.late == (command.state is State.TIMED_OUT)

    @rule(at=st.integers(0, 200))
    def fail(self, at: int) -> None:
        if self.all:
            command = self.all[at % len(self.all)]
            had_ended = command.has_ended
            assert self.commands.fail(command, "broker_unavailable", "gone", self.now_us) is not had_ended

    @rule(step_ms=st.integers(0, 6_000))
    def tick(self, step_ms: int) -> None:
        self.now_us += step_ms * 1000
        due = {c for c in self.all if not c.has_ended and c.expires_us <= self.now_us}
        assert set(self.commands.tick(self.now_us)) == due
        assert all(c.state is State.TIMED_OUT for c in due)

    @invariant()
    def an_end_is_an_end(self) -> None:
        for command in self.all:
            if not command.has_ended:
                continue
            now = (command.state, command.confirmed_by, command.error, command.times_us[command.state])
            assert self.ended.setdefault(command, now) == now
            assert (command.confirmed_by == "device_reply") == (
                command.state is State.SUCCEEDED or (command.error or ("",))[0] == "device_failed"
            )
            assert (command.error is None) == (command.state is State.SUCCEEDED)

    @invariant()
    def pending_is_counted_right(self) -> None:
        running = [c for c in self.all if not c.has_ended]
        expected = {name: sum(c.device_id == name for c in running) for name in "ab"}
        assert self.commands._pending == {name: count for name, count in expected.items() if count}
        known = self.commands.recent(10_000)
        assert set(running) <= set(known)
        assert len(known) <= max(LIMITS.kept, len(running))
        assert sum(c.state in ENDED for c in known) <= LIMITS.kept


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)


def test_commands_of_an_earlier_run_are_as_they_were(commands: Commands) -> None:
    device = make_device()
    done, _ = accept(commands, device, "1", args={"v": 3})
    commands.answer(device, CommandReply("native-d", "1", succeeded=True, value={"v": 3}), NOW_US + S)
    refused_by_device, _ = accept(commands, device, "2", args={"v": 4})
    commands.answer(device, CommandReply("native-d", "2", succeeded=False, error="jammed"), NOW_US + 2 * S)
    open_one, _ = accept(commands, device, "3", args={"v": 5}, now_us=NOW_US + 3 * S)
    commands.advance(open_one, State.SENT, NOW_US + 3 * S)

    after = Commands(CommandLimits(max_pending_per_device=1))
    for command in (done, refused_by_device, open_one):
        after.restore(command.as_dict())
    assert [c.as_dict() for c in after.recent(10)] == [c.as_dict() for c in (done, refused_by_device, open_one)]
    again, is_new = after.accept(device, "1", "set", {"v": 3}, ttl_ms=None, sent_by="me", now_us=NOW_US + 9 * S)
    assert (again.state, is_new) == (State.SUCCEEDED, False)  # never executed twice, not even across a restart
    assert refused(after, device, "4") == "busy"  # the open one still counts


def test_a_command_that_was_under_way_may_still_be_answered_or_times_out_with_the_reason(commands: Commands) -> None:
    device = make_device()
    for command_id in ("1", "2"):
        command, _ = accept(commands, device, command_id)
        commands.advance(command, State.SENT, NOW_US)
    after = Commands(CommandLimits())
    for command in commands.recent(2):
        after.restore(command.as_dict())
    answered = after.answer(device, CommandReply("native-d", "1", succeeded=True), NOW_US + 5 * S)
    assert answered is not None
    assert answered.state is State.SUCCEEDED
    assert after.tick(NOW_US + 29 * S) == []
    (late,) = after.tick(NOW_US + 30 * S)
    assert late.command_id == "2"
    assert late.error == ("timed_out", "no answer within 30 s; the bridge ended while it was under way")
