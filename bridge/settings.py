"""Every setting, with its default, its unit and one sentence of help. The only file that knows pydantic.

Order of precedence: command-line flag, environment `FLEETWIRE_<SECTION>__<FIELD>`, `fleetwire.toml`, default.
A key that nobody knows is refused, because a misspelt limit that is silently ignored is no limit.
`config/fleetwire.toml` is generated from this file (`fleetwire check-config --print-default`); a test holds it so.
"""

from __future__ import annotations

import ipaddress
import json
import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from bridge.errors import ConfigError

ENVIRONMENT_PREFIX = "FLEETWIRE_"


class Section(BaseModel):
    """A table of the TOML file."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class WebSettings(Section):
    """The HTTP server: page, API and WebSocket."""

    host: str = Field("127.0.0.1", description="Address to listen on. Anything but loopback needs auth = 'token'.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one and prints it.")
    auth: Literal["token", "none"] = Field(
        "token",
        description="'token' asks for the token printed at start; 'none' is allowed on loopback only.",
    )
    allowed_hosts: list[str] = Field(
        [], description="Further names by which browsers may call this server (guards against DNS rebinding)."
    )
    allowed_origins: list[str] = Field(
        [],
        description="Further page origins that may open the WebSocket, such as 'https://dash.example.org'.",
    )
    max_message_bytes: int = Field(
        65_536, ge=1024, description="Largest WebSocket message from a dashboard; commands are far smaller."
    )
    auth_timeout_s: float = Field(5.0, gt=0, description="Time to authenticate a WebSocket before it is closed (4502).")
    lag_bytes: int = Field(
        262_144, ge=16_384, description="Unsent bytes from which a dashboard gets merged readings until it has read."
    )
    client_buffer_bytes: int = Field(
        1_000_000, ge=65_536, description="Unsent bytes per dashboard before it is closed as too slow (4008)."
    )
    write_timeout_s: float = Field(
        10.0, gt=0, description="How long a dashboard may read nothing at all before it is closed (4008)."
    )
    ping_interval_s: float = Field(
        25.0, gt=0, description="A dashboard that has been silent for this long is asked whether it is there."
    )
    pong_timeout_s: float = Field(8.0, gt=0, description="Time to answer that before it is closed (4012).")
    max_connections: int = Field(
        1_000, ge=1, description="WebSockets open at once; one more gets 503 with Retry-After."
    )
    max_connections_per_address: int = Field(
        500,
        ge=1,
        description="Of which from one address (an IPv6 /64 is one). Behind a proxy all share its address: raise it.",
    )
    max_new_connections_per_s: int = Field(
        200, ge=1, description="WebSockets begun in a second; one more gets 503, so that a stampede spreads out."
    )
    header_timeout_s: float = Field(
        10.0, gt=0, description="Time for the headers, or the body, of a request before its connection is cut."
    )


class MqttSettings(Section):
    """The connection to your MQTT broker. Without a URL, Fleetwire starts a broker of its own."""

    urls: list[str] = Field(
        [],
        repr=False,  # may hold a password
        description="Broker URLs tried in turn: mqtt://[user:password@]host[:1883] or mqtts://host[:8883].",
    )
    username: str = Field("", description="User name, if not in the URL.")
    password: SecretStr = Field(SecretStr(""), description="Password, if not in the URL. Better given by environment.")
    client_id: str = Field(
        "",
        description="Fixed client id; empty makes one per installation, so that the broker keeps our session.",
    )
    topics: list[str] = Field(
        ["#"], min_length=1, description="Topic filters to subscribe to. '#' is everything except $-topics."
    )
    protocol: Literal["auto", "5", "3.1.1"] = Field(
        "auto", description="MQTT version; 'auto' tries 5 and falls back to 3.1.1 with a notice."
    )
    keepalive_s: int = Field(
        15, ge=5, le=3600, description="Keep-alive; a half-open connection is noticed after 1.5 times this."
    )
    session_expiry_s: int = Field(
        604_800, ge=0, description="How long the broker keeps our session while we are away (7 days)."
    )
    receive_maximum: int = Field(
        2_000,
        ge=1,
        le=65_535,
        description="QoS 1 messages the broker may send ahead of our acknowledgements.",
    )
    backlog_bytes: int = Field(
        8_000_000,
        ge=262_144,
        description="Unread messages kept when they come faster than we can take; the oldest QoS 0 go first, counted.",
    )
    connect_timeout_s: float = Field(10.0, gt=0, description="Time for TCP, TLS and CONNACK together.")
    reconnect_min_s: float = Field(0.5, gt=0, description="Shortest pause before a reconnect (full jitter).")
    reconnect_max_s: float = Field(30.0, gt=0, description="Longest pause before a reconnect (full jitter).")
    ca_file: Path | None = Field(None, description="CA certificates for mqtts; empty takes those of the system.")
    cert_file: Path | None = Field(None, description="Client certificate for mutual TLS.")
    key_file: Path | None = Field(None, description="Key of the client certificate.")

    @field_validator("urls")
    @classmethod
    def _urls_have_a_known_scheme(cls, urls: list[str]) -> list[str]:
        for url in urls:
            if not url.startswith(("mqtt://", "mqtts://")) or len(url.split("://", 1)[1]) == 0:
                # Not quoted: it may hold a password.
                raise ValueError("a broker URL must look like mqtt://host:1883 or mqtts://host:8883")
        return urls

    @field_validator("ca_file", "cert_file", "key_file")
    @classmethod
    def _files_exist(cls, path: Path | None) -> Path | None:
        # A certificate that is missing must stop us: starting without TLS would be weaker than asked for.
        if path is not None and not path.is_file():
            raise ValueError(f"'{path}' is not a file")
        return path


class BrokerSettings(Section):
    """The embedded broker, used only when `mqtt.urls` is empty."""

    engine: Literal["auto", "mosquitto", "nats"] = Field(
        "auto", description="'auto' prefers mosquitto when it is on the PATH, else the bundled NATS server."
    )
    host: str = Field("127.0.0.1", description="Address the embedded broker listens on.")
    port: int = Field(
        1883,
        ge=0,
        le=65535,
        description="Port the embedded broker listens on; 0 takes a free one and prints it.",
    )

    @field_validator("host")
    @classmethod
    def _loopback_only(cls, host: str) -> str:
        if not is_loopback(host):
            raise ValueError("the embedded broker has no passwords and stays on loopback; run your own broker for more")
        return host


class SimulatedSettings(Section):
    """Simulated devices inside the bridge, without any broker."""

    devices: int = Field(0, ge=0, le=100_000, description="How many devices to simulate in process; 0 is none.")
    rate_hz: float = Field(1.0, gt=0, le=1000, description="Messages a second of each simulated device.")
    seed: int = Field(1, description="Same seed, same fleet.")


class FleetSettings(Section):
    """What is kept of devices, and when a value counts as old."""

    max_devices: int = Field(
        100_000, ge=1, description="Devices remembered; random ids in topics must not eat the memory."
    )
    max_metrics_per_device: int = Field(1_000, ge=1, description="Metrics remembered per device, for the same reason.")
    max_texts_per_metric: int = Field(
        1_000,
        ge=1,
        description="Different texts remembered per text metric; a counter in text form is not a state.",
    )
    max_payload_bytes: int = Field(262_144, ge=1, description="Larger MQTT payloads are counted and not decoded.")
    stale_min_s: float = Field(30.0, gt=0, description="A device is never called stale before this silence.")
    stale_factor: float = Field(
        5.0, gt=1, description="A device is stale when silent for this many of its usual intervals."
    )
    stale_default_s: float = Field(
        300.0, gt=0, description="Silence that counts as stale while the interval is unknown."
    )


class LiveSettings(Section):
    """Delivery to dashboards."""

    flush_interval_ms: int = Field(
        50,
        ge=1,
        le=1000,
        description="Longest time a reading waits for company under load; idle ones go at once.",
    )
    fleet_interval_ms: int = Field(
        500, ge=50, le=10_000, description="The fleet channel sends each series at most once in this time."
    )
    ring_bytes: int = Field(
        8_000_000, ge=65_536, description="Memory per channel from which a returning dashboard resumes."
    )
    ring_seconds: float = Field(60.0, gt=0, description="Age after which a frame leaves that memory.")
    recent_bytes: int = Field(
        64_000_000, ge=1_000_000, description="Memory for the recent past that a chart shows when it opens."
    )
    recent_seconds: float = Field(900.0, gt=0, description="Age after which a reading leaves that memory (15 min).")
    max_subscriptions: int = Field(64, ge=1, description="Channels one dashboard may follow at once.")
    max_selections: int = Field(
        200, ge=1, description="Different lists of devices or series followed at once; each costs time every batch."
    )


class HistorySettings(Section):
    """What is kept of the past, and where."""

    enabled: bool = Field(True, description="Whether readings are recorded; without it there is only the present.")
    url: SecretStr = Field(
        SecretStr(""),
        description="Database for the history; empty: SQLite file history.db in data_dir. "
        "Others: sqlite:////path/file.db, postgresql://user:password@host/database.",
    )
    commit_interval_ms: int = Field(
        50,
        ge=1,
        le=1_000,
        description="Readings of so long become durable together, and are then acknowledged to the broker.",
    )
    backlog_bytes: int = Field(
        64_000_000,
        ge=1_000_000,
        description="Memory for readings that wait while the disk refuses them; beyond, QoS 0 ones are dropped.",
    )
    seal_interval_s: float = Field(
        900.0,
        gt=0,
        le=3_600,
        description="How often what was recorded is compressed, and rolled up where due; sooner when it is much.",
    )
    keep_readings_days: float = Field(30.0, gt=0, description="Age after which single readings are forgotten.")
    keep_minutes_days: float = Field(366.0, gt=0, description="Age after which rollups of a minute are forgotten.")
    keep_hours_days: float = Field(3_660.0, gt=0, description="Age after which rollups of an hour are forgotten.")
    max_readings_bytes: int = Field(
        4_000_000_000, ge=1_000_000, description="Size of all single readings; beyond, the oldest are forgotten."
    )
    max_minutes_bytes: int = Field(2_000_000_000, ge=1_000_000, description="The same for rollups of a minute.")
    max_hours_bytes: int = Field(1_000_000_000, ge=1_000_000, description="The same for rollups of an hour.")
    min_free_bytes: int = Field(
        500_000_000,
        ge=0,
        description="When less than this is free on the disk of the history, its oldest part makes room; 0: never.",
    )

    @field_validator("url")
    @classmethod
    def _url_is_known(cls, url: SecretStr) -> SecretStr:
        text = url.get_secret_value()
        if text and not text.startswith(("sqlite:///", "postgresql://", "postgresql+pg8000://")):
            # Not quoted: it may hold a password.
            raise ValueError("must look like sqlite:////path/file.db or postgresql://user:password@host/database")
        return url


class CommandSettings(Section):
    """Commands to devices."""

    default_ttl_ms: int = Field(30_000, ge=100, description="Time for a device to answer when the sender names none.")
    max_ttl_ms: int = Field(3_600_000, ge=100, description="Longest time-to-live that a sender may ask for.")
    max_pending_per_device: int = Field(10, ge=1, description="Unanswered commands per device; one more is refused.")
    kept: int = Field(1_000, ge=10, description="Finished commands kept in memory for the page and the API.")

    @model_validator(mode="after")
    def _default_is_allowed(self) -> CommandSettings:
        if self.default_ttl_ms > self.max_ttl_ms:
            raise ValueError("default_ttl_ms must not be longer than max_ttl_ms")
        return self


class Settings(BaseSettings):
    """All sections. Build it with `load_settings`, which turns every problem into a `ConfigError`."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, validate_default=True)

    data_dir: Path = Field(
        Path("data"),
        description="Folder for the token, the broker's state and the history (mode 0700).",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="How much is logged.")
    web: WebSettings = WebSettings()
    mqtt: MqttSettings = MqttSettings()
    broker: BrokerSettings = BrokerSettings()
    simulated: SimulatedSettings = SimulatedSettings()
    fleet: FleetSettings = FleetSettings()
    live: LiveSettings = LiveSettings()
    commands: CommandSettings = CommandSettings()
    history: HistorySettings = HistorySettings()

    @model_validator(mode="after")
    def _open_server_needs_auth(self) -> Settings:
        if self.web.auth == "none" and not is_loopback(self.web.host):
            raise ValueError(
                f"web.auth: 'none' is allowed on loopback only, but web.host is '{self.web.host}'; "
                "anybody on the network could command your devices"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, _EnvironmentSource(settings_cls), _FileSource(settings_cls))


