"""The way of a reading, whole, in one file; and the way of a command back.

    source ─message─▶ registry (convention) ─observations─▶ fleet ─batch─▶ log, device and fleet channels
                                                                        └─▶ history ─commit─▶ PUBACK
    dashboard ─command─▶ ledger ─▶ convention ─▶ source ─▶ broker ─▶ device ─reply─▶ (the way of a reading)

Everything here runs on the event loop and waits for nothing. Batches are flushed at once when the line has been quiet,
and at most every `flush_interval_us` under load.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, assert_never

import msgspec

from bridge.conventions.registry import Registry
from bridge.core.commands import Command, Commands, State
from bridge.core.counters import Counters
from bridge.core.delays import Delays
from bridge.core.fleet import Fleet
from bridge.core.frame import split_by_span
from bridge.core.model import (
    AvailabilityChange,
    CommandReply,
    Description,
    Ignored,
    Message,
    Observation,
    Publish,
    Readings,
    Reason,
    Rejection,
    Removed,
    SignOfLife,
)
from bridge.core.pacing import Pacer
from bridge.core.recent import RecentLog
from bridge.core.series import Device
from bridge.errors import DeliveryUnknown, ProtocolError, PublishFailed
from bridge.history.events import COMMAND, NOTE, Event
from bridge.history.feed import Feed
from bridge.history.recorder import Recorder, Recording
from bridge.live.channel import Entry as Logged
from bridge.live.hub import COMMANDS_IN_WELCOME, Hub
from bridge.live.messages import json_packet
from bridge.sources.source import Clock, Source, SourceStatus

log = logging.getLogger(__name__)

QUARANTINE_SIZE = 200  # rejected messages kept to look at; older ones are only counted
QUARANTINE_PAYLOAD = 200  # bytes kept of each: enough to recognise the sender


class Timing(NamedTuple):
    """How often things go out."""

    flush_interval_us: int = 50_000
    fleet_interval_us: int = 500_000
    stats_interval_us: int = 2_000_000


class Pipeline:
    """Joins sources, fleet and live plane. One instance, on one event loop."""

    def __init__(
        self,
        registry: Registry,
        fleet: Fleet,
        commands: Commands,
        hub: Hub,
        recent: RecentLog,
        counters: Counters,
        clock: Clock,
        timing: Timing,
        recorder: Recorder | None = None,
    ) -> None:
        """`recorder`: None keeps no history; messages are then acknowledged when they are in memory."""
        self.fleet = fleet
        self.commands = commands
        self.hub = hub
        self.counters = counters
        self.sources: dict[str, Source] = {}
        self.statuses: dict[str, SourceStatus] = {}
        self.quarantine: deque[dict[str, Any]] = deque(maxlen=QUARANTINE_SIZE)
        self._registry = registry
        self._recent = recent
        self._clock = clock
        self._timing = timing
        self._flush_handle: asyncio.Handle | None = None
        self._fleet_handle: asyncio.TimerHandle | None = None
        self._pacer = Pacer(timing.flush_interval_us)
        self._delays = Delays()
        self._oldest_us = 0  # when the first message since the last flush arrived
        self._flushed_messages = 0
        self._fleet_flushed_us = 0
        self._stats_us = 0
        self._emitted = 0
        self._unacknowledged: list[tuple[Source, tuple[int, int]]] = []
        self._recorder = recorder
        self._feed = Feed(recorder, fleet) if recorder else None
        self._delivered = recorder.delivered if recorder else None
        self._marks: list[bytes] = []  # of the messages since the last flush
        self._closing = False
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}  # for the end of a command, by its id
        hub.stats = self.stats
        if recorder is not None:
            hub.log_channel.tap = self._log
            hub.on_note = self._record_note
            recorder.on_safe = self._acknowledge_all
            recorder.on_change = self._tell_recording

    def listener(self, source: Source) -> _Listener:
        """What to hand to `source.start`: messages and status of that source."""
        self.sources[source.name] = source
        return _Listener(self, source)

    # ----- the way of a reading ---------------------------------------------------------------------------

    def receive(self, source: Source, message: Message) -> None:
        """One MQTT message. The hot path."""
        if self._closing:
            return  # the broker keeps it for the next run
        counters = self.counters
        counters.received += 1
        counters.received_bytes += len(message.payload)
        if message.duplicate:
            counters.duplicates += 1
            if self._leave_out(source, message):
                return
        convention, observations = self._registry.decode(message)
        untimed = False
        for observation in observations:
            if type(observation) is Readings:
                untimed |= observation.time_us is None
                self.fleet.observe_readings(
                    convention.name, source.name, observation, message.received_us, retained=message.retain
                )
            else:
                self._observe(convention.name, source.name, observation, message)
        if message.ack_token is not None:
            self._unacknowledged.append((source, message.ack_token))
            if untimed and self._delivered is not None and not message.retain:
                self._marks.append(self._delivered.note(message.ack_token[1], message.topic, message.payload))
        if self._flush_handle is None:
            self._schedule_flush(message.received_us)

    def _leave_out(self, source: Source, message: Message) -> bool:
        """Only acknowledge a message that comes again if its readings are recorded, or on their way."""
        if self._delivered is None or message.ack_token is None:
            return False
        mark = self._delivered.recognise(message.ack_token[1], message.topic, message.payload)
        if mark is None:
            return False
        self._marks.append(mark)  # we may die before it is acknowledged this time, too
        self._unacknowledged.append((source, message.ack_token))
        if self._flush_handle is None:
            self._schedule_flush(message.received_us)
        return True

    def _observe(self, convention: str, source: str, observation: Observation, message: Message) -> None:
        """Everything but readings."""
        now_us = message.received_us
        match observation:
            case Readings():
                self.fleet.observe_readings(convention, source, observation, now_us, retained=message.retain)
            case Description():
                self.fleet.observe_description(convention, source, observation, now_us)
            case AvailabilityChange():
                self.fleet.observe_availability(convention, source, observation, now_us)
            case SignOfLife():
                if not message.retain:
                    self.fleet.observe_life(convention, source, observation.device, now_us)
            case CommandReply():
                self._observe_reply(convention, observation, message)
            case Removed():
                self.fleet.remove(convention, observation.device)
            case Ignored():
                self.counters.ignored += 1
            case Rejection():
                self._reject(observation, message)
            case _:
                assert_never(observation)

    def _observe_reply(self, convention: str, reply: CommandReply, message: Message) -> None:
        device = self.fleet.find(convention, reply.device)
        command = None
        if device is not None and not message.retain:
            command = self.commands.answer(device, reply, message.received_us)
        if command is None:
            self._reject(
                Rejection(Reason.UNKNOWN_COMMAND_ID, f"no command {reply.command_id!r} waits for this device"), message
            )
            return
        self.flush()  # the readings that came before the answer go out before it: they may be its effect
        self._tell(command)

    def _reject(self, rejection: Rejection, message: Message) -> None:
        self.counters.reject(rejection.reason)
        self.quarantine.append(
            {
                "reason": rejection.reason,
                "detail": rejection.detail[:500],
                "topic": message.topic[:1024],
                "payload": message.payload[:QUARANTINE_PAYLOAD].decode("utf-8", "replace"),
                "payload_bytes": len(message.payload),
                "time_ms": message.received_us // 1000,
            }
        )

    def _schedule_flush(self, now_us: int) -> None:
        loop = asyncio.get_running_loop()
        self._oldest_us = now_us
        wait_us = self._pacer.wait_us(now_us)
        # At once means: as soon as the messages that arrived with this one are read.
        self._flush_handle = loop.call_later(wait_us / 1e6, self.flush) if wait_us else loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what has come together, and acknowledge it."""
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        now_us = self._clock()
        writes = 0
        batch = self.fleet.take_batch(now_us)
        self._publish_changes(now_us)
        if batch is not None:
            self._recent.append(batch)
            for part in split_by_span(batch):
                writes += self.hub.publish_readings(part, now_us)
            if self._fleet_handle is None:
                self._schedule_fleet(now_us)
            if self._oldest_us:
                self._delays.add(self._clock() - self._oldest_us, now_us)
        self._oldest_us = 0
        self._pacer.sent(self.counters.received - self._flushed_messages, writes)
        self._flushed_messages = self.counters.received
        waiting, self._unacknowledged = self._unacknowledged, []
        marks, self._marks = b"".join(self._marks), []
        if self._feed is None:
            self._acknowledge(waiting)
        else:
            readings = len(batch) if batch is not None else 0
            self._feed.hand_over(self.hub.log_channel.offset, now_us, readings, waiting or None, marks)

    def _publish_changes(self, now_us: int) -> None:
        changes = self.fleet.take_changes()
        if changes:
            self.hub.publish_changes(changes, now_us)
            if self._feed is not None:
                self._feed.change(changes, now_us)

    def _log(self, entry: Logged) -> None:
        assert self._feed is not None
        is_frame = entry.binary is not None
        self._feed.log(entry.offset, entry.packet(binary=is_frame).payload, is_frame=is_frame)

    def _acknowledge_all(self, tokens: Iterable[list[tuple[Source, tuple[int, int]]]]) -> None:
        self._acknowledge([one for some in tokens for one in some])

    def _acknowledge(self, waiting: list[tuple[Source, tuple[int, int]]]) -> None:
        by_source: dict[str, list[tuple[int, int]]] = {}
        for source, token in waiting:
            by_source.setdefault(source.name, []).append(token)
        for name, tokens in by_source.items():
            self.sources[name].acknowledge(tokens)

    def _schedule_fleet(self, now_us: int) -> None:
        wait_us = self._fleet_flushed_us + self._timing.fleet_interval_us - now_us
        if wait_us <= 0 or wait_us > self._timing.fleet_interval_us:
            self._flush_fleet()
        else:
            self._fleet_handle = asyncio.get_running_loop().call_later(wait_us / 1e6, self._flush_fleet)

    def _flush_fleet(self) -> None:
        self._fleet_handle = None
        now_us = self._clock()
        self._fleet_flushed_us = now_us
        batch = self.fleet.latest.take_dirty(now_us)
        if batch is None:
            return
        self._emitted += len(batch)
        self.counters.conflated = self.counters.readings - self.counters.late - self._emitted
        for part in split_by_span(batch):
            self.hub.publish_fleet(part, now_us)

    # ----- the way of a command ---------------------------------------------------------------------------

    def run_command(
        self,
        device_id: str,
        command_id: str,
        name: str,
        args: dict[str, Any],
        *,
        ttl_ms: int | None,
        sent_by: str,
    ) -> tuple[dict[str, Any], bool]:
        """Check a command, send it, and tell everybody how it goes on.

        Returns:
            the record, and whether it is new; the same id with the same content is the same command.

        Raises:
            ProtocolError: refused, with the code; nothing was sent.
        """
        now_us = self._clock()
        try:
            device = self.fleet.devices.get(device_id)
            if device is None:
                raise ProtocolError("unknown_device", f"there is no device {device_id[:100]!r}")
            known = self.commands.find(command_id)
            source = self.sources.get(device.source)
            if known is None and (source is None or source.status.state != "connected"):
                raise ProtocolError("broker_unavailable", "not connected to the broker; nothing was sent")
            command, is_new = self.commands.accept(
                device, command_id, name, args, ttl_ms=ttl_ms, sent_by=sent_by, now_us=now_us
            )
        except ProtocolError:
            self.counters.commands_refused += 1
            raise
        if is_new:
            assert source is not None
            self.counters.commands += 1
            self._tell(command)  # the record exists before anything is sent
            self._send(command, device, source, now_us)
        return command.as_dict(), is_new

    def _send(self, command: Command, device: Device, source: Source, now_us: int) -> None:
        request = self.commands.request(command, device)
        publish = self._registry.by_name(device.convention).encode_command(request)
        expires_s = max(1, (command.expires_us - now_us) // 1_000_000)
        future = source.publish(_with_expiry(publish, expires_s))

        def delivered(done: asyncio.Future[None]) -> None:
            if done.cancelled():
                return
            error = done.exception()
            if error is None:
                news = self.commands.advance(command, State.DELIVERED, self._clock())
            elif isinstance(error, DeliveryUnknown):
                # Not failed: it may run. The device's answer or the time-out will tell.
                self.commands.doubt(command, "the connection broke before the broker confirmed it, so it may have run")
                return
            elif isinstance(error, PublishFailed):
                news = self.commands.fail(command, "broker_unavailable", error.reason, self._clock())
            else:
                log.error("command %s could not be sent", command.command_id, exc_info=error)
                news = self.commands.fail(command, "internal", "could not be sent; see the log", self._clock())
            if news:
                self._tell(command)

        refused = future.done() and not future.cancelled() and future.exception() is not None
        if not refused and self.commands.advance(command, State.SENT, self._clock()):
            self._tell(command)
        future.add_done_callback(delivered)

    def _tell(self, command: Command) -> None:
        record = command.as_dict()
        self.hub.broadcast(json_packet("command", **record))
        if self._feed is not None:
            now_us = self._clock()
            self._feed.happen(Event(now_us, COMMAND, command.device_id, record))
            if self._flush_handle is None:  # else it goes with the readings that came before it
                self._feed.hand_over(self.hub.log_channel.offset, now_us)
        if command.has_ended:
            for waiting in self._waiting.pop(command.command_id, ()):
                if not waiting.done():
                    waiting.set_result(None)

    def when_ended(self, command_id: str) -> asyncio.Future[None]:
        """A future that is done when the command has ended. Cancel it when you no longer wait."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(command_id, set())
        waiting.add(future)
        future.add_done_callback(waiting.discard)
        return future

    # ----- what happens with time, and what others ask ----------------------------------------------------

    def tick(self) -> None:
        """Staleness, time-outs, presence, counters. Called some four times a second."""
        now_us = self._clock()
        self.fleet.tick(now_us)
        for command in self.commands.tick(now_us):
            self._tell(command)
        self._publish_changes(now_us)
        if self._feed is not None and self._recorder is not None:
            self._feed.hand_over(self.hub.log_channel.offset, now_us)
            self._recorder.tick(now_us)
        self.hub.tick(now_us)
        if not 0 <= now_us - self._stats_us < self._timing.stats_interval_us:
            self._stats_us = now_us
            self.hub.publish_stats(now_us)

    def on_status(self, status: SourceStatus) -> None:
        """A source connected or lost its broker."""
        before = self.statuses.get(status.name)
        self.statuses[status.name] = status
        if before is not None and msgspec.structs.replace(before, dropped=status.dropped) == status:
            if status.dropped:
                log.warning("%s: the broker has dropped %d messages for its clients", status.name, status.dropped)
        else:
            log.info(
                "%s: %s %s %s%s",
                status.name,
                status.state,
                status.address,
                status.protocol,
                f" ({status.detail})" if status.detail else "",
            )
        self.hub.broadcast(json_packet("source", **source_as_dict(status)))

    def stats(self) -> dict[str, Any]:
        """All counters, and the sizes of things."""
        median, slow = self._delays.quantiles_ms((0.5, 0.99), self._clock())
        dropped = [status.dropped for status in self.statuses.values() if status.dropped is not None]
        return {
            **self.counters.as_dict(),
            "devices": len(self.fleet.devices),
            "series": len(self.fleet.series),
            "operators": len(self.hub.sessions),
            "delay_p50_ms": median,
            "delay_p99_ms": slow,
            "broker_dropped": sum(dropped) if dropped else None,
        }

    def welcome(self) -> dict[str, Any]:
        """What a dashboard learns before it asks for anything."""
        return {
            "epoch": self.hub.epoch,
            "server_time_ms": self._clock() / 1000,
            "operators": len(self.hub.sessions),
            "sources": [source_as_dict(status) for status in self.statuses.values()],
            "commands": [command.as_dict() for command in self.commands.recent(COMMANDS_IN_WELCOME)],
            "notes": list(self.hub.notes),
            "recording": self.recording.as_dict(),
        }

    @property
    def recording(self) -> Recording:
        return self._recorder.recording if self._recorder else Recording("off", 0)

    def _tell_recording(self, recording: Recording) -> None:
        self.hub.broadcast(json_packet("recording", **recording.as_dict()))

    def _record_note(self, note: dict[str, Any]) -> None:
        assert self._feed is not None
        self._feed.happen(Event(self._clock(), NOTE, "", note))

    def close(self) -> None:
        """Flush what is left and stop the timers. What still arrives is left with the broker."""
        self.flush()
        self._closing = True
        if self._fleet_handle is not None:
            self._fleet_handle.cancel()
            self._fleet_handle = None
        self._flush_fleet()

    def end(self) -> None:
        """Hand over what has happened since `close`: notes, and commands that ended with their connection."""
        if self._feed is not None:
            self._feed.hand_over(self.hub.log_channel.offset, self._clock())


class _Listener:
    """Gives a source's messages their source."""

    def __init__(self, pipeline: Pipeline, source: Source) -> None:
        self._source = source
        self._counters = pipeline.counters
        self._receive: Callable[[Source, Message], None] = pipeline.receive
        self.on_status = pipeline.on_status

    def on_message(self, message: Message) -> None:
        try:
            self._receive(self._source, message)
        except Exception:
            self._counters.source_errors += 1
            raise  # the source logs it, and acknowledges the message so that it cannot block those behind it

    def on_shed(self, count: int) -> None:
        self._counters.shed += count


def source_as_dict(status: SourceStatus) -> dict[str, Any]:
    return {field: getattr(status, field) for field in status.__struct_fields__}


def _with_expiry(publish: Publish, expires_s: int) -> Publish:
    return msgspec.structs.replace(publish, expires_s=expires_s)
