"""The memory of a process that opens a store and answers questions: python -m benchmarks.history.memory FILE BEGIN_US

As the bridge does it: through the archive, whose threads have a connection each, while a keeper seals and merges.
Prints megabytes before the store was opened, after it, and after the questions.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import numpy as np

from benchmarks.history.load import resident_bytes
from benchmarks.history.year import END_US, N_SERIES, SPANS
from bridge.history.archive import Archive
from bridge.history.keeper import Keeper
from bridge.history.spans import DAY_US, HOUR_US
from bridge.history.store import open_store

# Questions of each kind: after the first hundred or so the memory stays what it is.
TIMES = 40


async def ask(archive: Archive, begin_us: int) -> None:
    rng = np.random.default_rng(3)
    present_us = END_US + HOUR_US
    for _ in range(TIMES):
        for _, span_us in SPANS:
            from_us = int(rng.integers(min(begin_us, present_us - span_us), present_us - span_us + 1))
            series_id = int(rng.integers(0, N_SERIES))
            await asyncio.gather(
                archive.query([series_id], from_us, from_us + span_us, 1_000),
                archive.query([(series_id + 7) % N_SERIES], from_us, from_us + span_us, 1_000),
            )
        await archive.moment(int(rng.integers(begin_us, present_us)))
    for _ in range(3):
        await archive.query(range(N_SERIES), present_us - DAY_US, present_us, 1_000)


def measure(path: Path, begin_us: int) -> list[float]:
    taken = [resident_bytes()]
    store = open_store(f"sqlite:///{path}", END_US)
    archive, keeper = Archive(store), Keeper(store)
    taken.append(resident_bytes())
    asyncio.run(ask(archive, begin_us))
    while keeper.seal() is not None:
        pass
    keeper.merge(END_US + HOUR_US)
    taken.append(resident_bytes())
    archive.close()
    store.close()
    return [one / 1e6 for one in taken]


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]))))
