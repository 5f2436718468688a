"""The machine that models run on: its processor, the cores that are ours, and how busy it is. Standard library only."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def processor() -> str:
    """Its name, such as ``AMD EPYC 9V74``; that of its family where the system tells no more."""
    try:
        for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Model"):
                return value.strip()
    except OSError:  # no Linux
        pass
    return platform.processor() or platform.machine() or "unknown"


def cores() -> int:
    """Processors that this process may use, less what its container's quota leaves out; at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text(encoding="ascii").split()
        count = min(count, max(1, int(quota) // int(period)))
    except (OSError, ValueError):  # no such file, or `max`
        pass
    return int(count)


def load() -> float:
    """Processes that wanted to run over the last minute, on average; 0.0 where the system does not tell."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0
