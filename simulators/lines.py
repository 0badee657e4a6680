"""Which device speaks over which connection ("line"), and which of the connections are up."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.connection import Connection, Hello
from simulators.fleet import SimulatedFleet
from simulators.mqtt_encode import Will


class Lines:
    """`shared` lines for all devices, or with None one line for each device.

    A connection has one last will. Devices on a shared line therefore have none: when it breaks, their status stays.
    """

    def __init__(self, fleet: SimulatedFleet, shared: int | None) -> None:
        self._fleet = fleet
        self._shared = shared is not None
        self._count = len(fleet) if shared is None else max(1, min(shared, len(fleet)))
        self._up: list[Connection | None] = [None] * self._count
        self._was_up = bytearray(self._count)

    def __len__(self) -> int:
        return self._count

    def line_of(self, device_no: int) -> int:
        return device_no % self._count

    def devices(self, line_no: int) -> range:
        return range(line_no, len(self._fleet), self._count)

    def of_device(self, device_no: int) -> Connection | None:
        """The connection of a device, when it is up."""
        return self._up[device_no % self._count]

    def was_up(self, device_no: int) -> int:
        """1 when the device's connection was up at least once."""
        return self._was_up[device_no % self._count]

    def hello(self, line_no: int) -> Hello:
        """Also a newcomer must be able to repeat it: the same fleet has the same client ids in every run."""
        first = self._fleet.devices[line_no].who.device_id
        topics = [self._fleet.command_topic(device_no) for device_no in self.devices(line_no)]
        if self._shared:
            return Hello(f"sim-shared-{first}", None, topics)
        status = self._fleet.status(line_no, online=False)
        return Hello(f"sim-{first}", Will(status.topic, status.payload, status.qos, status.retain), topics)

    def put(self, connection: Connection) -> None:
        self._up[connection.line_no] = connection
        self._was_up[connection.line_no] = 1

    def remove(self, connection: Connection) -> None:
        if self._up[connection.line_no] is connection:
            self._up[connection.line_no] = None

    def connections(self) -> Iterator[Connection]:
        """Those that are up."""
        return (connection for connection in self._up if connection is not None)
