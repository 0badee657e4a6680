"""Which faults there are. One more is one class in its family's file and one line here."""

from __future__ import annotations

from simulators.faults import clocks, commands, connections, messages, values
from simulators.faults.fault import Fault

FAMILIES: dict[str, tuple[type[Fault], ...]] = {
    "Readings": (
        values.Stuck,
        values.Drift,
        values.Spike,
        values.Noise,
        values.Unavailable,
        values.UnitChange,
        values.RenameMetric,
    ),
    "Clocks": (clocks.ClockSkew, clocks.ClockJump, clocks.Clock1970),
    "Messages": (
        messages.Dropout,
        messages.Duplicate,
        messages.OutOfOrder,
        messages.LateBurst,
        messages.Malformed,
        messages.NotANumber,
    ),
    "Connections": (
        connections.Flapping,
        connections.WillStorm,
        connections.SameClientId,
        connections.RetainedCommand,
    ),
    "Commands": (
        commands.SlowAck,
        commands.LateAck,
        commands.WrongAck,
        commands.NoAck,
        commands.Refuse,
        commands.RebootOnCommand,
    ),
}

FAULTS: dict[str, type[Fault]] = {fault.NAME: fault for family in FAMILIES.values() for fault in family}


def describe_faults() -> str:
    """The text of `--faults help`."""
    lines = [
        "NAME[:PROBABILITY][@FROM-TO[/EVERY]][,metric=NAME][,devices=PATTERN][,amount=NUMBER]",
        "FROM, TO and EVERY are seconds since the start. In brackets: what the probability is asked for, and the",
        "schedule when none is given (otherwise always).",
    ]
    for family, faults in FAMILIES.items():
        lines += ["", family]
        for fault in faults:
            window = fault.WINDOW
            when = f"@{window.begin_s:g}-{'' if window.end_s == float('inf') else format(window.end_s, 'g')}"
            when += "" if window.every_s is None else f"/{window.every_s:g}"
            when = "" if when == "@0-" else f", {when}"
            lines.append(f"  {fault.NAME:<18} {fault.SUMMARY} (each {fault.CHANCE}{when})")
    return "\n".join(lines)
