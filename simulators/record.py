"""Records a broker's traffic into a file: connects, subscribes, notes the time, survives a broker that goes away."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from simulators.broker import Broker, BrokerUnreachable
from simulators.capture import Captured, Header, decode_topic
from simulators.capture_writer import CaptureWriter
from simulators.mqtt_dial import open_link
from simulators.mqtt_encode import MQTT5
from simulators.mqtt_link import MqttLink, SubscriptionRefused, origins_of
from simulators.mqtt_packets import Publish
from simulators.redact import Redactor
from simulators.topics import topic_matches

# A block is written after this time, however small: what a crash can lose, and what the file shows when one looks.
FLUSH_S = 1.0
# Topics of which we remember whether they fit several filters.
MAX_REMEMBERED = 65_536
# How long the broker may take to hand over the rest when the recording ends.
SETTLE_S = 2.0
BACKOFF_BASE_S = 0.5
BACKOFF_MAX_S = 15.0


@dataclass(frozen=True, slots=True)
class RecordOptions:
    filters: Sequence[str]
    max_bytes: int
    redactor: Redactor | None = None


class Recorder:
    """Runs until `stop` is set or the file is full. The counters of `writer` may be read at any time after `open`."""

    def __init__(self, broker: Broker, options: RecordOptions, say: Callable[[str], None]) -> None:
        self._broker = broker
        self._options = options
        self._say = say
        self._link: MqttLink | None = None
        self._version = MQTT5
        self._began_s = time.monotonic()
        self._began_us = time.time_ns() // 1000
        self._first_filter: dict[str, int] = {}  # topic -> place of the first filter that it fits
        self._early: list[Captured] = []  # what came before there was a file
        self._problem: OSError | None = None
        self.writer: CaptureWriter | None = None
        self.gaps_us: list[tuple[int, int]] = []
        self.stored = 0
        self.full = asyncio.Event()

    async def open(self) -> MqttLink:
        """Connect and subscribe. Raises `BrokerUnreachable`, `SubscriptionRefused`, `ConnectionError`."""
        link = self._link = await open_link(self._broker, "record", self._receive)
        self._version = link.version
        try:
            await link.subscribe(self._options.filters)
        except BaseException:
            link.abort()
            raise
        return link

    def begin(self, link: MqttLink, file: BinaryIO) -> None:
        """Write the beginning of the file, and what came while there was none. Raises `OSError`."""
        redacted = self._options.redactor is not None
        header = Header(
            started_us=self._began_us,
            broker="" if redacted else self._broker.address,
            filters=[] if redacted else list(self._options.filters),
            protocol=link.protocol,
            redacted=redacted,
        )
        self.writer = CaptureWriter(file, header)
        for message in self._early:
            self._keep(message)
        self._early = []

    async def run(self, link: MqttLink, stop: asyncio.Event) -> None:
        """After `begin`: record until `stop`, then end the file. Raises `OSError` when it cannot be written."""
        assert self.writer is not None
        tasks = [
            asyncio.create_task(work) for work in (stop.wait(), self.full.wait(), self._flush(), self._follow(link))
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._link is not None:
                with suppress(ConnectionError):  # what the broker had for us when we were told to stop belongs to it
                    if self._problem is None and not self._link.lost.done():
                        await self._link.settle(SETTLE_S)
                await self._link.close()
        if self._problem is not None:
            raise self._problem
        self.writer.end(self._now_us(), self.gaps_us)

    async def _follow(self, link: MqttLink) -> None:
        """Stay connected."""
        while True:
            tending = asyncio.create_task(link.tend())
            try:
                reason = await asyncio.shield(link.lost)
            finally:
                tending.cancel()
            lost_us = self._now_us()
            self._say(f"connection to {self._broker.address} lost ({reason}); reconnecting")
            link = await self._reopen()
            self.gaps_us.append((lost_us, self._now_us()))
            seconds = (self.gaps_us[-1][1] - lost_us) / 1e6
            self._say(f"connected again; what was sent in these {seconds:.1f} s is missing")

    async def _reopen(self) -> MqttLink:
        attempt = 0
        while True:
            attempt += 1
            await asyncio.sleep(random.uniform(0.1, min(BACKOFF_MAX_S, BACKOFF_BASE_S * 2.0 ** min(attempt, 10))))
            try:
                return await self.open()
            except (BrokerUnreachable, SubscriptionRefused, ConnectionError):
                continue

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            assert self.writer is not None
            self.writer.flush()
            self._check_size()

    def _receive(self, publish: Publish) -> None:
        """Runs for every message, in the event loop; must not raise."""
        topic = decode_topic(publish.topic)
        stored = publish.retain and self._version < MQTT5  # which drops the flag of live messages
        if publish.subscription_ids:
            origins = origins_of(publish)
            if len(self._options.filters) > 1 and self._first_fitting(topic) not in [place for place, _ in origins]:
                return  # a copy: this message fits several filters, and came or will come through the first of them
            stored = origins[0][1]
        self.stored += stored
        message = Captured(self._now_us(), topic, publish.payload, publish.qos, publish.retain, stored)
        if self.writer is None:
            self._early.append(message)
        else:
            self._keep(message)

    def _keep(self, message: Captured) -> None:
        assert self.writer is not None
        if self.full.is_set():
            return
        if self._options.redactor is not None:
            topic, payload = self._options.redactor.redact(message.topic, message.payload)
            message = message._replace(topic=topic, payload=payload)
        try:
            self.writer.add(message)
        except OSError as problem:  # the disk is full, or gone
            self._problem = problem
            self.full.set()
            return
        if not self.writer.pending:
            self._check_size()

    def _check_size(self) -> None:
        assert self.writer is not None
        if self.writer.file_bytes >= self._options.max_bytes:
            self.full.set()

    def _first_fitting(self, topic: str) -> int:
        place = self._first_filter.get(topic)
        if place is None:
            if len(self._first_filter) >= MAX_REMEMBERED:
                self._first_filter.clear()
            fitting = [place for place, text in enumerate(self._options.filters) if topic_matches(text, topic)]
            place = self._first_filter[topic] = fitting[0] if fitting else 0
        return place

    def _now_us(self) -> int:
        """The time of day when we began, plus what has passed since: a clock that is set meanwhile moves nothing."""
        return self._began_us + round((time.monotonic() - self._began_s) * 1e6)
