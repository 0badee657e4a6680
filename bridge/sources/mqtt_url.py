"""Broker addresses: `mqtt://[user:password@]host[:port]` and `mqtts://...`.

Passwords come in here and must not get out: neither `address`, nor `repr`, nor an error message contains one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from bridge.errors import ConfigError

DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}
"""The ports that IANA registered for MQTT, without and with TLS."""

SETTING = "mqtt.urls"


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """Where a broker is and who we are there. An empty `username` means that none is sent."""

    host: str
    port: int
    tls: bool = False
    username: str = ""
    password: str = field(default="", repr=False)

    @property
    def address(self) -> str:
        """The URL as shown to people: without user name and password."""
        return format_address(self.host, self.port, tls=self.tls)


def format_address(host: str, port: int, *, tls: bool = False) -> str:
    """`mqtt://host:port`, with the brackets that an IPv6 address needs."""
    shown = f"[{host}]" if ":" in host else host
    return f"{'mqtts' if tls else 'mqtt'}://{shown}:{port}"


def parse_url(url: str, username: str = "", password: str = "") -> BrokerUrl:
    """Take a URL apart; `username` and `password` (from the settings) fill in what the URL does not say.

    Raises:
        ConfigError: without quoting the URL, because the part that is wrong may be the password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname
    except ValueError:
        raise ConfigError(SETTING, "a URL cannot be read; percent-encode special characters in it") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise ConfigError(SETTING, "a URL must begin with mqtt:// or mqtts://")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        # Nearly always an unencoded / ? or # in the password: connecting to what is left would be worse.
        raise ConfigError(SETTING, "a URL ends after the port; percent-encode / ? # in user name and password")
    if not host:
        raise ConfigError(SETTING, "a URL names no host")
    return BrokerUrl(
        host=host,
        # Not `or`: port 0 is nonsense that must be refused, not replaced.
        port=_checked(DEFAULT_PORTS[parts.scheme] if port is None else port),
        tls=parts.scheme == "mqtts",
        username=unquote(parts.username) if parts.username else username,
        password=unquote(parts.password) if parts.password else password,
    )


def _checked(port: int) -> int:
    if port == 0:
        raise ConfigError(SETTING, "port 0 is not an address to connect to")
    return port
