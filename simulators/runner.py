"""One run of a fleet from beginning to end, for the command line and for benchmarks: files, loop, ledger, display."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from simulators.broker import Broker
from simulators.clock import FastClock, lag_for
from simulators.display import Progress, choose_display
from simulators.fleet import SimulatedFleet
from simulators.history import write_history
from simulators.ledger_writer import LedgerWriter
from simulators.options import RunOptions
from simulators.publisher import Publisher

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

# Files that are open besides the connections: standard streams, the selector, the ledger, libraries.
OTHER_FILES = 64


def allow_open_files(connections: int) -> str | None:
    """Raise this process's limit of open files, one for each connection. Returns what is in the way, if anything.

    Many systems allow only 1,024 unless asked for more.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return None
    needed = connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return None
    if hard != resource.RLIM_INFINITY and hard < needed:
        return (
            f"this system allows {hard} open files, and {connections} connections need {needed}; "
            "use fewer --devices, --shared-connections, or several processes with --shard"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return None


def loop_factory() -> Callable[[], AbstractEventLoop] | None:
    """uvloop where there is one, which is lighter for each connection and write. None: Python's own."""
    try:
        import uvloop
    except ImportError:  # Windows
        return None
    factory: Callable[[], AbstractEventLoop] = uvloop.new_event_loop
    return factory


def run(
    fleet: SimulatedFleet,
    broker: Broker,
    options: RunOptions,
    quiet: bool,
    make_stop: Callable[[], asyncio.Event],
) -> None:
    """Until `make_stop()` is set or the time is over. Raises `BrokerUnreachable` and `LedgerError`."""
    ledger = None if options.ledger is None else LedgerWriter(options.ledger)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_run(fleet, broker, options, quiet, make_stop, ledger))
    finally:
        if ledger is not None:
            ledger.close()


async def _run(
    fleet: SimulatedFleet,
    broker: Broker,
    options: RunOptions,
    quiet: bool,
    make_stop: Callable[[], asyncio.Event],
    ledger: LedgerWriter | None,
) -> None:
    stop = make_stop()
    display = choose_display(quiet)
    if options.history is not None and not await write_history(fleet, options.history, broker, display.say, stop):
        return
    if options.duration_s is not None:
        asyncio.get_running_loop().call_later(options.duration_s, stop.set)
    lag_s = lag_for(options.speed, options.duration_s)
    clock = FastClock(options.speed, lag_s) if lag_s else time.time
    if lag_s:
        display.say(f"simulated time runs {options.speed:g} times as fast, from {lag_s / 3600.0:,.1f} h ago to now")
        asyncio.get_running_loop().call_later(lag_s / (options.speed - 1.0), _arrive, fleet, options.speed)
    publisher = Publisher(fleet, broker, display.say, clock, options=options, ledger=ledger)
    progress = Progress(fleet, publisher)
    began_s, cpu_s = time.monotonic(), time.process_time()
    following = asyncio.create_task(display.follow(progress.line))
    try:
        await publisher.run(stop)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    for line in progress.summary(time.monotonic() - began_s, time.process_time() - cpu_s):
        display.say(line)


def _arrive(fleet: SimulatedFleet, speed: float) -> None:
    """A fast clock has caught up with the present: from now on an interval is one of real time again."""
    for device in fleet.devices:
        device.model.interval_s /= speed
