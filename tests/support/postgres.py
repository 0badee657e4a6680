"""A real PostgreSQL of our own: a temporary cluster on a free port, with a database for each test."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pg8000.native

from tests.support.mosquitto import find_free_port
from tests.support.tls import TlsFiles

START_S = 60
PASSWORD = "not-in-any-log"


def find_binaries() -> Path:
    """The folder of `initdb` and `postgres`. Debian keeps them off the PATH, by version."""
    on_path = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = [folder for folder in folders if (folder / "initdb").exists()]
    if not found and on_path is None:
        raise AssertionError("no PostgreSQL found; install it (Debian: apt install postgresql)")
    return found[0] if found else Path(on_path or "").parent


class Postgres:
    """A server. `kill` is kill -9; `start` again finds everything that was committed."""

    def __init__(self, folder: Path, *, is_durable: bool = False, tls: TlsFiles | None = None) -> None:
        """`is_durable`: with fsync, for tests that kill it; the others need not wait for the disk."""
        self._tls = tls
        self.port = find_free_port()
        self._folder = folder
        self._is_durable = is_durable
        self._binaries = find_binaries()
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        # It refuses to run as root.
        self._user: dict[str, Any] = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}

    def create(self) -> Postgres:
        self._folder.mkdir(parents=True)
        if self._user:
            shutil.chown(self._folder, **self._user)
            for parent in self._folder.parents:  # pytest's folders are closed to others
                if parent.stat().st_uid == os.geteuid() and "pytest" in str(parent):
                    parent.chmod(0o755)
        password = self._folder / "password"
        password.write_text(PASSWORD)
        command = [self._binaries / "initdb", "-D", self._folder / "data", "-U", "fleetwire", "--no-sync"]
        command += ["--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8", "--locale=C.UTF-8"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self._folder, **self._user)
        if self._tls is not None:
            shutil.copy(self._tls.server_cert, self._folder / "server.crt")
            key = shutil.copy(self._tls.server_key, self._folder / "server.key")
            key.chmod(0o600)  # or it refuses to start
            if self._user:
                shutil.chown(key, **self._user)
        return self

    def start(self) -> Postgres:
        durable = "on" if self._is_durable else "off"
        settings = {
            "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": durable,
            "max_connections": 50, "shared_buffers": "32MB", "synchronous_commit": "off",
        }  # fmt: skip
        if self._tls is not None:
            folder = self._folder
            settings |= {"ssl": "on", "ssl_cert_file": folder / "server.crt", "ssl_key_file": folder / "server.key"}
        command = [str(self._binaries / "postgres"), "-D", str(self._folder / "data")]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, **self._user)
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.ask("SELECT 1", "postgres")
                return self
            except (pg8000.exceptions.InterfaceError, pg8000.exceptions.DatabaseError):
                assert self._process.poll() is None, (self._folder / "log").read_text()
                assert time.monotonic() < deadline, "PostgreSQL does not come up"
                time.sleep(0.05)

    def new_database(self, options: str = "") -> str:
        """The URL of an empty database. `options`: more of the statement that makes it."""
        name = f"history{next(self._numbers)}"
        self.ask(f"CREATE DATABASE {name} STRATEGY = FILE_COPY {options}", "postgres")
        return self.url(name)

    def url(self, database: str) -> str:
        # Else each connection would make a TLS context first, and that takes longer than most tests.
        return f"postgresql://fleetwire:{PASSWORD}@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def clear(self, url: str) -> None:
        """Make a database empty again."""
        self.ask("DROP SCHEMA public CASCADE; CREATE SCHEMA public", name_in(url))

    def stop(self, number: int = signal.SIGINT) -> None:
        """SIGINT: at once, in good order."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None

    def kill(self) -> None:
        """kill -9, of the server and what it has started."""
        self.stop(signal.SIGQUIT)  # its children would keep the port after SIGKILL; this is an immediate exit, too

    def ask(self, statement: str, database: str) -> Any:
        connection = pg8000.native.Connection(
            "fleetwire", host="127.0.0.1", port=self.port, database=database, password=PASSWORD, timeout=10,
            ssl_context=False,
        )  # fmt: skip
        try:
            return connection.run(statement)
        finally:
            connection.close()


def name_in(url: str) -> str:
    """The database of an address."""
    return url.rpartition("/")[2].partition("?")[0]


@contextmanager
def running_postgres(folder: Path, *, is_durable: bool = False, tls: TlsFiles | None = None) -> Iterator[Postgres]:
    server = Postgres(folder, is_durable=is_durable, tls=tls).create().start()
    try:
        yield server
    finally:
        server.stop()
