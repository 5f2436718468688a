"""The part of docs/speed.md about very many texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from report import table, targets


def told(found: dict[str, Any], page: Path) -> str:
    """Markdown."""
    del page
    goals: list[tuple[str, str, str, bool | None]] = []
    rows = []
    for run in found["runs"]:
        what = f"{run['texts']:,} {run['what']}"
        goals.append((f"memory growth, {what}", f"{run['growth']:.1%}", "< 5 %", run["growth"] < 0.05))
        goals.append(
            (
                f"speed, last tenth to first, {what}",
                f"{run['speed_kept']:.2f}",
                "≥ 0.85",
                run["speed_kept"] >= 0.85,
            )
        )
        rows.append(
            [
                what,
                f"{run['chunk']:,}",
                f"{min(run['rates']):,.0f} to {max(run['rates']):,.0f}",
                f"{run['memory'][0] / 2**20:,.0f}",
                f"{max(run['memory']) / 2**20:,.0f}",
                f"{run['memory'][-1] / 2**20:,.0f}",
            ]
        )
    head = [
        "",
        "texts a call",
        "texts/s, slowest to fastest call",
        "server MiB after the first call",
        "most",
        "at the end",
    ]
    return "\n".join(["## Very many texts\n", targets(goals), table(head, rows)])
