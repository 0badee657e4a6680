"""The charts of a report, as Plotly's figure: numbers by unit, states as bands, gaps as gaps. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.history.catalog import SeriesRecord
from bridge.history.labels import decode_column, unit_of
from bridge.history.query import Answer
from bridge.web.columns import Table

AXES = 4  # units in one panel, two at each side: more nobody can read
PANEL_PX, BAND_PX, MARGIN_PX = 420, 30, 130
GAP = 0.03  # between panels, of the whole height
MAX_LABEL = 40  # characters beside a band, the last ones: they tell the series of one device apart
LINES_BELOW = 12  # lines whose names find room below the charts; more are listed beside them, where the list scrolls
AXIS_ROOM = 0.06  # of the width, for a second axis on the same side

# Told apart by people who confuse red and green too (Okabe and Ito), and then darker and lighter.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#8c510a", "#5e3c99", "#4d9221")


def build_figure(table: Table, names: Mapping[int, str], offset_us: int) -> dict[str, Any]:
    """`names`: of each series. `offset_us`: what is added to UTC; the same for all, so that no hour comes twice."""
    numbers = [one for one in table.series if one[0].kind not in ("text", "boolean")]
    states = [one for one in table.series if one[0].kind in ("text", "boolean")]
    panels: list[list[str]] = []  # units
    for unit in dict.fromkeys(unit_of(record) for record, _ in numbers):
        if not panels or len(panels[-1]) == AXES:
            panels.append([])
        panels[-1].append(unit)
    heights = [PANEL_PX] * len(panels) + ([BAND_PX * (len(states) + 1)] if states else [])
    layout = _layout(table, heights, len(numbers), offset_us)
    data: list[dict[str, Any]] = []
    axis_of: dict[str, str] = {}
    for panel, domain in zip(panels, _domains(heights), strict=False):
        axis_of |= _add_axes(layout, panel, domain)
    for number, (record, answer) in enumerate(numbers):
        data.append(_line(record, answer, names, axis_of[unit_of(record)], COLOURS[number % len(COLOURS)], offset_us))
    if states:
        name = _next_axis(layout)
        labels = [escape(names[record.series_id][-MAX_LABEL:], quote=False) for record, _ in states]
        layout[name] = {
            "domain": _domains(heights)[-1],
            "tickmode": "array",
            "tickvals": list(range(len(states))),
            "ticktext": labels,
            "range": [len(states) - 0.4, -0.6],
            "fixedrange": True,
            "zeroline": False,
            "automargin": True,
        }
        data += [
            _bands(record, answer, row, _axis_id(name), offset_us, table.to_us)
            for row, (record, answer) in enumerate(states)
        ]
    bases = [name for name in layout if name.startswith("yaxis") and "overlaying" not in layout[name]]
    layout["xaxis"]["anchor"] = _axis_id(bases[-1]) if bases else "free"
    return {"data": data, "layout": layout}


def local_ms(times_us: NDArray[np.int64], offset_us: int) -> NDArray[np.float64]:
    return (times_us + offset_us) / 1000


def _layout(table: Table, heights: Sequence[int], n_lines: int, offset_us: int) -> dict[str, Any]:
    begin, end = local_ms(np.array([table.from_us, table.to_us]), offset_us).tolist()
    return {
        "height": sum(heights) + MARGIN_PX,
        "margin": {"l": 70, "r": 70, "t": 30, "b": 60},
        "xaxis": {"type": "date", "range": [begin, end], "domain": [0, 1], "showgrid": True, "gridcolor": "#e5e5e5"},
        "hovermode": "closest",
        "barmode": "overlay",
        "bargap": 0.2,
        "showlegend": True,
        "legend": {"orientation": "h", "y": -60 / sum(heights or [1]), "yanchor": "top"}
        if n_lines <= LINES_BELOW
        else {"x": 1.07},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "#222222"},
    }


def _domains(heights: Sequence[int]) -> list[list[float]]:
    """The part of the height that each panel has, from the top down."""
    usable = 1 - GAP * (len(heights) - 1)
    domains, top = [], 1.0
    for height in heights:
        bottom = top - usable * height / sum(heights)
        domains.append([max(0.0, bottom), top])
        top = bottom - GAP
    return domains


def _add_axes(layout: dict[str, Any], units: Sequence[str], domain: list[float]) -> dict[str, str]:
    """An axis for each unit of a panel: left, right, then outside of these. Unit -> axis."""
    axes: dict[str, str] = {}
    base = ""
    for number, unit in enumerate(units):
        name = _next_axis(layout)
        axis: dict[str, Any] = {
            "title": {"text": escape(unit, quote=False)},
            "automargin": True,
            "zeroline": False,
            "showgrid": number == 0,
            "gridcolor": "#e5e5e5",
            "side": "right" if number % 2 else "left",
        }
        if number == 0:
            axis["domain"] = domain
            base = _axis_id(name)
        else:
            axis["overlaying"] = base
        if number >= 2:
            left, right = layout["xaxis"]["domain"]
            left, right = (AXIS_ROOM, right) if number == 2 else (left, 1 - AXIS_ROOM)
            layout["xaxis"]["domain"] = [left, right]
            axis |= {"anchor": "free", "position": 0.0 if number == 2 else 1.0}
        layout[name] = axis
        axes[unit] = _axis_id(name)
    return axes


def _next_axis(layout: Mapping[str, Any]) -> str:
    count = sum(name.startswith("yaxis") for name in layout)
    return f"yaxis{count + 1}" if count else "yaxis"


def _axis_id(name: str) -> str:
    return name.replace("axis", "")


def _line(
    record: SeriesRecord, answer: Answer, names: Mapping[int, str], axis: str, colour: str, offset_us: int
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines" if len(answer.times_us) > 1 else "markers",
        "name": escape(names[record.series_id], quote=False),
        "x": _column(local_ms(answer.times_us, offset_us)),
        "y": _column(answer.values),
        "yaxis": axis,
        "connectgaps": False,
        "line": {"width": 1.5, "color": colour},
        "meta": [escape(unit_of(record), quote=False)],
        "hovertemplate": "%{x|%Y-%m-%d %H:%M:%S.%L}<br>%{y} %{meta[0]}<extra>%{fullData.name}</extra>",
    }


def _bands(record: SeriesRecord, answer: Answer, row: int, axis: str, offset_us: int, to_us: int) -> dict[str, Any]:
    """One bar for each stretch of one state, from its first reading to the next change, or to where a gap begins."""
    values, times = answer.values, answer.times_us
    begins = np.flatnonzero(np.concatenate(([True], (values[1:] != values[:-1])))) if len(values) else np.empty(0, int)
    ends_us = (
        np.append(times[begins[1:]], min(to_us, int(times[-1]) + max(answer.width_us, 1_000_000)))
        if len(begins)
        else times
    )
    known = ~np.isnan(values[begins])
    begins, ends_us = begins[known], ends_us[known]
    words = decode_column(record, values[begins])
    texts = [
        escape({True: "on", False: "off"}.get(word, "") if isinstance(word, bool) else str(word), quote=False)
        for word in words
    ]
    starts = local_ms(times[begins], offset_us)
    return {
        "type": "bar",
        "orientation": "h",
        "showlegend": False,
        "base": starts.tolist(),
        "x": ((ends_us - times[begins]) / 1000).tolist(),
        "y": [row] * len(texts),
        "width": 0.8,
        "yaxis": axis,
        "text": texts,
        "textposition": "inside",
        "insidetextanchor": "start",
        "marker": {"color": [COLOURS[int(code) % len(COLOURS)] for code in values[begins].tolist()]},
        "hovertemplate": "%{base|%Y-%m-%d %H:%M:%S.%L}<br>%{text}<extra></extra>",
    }


def _column(values: NDArray[np.float64]) -> dict[str, str]:
    """As Plotly takes typed arrays; NaN is a gap there."""
    return {"dtype": "f8", "bdata": base64.b64encode(values.astype("<f8", copy=False).tobytes()).decode("ascii")}
