"""One dashboard's conversation, without a socket: messages in, messages out. `web/socket.py` does the I/O."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from bridge.errors import ProtocolError
from bridge.live.channel import Channel
from bridge.live.messages import (
    REPLAY,
    Auth,
    Packet,
    Ping,
    Pong,
    Replay,
    RunCommand,
    Subscribe,
    Unsubscribe,
    WriteNote,
    error_packet,
    json_packet,
    parse,
)

if TYPE_CHECKING:
    from bridge.live.hub import Hub

log = logging.getLogger(__name__)

# What each role may say. Deny by default: a message type that is missing here is refused to everyone.
ALLOWED: dict[str, frozenset[type]] = {
    "viewer": frozenset({Subscribe, Unsubscribe, Replay, Ping, Pong}),
    "operator": frozenset({Subscribe, Unsubscribe, Replay, Ping, Pong, RunCommand, WriteNote}),
}


# A person clicks a few times a second, a page that returns subscribes to some channels at once; what says more than
# this is broken or hostile, and would cost everybody else the event loop.
MESSAGES_PER_S = 50
MESSAGES_AT_ONCE = 200

# A page shows one moment at a time, and asks for the next before it has let go of the one before.
MAX_REPLAYS = 2


class ReplayControl(Protocol):
    """A replay that was begun for one session, and goes on by itself."""

    def change(self, request: Replay) -> None:
        """Somewhere else, faster, on or not."""
        ...

    def close(self) -> None:
        """No message comes after this."""
        ...


class OpensReplays(Protocol):
    """Where replays come from. Raises `ProtocolError` when there are too many."""

    def open(self, session: Session, request: Subscribe) -> ReplayControl: ...


class Operations(Protocol):
    """What a session may ask of the bridge. Raises `ProtocolError` when it is refused."""

    @property
    def replays(self) -> OpensReplays | None:
        """None: there is no history to replay."""
        ...

    def run_command(
        self, device_id: str, command_id: str, name: str, args: dict[str, Any], *, ttl_ms: int | None, sent_by: str
    ) -> tuple[dict[str, Any], bool]:
        """The command's record, and whether it is new (then everybody has been told already)."""
        ...


class Outlet(Protocol):
    """The way to one client. Nothing here ever waits."""

    def send(self, packet: Packet) -> None:
        """Hand a packet to the socket: answers, and what everybody has to know."""
        ...

    def send_state(self, packets: list[Packet]) -> None:
        """The same for what takes the client to the present, which may be large."""
        ...

    def offer(self, packet: Packet) -> bool:
        """The same for a message of a channel; False: not sent, the client has too much unread."""
        ...

    def has_room(self) -> bool:
        """Whether the client has read nearly all that it was sent."""
        ...


