"""The others, into benchmarks/.peers/history: DuckDB from PyPI, the servers out of Debian's packages, without root."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).resolve().parent.parent / ".peers" / "history"
DUCKDB = "duckdb==2.0.0"
PACKAGES = {"influxd": "influxdb", "victoria-metrics": "victoria-metrics"}


def duckdb_folder() -> Path:
    return PEERS / "python"


def program(name: str) -> Path:
    return PEERS / "root" / "usr" / "bin" / name


def install_duckdb() -> None:
    done = duckdb_folder() / "installed.txt"
    if done.exists() and done.read_text() == DUCKDB:
        return
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    subprocess.run([*pip, "--no-deps", "--target", str(duckdb_folder()), DUCKDB], check=True)
    done.write_text(DUCKDB)


def install_server(name: str) -> None:
    """Downloaded and unpacked, not installed: nothing is started by itself."""
    if program(name).exists():
        return
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise SystemExit(f"{PACKAGES[name]} is taken from Debian's packages; leave it out with --only")
    downloads = PEERS / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", "-q", PACKAGES[name]], cwd=downloads, check=True, capture_output=True)
    for package in downloads.glob(f"{PACKAGES[name]}_*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(package), str(PEERS / "root")], check=True)


def versions() -> str:
    """Of those that are installed, for the head of the table."""
    found = [DUCKDB.replace("==", " ")]
    for package in sorted((PEERS / "downloads").glob("*.deb")):
        name, version, *_ = package.stem.split("_")
        found.append(f"{name} {version.replace('%3a', ':')}")
    return ", ".join(found)
