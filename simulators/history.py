"""Puts a back-fill onto a broker: descriptions first, then the past in order of time, as fast as a broker takes it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from simulators.backfill import backfill, expected_messages
from simulators.broker import Broker, BrokerUnreachable
from simulators.fleet import SimulatedFleet
from simulators.mqtt_dial import open_link
from simulators.mqtt_link import MqttLink
from simulators.spans import Span

# Messages between two looks at the socket and at whether we are to stop: a few milliseconds' worth.
BATCH = 64
PROGRESS_EVERY_S = 5.0
SETTLE_S = 10.0


class HistoryWriter:
    """Runs once. `sent` and `line` may be read at any time."""

    def __init__(self, fleet: SimulatedFleet, span: Span, end_s: float, say: Callable[[str], None]) -> None:
        self._fleet = fleet
        self._span = span
        self._end_s = end_s
        self._say = say
        self._expected = max(1, expected_messages(fleet, span))
        self._began_s = time.monotonic()
        self.sent = 0

    async def run(self, link: MqttLink, stop: asyncio.Event) -> bool:
        """Write all of it over one connection; False when stopped before the end. Raises `ConnectionError`.

        QoS 1: a hole in the past would be there for ever. The broker's acknowledgements set the pace.
        """
        for device_no in range(len(self._fleet)):
            description, *_ = self._fleet.announce(device_no)
            link.publish(description.topic, description.payload, description.qos, description.retain)
            if link.must_drain:
                await link.drain()
        start_s = self._end_s - self._span.length_s
        told_s = self._began_s = time.monotonic()
        for message in backfill(self._fleet, start_s, self._end_s, self._span.step_s):
            link.publish(message.topic, message.payload, 1, False)
            self.sent += 1
            if link.must_drain or self.sent % BATCH == 0:
                await link.drain()
            if self.sent % BATCH == 0:
                await asyncio.sleep(0)
                if stop.is_set():
                    return False
                if time.monotonic() - told_s >= PROGRESS_EVERY_S:
                    told_s = time.monotonic()
                    self._say(self.line())
        await link.drain()
        await link.settle(SETTLE_S)
        return True

    def line(self) -> str:
        """How far it is, for people."""
        seconds = max(0.001, time.monotonic() - self._began_s)
        share = min(100.0, 100.0 * self.sent / self._expected)
        return f"history: {share:.0f} % written, {self.sent:,} messages, {self.sent / seconds:,.0f} a second"


async def write_history(
    fleet: SimulatedFleet, span: Span, broker: Broker, say: Callable[[str], None], stop: asyncio.Event
) -> bool:
    """The past up to the present, so that the live part follows without a hole. False when stopped before the end.

    Raises `BrokerUnreachable`, also when the connection is lost: a history with a hole in it is worth nothing.
    """
    link = await open_link(broker, "history", lambda _: None)
    tending = asyncio.create_task(link.tend())
    began_s, end_s, sent = time.monotonic(), time.time(), 0
    try:
        # Writing takes a while, in which more past comes to be.
        while span.length_s > 0.0:
            writer = HistoryWriter(fleet, span, end_s, say)
            complete = await writer.run(link, stop)
            sent += writer.sent
            if not complete:
                say(f"history: stopped after {sent:,} messages")
                return False
            now_s = time.time()
            span = span._replace(length_s=now_s - end_s if now_s - end_s > span.step_s else 0.0)
            end_s = now_s
    except ConnectionError as problem:
        raise BrokerUnreachable(broker, f"lost while writing history: {problem}", refused=False) from None
    finally:
        tending.cancel()
        await asyncio.gather(tending, return_exceptions=True)
        await link.close()
    seconds = max(0.001, time.monotonic() - began_s)
    say(f"history written: {sent:,} messages in {seconds:,.0f} s, {sent / seconds:,.0f} a second")
    return True
