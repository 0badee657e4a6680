"""Keeps a broker only as long as the bridge lives, however the bridge ends.

Run as `python -I -S broker_guard.py -- COMMAND...` with standard input a pipe whose other end the bridge holds.
The operating system closes that pipe even after kill -9 of the bridge; then the broker gets SIGTERM, and five
seconds later SIGKILL. When the broker ends by itself, so does this, with the same exit code.

Nothing but the standard library, and as little of it as possible: this runs beside the bridge all the time.
A pipe works the same on Linux, macOS and Windows; a death signal (prctl) would be Linux only.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

GRACE_S = 5.0
"""Time for the broker to write its state after SIGTERM."""

EXIT_USAGE = 64
EXIT_NOT_STARTED = 127


def guard(command: list[str]) -> int:
    """Run the command until it ends or standard input does. Returns the exit code to leave with."""
    # Ctrl-C in a terminal reaches every program in it. The bridge decides when the broker goes, because it still
    # has acknowledgements to send.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        broker = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    except OSError as error:
        print(f"cannot start {command[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return EXIT_NOT_STARTED
    # Installed after the start, so that the broker inherits nothing of it.
    signal.signal(signal.SIGTERM, lambda _number, _frame: broker.terminate())
    threading.Thread(target=_stop_at_end_of_input, args=(broker,), daemon=True).start()
    code = broker.wait()
    # Ended by a signal: what a shell would report.
    return 128 - code if code < 0 else code


def _stop_at_end_of_input(broker: subprocess.Popen[bytes]) -> None:
    # os.read, because a buffered reader would hold a lock that the interpreter wants at exit.
    while os.read(0, 1024):
        pass
    broker.terminate()
    try:
        broker.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        broker.kill()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if len(arguments) < 2 or arguments[0] != "--":
        print("usage: broker_guard.py -- COMMAND...", file=sys.stderr)  # noqa: T201
        sys.exit(EXIT_USAGE)
    sys.exit(guard(arguments[1:]))
