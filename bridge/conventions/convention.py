"""The interface every convention implements. A further convention is one file and one line in `registry`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bridge.core.model import CommandRequest, Message, Observation, Publish


class Convention(Protocol):
    """Translates between one way of speaking MQTT and the canonical model.

    Implementations do no I/O and read no clock, but may remember what earlier messages taught them (aliases,
    the offset of a device's local time). They must not raise on bad input: they return a `Rejection`.
    """

    name: str

    def recognises(self, message: Message) -> bool:
        """Whether this topic belongs to the convention. Asked once a topic; the answer is cached."""
        ...

    def decode(self, message: Message) -> Sequence[Observation]:
        """What the message means."""
        ...

    def encode_command(self, request: CommandRequest) -> Publish:
        """The message that carries a command to its device."""
        ...
