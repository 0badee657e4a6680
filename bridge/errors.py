"""Every error Fleetwire raises, as one tree.

    BridgeError
    ├── ConfigError           a setting is wrong; names the path of the setting
    ├── SourceError           the way to the devices
    │   ├── ConnectFailed     the broker cannot be reached or refused us
    │   ├── PublishFailed     a message could not be handed to the broker
    │   │   └── DeliveryUnknown   it was handed over, but the connection broke before the broker said that it has it
    │   └── PortTaken         something that is not a broker holds the embedded broker's port
    ├── ProtocolError         a dashboard said something we cannot accept; carries a wire code
    └── CommandError          a command was refused before it was sent; carries a wire code

Bad data from a device is not an exception: decoders return a `Rejection`, which is counted.
"""

from __future__ import annotations


class BridgeError(Exception):
    """Base of everything that Fleetwire raises on purpose."""


class ConfigError(BridgeError):
    """A setting that we refuse to start with. `path` is dotted, as in the TOML file."""

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(path, problem)

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" if self.path else self.problem


class SourceError(BridgeError):
    """Something on the way to the devices failed."""


class ConnectFailed(SourceError):
    """The broker at `address` cannot be reached, or refused us for `reason`."""

    def __init__(self, address: str, reason: str) -> None:
        self.address = address
        self.reason = reason
        super().__init__(address, reason)

    def __str__(self) -> str:
        return f"cannot connect to {self.address}: {self.reason}"


class PublishFailed(SourceError):
    """A message for `topic` could not be handed to the broker."""

    def __init__(self, topic: str, reason: str) -> None:
        self.topic = topic
        self.reason = reason
        super().__init__(topic, reason)

    def __str__(self) -> str:
        return f"cannot publish to {self.topic}: {self.reason}"


class DeliveryUnknown(PublishFailed):
    """The message went out, and the connection broke before the broker acknowledged it: it may have arrived or not."""


class PortTaken(SourceError):
    """`address` is held by something that does not speak MQTT."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__(address)

    def __str__(self) -> str:
        return (
            f"{self.address} is taken by a program that is not an MQTT broker; "
            "stop it, or name a broker with --mqtt-url, or choose another port with --broker-port"
        )


class ProtocolError(BridgeError):
    """A message from a dashboard that we answer with `error`; `code` is one of docs/protocol.md."""

    def __init__(self, code: str, message: str, ref: str | int | None = None) -> None:
        self.code = code
        self.message = message
        self.ref = ref  # the `id` of the message that caused it, if it had one
        super().__init__(code, message)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class CommandError(ProtocolError):
    """A command refused before anything was sent to the device."""
