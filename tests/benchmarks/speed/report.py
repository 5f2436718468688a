"""docs/speed.md: every figure from the files of results beside it, none typed in."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

PARTS = ("embed", "latency", "overload", "start", "scale")
HEAD = """# Speed

Written by `scripts/bench`; every figure is from the runs named below, on one machine. All sides have the same weights
(all-MiniLM-L6-v2, mean pooling, at most 128 tokens a text) and the same threads, and take turns in one run: ratios
count, figures are of this machine and its load. A ratio is of one round, the median of the rounds is told with the
lowest and the highest.
"""


def write(page: Path) -> str:
    """Writes the page of the results in the folder of its name; the text."""
    parts = []
    for part in PARTS:
        kept = page.with_suffix("") / f"{part}.json"
        if kept.exists():
            found = json.loads(kept.read_text(encoding="utf-8"))
            parts.append(importlib.import_module(f"told_{part}").told(found, page) + "\n" + _how(found))
    text = "\n".join([HEAD, *parts])
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")
    return text


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; all but the first column to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def targets(rows: list[tuple[str, str, str, bool | None]]) -> str:
    """Figure, what it is, target, whether it is met (None: not measured)."""
    words = {True: "met", False: "**missed**", None: "not measured"}
    return table(["figure", "measured", "target", ""], [[a, b, c, words[d]] for a, b, c, d in rows])


def spread(found: dict[str, Any], digits: int = 2) -> str:
    """Median (lowest to highest)."""
    values = (found[name] for name in ("median", "lowest", "highest"))
    return "{} ({} to {})".format(*(f"{value:,.{digits}f}" for value in values))


def milliseconds(seconds: float) -> str:
    """Such as `4.1 ms`."""
    return f"{seconds * 1000:,.1f} ms"


def _how(found: dict[str, Any]) -> str:
    machine = found["machine"]
    quick = " **Quick: fewer texts and rounds, to see that it runs.**" if found["quick"] else ""
    return (
        f"`{found['command']}`, {machine['date']}, {found['seconds']:.0f} s; {machine['processor']}, "
        f"{machine['processors']} processors ({', '.join(machine['abilities'])}), {machine['gibibytes']} GiB; load "
        f"{found['load_before']:.1f} before, {found['load_after']:.1f} after.{quick}\n"
    )
