"""The MQTT source: keeps a connection to a broker for ever and translates between paho's world and ours.

It owns the policy (which URL, which version, when to try again, what people are told); what happens inside one
connection is in mqtt_connection. Everything runs on the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable, Sequence

import msgspec

from bridge.core.model import Message, Publish
from bridge.errors import ConfigError, ConnectFailed, PublishFailed
from bridge.settings import MqttSettings
from bridge.sources.backoff import full_jitter
from bridge.sources.mqtt_connection import Lost, MqttConnection, VersionRefused
from bridge.sources.mqtt_dropped import DROPPED_TOPIC, BrokerDrops
from bridge.sources.mqtt_subscribe import Version, contain_dropped
from bridge.sources.mqtt_url import SETTING, BrokerUrl, parse_url
from bridge.sources.source import Clock, Listener, SourceStatus

logger = logging.getLogger(__name__)

STABLE_AFTER_S = 10.0
"""A connection that lived this long was a good one: the next pause begins small again."""

TAKEOVER_PAUSE_S = 5.0
"""Shortest pause after another client took our session; two that take it back from each other at once never rest."""

SUSPICIOUS_HANG_UPS = 2
"""Short connections in a row that the broker closed without a word, until we suspect a takeover."""

DROPPED_INTERVAL_S = 5.0
"""Pause before a change of the broker's own losses is told: people read it, and under overload it never rests."""

ERROR_LOG_INTERVAL_S = 10.0
"""A listener that fails on every message is logged this often, and counted every time."""


