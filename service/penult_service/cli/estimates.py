"""`--dry-run`: what an analysis would take."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penult_client import Estimate

_WAYS = {
    "call": "it would be answered at once",
    "operation": "it would be an operation, which is waited for",
    "refused": "it would be refused",
}


def show(estimate: Estimate, where: str | None, as_json: bool) -> None:
    """Prints it. `where` is the server, None: this process."""
    if as_json:
        print(json.dumps({**asdict(estimate), "server": where}, indent=1, ensure_ascii=False))
        return
    print(
        f"about {_seconds(estimate.seconds)} and {size(estimate.bytes)} of memory, {_machine(estimate, where)}"
    )
    if estimate.rows_to_embed:
        print(f"{estimate.rows_to_embed:,} rows have to be embedded before; that is not counted")
    if where is not None:
        print(_WAYS.get(estimate.way, estimate.way) + (f": {estimate.problem}" if estimate.problem else ""))


def size(count: int) -> str:
    """Bytes for a person."""
    if count >= 1 << 30:
        return f"{count / (1 << 30):.1f} GiB"
    return f"{count / (1 << 20):.0f} MiB" if count >= 1 << 20 else f"{count / (1 << 10):.0f} KiB"


def _seconds(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"


def _machine(estimate: Estimate, where: str | None) -> str:
    speeds = (
        "its speeds were measured" if estimate.measured_here else "speeds of a machine of two cores assumed"
    )
    place = "in this process" if where is None else f"on {where}"
    load = f"load {estimate.load:.1f} on {estimate.processors} processors"
    return f"{place} ({load} now, which is not counted; {speeds})"
