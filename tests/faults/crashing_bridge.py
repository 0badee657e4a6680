"""`fleetwire`, but it kills itself, as kill -9 does, at a point that the environment names.

    CRASH_AT=before_commit CRASH_AFTER=7 python -m tests.faults.crashing_bridge serve ...

It dies at that point of the seventh commit (or seal). The product knows nothing of this: its steps are wrapped here.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bridge.cli import main
from bridge.history.journal import Journal
from bridge.history.keeper import Keeper
from bridge.history.store import Store
from bridge.pipeline import Pipeline

POINTS = ("before_insert", "before_commit", "after_commit", "after_ack", "in_seal", "in_merge")


class Countdown:
    """Kills this process at the nth call at its point."""

    def __init__(self, point: str, calls: int) -> None:
        self.point = point
        self._left = calls

    def reach(self, point: str) -> None:
        if point == self.point:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def wrap(countdown: Countdown) -> None:
    """Put the points where they belong."""
    commit, writing, acknowledge = Journal.commit, Store.writing, Pipeline._acknowledge_all
    local = threading.local()  # `step`: what the transaction under way in this thread is for

    def counted_commit(self: Journal, entries: Any) -> None:
        countdown.reach("before_insert")
        local.step = "before_commit"
        commit(self, entries)
        local.step = ""
        countdown.reach("after_commit")

    @contextmanager
    def counted_writing(self: Store) -> Iterator[Any]:
        with writing(self) as writer:
            yield writer
            countdown.reach(getattr(local, "step", ""))  # everything is written, nothing is committed

    def counted_acknowledge(self: Pipeline, tokens: Any) -> None:
        acknowledge(self, tokens)
        countdown.reach("after_ack")

    def around(step: Callable[..., Any], point: str) -> Callable[..., Any]:
        def counted(self: Keeper, *args: Any) -> Any:
            local.step = point
            result = step(self, *args)
            local.step = ""
            return result

        return counted

    Journal.commit = counted_commit  # type: ignore[method-assign]
    Store.writing = counted_writing  # type: ignore[method-assign]
    Pipeline._acknowledge_all = counted_acknowledge  # type: ignore[method-assign]
    Keeper.seal = around(Keeper.seal, "in_seal")  # type: ignore[method-assign]
    Keeper.merge = around(Keeper.merge, "in_merge")  # type: ignore[method-assign]


if __name__ == "__main__":
    if os.environ.get("CRASH_AT"):
        wrap(Countdown(os.environ["CRASH_AT"], int(os.environ["CRASH_AFTER"])))
    main()
