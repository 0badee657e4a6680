"""Units that keys and texts imply: `temp_C`, `Druck (bar)`, `batteryPct`, "12.4 km/h".

A wrong unit is worse than none, so single letters and short words only count beside a word that makes sense of them.
"""

from __future__ import annotations

import re
from functools import lru_cache

# The unit as shown, and how firmwares spell it (the shown form always counts).
_SPELLINGS = {
    "°C": ("C", "degC", "deg_C", "celsius", "℃"),
    "°F": ("F", "degF", "deg_F", "fahrenheit", "℉"),
    "K": (),
    "°": ("deg", "degrees"),
    "%": ("pct", "percent"),
    "% RH": ("%RH", "rH"),
    **dict.fromkeys(("Pa", "hPa", "kPa", "MPa", "mbar", "bar", "psi", "N", "Nm", "J", "kJ"), ()),
    **dict.fromkeys(("mW", "W", "kW", "MW", "VA", "kVA", "var", "kvar", "Wh", "kWh", "MWh"), ()),
    **dict.fromkeys(("mV", "V", "kV", "µA", "mA", "A", "mAh", "Ah", "Hz", "kHz", "MHz", "GHz"), ()),
    **dict.fromkeys(("ppm", "ppb", "lm", "dB", "dBm", "rpm", "mm", "cm", "m", "km", "mg", "g", "kg"), ()),
    **dict.fromkeys(("ms", "s", "min", "h", "L", "mL", "kB", "MB", "GB"), ()),
    "µs": ("us",),
    "lx": ("lux",),
    "Ω": ("ohm",),
    "m/s": ("m_s", "mps"),
    "km/h": ("km_h", "kmh", "kph"),
    "mph": (),
    "m³": ("m3",),
    "m³/h": ("m3_h", "m3/h"),
    "L/min": ("l_min", "l/min", "lpm"),
    "L/h": ("l_h", "l/h"),
    "µg/m³": ("ug_m3", "ug/m3", "µg/m3"),
    "mg/m³": ("mg_m3", "mg/m3"),
    "µS/cm": ("uS_cm", "uS/cm"),
}
_EXACT = {spelling: unit for unit, more in _SPELLINGS.items() for spelling in (unit, *more)}
# In any case, unless upper and lower case differ in meaning (mW, MW) or the lower case is an everyday word or index.
_AMBIGUOUS = {"mw", "ma", "mpa", "mb", "n", "j", "rh", "nm", "var", "min"}
_ANY_CASE = {
    spelling.lower(): unit
    for spelling, unit in _EXACT.items()
    if len(spelling) > 1 and spelling.lower() not in _AMBIGUOUS
}
# `peakWh` and `energykWh`: nobody can tell whether the k belongs to the word or to the unit.
_PREFIXES = ("k", "m", "M", "h")
_PREFIXED = ("Pa", "Wh", "Ah", "Hz")

_TIME = ("time", "duration", "interval", "age", "delay", "elapsed", "remaining", "period", "latency", "since")
_LENGTH = ("dist", "height", "depth", "alt", "range", "elev", "length", "width", "visib", "radius")
_MASS = ("weight", "mass", "load")
_TEMPERATURE = ("temp", "dew", "heat", "chill")
_VOLUME = ("vol", "water", "fuel", "consum")
# `temp_min` is no duration and `level_m` may be a mode: these count only beside one of the words.
_NEEDS = {"s": _TIME, "h": _TIME, "min": _TIME, "m": _LENGTH, "g": _MASS, "L": _VOLUME, "K": _TEMPERATURE}
_NEEDS |= {"N": ("force",), "J": ("energy",), "var": ("power", "reactive"), "lm": ("flux", "light", "lumen")}
# `phase_A` and `channel_C` are names, not currents and temperatures.
_LABELS = re.compile(
    r"(?:^|[^a-z])(?:phase|ch|channel|port|relay|sensor|line|zone|group|side|type|class|mode|probe|pump|motor|tank|"
    r"section|block|in|out|input|output|switch|button|row|slot|axis|option|bank|circuit|unit|plan|valve|door)$"
)
_IN_BRACKETS = re.compile(r"[\[(]\s*([^\[\]()]{1,12}?)\s*[\])]\s*$")
_CAMEL_END = re.compile(r"(?<=[a-z0-9])[A-Z][A-Za-z]*$")


def known_unit(text: str) -> str:
    """The unit as we show it, for one that was written out; empty if it is none."""
    return _EXACT.get(text) or _ANY_CASE.get(text.lower(), "")


@lru_cache(maxsize=4096)  # the keys of a fleet repeat; each is at most MAX_METRIC_LENGTH long
def infer_unit(key: str) -> str:
    """The unit that a key implies; empty if it does not."""
    if key.lower() in ("lux", "rpm"):
        return known_unit(key)
    bracket = _IN_BRACKETS.search(key)
    if bracket is not None:
        return known_unit(bracket[1])
    words = key.replace(" ", "_").rsplit("_", 2)
    if len(words) == 3 and (unit := known_unit("_".join(words[1:]))):
        return unit
    if len(words) > 1:
        stem = "_".join(words[:-1])
        return _fitting(stem, words[-1])
    camel = _CAMEL_END.search(key)
    if camel is not None:
        stem, end = key[: camel.start()], camel[0]
        if stem.endswith(_PREFIXES) and end in _PREFIXED:
            return "hPa" if stem.endswith("h") and end == "Pa" else ""
        if len(end) > 1:
            return _fitting(stem, end)
        return known_unit(end) if end in "CF" and _contains(stem, _TEMPERATURE) else ""
    return ""


def _fitting(stem: str, end: str) -> str:
    needed = _NEEDS.get(end)
    if needed is not None:
        return known_unit(end) if _contains(stem, needed) else ""
    if len(end) == 1 and _LABELS.search(stem.lower()):
        return ""
    return known_unit(end)


def _contains(stem: str, words: tuple[str, ...]) -> bool:
    stem = stem.lower()
    return any(word in stem for word in words)
