"""Finds the Chromium that the browser tests drive. Missing is a failure with advice, never a silent skip."""

from __future__ import annotations

import os
import shutil

# The first is the same browser without its windows: it needs a third less processor time.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Containers often have neither user namespaces nor a large /dev/shm.
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage"]


def find_chromium() -> str:
    """The path of a browser: `CHROMIUM`, or the first known name on the PATH."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    raise AssertionError("no Chromium found; install one (Debian: apt install chromium) or name it in CHROMIUM")
