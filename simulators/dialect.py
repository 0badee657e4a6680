"""What a simulated device says, and the interface of the ways to say it over MQTT.

The native convention is one `Dialect`; imitating Home Assistant discovery or Sparkplug is a further one. The devices
and the fleet know nothing of topics and payloads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from simulators.devices.device import Device, Value


class Outgoing(NamedTuple):
    """One MQTT message that a device sends."""

    device_no: int  # which device of the fleet sends it, and therefore over which connection it goes
    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    seq: int | None = None  # of a reading, while a ledger is kept: its number among those of its device


class Identity(NamedTuple):
    """Who a device is, apart from what it does."""

    device_no: int  # its place in the fleet
    device_id: str
    name: str
    area: str


class Request(NamedTuple):
    """A command as a device received it."""

    command_id: str
    name: str
    args: Mapping[str, Any]
    expires_ms: int | None


class Dialect(Protocol):
    """Implementations are stateless towards the network: messages in, messages out."""

    name: str

    def announce(self, who: Identity, device: Device, online: bool) -> list[Outgoing]:
        """What a device says when its connection is up."""
        ...

    def status(self, who: Identity, online: bool) -> Outgoing:
        """Whether the device is there; with `online=False` also its last will."""
        ...

    def telemetry(self, who: Identity, values: Mapping[str, Value], time_ms: int) -> Outgoing: ...

    def result(self, who: Identity, command_id: str, value: Any, error: str | None) -> Outgoing:
        """The answer to a command; `error` is None when it succeeded."""
        ...

    def command_topic(self, who: Identity) -> str:
        """The topic on which the device listens."""
        ...

    def parse_command(self, payload: bytes) -> Request | None:
        """None when the payload is not a command that could be answered."""
        ...
