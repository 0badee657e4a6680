"""Throw-away certificates, made with openssl: an authority, a broker named localhost, a client, and a stranger."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

MISSING = "openssl is needed for the TLS tests and was not found; install it (Debian: apt install openssl)"


@dataclass(frozen=True)
class TlsFiles:
    ca: Path
    server_cert: Path
    server_key: Path
    client_cert: Path
    client_key: Path
    other_ca: Path  # an authority that signed nothing here


def make_tls_files(folder: Path) -> TlsFiles:
    folder.mkdir(parents=True)
    ca, ca_key = _make_authority(folder, "ca")
    other_ca, _ = _make_authority(folder, "other")
    server_cert, server_key = _make_signed(folder, "server", "localhost", ca, ca_key)
    client_cert, client_key = _make_signed(folder, "client", "bridge", ca, ca_key)
    return TlsFiles(ca, server_cert, server_key, client_cert, client_key, other_ca)


def _make_authority(folder: Path, name: str) -> tuple[Path, Path]:
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    _openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN=Fleetwire test {name}",
        "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign",
        "-keyout", str(key), "-out", str(cert),
    )  # fmt: skip
    return cert, key


def _make_signed(folder: Path, name: str, host: str, ca: Path, ca_key: Path) -> tuple[Path, Path]:
    cert, key, request = folder / f"{name}.crt", folder / f"{name}.key", folder / f"{name}.csr"
    extensions = folder / f"{name}.ext"
    extensions.write_text(f"subjectAltName=DNS:{host}\nbasicConstraints=CA:FALSE\n")
    _openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={host}", "-keyout", str(key), "-out", str(request))
    _openssl(
        "x509", "-req", "-in", str(request), "-CA", str(ca), "-CAkey", str(ca_key), "-CAcreateserial",
        "-days", "2", "-extfile", str(extensions), "-out", str(cert),
    )  # fmt: skip
    return cert, key


def _openssl(*arguments: str) -> None:
    program = shutil.which("openssl")
    if program is None:
        raise AssertionError(MISSING)
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
