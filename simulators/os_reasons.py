"""Why the operating system could not connect, in words."""

from __future__ import annotations

import os
import re
import socket
import ssl


def plain_reason(problem: Exception) -> str:
    """An error of the operating system without its ceremony."""
    if isinstance(problem, socket.gaierror):
        return "the name is unknown"
    if isinstance(problem, ssl.SSLError):
        return problem.reason or str(problem)
    # asyncio writes a text of its own, with the numbers inside; of several addresses, the first one speaks for all.
    number = re.search(r"\[Errno (\d+)\]", str(problem))
    if number is not None:
        return os.strerror(int(number[1]))
    return getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
