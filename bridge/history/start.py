"""What a bridge that starts wants to know of the past: how things were when it last ended. Blocking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from bridge.core.batch import Batch
from bridge.history.archive import Moment
from bridge.history.events import COMMAND, NOTE
from bridge.history.query import MAX_SERIES, History
from bridge.history.spans import MAX_TIME_US
from bridge.history.store import Store

NOTES = 50  # as many as the live plane keeps
COMMAND_EVENTS = 4_000  # a command has up to four states, and the ledger keeps a thousand commands
# Readings of the last minutes that are read back, so that sparklines begin with a past: a quarter of a second of work.
MAX_RECENT = 500_000


class Before(NamedTuple):
    """`commands`: the last state of each, in the order in which they were accepted.

    `recent`: readings of the last minutes, in pieces, oldest first within each.
    """

    moment: Moment
    notes: list[Mapping[str, Any]]
    commands: list[Mapping[str, Any]]
    recent: list[Batch]


def read_before(store: Store, history: History, now_us: int, recent_us: int) -> Before:
    """Everything as it was in the end, whatever the clock says: it may not be set yet, or have been ahead.

    `history`: of this store. It has read then what is not sealed, so that the first question need not.

    Raises:
        Damaged: the journal is not as it was written.
    """
    state = history.state_at(max(now_us, history.span()[1] or 0))
    with store.reading() as snapshot:
        moment = Moment(now_us, snapshot.catalog(), state, snapshot.availability_at(MAX_TIME_US))
        notes = snapshot.find_events(0, MAX_TIME_US, kinds=[NOTE], limit=NOTES)
        told = snapshot.find_events(0, MAX_TIME_US, kinds=[COMMAND], limit=COMMAND_EVENTS)
    commands = {event.data["id"]: event.data for event in told}  # of each the last, where the first stood
    return Before(
        moment,
        [event.data for event in notes],
        list(commands.values()),
        list(_recent(history, moment, now_us, recent_us)),
    )


def _recent(history: History, moment: Moment, now_us: int, recent_us: int) -> Iterator[Batch]:
    series_ids = moment.state.series_ids[moment.state.times_us >= now_us - recent_us].tolist()
    left = MAX_RECENT
    for at in range(0, len(series_ids), MAX_SERIES):
        batch = history.readings(series_ids[at : at + MAX_SERIES], now_us - recent_us, now_us, left)
        left -= len(batch)
        if len(batch):
            yield batch
        if left <= 0:
            return