class Session:
    """An authenticated dashboard or program."""

    def __init__(
        self,
        hub: Hub,
        operations: Operations,
        session_id: str,
        role: str,
        outlet: Outlet,
        *,
        binary: bool,
    ) -> None:
        self.session_id = session_id
        self.role = role
        self.binary = binary
        self.answers_pings = False  # set by its first `ping` or `pong`: from then on its socket's pong is not enough
        self.send = outlet.send
        self.send_state = outlet.send_state
        self.offer = outlet.offer
        self.has_room = outlet.has_room
        self._hub = hub
        self._operations = operations
        self._channels: dict[str | int, Channel] = {}
        self._replays: dict[str | int, ReplayControl] = {}
        self._allowance = float(MESSAGES_AT_ONCE)
        self._counted_us = 0

    def receive(self, text: str | bytes, now_us: int) -> list[Packet]:
        """Everything to answer to one message, in order. Never raises: what we cannot do is answered with `error`."""
        ref: Any = None
        try:
            if not self._may_speak(now_us):
                raise ProtocolError(
                    "rate_limited", f"more than {MESSAGES_PER_S} messages a second; this one was ignored"
                )
            message, ref = parse(text)
            if type(message) not in ALLOWED.get(self.role, ()) and not isinstance(message, Auth):
                raise ProtocolError("forbidden", f"the role {self.role!r} may not do this")
            return self._handle(message, now_us)
        except ProtocolError as error:
            return [error_packet(error.code, error.message, ref if ref is not None else error.ref)]
        except Exception:
            log.exception("session %s: a message could not be handled", self.session_id)
            return [error_packet("internal", "something went wrong on our side; it is in the log", ref)]

    @property
    def epoch(self) -> str:
        """Of the live plane that it belongs to."""
        return self._hub.epoch

    def subscription(self, channel: Channel) -> str | int:
        """The id under which it follows the channel.

        Raises:
            StopIteration: it does not.
        """
        return next(id_ for id_, followed in self._channels.items() if followed is channel)

    def _may_speak(self, now_us: int) -> bool:
        """A token bucket: so much at once, then so much a second."""
        if self._counted_us:
            refill = max(0, now_us - self._counted_us) * MESSAGES_PER_S / 1e6
            self._allowance = min(MESSAGES_AT_ONCE, self._allowance + refill)
        self._counted_us = now_us
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def close(self, now_us: int) -> None:
        """Leave all channels, and end all replays."""
        for replay in self._replays.values():
            replay.close()
        self._replays.clear()
        for channel in self._channels.values():
            self._hub.leave(channel, self, now_us)
        self._channels.clear()

    def _handle(self, message: Any, now_us: int) -> list[Packet]:
        match message:
            case Pong():
                self.answers_pings = True
                return []
            case Ping():
                self.answers_pings = True
                return [
                    json_packet(
                        "pong", id=message.id, client_time_ms=message.client_time_ms, server_time_ms=now_us / 1000
                    )
                ]
            case Subscribe():
                return self._subscribe(message, now_us)
            case Unsubscribe():
                self._unsubscribe(message, now_us)
                return []
            case Replay():
                if message.step is not None and (message.at_ms is not None or message.paused is False):
                    raise ProtocolError("invalid_message", "a step goes from where the replay is, and pauses it")
                self._replay(message.id).change(message)
                return []
            case RunCommand():
                record, is_new = self._operations.run_command(
                    message.device_id,
                    str(message.id),
                    message.name,
                    message.args,
                    ttl_ms=message.ttl_ms,
                    sent_by=self.session_id,
                )
                return [] if is_new else [json_packet("command", **record)]
            case WriteNote():
                self._hub.write_note(message.text, self.session_id, now_us)
                return []
            case _:
                raise ProtocolError("invalid_message", "this connection is authenticated already")

    def _subscribe(self, message: Subscribe, now_us: int) -> list[Packet]:
        if message.id in self._channels or message.id in self._replays:
            raise ProtocolError("id_reused", f"the id {message.id!r} is in use by another subscription")
        if len(self._channels) + len(self._replays) >= self._hub.max_subscriptions:
            raise ProtocolError("too_many_subscriptions", f"at most {self._hub.max_subscriptions} at once")
        if message.channel == REPLAY:
            self._open_replay(message)
            return []
        if not (message.at_ms is message.speed is message.paused is None):
            raise ProtocolError("invalid_message", f"only the channel {REPLAY!r} has at_ms, speed and paused")
        channel = self._hub.channel(message, now_us)
        if channel in self._channels.values():
            raise ProtocolError("id_reused", f"this connection follows {message.channel!r} already")
        packets = self._hub.catch_up(channel, message, binary=self.binary, now_us=now_us)
        # From here on every new message of the channel is ours; nothing can come between, we do not wait anywhere.
        self._channels[message.id] = channel
        self._hub.follow(channel, self)
        return packets

    def _open_replay(self, message: Subscribe) -> None:
        if message.at_ms is None:
            raise ProtocolError("invalid_message", "a replay begins somewhere: at_ms")
        if message.series is not None:
            raise ProtocolError("invalid_message", "a replay can be narrowed to devices, not to series")
        if self._operations.replays is None:
            raise ProtocolError("no_history", "this server keeps no history")
        if len(self._replays) >= MAX_REPLAYS:
            raise ProtocolError("too_many_subscriptions", f"at most {MAX_REPLAYS} replays at once")
        self._replays[message.id] = self._operations.replays.open(self, message)

    def _replay(self, id_: str | int) -> ReplayControl:
        replay = self._replays.get(id_)
        if replay is None:
            raise ProtocolError("unknown_channel", f"no replay was begun with id {id_!r}")
        return replay

    def _unsubscribe(self, message: Unsubscribe, now_us: int) -> None:
        replay = self._replays.pop(message.id, None)
        if replay is not None:
            replay.close()
            return
        channel = self._channels.pop(message.id, None)
        if channel is None:
            raise ProtocolError("unknown_channel", f"nothing was subscribed with id {message.id!r}")
        if channel not in self._channels.values():
            self._hub.leave(channel, self, now_us)
