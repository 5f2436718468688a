"""Parts of Markdown documents; words in them are Markdown already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def section(title: str, lines: Sequence[str]) -> Iterator[str]:
    """A heading and what stands below it; nothing without lines."""
    if lines:
        yield from (f"## {title}", "", *lines, "")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    return ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
