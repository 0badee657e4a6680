"""Publishes a recording: in its order, with its spacing, as fast as the broker takes it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulators.capture import Captured, Header
from simulators.capture_reader import CaptureReader
from simulators.mqtt_link import MqttLink
from simulators.pacer import Pacer
from simulators.restamp import restamp
from simulators.topics import can_publish, topic_matches

# Messages due within this time go out together: waking up for each would be what limits the rate.
TOGETHER_S = 0.001
# A message counts as late when it goes out so long after it was due.
LATE_S = 0.05
# The longest time without a look at whether we are to stop.
LONGEST_SLEEP_S = 0.1
# Messages between two looks at the socket, and at the clock, when there is nothing to wait for.
BATCH = 64
# How long the broker may take to confirm what was sent last.
SETTLE_S = 10.0


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    speed: float = 1.0
    loop: bool = False
    from_s: float = 0.0
    to_s: float | None = None
    filters: Sequence[str] = ()
    prefix: str = ""
    qos: int | None = None  # None: as recorded
    restamp: bool = False


class Replayer:
    """Runs once. The counters may be read at any time."""

    def __init__(
        self,
        path: Path,
        options: ReplayOptions,
        clock: Callable[[], float] = time.monotonic,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._path = path
        self._options = options
        self._clock = clock
        self._now_us = now_us
        self._topics: dict[str, str | None] = {}  # recorded topic -> the one to publish to; None: left out
        self._unsendable: set[str] = set()
        self.sent = 0
        self.payload_bytes = 0
        self.late = 0
        self.worst_s = 0.0  # how late the latest one was
        self.passes = 0
        self.unsendable = 0  # messages on topics that no client may publish to, or larger than the broker takes
        self.read = 0
        self.damage: str | None = None
        self.unconfirmed = 0

    def header(self) -> Header:
        """What the recording says about itself. Raises `NotACapture`, `OSError`."""
        with self._path.open("rb") as file:
            return CaptureReader(file).header

    async def run(self, link: MqttLink, stop: asyncio.Event) -> None:
        """Publish until the recording ends, or `stop` is set. Raises `ConnectionError`, `NotACapture`, `OSError`."""
        pacer = Pacer(self._options.speed, self._clock)
        while not stop.is_set():
            sent = self.sent
            await self._pass(link, pacer, stop)
            self.passes += 1
            if not self._options.loop or self.sent == sent:
                break
        try:
            await link.settle(SETTLE_S)
        finally:
            self.unconfirmed = len(link.window)

    async def _pass(self, link: MqttLink, pacer: Pacer, stop: asyncio.Event) -> None:
        options = self._options
        with self._path.open("rb") as file:
            reader = CaptureReader(file)
            started_us = reader.header.started_us
            from_us = started_us + round(options.from_s * 1e6)
            to_us = None if options.to_s is None else started_us + round(options.to_s * 1e6)
            unlooked = 0
            for message in reader.messages():
                unlooked += 1
                if unlooked >= BATCH:
                    unlooked = 0
                    await link.drain(stop)
                    await asyncio.sleep(0)
                    if stop.is_set():
                        return
                self.read += 1
                if message.time_us < from_us or (to_us is not None and message.time_us > to_us):
                    continue
                topic = self._topic(message.topic)
                if topic is None:
                    self.unsendable += message.topic in self._unsendable
                    continue
                if not await self._wait(link, pacer, message.time_us, stop):
                    return
                await self._send(link, topic, message, stop)
            await link.drain(stop)
            self.damage = reader.damage
            ended_us = 0 if reader.end is None else reader.end.ended_us
            pacer.next_pass(ended_us if to_us is None else min(ended_us, to_us))

    async def _wait(self, link: MqttLink, pacer: Pacer, time_us: int, stop: asyncio.Event) -> bool:
        """Until the message is due. False: we were stopped meanwhile."""
        while (wait_s := pacer.wait_s(time_us)) > TOGETHER_S:
            await link.drain(stop)
            if stop.is_set():
                return False
            await asyncio.sleep(min(wait_s, LONGEST_SLEEP_S))
        if wait_s < -LATE_S:
            self.late += 1
            self.worst_s = max(self.worst_s, -wait_s)
        return not stop.is_set()

    async def _send(self, link: MqttLink, topic: str, message: Captured, stop: asyncio.Event) -> None:
        options, payload = self._options, message.payload
        if link.max_packet and len(payload) + len(topic) * 4 + 16 > link.max_packet:
            self.unsendable += 1
            return
        if options.restamp:
            payload = restamp(payload, self._now_us() - message.time_us)
        qos = min(link.max_qos, message.qos if options.qos is None else options.qos)
        link.publish(topic, payload, qos, message.retain and link.may_retain)
        self.sent += 1
        self.payload_bytes += len(payload)
        if link.must_drain or len(payload) > 65_536:
            await link.drain(stop)

    def _topic(self, recorded: str) -> str | None:
        """The topic to publish to; None: not asked for, or not possible."""
        try:
            return self._topics[recorded]
        except KeyError:
            pass
        filters = self._options.filters
        topic: str | None = self._options.prefix + recorded
        if filters and not any(topic_matches(text, recorded) for text in filters):
            topic = None
        elif topic is not None and not can_publish(topic):
            topic = None
            self._unsendable.add(recorded)
        self._topics[recorded] = topic
        return topic
