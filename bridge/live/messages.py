"""The messages between bridge and dashboards: parsing what comes in, encoding what goes out, once for all.

docs/protocol.md is the contract; a test holds the two together.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from bridge.errors import ProtocolError

SUBPROTOCOL_BINARY = "fleetwire.v1"
SUBPROTOCOL_JSON = "fleetwire.v1.json"

FLEET, LOG, DEVICE, STATS = "fleet", "log", "device/", "stats"  # channels; DEVICE is a prefix
REPLAY = "replay"  # asked for by this name; each is then called replay/<n>

CLOSE_SHUTTING_DOWN = 4001
CLOSE_SLOW = 4008
CLOSE_SILENT = 4012
CLOSE_TOO_MANY_ATTEMPTS = 4013
CLOSE_BAD_TOKEN = 4500
CLOSE_AUTH_TIMEOUT = 4502

MAX_NOTE_LENGTH = 500  # a note is a line, not a document
MIN_SPEED, MAX_SPEED = 0.25, 1_000.0  # of a replay: slow enough to watch one second, and a day in a minute and a half
MAX_AT_MS = 4_102_444_800_000  # the year 2100: who asks for a later moment has mixed up its units

ERROR_CODES = frozenset(
    {
        "invalid_json",
        "invalid_message",
        "unknown_type",
        "unsupported_binary",
        "unauthorized",
        "forbidden",
        "unknown_channel",
        "unknown_device",
        "unknown_command",
        "invalid_arguments",
        "device_offline",
        "broker_unavailable",
        "busy",
        "id_reused",
        "too_many_subscriptions",
        "not_found",
        "no_history",
        "not_available",
        "rate_limited",
        "internal",
    }
)

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | int
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1_024)]
AtMs = Annotated[float, msgspec.Meta(ge=0, le=MAX_AT_MS)]
Speed = Annotated[float, msgspec.Meta(ge=MIN_SPEED, le=MAX_SPEED)]


class Auth(msgspec.Struct):
    token: Annotated[str, msgspec.Meta(max_length=512)]


class Subscribe(msgspec.Struct):
    id: Id
    channel: Text
    epoch: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    offset: Annotated[int, msgspec.Meta(ge=0)] | None = None
    devices: list[Text] | None = None
    series: list[int] | None = None
    at_ms: AtMs | None = None  # this and the rest: of a replay
    speed: Speed | None = None
    paused: bool | None = None


class Replay(msgspec.Struct):
    """A change to a replay under way. `id`: of its subscription."""

    id: Id
    at_ms: AtMs | None = None
    speed: Speed | None = None
    paused: bool | None = None
    step: Literal[1, -1] | None = None


class Unsubscribe(msgspec.Struct):
    id: Id


class RunCommand(msgspec.Struct):
    id: Id
    device_id: Text
    name: Text
    args: dict[str, Any] = {}
    ttl_ms: int | None = None


class WriteNote(msgspec.Struct):
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NOTE_LENGTH)]


class Ping(msgspec.Struct):
    id: Id | None = None
    client_time_ms: float | None = None


class Pong(msgspec.Struct):
    """The answer to our own `ping`."""


ClientMessage = Auth | Subscribe | Unsubscribe | Replay | RunCommand | WriteNote | Ping | Pong

TYPES: dict[str, type[ClientMessage]] = {
    "auth": Auth,
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
    "replay": Replay,
    "command": RunCommand,
    "note": WriteNote,
    "ping": Ping,
    "pong": Pong,
}


class Packet:
    """One WebSocket message, made once and sent to many.

    `wire` is filled by the web layer at the first send: the payload with its WebSocket header, which is the same for
    every client, because a server does not mask.
    """

    __slots__ = ("is_text", "payload", "wire")

    def __init__(self, payload: bytes, *, is_text: bool = True) -> None:
        self.payload = payload
        self.is_text = is_text
        self.wire: bytes | None = None


def json_packet(type_: str, **fields: Any) -> Packet:
    """A JSON message. NaN and infinities become null, which every browser can parse."""
    return Packet(msgspec.json.encode({"type": type_, **fields}))


def error_packet(code: str, message: str, ref: Any = None) -> Packet:
    assert code in ERROR_CODES, code
    return json_packet("error", code=code, message=message, ref=ref)


def parse(text: str | bytes) -> tuple[ClientMessage, Any]:
    """What a client said, and its `id` for the answer.

    Raises:
        ProtocolError: `invalid_json`, `unknown_type` or `invalid_message`.
    """
    try:
        raw = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        raise ProtocolError("invalid_json", "this is not JSON") from None
    if not isinstance(raw, dict):
        raise ProtocolError("invalid_json", "a message is a JSON object with a type")
    ref = raw.get("id")
    if not isinstance(ref, str | int) or isinstance(ref, bool) or len(str(ref)) > 64:
        ref = None
    kind = raw.pop("type", None)
    message_type = TYPES.get(kind) if isinstance(kind, str) else None
    if message_type is None:
        raise ProtocolError("unknown_type", f"there is no message type {str(kind)[:64]!r}", ref)
    try:
        return msgspec.convert(raw, message_type), ref
    except (msgspec.ValidationError, RecursionError) as error:
        raise ProtocolError("invalid_message", str(error), ref) from None
