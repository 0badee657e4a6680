"""What the numbers of series mean and what they are called: for whoever writes readings down for people. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bridge.core.batch import Batch
from bridge.core.model import Kind
from bridge.history.catalog import SeriesRecord


def unit_of(record: SeriesRecord) -> str:
    return str(record.info.get("unit") or "")


def name_of(record: SeriesRecord) -> str:
    return str(record.info.get("name") or record.metric)


def has_grown(record: SeriesRecord, values: NDArray[np.float64]) -> bool:
    """Whether a value is a text that came up after this record was read: read it again."""
    return record.kind == Kind.TEXT and bool((values >= len(record.texts)).any())


def has_grown_in(records: Mapping[int, SeriesRecord], batch: Batch) -> bool:
    """The same for the readings of several series."""
    known = np.full(max(records, default=0) + 1, np.inf)
    for series_id, record in records.items():
        if record.kind == Kind.TEXT:
            known[series_id] = len(record.texts)
    return bool((batch.values >= known[batch.series_ids]).any())


def decode_column(record: SeriesRecord, values: NDArray[np.float64]) -> list[float | bool | str | None]:
    """As `portrait.decode`, of a whole column; numbers stay floats, and NaN stays NaN (in JSON both are null)."""
    plain: list[float | bool | str | None] = values.tolist()
    if record.kind == Kind.BOOLEAN:
        return [None if value != value else value != 0 for value in plain]
    if record.kind == Kind.TEXT:
        texts: Sequence[str | None] = (*record.texts, None)
        return [texts[code] for code in _codes(values, len(record.texts))]
    return plain


def write_values(
    records: Mapping[int, SeriesRecord], batch: Batch, texts: Mapping[int, Sequence[str]], null: str
) -> list[str]:
    """Each value in its shortest form that means the same number; `true` and `false`; a text as `texts` has it.

    `texts`: of each text series, ready to be written, by code.
    """
    if not len(batch):
        return []
    # All at once: the shortest form of each, and whole numbers without their ".0".
    numbers = "\n".join(map(repr, batch.values.tolist())) + "\n"
    written = numbers.replace(".0\n", "\n").replace("nan\n", f"{null}\n").split("\n")[:-1]
    for series_id in np.unique(batch.series_ids).tolist():
        record = records[series_id]
        if record.kind not in (Kind.BOOLEAN, Kind.TEXT):
            continue
        here = np.flatnonzero(batch.series_ids == series_id)
        words: Sequence[str] = (*texts[series_id], null) if record.kind == Kind.TEXT else ("false", "true", null)
        values = batch.values[here]
        codes = _codes(
            values if record.kind == Kind.TEXT else np.where(np.isnan(values), -1, values != 0), len(words) - 1
        )
        for row, code in zip(here.tolist(), codes, strict=True):
            written[row] = words[code]
    return written


def json_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _codes(values: NDArray[np.float64], n: int) -> list[int]:
    """Codes below `n`, and `n` for all that is none."""
    with np.errstate(invalid="ignore"):
        known = (values >= 0) & (values < n)
    codes: list[int] = np.where(known, values, n).astype(np.intp).tolist()
    return codes
