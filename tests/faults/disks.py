"""Disks that refuse: a small file system of its own, files that may not grow, a database that another program holds."""

from __future__ import annotations

import resource
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.bridge import Bridge

MB = 2**20


@contextmanager
def small_file_system(folder: Path, size: int) -> Iterator[None]:
    """A file system of so many bytes there. Skips the test where it may not be made: that is for root alone."""
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip(f"no file system may be mounted here: {made.stderr.decode().strip()} (what may not grow is tested)")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class FullFileSystem:
    """Filled up by somebody else, and tidied by them."""

    reason = "the disk is full"

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"

    def refuse(self, _bridge: Bridge) -> None:
        with self._ballast.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 65_536)
            except OSError:
                return

    def relent(self, _bridge: Bridge) -> None:
        self._ballast.unlink()


class FilesThatMayNotGrow:
    """A limit of the system on the size of files (`ulimit -f`), for the bridge's process."""

    reason = "the history cannot be written"

    def __init__(self, history: Path) -> None:
        self._log = Path(f"{history}-wal")

    def refuse(self, bridge: Bridge) -> None:
        resource.prlimit(bridge.pid, resource.RLIMIT_FSIZE, (self._log.stat().st_size, resource.RLIM_INFINITY))

    def relent(self, bridge: Bridge) -> None:
        resource.prlimit(bridge.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


class FailingSync:
    """A disk that takes everything and keeps nothing: each `fdatasync` says that it has failed. Skips where no other
    process may be watched."""

    reason = "the history cannot be written"

    def __init__(self) -> None:
        self._strace: subprocess.Popen[bytes] | None = None

    def refuse(self, bridge: Bridge) -> None:
        if shutil.which("strace") is None:
            pytest.skip("strace is not installed (Debian: apt install strace)")
        command = ["strace", "-f", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"]
        self._strace = subprocess.Popen([*command, "-p", str(bridge.pid)], stderr=subprocess.PIPE)
        assert self._strace.stderr is not None
        said = self._strace.stderr.readline().decode()
        if "attached" not in said:
            self.relent(bridge)
            pytest.skip(f"another process may not be watched here: {said.strip()}")

    def relent(self, _bridge: Bridge) -> None:
        assert self._strace is not None
        self._strace.send_signal(signal.SIGINT)
        self._strace.communicate()


class HeldDatabase:
    """Another program has the write lock."""

    reason = "another program holds the history"

    def __init__(self, history: Path) -> None:
        self._history = history
        self._other: sqlite3.Connection | None = None

    def refuse(self, _bridge: Bridge) -> None:
        self._other = sqlite3.connect(self._history, isolation_level=None, timeout=30)
        self._other.execute("BEGIN IMMEDIATE")

    def relent(self, _bridge: Bridge) -> None:
        assert self._other is not None
        self._other.close()


Refusal = FullFileSystem | FilesThatMayNotGrow | FailingSync | HeldDatabase
