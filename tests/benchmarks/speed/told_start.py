"""The part of docs/speed.md about starting."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from report import table


def told(found: dict[str, Any], page: Path) -> str:
    """Markdown."""
    del page
    grouped: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in found["rows"]:
        grouped.setdefault((row["id"], row["when"]), []).append(row)
    rows = [
        [
            f"**{name}**" if each[0]["own"] else name,
            when,
            f"{statistics.median(row['seconds'] for row in each):,.1f}",
            f"{statistics.median(row['memory'] for row in each) / 2**20:,.0f}",
        ]
        for (name, when), each in grouped.items()
    ]
    failed = "".join(f"\nNot measured: {one['id']}: {one['why']}\n" for one in found["failed"])
    return (
        "## Start\n\nSeconds from starting the server's process to the first vector in a caller's hands (the "
        "caller's own start counted), and what the server holds then.\n\n"
        + table(["server", "", "seconds", "MiB"], rows)
        + failed
    )