def history_url(settings: Settings) -> str:
    """SQLAlchemy URL of the history's database. May hold a password: not for logs."""
    url = settings.history.url.get_secret_value()
    return url or f"sqlite:///{(settings.data_dir / 'history.db').absolute()}"


class _EnvironmentSource(PydanticBaseSettingsSource):
    """`FLEETWIRE_<SECTION>__<FIELD>`. Unlike pydantic's own source it refuses names that it does not know, and takes
    lists as people write them: separated by commas."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False  # not used: __call__ reads everything at once

    def __call__(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for variable, text in os.environ.items():
            if not variable.startswith(ENVIRONMENT_PREFIX):
                continue
            path = variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
            fields = self.settings_cls.model_fields
            field = fields.get(path[0])
            is_section = field is not None and isinstance(field.default, Section)
            if is_section and len(path) == 2:
                assert field is not None
                field = type(field.default).model_fields.get(path[1])
            elif is_section or len(path) != 1:
                field = None
            if field is None:
                raise ConfigError(variable, "is not a setting that Fleetwire knows")
            value = _split(variable, text) if field.annotation == list[str] else text
            if len(path) == 2:
                values.setdefault(path[0], {})[path[1]] = value
            else:
                values[path[0]] = value
        return values


def _split(variable: str, text: str) -> list[str]:
    if not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        parsed = json.loads(text)
    except ValueError:
        raise ConfigError(variable, "is neither a JSON list nor values separated by commas") from None
    return [str(item) for item in parsed]


class _FileSource(PydanticBaseSettingsSource):
    """The TOML file named by the class attribute that `load_settings` sets for one call."""

    values: dict[str, Any] = {}  # noqa: RUF012  (set for one call, in one thread, by load_settings)

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return self.values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self.values


def load_settings(flags: dict[str, Any] | None = None, config_file: Path | None = None) -> Settings:
    """Read flags, environment and file, and check them all.

    Args:
        flags: nested values from the command line; they win over everything.
        config_file: the TOML file; None takes `fleetwire.toml` in the current folder if it is there.

    Raises:
        ConfigError: naming the path of the first setting that is wrong.
    """
    file = config_file if config_file is not None else Path("fleetwire.toml")
    values: dict[str, Any] = {}
    if config_file is not None or file.is_file():
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(str(file), error.strerror or "cannot be read") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(str(file), f"is not valid TOML: {error}") from None
    _FileSource.values = values
    try:
        return Settings(**(flags or {}))
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        problem = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            problem = "is not a setting that Fleetwire knows"
        raise ConfigError(path, problem) from None
    finally:
        _FileSource.values = {}
