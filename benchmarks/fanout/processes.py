"""CPU and memory of processes, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import psutil

_TICK = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    root = psutil.Process(pid)
    return [pid, *(child.pid for child in root.children(recursive=True))]


def cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds, user and system, of these processes so far.

    The kernel prints user and system time in steps of 10 ms, which is too coarse for a server that needs 1 % of a core;
    their sum is also in `schedstat`, in nanoseconds. Threads must live on meanwhile, which those of servers do.
    """
    return sum(_cpu_of(pid) for pid in pids)


def _cpu_of(pid: int) -> float:
    try:
        return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9
    except (OSError, IndexError, ValueError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK


def uss_bytes(pids: Iterable[int]) -> int:
    """Memory that would be free again without these processes."""
    return sum(psutil.Process(pid).memory_full_info().uss for pid in pids)


def machine_busy_s() -> float:
    """CPU seconds that programs on all cores together used since the start of the machine, ours and others'."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)
