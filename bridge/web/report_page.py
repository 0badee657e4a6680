"""A report as one HTML file that needs nothing else: plotly.js, the figure, a table."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from html import escape
from typing import Any, NamedTuple

import numpy as np

from bridge.history.catalog import SeriesRecord
from bridge.history.labels import unit_of
from bridge.history.local_time import write_offset, write_times
from bridge.history.portrait import decode
from bridge.history.statistics import Statistics

# The file itself forbids every request, wherever it is opened, whatever a name in it holds.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; }
body { margin: 2rem auto; padding: 0 1rem; max-width: 1400px; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
caption { text-align: left; font-weight: 600; padding: 0.5rem 0; }
th, td { padding: 0.25rem 0.6rem; border-bottom: 1px solid #ddd; text-align: right; overflow-wrap: anywhere; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
.when, footer { color: #555; }
.scroll { overflow-x: auto; }
@media print { .modebar { display: none; } body { margin: 0; } }
"""
_CONFIG = '{"responsive":true,"displaylogo":false,"showSendToCloud":false,"plotlyServerURL":""}'
_HEADS = ("Series", "Unit", "Readings", "Smallest", "Largest", "Mean", "First", "Last")


class Report(NamedTuple):
    """What a report says beside its charts."""

    title: str
    from_us: int
    to_us: int
    made_us: int
    zone: tzinfo
    offset_us: int  # of the time axis
    version: str


def write_page(
    report: Report,
    figure: Mapping[str, Any],
    statistics: Sequence[tuple[SeriesRecord, Statistics]],
    names: Mapping[int, str],
) -> bytes:
    from plotly.io.json import to_json_plotly  # takes a tenth of a second, and most bridges make no report

    # Trace by trace: one call for all of them would hold everybody else up. It escapes what ends a script.
    traces = ",".join([to_json_plotly(trace, engine="json") for trace in figure["data"]])
    layout = to_json_plotly(figure["layout"], engine="json")
    title = escape(report.title)
    height = int(figure["layout"]["height"])
    head = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
<script>"""
    body = f"""</script>
</head>
<body>
<h1>{title}</h1>
<p class="when">{escape(describe_span(report))}</p>
<div id="charts" style="height:{height}px" role="img" aria-label="Charts of {title}"></div>
<script>Plotly.newPlot("charts",[{traces}],{layout},{_CONFIG});</script>
<div class="scroll">{_table(statistics, names)}</div>
<footer>Made by Fleetwire {escape(report.version)} at {_time(report.made_us, report.zone)}. \
Every point is a reading; where a line breaks there is none.</footer>
</body>
</html>
"""
    return b"".join((head.encode("utf-8", "replace"), plotly_js(), body.encode("utf-8", "replace")))


@functools.cache
def plotly_js() -> bytes:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).encode()


def describe_span(report: Report) -> str:
    """From when to when, and what the clocks of the charts show."""
    begin, end = _time(report.from_us, report.zone), _time(report.to_us, report.zone)
    return f"{begin} to {end} ({report.zone}); times in the charts are UTC{write_offset(report.offset_us)}"


def _time(time_us: int, zone: tzinfo) -> str:
    [text] = write_times(np.array([time_us // 1_000_000 * 1_000_000]), zone)
    return text.replace("T", " ").replace(".000000", " ")


def _table(statistics: Sequence[tuple[SeriesRecord, Statistics]], names: Mapping[int, str]) -> str:
    rows = []
    for record, one in statistics:
        is_text = record.kind == "text"
        numbers = [
            "" if is_text else _shown(record, one.smallest),
            "" if is_text else _shown(record, one.largest),
            "" if is_text or one.mean != one.mean else f"{one.mean:.6g}",
            _shown(record, one.first),
            _shown(record, one.last),
        ]
        cells = [names[record.series_id], unit_of(record), str(one.n), *numbers]
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    heads = "".join(f'<th scope="col">{head}</th>' for head in _HEADS)
    return f"<table><caption>In numbers</caption><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _shown(record: SeriesRecord, number: float) -> str:
    value = decode(record, number)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.10g}" if isinstance(value, float) else str(value)
