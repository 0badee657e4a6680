"""Why a broker said no, in words, and whether asking in another version of MQTT may help."""

from __future__ import annotations

from simulators.mqtt_encode import MQTT5

# MQTT 5, 2.4, as far as a publishing client gets to see them.
_WORDS = {
    0x80: "unspecified error",
    0x81: "malformed packet",
    0x82: "protocol error",
    0x84: "unsupported protocol version",
    0x85: "client id not valid",
    0x86: "bad user name or password",
    0x87: "not authorized",
    0x88: "server unavailable",
    0x89: "server busy",
    0x8A: "banned",
    0x8B: "server shutting down",
    0x8D: "keep alive timeout",
    0x8E: "another client with the same id took over",
    0x93: "receive maximum exceeded",
    0x95: "packet too large",
    0x97: "quota exceeded",
    0x98: "administrative action",
    0x9F: "connection rate exceeded",
}
# MQTT 3.1.1, 3.2.2.3. A server that speaks only 3.1.1 answers a version 5 client with the first of these.
_WORDS_311 = {
    1: "unsupported protocol version",
    2: "client id not valid",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorized",
}
# About us and not about the protocol version: asking again in 3.1.1 would not help.
_ABOUT_US = frozenset({0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x97, 0x9F, 2, 3, 4, 5})


class ConnectFailed(Exception):
    """`answered`: something is there. `other_version`: it may be worth asking in another version of MQTT."""

    def __init__(self, reason: str, answered: bool, other_version: bool = False) -> None:
        self.reason = reason
        self.answered = answered
        self.other_version = other_version
        super().__init__(reason, answered, other_version)


def describe(code: int, version: int) -> str:
    """The reason code in words; numbers below 0x80 are those of MQTT 3.1.1."""
    words = _WORDS if version == MQTT5 and code >= 0x80 else _WORDS_311
    return words.get(code, f"reason code 0x{code:02x}")


def refusal(code: int, version: int) -> ConnectFailed:
    """What to raise for a CONNACK that is no welcome."""
    return ConnectFailed(describe(code, version), answered=True, other_version=code not in _ABOUT_US)
