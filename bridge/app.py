"""The composition root: builds everything, starts it and stops it, in one visible order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Awaitable
from pathlib import Path

from bridge.assets import asset_dir, plotly_js
from bridge.conventions.registry import default_registry
from bridge.core.commands import CommandLimits, Commands
from bridge.core.counters import Counters
from bridge.core.fleet import Fleet, FleetLimits
from bridge.core.recent import RecentLog
from bridge.errors import ConfigError
from bridge.history.maintenance import give_up_reserve
from bridge.history.recorder import Recorder, RecorderOptions
from bridge.history.retention import Limit, Limits
from bridge.history.revive import revive_fleet
from bridge.history.spans import DAY_US
from bridge.history.start import Before, read_before
from bridge.history.store import open_store
from bridge.history.store_faults import describe
from bridge.installation import prepare_data_dir, read_client_id, read_token
from bridge.live.hub import Hub, LiveLimits
from bridge.operations import BridgeOperations
from bridge.pipeline import Pipeline, Timing
from bridge.replays import Replays
from bridge.settings import HistorySettings, Settings, history_url
from bridge.sources.embedded_broker import EmbeddedBroker
from bridge.sources.mqtt import MqttSource
from bridge.sources.source import Source
from bridge.web.access import Access
from bridge.web.server import Server

log = logging.getLogger(__name__)

TICK_S = 0.25  # presence, time-outs and staleness are told within this time
TICKS_LATE_S = 5.0  # a loop that has not ticked for so long is not healthy


def now_us() -> int:
    """The wall clock, in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class App:
    """One running bridge."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.data_dir: Path = settings.data_dir
        self.broker: EmbeddedBroker | None = None
        self.broker_url = ""  # of the embedded broker, once it runs
        self._broker_is_ours = False  # a broker that was there already is nobody's child of ours
        self.token: str | None = None
        self._server: Server | None = None
        self._pipeline: Pipeline | None = None
        self._recorder: Recorder | None = None
        self._counters = Counters()
        self._sources: list[Source] = []
        self._ticker: asyncio.Task[None] | None = None
        self._ticked = time.monotonic()

    async def start(self) -> None:
        """Start from the inside out: first what remembers, then what serves, last what brings data.

        Raises:
            BridgeError: something cannot start; whatever had started is stopped again.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        settings = self.settings
        # 1. What belongs to this installation.
        self.data_dir = prepare_data_dir(settings.data_dir)
        if settings.web.auth == "token":
            self.token = read_token(self.data_dir)
        # 2. The history, which knows how things were when we last ended.
        before: Before | None = None
        if settings.history.enabled:
            recorder, before = await asyncio.to_thread(self._open_history)
            recorder.start()
            self._recorder = recorder
        # 3. The state, which is pure, and the pipeline around it.
        self._pipeline = self._build_pipeline(before)
        # 4. The page: from now on it can be opened, even if no broker is there.
        archive = self._recorder.archive if self._recorder else None
        replays = Replays(archive, now_us) if archive else None
        operations = BridgeOperations(self._pipeline, self._problems, archive, replays)
        web = settings.web
        self._server = Server(
            web,
            Access(self.token, web.host, web.allowed_hosts, web.allowed_origins),
            self._pipeline.hub,
            operations,
            self._pipeline.counters,
            now_us,
            asset_dir("dashboard"),
            plotly_js(),
        )
        await self._server.start()
        # 5. The broker of our own, if no other is named.
        urls = list(settings.mqtt.urls)
        if not urls and settings.simulated.devices == 0:
            self.broker = EmbeddedBroker(settings.broker, self.data_dir, asset_dir("config") / "mosquitto.conf")
            info = await self.broker.start()
            self.broker_url = info.url
            self._broker_is_ours = not info.reused
            urls = [info.url]
        # 6. The sources, which begin to bring data.
        if urls:
            client_id = settings.mqtt.client_id or read_client_id(self.data_dir)
            self._sources.append(MqttSource(settings.mqtt, now_us, client_id, urls))
        if settings.simulated.devices:
            from bridge.sources.simulated import SimulatedSource  # who has real devices need not load the simulators

            simulated = settings.simulated
            self._sources.append(SimulatedSource(simulated.devices, simulated.rate_hz, simulated.seed, now_us))
        for source in self._sources:
            await source.start(self._pipeline.listener(source))
        self._ticker = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        """The reverse: write and acknowledge what is there, no more data, send the dashboards away, end the broker."""
        if self._ticker is not None:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker
            self._ticker = None
        if self._pipeline is not None:
            try:
                self._pipeline.close()
            except Exception:
                log.exception("while flushing")
        if self._recorder is not None:
            await self._quietly(self._recorder.drain())  # while the sources can still acknowledge
        for source in self._sources:
            await self._quietly(source.stop())
        self._sources = []
        if self._server is not None:
            await self._quietly(self._server.stop())
            self._server = None
        if self.broker is not None:
            await self._quietly(self.broker.stop())
            self.broker = None
        if self._pipeline is not None:
            self._pipeline.end()
        if self._recorder is not None:
            await self._quietly(self._recorder.close())
            self._recorder = None

    @property
    def url(self) -> str:
        """Where the page is, with the token if one is needed."""
        assert self._server is not None
        host = self.settings.web.host
        host = f"[{host}]" if ":" in host else host
        base = f"http://{host}:{self._server.port}/"
        return base if self.token is None else f"{base}?token={self.token}"

    @property
    def port(self) -> int:
        assert self._server is not None
        return self._server.port

    def _open_history(self) -> tuple[Recorder, Before]:
        """Blocking: a check, a migration or a long journal may take a second.

        Raises:
            ConfigError: the database cannot be used, and why.
        """
        try:
            return self._try_to_open_history()
        except Exception as error:
            fault = describe(error)
            log.debug("the history could not be opened", exc_info=True)
            if not (fault.disk_full and give_up_reserve(history_url(self.settings))):
                raise ConfigError("history.url", fault.reason) from None
        try:
            return self._try_to_open_history()  # with what the reserve has made free, maintenance can make room
        except Exception as error:
            raise ConfigError("history.url", describe(error).reason) from None

    def _try_to_open_history(self) -> tuple[Recorder, Before]:
        settings = self.settings
        store = open_store(history_url(settings), now_us())
        try:
            notice = ""
            if store.opened.set_aside is not None:
                notice = f"The history was damaged ({'; '.join(store.opened.damage)[:300]}). It was set aside as "
                notice += f"{store.opened.set_aside.name}; "
                notice += "a new one has begun." if store.opened.is_new else "what came before that is there."
                log.error("%s", notice)
            recorder = Recorder(store, _recorder_options(settings.history), self._counters, now_us, notice)
            recent_us = int(settings.live.recent_seconds * 1e6)
            return recorder, read_before(store, recorder.archive.history, now_us(), recent_us)
        except BaseException:
            store.close()
            raise

    def _build_pipeline(self, before: Before | None) -> Pipeline:
        settings, counters, recorder = self.settings, self._counters, self._recorder
        fleet_settings, live, commands = settings.fleet, settings.live, settings.commands
        fleet = Fleet(
            FleetLimits(
                max_devices=fleet_settings.max_devices,
                max_metrics_per_device=fleet_settings.max_metrics_per_device,
                max_texts_per_metric=fleet_settings.max_texts_per_metric,
                stale_min_us=int(fleet_settings.stale_min_s * 1e6),
                stale_factor=fleet_settings.stale_factor,
                stale_default_us=int(fleet_settings.stale_default_s * 1e6),
            ),
            counters,
        )
        recent = RecentLog(live.recent_bytes, live.recent_seconds)
        if before is not None:
            revive_fleet(fleet, before.moment, now_us())
            for batch in before.recent:
                recent.append(batch)
        limits = LiveLimits(
            live.ring_bytes,
            int(live.ring_seconds * 1e6),
            live.max_subscriptions,
            live.max_selections,
            settings.web.client_buffer_bytes,
        )
        hub = Hub(
            recorder.epoch if recorder else secrets.token_hex(8),
            fleet,
            recent,
            counters,
            limits,
            log_offset=recorder.first_offset if recorder else 0,
            read_log=recorder.read_log if recorder else None,
        )
        ledger = Commands(
            CommandLimits(commands.default_ttl_ms, commands.max_ttl_ms, commands.max_pending_per_device, commands.kept)
        )
        if before is not None:
            hub.restore_notes(dict(note) for note in before.notes)
            for record in before.commands:
                ledger.restore(record)
        return Pipeline(
            default_registry(fleet_settings.max_payload_bytes),
            fleet,
            ledger,
            hub,
            recent,
            counters,
            now_us,
            Timing(live.flush_interval_ms * 1000, live.fleet_interval_ms * 1000),
            recorder,
        )

    async def _tick(self) -> None:
        assert self._pipeline is not None
        assert self._server is not None
        while True:
            self._ticked = time.monotonic()
            try:
                self._pipeline.tick()
                self._server.tick(now_us())
            except Exception:
                # A defect in here must not end staleness, time-outs and slow-client checks for good.
                log.exception("the ticker failed; going on")
            await asyncio.sleep(TICK_S)

    def _problems(self) -> list[str]:
        """What is wrong with the process itself; /healthz answers 503 while there is anything."""
        problems = []
        if self._ticker is not None and self._ticker.done():
            problems.append("the ticker has ended")
        if self.broker is not None and self._broker_is_ours and not self.broker.running:
            problems.append(f"the embedded broker has ended ({self.broker.last_exit or 'it is being started again'})")
        late_s = time.monotonic() - self._ticked
        if self._ticker is not None and late_s > TICKS_LATE_S:
            problems.append(f"the event loop is {late_s:.0f} s late")
        return problems

    @staticmethod
    async def _quietly(stopping: Awaitable[None]) -> None:
        """Wait for one part to stop; its failure must not keep the others from stopping."""
        try:
            await stopping
        except Exception:
            log.exception("while stopping")


def _recorder_options(settings: HistorySettings) -> RecorderOptions:
    return RecorderOptions(
        settings.commit_interval_ms / 1000,
        settings.backlog_bytes,
        settings.seal_interval_s,
        settings.min_free_bytes,
        Limits(
            Limit(int(settings.keep_readings_days * DAY_US), settings.max_readings_bytes),
            Limit(int(settings.keep_minutes_days * DAY_US), settings.max_minutes_bytes),
            Limit(int(settings.keep_hours_days * DAY_US), settings.max_hours_bytes),
        ),
    )
