"""Faults on the way: readings that are lost, doubled, late, in the wrong order or no longer readable."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from simulators.dialect import Outgoing
from simulators.faults.fault import Fault
from simulators.faults.spec import Window

if TYPE_CHECKING:
    from simulators.simulated_device import SimulatedDevice

# A device that stores and forwards has a small memory: what is older is gone, as in real ones.
STORED_AT_MOST = 1000
# A reading that was held back for the next one to overtake it goes at the latest after this time.
OVERTAKEN_WITHIN_S = 10.0


class Dropout(Fault):
    NAME = "dropout"
    SUMMARY = "readings are lost"

    def carry(self, device: SimulatedDevice, message: Outgoing, now_s: float) -> Sequence[Outgoing]:
        if not self.strikes(device, now_s):
            return (message,)
        self.report(now_s, device, _name(message))
        return ()


class Duplicate(Fault):
    NAME = "duplicate"
    SUMMARY = "readings are sent twice"

    def carry(self, device: SimulatedDevice, message: Outgoing, now_s: float) -> Sequence[Outgoing]:
        if not self.strikes(device, now_s):
            return (message,)
        self.report(now_s, device, _name(message))
        return (message, message)


class OutOfOrder(Fault):
    NAME = "out_of_order"
    SUMMARY = "a reading is overtaken by the next one"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._held: dict[int, Outgoing] = {}  # by device

    def carry(self, device: SimulatedDevice, message: Outgoing, now_s: float) -> Sequence[Outgoing]:
        held = self._held.pop(device.who.device_no, None)
        if held is not None:
            self.report(now_s, device, f"{_name(held)} after {_name(message)}")
            return (message, held)
        if not self.strikes(device, now_s):
            return (message,)
        self._held[device.who.device_no] = message
        self.desk.wake(now_s + OVERTAKEN_WITHIN_S, self, device)
        return ()

    def woken(self, device: SimulatedDevice | None, now_s: float) -> Sequence[Outgoing]:
        # A device that reports too rarely: nothing overtook its reading in time. (When several were held since, this
        # may release a younger one early; it is in order then, and not reported.)
        held = None if device is None else self._held.pop(device.who.device_no, None)
        return () if held is None else (held,)


class LateBurst(Fault):
    NAME = "late_burst"
    SUMMARY = "readings are stored while the uplink is down and sent all at once when it is back"
    CHANCE = "device"
    WINDOW = Window(10.0, 20.0, 60.0)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._stored: dict[int, list[Outgoing]] = {}  # by device

    def carry(self, device: SimulatedDevice, message: Outgoing, now_s: float) -> Sequence[Outgoing]:
        episode = self.episode(device, now_s)
        device_no = device.who.device_no
        if episode is None or not math.isfinite(episode.end_s):
            # A reading in the very moment in which the uplink comes back: what is older goes first.
            return (*self._stored.pop(device_no, ()), message)
        stored = self._stored.setdefault(device_no, [])
        if not episode.reported:
            self.desk.wake(episode.end_s, self, device)
            self.report_once(episode, now_s, device, f"stores for {episode.end_s - now_s:.3f} s")
        stored.append(message)
        if len(stored) > STORED_AT_MOST:
            del stored[0]
        return ()

    def woken(self, device: SimulatedDevice | None, now_s: float) -> Sequence[Outgoing]:
        return () if device is None else tuple(self._stored.pop(device.who.device_no, ()))


class Malformed(Fault):
    NAME = "malformed"
    SUMMARY = "the payload is cut off, empty, not UTF-8, no object, or something else entirely"

    def carry(self, device: SimulatedDevice, message: Outgoing, now_s: float) -> Sequence[Outgoing]:
        number = self.strikes(device, now_s)
        if not number:
            return (message,)
        payload = message.payload
        kinds = {
            "cut off": payload[: len(payload) * 2 // 3],
            "empty": b"",
            "not UTF-8": payload[:-1] + b"\xff\xfe",
            "an array": b"[" + payload + b"]",
            "trailing garbage": payload + b"}}",
            "an error page": b"<html><body>502 Bad Gateway</body></html>",
            "deeply nested": b'{"a":' * 200,
        }
        kind = list(kinds)[int(self.chance(device, "kind", number) * len(kinds))]
        self.report(now_s, device, f"{_name(message)}: {kind}")
        return (message._replace(payload=kinds[kind]),)


class NotANumber(Fault):
    NAME = "nan"
    SUMMARY = "a number is NaN or Infinity, which JSON does not know and many devices send"

    def carry(self, device: SimulatedDevice, message: Outgoing, now_s: float) -> Sequence[Outgoing]:
        number = self.strikes(device, now_s)
        values = _read_object(message.payload) if number else None
        if values is None:
            return (message,)
        names = [name for name, value in values.items() if type(value) in (int, float) and name not in ("time", "seq")]
        if self.spec.metric is not None:
            names = [name for name in names if name == self.spec.metric]
        if not names:
            return (message,)
        name = names[int(self.chance(device, "metric", number) * len(names))]
        wrong = (math.nan, math.nan, math.inf, -math.inf)[int(self.chance(device, "kind", number) * 4)]
        text = json.dumps({**values, name: wrong}, ensure_ascii=False, separators=(",", ":"))
        self.report(now_s, device, f"{name} {json.dumps(wrong)}")
        return (message._replace(payload=text.encode()),)


def _read_object(payload: bytes) -> dict[str, Any] | None:
    """Conventions whose payload is no JSON object cannot have this fault."""
    try:
        values = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _name(message: Outgoing) -> str:
    return "a reading" if message.seq is None else f"seq {message.seq}"
