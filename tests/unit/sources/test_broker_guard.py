"""The guard, as a real process around small Python programs."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bridge.sources import broker_guard

GUARD = Path(broker_guard.__file__)
SLEEP = "import time; print('up', flush=True); time.sleep(60)"
IGNORE_SIGTERM = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"


def start_guard(*command: str, separator: str = "--") -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(GUARD), separator, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_exit_code_is_forwarded() -> None:
    with start_guard(sys.executable, "-c", "raise SystemExit(7)") as guard:
        assert guard.wait(10) == 7


def test_end_of_input_ends_the_program() -> None:
    with start_guard(sys.executable, "-c", SLEEP) as guard:
        assert guard.stdin is not None
        assert guard.stdout is not None
        assert guard.stdout.readline() == b"up\n"
        began = time.monotonic()
        guard.stdin.close()
        assert guard.wait(10) == 128 + 15
        assert time.monotonic() - began < 3


def test_program_that_does_not_want_to_go_is_killed() -> None:
    with start_guard(sys.executable, "-c", IGNORE_SIGTERM) as guard:
        assert guard.stdin is not None
        assert guard.stdout is not None
        assert guard.stdout.readline() == b"up\n"
        began = time.monotonic()
        guard.stdin.close()
        assert guard.wait(10) == 128 + 9
        assert broker_guard.GRACE_S <= time.monotonic() - began < broker_guard.GRACE_S + 3


def test_sigterm_to_the_guard_ends_the_program() -> None:
    with start_guard(sys.executable, "-c", SLEEP) as guard:
        assert guard.stdout is not None
        assert guard.stdout.readline() == b"up\n"
        guard.terminate()
        assert guard.wait(10) == 128 + 15


def test_wrong_use_and_missing_program_are_told() -> None:
    with start_guard("/does/not/exist") as guard:
        _, said = guard.communicate(timeout=10)
        assert (guard.returncode, said) == (127, b"cannot start /does/not/exist: No such file or directory\n")
    with start_guard(separator="x") as guard:
        _, said = guard.communicate(timeout=10)
        assert guard.returncode == 64
        assert said.startswith(b"usage")


def test_guard_needs_nothing_but_a_few_standard_modules() -> None:
    imports = [line for line in GUARD.read_text().splitlines() if line.startswith(("import", "from"))]
    assert imports == [
        "from __future__ import annotations",
        "import os",
        "import signal",
        "import subprocess",
        "import sys",
        "import threading",
    ]
