"""What the history must remember of a change in the fleet: births, and who came or went. Pure."""

from __future__ import annotations

from bridge.core.fleet import Changes, Fleet
from bridge.core.series import Device
from bridge.history.catalog import Births
from bridge.history.events import AVAILABILITY, Event
from bridge.history.portrait import REMOVED, record_device, record_series


class Scribe:
    """Follows one fleet from where it is now."""

    def __init__(self, fleet: Fleet) -> None:
        self._available = {id_: _availability(device) for id_, device in fleet.devices.items()}

    def write(self, changes: Changes, now_us: int) -> tuple[Births, list[Event]]:
        """Everything that is new in these changes, as records and events."""
        events = []
        for device_id in changes.removed:
            self._available.pop(device_id, None)
            events.append(Event(now_us, AVAILABILITY, device_id, {"availability": REMOVED, "source": "derived"}))
        for device in changes.devices:
            availability = _availability(device)
            if self._available.get(device.device_id) != availability:
                self._available[device.device_id] = availability
                state, source, since_ms = availability
                data = {"availability": state, "source": source, "since_ms": since_ms}
                events.append(Event(now_us, AVAILABILITY, device.device_id, data))
        births = Births(
            tuple(record_device(device) for device in changes.devices),
            tuple(record_series(series) for series in changes.series),
        )
        return births, events


def _availability(device: Device) -> tuple[str, str, int]:
    return str(device.availability), device.availability_source, device.availability_since_us // 1000
