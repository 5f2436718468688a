"""How quick this machine is beside the one that costs were measured on, and where that is kept.

The standard library alone: the server reads it, a worker measures it (`measuring`).
"""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

FILE = "speeds.json"
_VERSION = 1
_FARTHEST = 4.0  # a unit of work, beside the reference: what is farther off was disturbed
_CPU_FACTS = ("model name", "cpu family", "model", "stepping", "CPU part")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Speeds:
    """How long a unit of each kind of work takes, as a multiple of the reference machine's: 2 is half as quick.

    The reference machine is that of the constants in `costs`: two processors of 2024 that multiply bytes.

    Attributes:
        processors: Threads that share work.
        products: Matrix products of float32, by all processors at once.
        wide: Matrix products of float64, by one thread.
        bytes: Products of bytes, by all processors at once; None: these have no such instructions.
        layout: An edge in an epoch of UMAP's layout.
        loops: Compiled loops that compare, sort and add.
        memory: Copying.
    """

    processors: int = 2
    products: float = 1.0
    wide: float = 1.0
    bytes: float | None = 1.0
    layout: float = 1.0
    loops: float = 1.0
    memory: float = 1.0


REFERENCE = Speeds()


def within_reason(found: Mapping[str, float | None], processors: int) -> Speeds:
    """Speeds of what was measured, by name, each brought within four times of the reference; that is logged."""
    kept: dict[str, float | None] = {}
    for name, value in found.items():
        kept[name] = value if value is None else min(max(value, 1 / _FARTHEST), _FARTHEST)
        if value is not None and kept[name] != value:
            _log.warning(
                "speed of %s: %.3g times what the reference machine takes; %.3g is assumed",
                name,
                value,
                kept[name],
            )
    return Speeds(processors=processors, **kept)  # type: ignore[arg-type]


def read(directory: Path | None) -> Speeds | None:
    """The speeds that are kept in a directory, where they are of this machine as it is; else None."""
    if directory is None:
        return None
    with suppress(OSError, ValueError, TypeError, KeyError):
        told = json.loads((directory / FILE).read_text(encoding="utf-8"))
        if told["machine"] == _machine():
            return from_json(told["speeds"])
    return None


def write(directory: Path, speeds: Speeds) -> None:
    """Keep them there; where that cannot be they are measured again."""
    told = {"machine": _machine(), "speeds": asdict(speeds)}
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=directory, delete=False) as file:
            json.dump(told, file, indent=1)
        Path(file.name).replace(directory / FILE)
    except OSError as error:
        _log.warning(
            "%s cannot keep the speeds of this machine, so every start measures: %s", directory, error
        )


def from_json(told: Mapping[str, Any]) -> Speeds:
    """Speeds as `dataclasses.asdict` gives them.

    Raises:
        ValueError, TypeError, KeyError: they are no such thing.
    """
    values = {field.name: told[field.name] for field in fields(Speeds)}
    numbers = [value for name, value in values.items() if not (name == "bytes" and value is None)]
    if not all(math.isfinite(number) and number > 0 for number in numbers):
        raise ValueError("speeds are numbers above 0")
    return Speeds(**values)


def processors() -> int:
    """Those that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _machine() -> dict[str, Any]:
    """What speeds depend on, as far as it can be named."""
    facts: dict[str, str] = {}
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in _CPU_FACTS:
                facts.setdefault(name.strip(), value.strip())
    named = " ".join(facts.values()) or platform.processor() or platform.machine()
    return {"version": _VERSION, "processor": named, "processors": processors()}
