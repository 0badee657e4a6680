"""A program on `log` comes back after restarts, clean ones and kills: it gets exactly what it missed, or is told that
it cannot be told. The witness is what others saw live."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from bridge.core.counters import Counters
from bridge.core.fleet import Fleet, FleetLimits
from bridge.core.frame import split_by_span
from bridge.core.model import Readings
from bridge.core.recent import RecentLog
from bridge.history.feed import Feed
from bridge.history.journal import Entry
from bridge.history.keeper import Keeper
from bridge.history.recorder import Recorder, RecorderOptions
from bridge.history.revive import revive_fleet
from bridge.history.start import read_before
from bridge.history.store import Store
from bridge.live.channel import Entry as Logged
from bridge.live.hub import Hub, LiveLimits
from tests.unit.history.databases import new_url
from tests.unit.live.helpers import Client, RecordingOperations

NOW_US = 1_767_225_600_000_000
S = 1_000_000
LIMITS = LiveLimits(ring_bytes=700, ring_us=60 * S)
DEVICES = ["a", "b"]
PROTOCOLS = [True, False]  # binary, JSON
STRANGE_EPOCHS = ["", "x", "deadbeef.1", "{}.0", "{}.99", "{}.", "{}", "{}.-1", "{}.1.1", "{}." + "9" * 5_000]

Message = dict[str, Any]


class SlowRecorder(Recorder):
    """Writes down only when it is told to; what waits when it is killed is lost."""

    waiting: list[Entry]

    def record(self, entry: Entry) -> None:
        self.waiting.append(entry)

    def write(self, count: int) -> None:
        for one in self.waiting[:count]:
            self._journal.commit([one])
        del self.waiting[:count]


class Run:
    """One run of the bridge: what the pipeline does, without its loop."""

    def __init__(self, store: Store, now_us: int) -> None:
        self.now_us = now_us
        self.operations = RecordingOperations()
        self.counters = Counters()
        self.fleet = Fleet(FleetLimits(), self.counters)
        self.recorder = SlowRecorder(store, RecorderOptions(), self.counters, lambda: self.now_us)
        self.recorder.waiting = []
        revive_fleet(self.fleet, read_before(store, self.recorder.archive.history, now_us, 900 * S).moment, now_us)
        self.hub = Hub(
            self.recorder.epoch,
            self.fleet,
            RecentLog(10**6, 900),
            self.counters,
            LIMITS,
            log_offset=self.recorder.first_offset,
            read_log=self.recorder.read_log,
        )
        self.feed = Feed(self.recorder, self.fleet)
        self.hub.log_channel.tap = self._log
        self.witnesses = {binary: self.client(binary=binary) for binary in PROTOCOLS}
        for witness in self.witnesses.values():
            (snapshot, *more) = witness.subscribes("log")
            assert not snapshot["recovered"]
            assert not more
            witness.packets.clear()

    def client(self, *, binary: bool) -> Client:
        return Client(self, "s", "operator", binary=binary)  # type: ignore[arg-type]

    def _log(self, entry: Logged) -> None:
        is_frame = entry.binary is not None
        self.feed.log(entry.offset, entry.packet(binary=is_frame).payload, is_frame=is_frame)

    def flush(self) -> None:
        batch = self.fleet.take_batch(self.now_us)
        changes = self.fleet.take_changes()
        if changes:
            self.hub.publish_changes(changes, self.now_us)
            self.feed.change(changes, self.now_us)
        for part in split_by_span(batch) if batch is not None else ():
            self.hub.publish_readings(part, self.now_us)
        self.feed.hand_over(self.hub.log_channel.offset, self.now_us, len(batch) if batch is not None else 0)


class World:
    """Many runs on one store, what each of them told, and the programs that come and go."""

    def __init__(self) -> None:
        self.store = Store(new_url())
        self.log: dict[bool, dict[int, Message]] = {binary: {} for binary in PROTOCOLS}  # by offset; the one that holds
        self.begins: dict[str, int] = {}  # of each run by its epoch
        self.recovered = 0
        self.refused = 0
        self.run = self._begin(NOW_US)

    def _begin(self, now_us: int) -> Run:
        run = Run(self.store, now_us)
        self.begins[run.recorder.epoch] = run.recorder.first_offset
        return run

    def says(self, device: str, **values: Any) -> None:
        self.run.now_us += 1_000
        self.run.fleet.observe_readings("native", "mqtt", Readings(device, list(values.items())), self.run.now_us)

    def flush(self) -> None:
        self.run.flush()
        for binary, witness in self.run.witnesses.items():
            for message in witness.inbox():
                assert message["offset"] not in self.log[binary]
                self.log[binary][message["offset"]] = message

    def restart(self) -> None:
        """As after kill -9: what waits for the disk was told, and is lost."""
        self.run = self._begin(self.run.now_us + S)
        begin = self.run.recorder.first_offset
        for messages in self.log.values():
            for offset in [one for one in messages if one > begin]:
                del messages[offset]

    def knows_too_much(self, epoch: str, offset: int) -> bool:
        """Whether a program that was told so much by that run was told something that no longer holds."""
        epochs = list(self.begins)
        return any(self.begins[later] < offset for later in epochs[epochs.index(epoch) + 1 :])

    def returns(self, epoch: str, offset: int, *, binary: bool) -> Message:
        """A program comes back, and its answer is held against what the others saw; the snapshot."""
        client = self.run.client(binary=binary)
        snapshot, *missed = client.subscribes("log", epoch=epoch, offset=offset)
        channel = self.run.hub.log_channel
        assert snapshot["epoch"] == channel.epoch == self.run.recorder.epoch
        if not snapshot["recovered"]:
            self.refused += 1
            assert snapshot["offset"] + len(missed) == channel.offset  # one of a moment ago, and what came since
        else:
            self.recovered += 1
            assert not self.knows_too_much(epoch, offset)
            assert snapshot["offset"] == offset
            assert [message["offset"] for message in missed] == list(range(offset + 1, channel.offset + 1))
            for message in missed:
                assert message.get("channel_no", channel.number) == channel.number
                assert self._held(message, binary) == self._held(self.log[binary][message["offset"]], binary)
        client.leaves()
        return snapshot

    def _held(self, message: Message, binary: bool) -> Message:
        """What must be the same: runs number their channels anew, and who is gone has no name for a value any more."""
        held = {key: value for key, value in message.items() if key != "channel_no"}
        if "rows" in held and not binary:
            held["rows"] = [row for row in held["rows"] if row[0] in self.run.fleet.series]
        return held


class Restarts(RuleBasedStateMachine):
    """Everything that may happen, in any order."""

    @initialize()
    def begin(self) -> None:
        self.world = World()
        self.number = 0

    @rule(device=st.sampled_from(DEVICES), times=st.integers(1, 3), metric=st.sampled_from(["m", "n"]))
    def tell(self, device: str, times: int, metric: str) -> None:
        for _ in range(times):
            self.number += 1
            self.world.says(device, **{metric: self.number, "text": f"t{self.number % 5}"})
            self.world.flush()

    @rule(device=st.sampled_from(DEVICES))
    def remove(self, device: str) -> None:
        self.world.run.fleet.remove("native", device)
        self.world.flush()

    @rule(count=st.integers(1, 5))
    def write(self, count: int) -> None:
        self.world.run.recorder.write(count)

    @rule()
    def write_all(self) -> None:
        self.world.run.recorder.write(10**6)

    @rule()
    def seal(self) -> None:
        Keeper(self.world.store).seal()

    @rule()
    def restart(self) -> None:
        self.world.restart()

    @rule(data=st.data(), binary=st.sampled_from(PROTOCOLS))
    def come_back(self, data: st.DataObject, binary: bool) -> None:
        epochs = list(self.world.begins)
        epoch = data.draw(st.sampled_from(epochs))
        offset = data.draw(st.integers(0, self.world.run.hub.log_channel.offset + 3))
        self.world.returns(epoch, offset, binary=binary)

    @rule(epoch=st.sampled_from(STRANGE_EPOCHS), binary=st.sampled_from(PROTOCOLS))
    def a_stranger_comes(self, epoch: str, binary: bool) -> None:
        client = self.world.run.client(binary=binary)
        epoch = epoch.replace("{}", self.world.store.epoch)
        answer = client.subscribes("log", epoch=epoch, offset=1)[0]
        assert not answer.get("recovered")
        assert answer.get("code") in (None, "invalid_message")
        client.leaves()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.store.close()


Restarts.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestRestarts = Restarts.TestCase


# ----- what must not be refused ---------------------------------------------------------------------------


@pytest.fixture
def world() -> World:
    made = World()
    for number in range(40):
        made.says("a", m=number)
        made.flush()
    return made


@pytest.mark.parametrize("binary", PROTOCOLS)
def test_what_memory_has_forgotten_comes_from_the_disk(world: World, binary: bool) -> None:
    assert world.run.hub.log_channel.oldest > 20
    epoch, offset = world.run.recorder.epoch, world.run.hub.log_channel.offset
    assert not world.returns(epoch, 3, binary=binary)["recovered"]  # not written yet
    world.run.recorder.write(10**6)
    for after in range(offset + 1):
        assert world.returns(epoch, after, binary=binary)["recovered"]
    world.store.close()


@pytest.mark.parametrize("binary", PROTOCOLS)
def test_after_restarts_whoever_knows_only_what_holds_resumes(world: World, binary: bool) -> None:
    first = world.run.recorder.epoch
    world.run.recorder.write(30)
    world.restart()
    begin = world.run.recorder.first_offset
    assert 0 < begin < 41
    for number in range(20):
        world.says("b", m=number)
        world.flush()
    world.run.recorder.write(10**6)
    second = world.run.recorder.epoch
    world.restart()
    third = world.run.recorder.epoch
    assert len({first, second, third}) == 3
    for after in range(begin + 1):
        assert world.returns(first, after, binary=binary)["recovered"]
    for after in range(begin + 1, begin + 5):
        assert not world.returns(first, after, binary=binary)["recovered"]
    for after in range(world.run.recorder.first_offset + 1):
        assert world.returns(second, after, binary=binary)["recovered"]
    world.store.close()


def test_another_history_is_not_this_one(world: World) -> None:
    world.run.recorder.write(10**6)
    other = World()
    snapshot, *_ = world.run.client(binary=True).subscribes("log", epoch=other.run.recorder.epoch, offset=1)
    assert not snapshot["recovered"]
    for one in (world, other):
        one.store.close()


def test_the_runs_are_not_mixed_at_random() -> None:
    """Long lives, to see that both answers are given."""
    chance = random.Random(7)
    world = World()
    for number in range(300):
        world.says(chance.choice(DEVICES), m=number)
        world.flush()
        world.run.recorder.write(chance.randrange(3))
        if chance.random() < 0.04:
            world.restart()
        if chance.random() < 0.02:
            Keeper(world.store).seal()
        if chance.random() < 0.5:
            epoch = chance.choice(list(world.begins)[-3:])
            newest = world.run.hub.log_channel.offset
            world.returns(epoch, max(0, newest - chance.randrange(40)), binary=chance.random() < 0.5)
    assert world.recovered > 30
    assert world.refused > 10
    world.store.close()
