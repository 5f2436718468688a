"""Parts of Markdown documents; words in them are Markdown already."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from penult_service.plots.words import LONGEST_NAME, said

# A backslash in front of these leaves nothing that Markdown, or GitHub's, could take for a link, HTML, an image, a
# formula, a list or a line of a table.
_SIGNS = re.compile(
    r"[\\`*_{}\[\]<>#|~&@$]|:(?=//)|(?<=www)\.|^[-+=]|(?<=^\d)[.)]|(?<=^\d\d)[.)]", re.IGNORECASE
)


def section(title: str, lines: Sequence[str]) -> Iterator[str]:
    """A heading and what stands below it; nothing without lines."""
    if lines:
        yield from (f"## {title}", "", *lines, "")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    return ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]


def plain(text: str, longest: int = LONGEST_NAME) -> str:
    """Words that stay words: in a line, not too long, and without meaning to Markdown."""
    return _SIGNS.sub(r"\\\g<0>", said(text, longest))
