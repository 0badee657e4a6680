"""What comes together between two flushes for the history, and is handed over as one entry."""

from __future__ import annotations

from typing import Any

from bridge.core.fleet import Changes, Fleet
from bridge.history.catalog import Births
from bridge.history.events import Event
from bridge.history.journal import Entry
from bridge.history.recorder import Recorder
from bridge.history.scribe import Scribe


class Feed:
    """Of one pipeline to one recorder."""

    def __init__(self, recorder: Recorder, fleet: Fleet) -> None:
        self._recorder = recorder
        self._scribe = Scribe(fleet)
        self._begin()

    def _begin(self) -> None:
        self._frames: list[bytes] = []
        self._messages: list[tuple[int, bytes]] = []
        self._births = Births()
        self._events: list[Event] = []

    def log(self, offset: int, payload: bytes, *, is_frame: bool) -> None:
        """A message of the log channel, on its way to the dashboards: the history gets the same bytes."""
        if is_frame:
            self._frames.append(payload)
        else:
            self._messages.append((offset, payload))

    def change(self, changes: Changes, now_us: int) -> None:
        """Births, new names, who came or went."""
        births, events = self._scribe.write(changes, now_us)
        self._births = Births(self._births.devices + births.devices, self._births.series + births.series)
        self._events += events

    def happen(self, event: Event) -> None:
        self._events.append(event)

    def hand_over(self, offset: int, now_us: int, readings: int = 0, token: Any = None, marks: bytes = b"") -> None:
        """All of it is on its way to the disk. `offset`: of the log channel; `token` comes back when it is safe.

        `marks`: see `Entry`; of messages all of whose readings are in it.
        """
        births = self._births if self._births.devices or self._births.series else None
        if not (self._frames or self._messages or births or self._events or token is not None):
            return
        self._recorder.record(
            Entry(
                offset,
                now_us,
                tuple(self._frames),
                readings,
                tuple(self._messages),
                births,
                tuple(self._events),
                token,
                marks,
            )
        )
        self._begin()
