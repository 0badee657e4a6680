"""What somebody at the terminal sees while the simulation runs: one line that moves, or log lines where nothing can."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from simulators.fleet import SimulatedFleet
    from simulators.publisher import Publisher

REDRAW_S = 0.5
LOG_EVERY_S = 10.0


class Display(Protocol):
    """`say` prints a line that stays; `follow` shows the progress until it is cancelled."""

    def say(self, line: str) -> None: ...

    async def follow(self, progress: Callable[[], str]) -> None: ...


class Silent:
    def say(self, line: str) -> None:
        pass

    async def follow(self, progress: Callable[[], str]) -> None:
        await asyncio.Event().wait()


class LogLines:
    def say(self, line: str) -> None:
        sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
        sys.stdout.flush()

    async def follow(self, progress: Callable[[], str]) -> None:
        while True:
            await asyncio.sleep(LOG_EVERY_S)
            self.say(progress())


class LiveLine:
    """Needs a terminal. rich is imported here, because most of the time it is not needed."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False)

    def say(self, line: str) -> None:
        # markup=False: ids and reasons come from elsewhere and may hold brackets.
        self._console.print(line, markup=False)

    async def follow(self, progress: Callable[[], str]) -> None:
        from rich.live import Live
        from rich.text import Text

        with Live(Text(""), console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                live.update(Text(progress(), overflow="ellipsis", no_wrap=True), refresh=True)
                await asyncio.sleep(REDRAW_S)


def choose_display(quiet: bool) -> Display:
    if quiet:
        return Silent()
    return LiveLine() if sys.stdout.isatty() else LogLines()


class Progress:
    """Turns the counters of a running simulation into a line; the rate is that since the line before."""

    def __init__(self, fleet: SimulatedFleet, publisher: Publisher) -> None:
        self._fleet = fleet
        self._publisher = publisher
        self._seen = (time.monotonic(), 0)

    def line(self) -> str:
        now_s, sent = time.monotonic(), self._publisher.sent
        before_s, sent_before = self._seen
        self._seen = (now_s, sent)
        rate = (sent - sent_before) / max(now_s - before_s, 0.001)
        return (
            f"{self._publisher.connected:,} of {len(self._fleet):,} devices connected · {rate:,.0f} messages/s · "
            f"{self._commands()}{self._missed()}"
        )

    def summary(self, seconds: float, cpu_s: float) -> list[str]:
        """The last lines: what was done, what it cost, and what went wrong on purpose."""
        publisher = self._publisher
        sent = f"stopped after {seconds:,.0f} s: {publisher.sent:,} messages sent"
        lines = [f"{sent} · {self._commands()}{self._missed()}"]
        late = sum(device.late for device in self._fleet.devices)
        counts = f"{publisher.acked:,} acknowledged · {late:,} readings left out because we were late"
        if publisher.refused:
            counts += f" · {publisher.refused:,} refused by the broker"
        if publisher.sent:
            counts += f" · {cpu_s / publisher.sent * 1e6:,.0f} µs of processor time for each message"
        lines.append(counts)
        faults = None if self._fleet.faults is None else self._fleet.faults.counts
        if faults is not None:
            seen = ", ".join(f"{name} {count:,}" for name, count in sorted(faults.items()))
            lines.append(f"faults: {seen or 'none happened'}")
        return lines

    def _commands(self) -> str:
        executed, failed = self._fleet.executed, self._fleet.failed
        noun = "command" if executed == 1 else "commands"
        return f"{executed:,} {noun} executed" + (f" ({failed:,} refused)" if failed else "")

    def _missed(self) -> str:
        missed = self._publisher.missed
        return f" · {missed:,} not sent while disconnected" if missed else ""
