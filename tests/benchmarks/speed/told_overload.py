"""The part of docs/speed.md about too much work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from report import milliseconds, table, targets


def told(found: dict[str, Any], page: Path) -> str:
    """Markdown."""
    del page
    capacities = sorted((found["capacity_before"], found["capacity_after"]))
    kept = found["goodput"] / (sum(capacities) / 2)
    lowest, highest = (found["goodput"] / capacity for capacity in reversed(capacities))
    answered = 1.0 - found["unanswered"] / max(1, found["calls"])
    goals: list[tuple[str, str, str, bool | None]] = [
        ("calls answered", f"{answered:.2%} of {found['calls']:,}", "all", not found["unanswered"]),
        (
            "texts embedded in time, to capacity (to that before, after)",
            f"{kept:.1%} ({lowest:.1%} to {highest:.1%})",
            "≥ 95 %",
            kept >= 0.95,
        ),
        ("memory, last quarter to second", f"{found['growth']:+.1%}", "flat", found["growth"] < 0.05),
    ]
    codes = [[code, f"{count:,}"] for code, count in sorted(found["codes"].items(), key=lambda one: -one[1])]
    return "\n".join(
        [
            "## Ten times too much\n",
            f"Calls of {found['texts_a_call']} texts with {found['deadline']:.0f} s each, ten times as many as the "
            f"server can do, for {found['overload_seconds']:.0f} s, {found['precision']}.\n",
            targets(goals),
            table(["answer", "calls"], codes),
            f"Capacity {found['capacity_before']:,.0f} texts/s before and {found['capacity_after']:,.0f} after, "
            f"{found['goodput']:,.0f} during; answered calls took {milliseconds(found['p50'])} (p50) and "
            f"{milliseconds(found['p99'])} (p99); the caller sent at most {milliseconds(found['sent_late_seconds'])} "
            f"late; the server held {found['memory'][0] / 2**20:,.0f} MiB at first and "
            f"{max(found['memory']) / 2**20:,.0f} MiB at most.\n",
            *_processors(found),
        ]
    )


def _processors(found: dict[str, Any]) -> list[str]:
    """Where the rest went; results that were kept before it was measured do not say it."""
    if "sender_processors" not in found:
        return []
    return [
        f"The sender's {found['sender_processors']:.0%} of a processor were the server's otherwise. A text took "
        f"{milliseconds(found['capacity_processor_seconds'])} of the server's processor time at its capacity, "
        f"{milliseconds(found['processor_seconds'])} under ten times as much, the refusals with it.\n"
    ]
