"""Which broker to talk to, read from a URL, and how to say in one line that this did not work."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

_PORTS = {"mqtt": 1883, "mqtts": 8883}


class BrokerUnreachable(Exception):
    """No device could connect. The text says what happened and what to do, in one line."""

    def __init__(self, broker: Broker, reason: str, refused: bool) -> None:
        self.broker = broker
        self.reason = reason
        self.refused = refused  # a broker is there and does not want us
        super().__init__(broker, reason, refused)

    def __str__(self) -> str:
        if self.refused:
            return (
                f"the MQTT broker at {self.broker.address} refused the connection: {self.reason}. "
                "If it wants a user and a password: --broker mqtt://USER:PASSWORD@HOST:PORT"
            )
        return (
            f"no MQTT broker at {self.broker.address} ({self.reason}). "
            "Start one (fleetwire serve brings its own, or run mosquitto), or name another with --broker mqtt://HOST:PORT"
        )


@dataclass(frozen=True, slots=True)
class Broker:
    """Address and credentials of an MQTT broker."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """For people; without the credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def parse_broker(url: str) -> Broker:
    """Reads `mqtt://[USER:PASSWORD@]HOST[:PORT]`, `mqtts://...` or `HOST[:PORT]`. `ValueError` says what is wrong."""
    parts = urlsplit(url if "://" in url else f"mqtt://{url}")
    if parts.scheme not in _PORTS:
        raise ValueError(f"cannot speak {parts.scheme!r}; use mqtt://HOST:PORT or mqtts://HOST:PORT")
    if not parts.hostname:
        raise ValueError("names no host; use mqtt://HOST:PORT")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("has something after the port; use mqtt://HOST:PORT")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("has no valid port; use a number from 1 to 65535")
    return Broker(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        tls=parts.scheme == "mqtts",
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )
