"""What belongs to one installation and must survive restarts: its data folder, its token, its MQTT client id."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from bridge.errors import ConfigError


def prepare_data_dir(data_dir: Path) -> Path:
    """The folder, made if need be, readable by its owner alone.

    Raises:
        ConfigError: it cannot be made or written.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError("data_dir", f"'{data_dir}' cannot be made: {error.strerror}") from None
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise ConfigError("data_dir", f"'{data_dir}' cannot be written")
    return data_dir.resolve()


def read_token(data_dir: Path) -> str:
    """The installation's token, made at the first call. 256 random bits, in a file of mode 0600.

    Raises:
        ConfigError: the file is readable by others, empty, or cannot be read.
    """
    path = data_dir / "token"
    token = _read_or_make(path, lambda: secrets.token_urlsafe(32))
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise ConfigError("data_dir", f"'{path}' can be read by others; run: chmod 600 '{path}'")
    if len(token) < 20:
        raise ConfigError("data_dir", f"'{path}' holds no token; remove it and start again")
    return token


def read_client_id(data_dir: Path) -> str:
    """The MQTT client id of this installation: fixed, so that the broker keeps our session while we are away."""
    return _read_or_make(data_dir / "client_id", lambda: f"fleetwire-{secrets.token_hex(6)}")


def _read_or_make(path: Path, make: Callable[[], str]) -> str:
    try:
        try:
            # Exclusive, so that two processes that start together agree on one value.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return path.read_text(encoding="utf-8").strip()
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            value = make()
            file.write(value + "\n")
        return value
    except OSError as error:
        raise ConfigError("data_dir", f"'{path}': {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError("data_dir", f"'{path}' is not text; remove it and start again") from None
