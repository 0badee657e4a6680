"""frames.js reads what the bridge writes, and refuses everything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.dashboard.conftest import Tab

pytestmark = pytest.mark.browser

VECTORS = Path(__file__).resolve().parents[2] / "contract" / "frames.json"

DECODE = """
const { decodeFrame } = await load('frames');
const bytes = new Uint8Array(arg.match(/../g)?.map((pair) => parseInt(pair, 16)) ?? []);
const frame = decodeFrame(bytes.buffer);
return {
  kind: frame.kind, offset: frame.offset, channel_no: frame.channelNo,
  base_time_us: frame.baseTimeUs, server_time_us: frame.serverTimeUs,
  series_ids: [...frame.seriesIds],
  times_us: [...frame.deltasUs].map((delta) => frame.baseTimeUs + delta),
  values: [...frame.values].map((value) => (Number.isNaN(value) ? null : value)),
};
"""


def vectors() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(VECTORS.read_text())["vectors"]
    assert found
    return found


def test_golden_vectors(tab: Tab) -> None:
    for vector in vectors():
        decoded = tab.js(DECODE, vector["hex"])
        assert decoded == {key: vector[key] for key in decoded}, vector["name"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda frame: b"", "too few"),
        (lambda frame: frame[:39], "too few"),
        (lambda frame: frame[:-1], "do not hold"),
        (lambda frame: frame + b"\0", "do not hold"),
        (lambda frame: frame[:1] + b"\x02" + frame[2:], "version 2"),
        (lambda frame: frame[:4] + b"\xff\xff\xff\xff" + frame[8:], "do not hold"),
        (lambda frame: frame[:4] + b"\0\0\0\0" + frame[8:], "do not hold"),
    ],
)
def test_malformed_frames_are_refused(tab: Tab, change: Any, complaint: str) -> None:
    whole = bytes.fromhex(next(v["hex"] for v in vectors() if v["values"]))
    said = tab.js(f"try {{ {DECODE} }} catch (error) {{ return error.message; }}", change(whole).hex())
    assert complaint in said


def test_columns_are_views_not_copies(tab: Tab) -> None:
    assert tab.js(
        """
        const { decodeFrame } = await load('frames');
        const buffer = new ArrayBuffer(56);
        const view = new DataView(buffer);
        view.setUint8(0, 1); view.setUint8(1, 1); view.setUint32(4, 1, true);
        const frame = decodeFrame(buffer);
        return [frame.values, frame.seriesIds, frame.deltasUs].every((column) => column.buffer === buffer);
        """
    )
