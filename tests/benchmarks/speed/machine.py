"""What is measured on."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any

import psutil

# What decides how fast a matrix product can be.
ABILITIES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")


def told() -> dict[str, Any]:
    """Processor, its abilities, memory, date."""
    name, flags = platform.processor(), set[str]()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            if key.strip() == "flags":
                flags = set(value.split())
    return {
        "processor": name,
        "processors": os.cpu_count(),
        "abilities": [one for one in ABILITIES if one in flags],
        "gibibytes": round(psutil.virtual_memory().total / 2**30),
        "date": time.strftime("%Y-%m-%d"),
    }