class MqttSource:
    """Device messages from an MQTT broker, through any number of connections one after the other."""

    name = "mqtt"

    def __init__(
        self,
        settings: MqttSettings,
        clock: Clock,
        client_id: str,
        urls: Sequence[str] | None = None,
    ) -> None:
        """
        Args:
            clock: the time in microseconds since 1970 UTC.
            client_id: under which the broker keeps our session; must stay the same from start to start.
            urls: where to connect instead of `settings.urls` (the embedded broker).

        Raises:
            ConfigError: a URL cannot be used, or there is none.
        """
        self._settings = settings
        self._clock = clock
        self._client_id = client_id
        self._urls = [
            parse_url(url, settings.username, settings.password.get_secret_value())
            for url in (settings.urls if urls is None else urls)
        ]
        if not self._urls:
            raise ConfigError(SETTING, "names no broker")
        self._random = random.SystemRandom().random
        self._listener: Listener | None = None  # from start to stop
        self._running: asyncio.Task[None] | None = None  # from start to stop
        # Set while connecting, so that it is there for the first message; ask it whether it is `connected`.
        self._connection: MqttConnection | None = None
        self._generation = 0
        self._retained_wanted = True  # until the first connection of this process has asked for them
        self._sessions: set[str] = set()  # addresses of brokers that keep, or should keep, a session of ours
        # The broker's own losses. The user may want to see them as a reading; then we only listen in.
        self._drops = BrokerDrops()
        self._drops_are_asked_for = contain_dropped(settings.topics)
        self._not_to_ask: set[str] = set()  # addresses of brokers that hang up when asked for their losses
        self._drops_due: asyncio.TimerHandle | None = None
        self._connected_at = 0.0  # on the loop's clock
        self._status = SourceStatus(self.name, "disconnected", self._now_ms(), detail="not started")
        self.callback_errors = 0  # how often a listener raised
        self._error_logged_at = float("-inf")

    @property
    def status(self) -> SourceStatus:
        """Where we are. While retrying it stays `disconnected` with the last reason, since when it was lost."""
        return self._status

    @property
    def generation(self) -> int:
        """Number of the current connection, as in the first half of its acknowledgement tokens."""
        return self._generation

    # ----- life -----------------------------------------------------------------------------------------------

    async def start(self, listener: Listener) -> None:
        """Begin to connect, and keep at it until `stop`."""
        if self._running is not None:
            return
        self._listener = listener
        self._set_status("connecting", self._urls[0])
        self._running = asyncio.get_running_loop().create_task(self._run(), name="mqtt source")

    async def stop(self) -> None:
        """Leave; the broker keeps the session. Takes about a second at most."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            self._set_status("disconnected", None, "stopped")
        if self._drops_due is not None:
            self._drops_due.cancel()
            self._drops_due = None
        self._listener = None

    async def _run(self) -> None:
        """Connect, wait for the end, pause, again; ends by being cancelled."""
        loop = asyncio.get_running_loop()
        attempt = failures = hang_ups = index = 0
        while True:
            url = self._urls[index]
            shortest_s = 0.0
            try:
                lost = await self._connect_and_wait(url)
            except ConnectFailed as error:
                self._note_down(url, error.reason)
                index = (index + 1) % len(self._urls)
                failures += 1
                hang_ups = 0  # it was the broker that went away, not another client that came
                if failures % len(self._urls):
                    continue  # pause only after every URL has had its turn
            else:
                # Back to the same broker first: it has our session.
                failures = 0
                hang_ups = hang_ups + 1 if lost.hung_up else 0
                if loop.time() - self._connected_at >= STABLE_AFTER_S:
                    attempt = hang_ups = 0
                reason = lost.reason
                if lost.taken_over:
                    reason = f"another client uses our client id '{self._client_id}'; set mqtt.client_id"
                    shortest_s = TAKEOVER_PAUSE_S
                elif hang_ups >= SUSPICIOUS_HANG_UPS:
                    # mosquitto 2.0.11 and every MQTT 3.1.1 broker just close when they are told to take over.
                    reason += f" again; perhaps another client uses our client id '{self._client_id}'"
                    shortest_s = TAKEOVER_PAUSE_S
                self._note_down(url, reason)
            settings = self._settings
            pause_s = full_jitter(attempt, settings.reconnect_min_s, settings.reconnect_max_s, self._random)
            attempt += 1
            await asyncio.sleep(max(pause_s, shortest_s))

    async def _connect_and_wait(self, url: BrokerUrl) -> Lost:
        """One connection from beginning to end; with a second try in MQTT 3.1.1 where that is allowed."""
        wanted = self._settings.protocol
        first: Version = "3.1.1" if wanted == "3.1.1" else "5"
        connection = self._make_connection(url, first)
        try:
            try:
                await connection.open()
            except VersionRefused as error:
                if wanted != "auto":
                    raise
                # Asked anew at every connect: a broker that was just going down looks the same, or gets updated.
                connection = self._make_connection(url, "3.1.1")
                connection.notices.append(f"fell back to MQTT 3.1.1 (asked for MQTT 5: {error.reason})")
                await connection.open()
            lost = await connection.ended
            if connection.dropped_pending:
                # Brokers may hang up on whoever asks for a topic with a dollar sign; not a second time.
                self._not_to_ask.add(url.address)
            return lost
        finally:
            await connection.close()
            self._connection = None

    def _make_connection(self, url: BrokerUrl, version: Version) -> MqttConnection:
        # A new generation even if this attempt comes to nothing: what matters is that no number comes twice.
        self._generation += 1
        connection = self._connection = MqttConnection(
            url,
            version,
            self._client_id,
            self._settings,
            retained_again=self._retained_wanted,
            dropped_wanted=not self._drops_are_asked_for and url.address not in self._not_to_ask,
            on_connected=lambda: self._note_up(connection),
            on_message=self._on_message,
            on_shed=self._on_shed,
        )
        return connection

    # ----- what people are told -------------------------------------------------------------------------------

    def _note_up(self, connection: MqttConnection) -> None:
        self._connected_at = asyncio.get_running_loop().time()
        # A program that just began knows no device yet, so it asks for the retained messages even if the broker
        # still has its subscriptions; after that, what changes while we are away comes through the session.
        self._retained_wanted = False
        address = connection.url.address
        if address in self._sessions and not connection.session_present:
            connection.notices.append("session lost: the broker kept nothing for us while we were away")
        if self._settings.session_expiry_s > 0:
            self._sessions.add(address)
        for notice in connection.notices:
            logger.warning("%s: %s", address, notice)
        self._set_status("connected", connection.url, "; ".join(connection.notices), f"MQTT {connection.version}")
        logger.info("connected to %s with %s", address, self._status.protocol)

    def _note_down(self, url: BrokerUrl, reason: str) -> None:
        if (self._status.state, self._status.detail) != ("disconnected", reason):
            logger.warning("not connected to %s: %s", url.address, reason)
        self._set_status("disconnected", url, reason)

    def _set_status(self, state: str, url: BrokerUrl | None, detail: str = "", protocol: str = "") -> None:
        before = self._status
        status = SourceStatus(
            name=self.name,
            state=state,
            since_ms=before.since_ms if state == before.state else self._now_ms(),
            address=url.address if url else before.address,
            protocol=protocol,
            detail=detail,
            dropped=self._drops.total,
        )
        if status != before:
            self._tell(status)

    def _tell(self, status: SourceStatus) -> None:
        self._status = status
        if self._listener is None:
            return
        try:
            self._listener.on_status(status)
        except Exception:
            self._count_callback_error()

    def _hear_drops(self, payload: bytes) -> None:
        if self._connection is None or not self._drops.hear(self._connection.url.address, payload):
            return
        if self._drops_due is None:
            self._drops_due = asyncio.get_running_loop().call_later(DROPPED_INTERVAL_S, self._tell_drops)

    def _tell_drops(self) -> None:
        self._drops_due = None
        status = msgspec.structs.replace(self._status, dropped=self._drops.total)
        if status != self._status:  # another change of status may have told it already
            self._tell(status)

    def _now_ms(self) -> int:
        return self._clock() // 1000

    # ----- messages -------------------------------------------------------------------------------------------

    def _on_message(self, topic: str, payload: bytes, qos: int, retain: bool, duplicate: bool, mid: int) -> None:
        token = (self._generation, mid) if qos else None
        if topic == DROPPED_TOPIC:
            self._hear_drops(payload)
            if not self._drops_are_asked_for:
                if token is not None:  # a subscription of earlier settings that our session still has
                    self.acknowledge([token])
                return
        try:
            # `_listener` is there from start to stop; if it ever were not, this is counted like any other failure.
            self._listener.on_message(  # type: ignore[union-attr]
                Message(topic, payload, self._clock(), qos, retain, duplicate, token)
            )
        except Exception:
            self._count_callback_error()
            # Nobody else will acknowledge it, and unacknowledged it would take up room in the window for ever.
            if token is not None:
                self.acknowledge([token])

    def _on_shed(self, count: int) -> None:
        try:
            self._listener.on_shed(count)  # type: ignore[union-attr]  # as above
        except Exception:
            self._count_callback_error()

    def _count_callback_error(self) -> None:
        self.callback_errors += 1
        now = asyncio.get_running_loop().time()
        if now - self._error_logged_at >= ERROR_LOG_INTERVAL_S:
            self._error_logged_at = now
            logger.exception("a listener failed (%d times so far); going on", self.callback_errors)

    def acknowledge(self, tokens: Iterable[tuple[int, int]]) -> None:
        """Send a PUBACK for each token of the current connection.

        The others are dropped: once the broker has lost our session it counts message ids from 1 again, and an old
        acknowledgement would destroy a new message that nobody has stored.
        """
        connection = self._connection
        if connection is not None:
            current = self._generation
            connection.acknowledge([mid for generation, mid in tokens if generation == current])

    def publish(self, publish: Publish) -> asyncio.Future[None]:
        """Send a message; see `Source.publish`. QoS 2 is sent as QoS 1."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._connection is None:
            done.set_exception(PublishFailed(publish.topic, "the broker is not connected"))
        else:
            self._connection.publish(publish, done)
        return done
