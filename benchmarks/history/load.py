"""Readings into a store, and what that takes of a process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bridge.core.batch import Batch
from bridge.core.frame import encode_frame, split_by_span
from bridge.history.store import Store


def append(store: Store, batches: Sequence[Batch], offset: int) -> int:
    """One commit of the journal; returns the offset after its last frame."""
    frames = []
    for batch in batches:
        for part in split_by_span(batch):
            frames.append(encode_frame(part, offset=offset, channel_no=1))
            offset += 1
    with store.writing() as writer:
        writer.append(frames)
    return offset


def resident_bytes(pid: int | str = "self") -> int:
    """Memory of a process that is its own: without files that are mapped."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0
