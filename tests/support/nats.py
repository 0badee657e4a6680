"""A NATS server with MQTT on, which speaks MQTT 3.1.1 only. It is a dependency, so it is always there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def nats_server(folder: Path, port: int) -> Iterator[str]:
    """Its URL. It may take a moment until it answers."""
    config = folder / "nats.conf"
    config.write_text(
        f'server_name: test\nhost: 127.0.0.1\nport: -1\njetstream {{ store_dir: "{folder}" }}\n'
        f"mqtt {{ host: 127.0.0.1, port: {port} }}\n"
    )
    server = subprocess.Popen(
        [str(Path(sys.executable).parent / "nats-server"), "-c", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"mqtt://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)
