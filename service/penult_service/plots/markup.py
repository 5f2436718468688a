"""HTML from words: whatever is a plain `str` is escaped, what is `Html` stands as it is."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Sequence
from importlib.resources import files


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def markup(text: str) -> Html:
    """The text as HTML: escaped, unless it is `Html`."""
    return text if isinstance(text, Html) else Html(html.escape(text))


def element(tag: str, *content: str, **attributes: str) -> Html:
    """An element; `class_="x"` gives class, `aria_label="x"` aria-label."""
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(value)}"' for name, value in attributes.items()
    )
    return Html(f"<{tag}{given}>{join(content)}</{tag}>")


def join(parts: Iterable[str]) -> Html:
    """One after the other."""
    return Html("".join(markup(part) for part in parts))


def void(tag: str, **attributes: str) -> Html:
    """An element that has no content, such as `img`; attributes as of `element`."""
    return Html(element(tag, **attributes).removesuffix(f"</{tag}>"))


def section(name: str, title: str, *content: str) -> Html:
    """A part of the page with a title; `name` is what a link to it says."""
    return element("section", element("h2", title), *content, id=name)


def paragraph(*content: str, **attributes: str) -> Html:
    """A paragraph."""
    return element("p", *content, **attributes)


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, figures: Sequence[int] = (), stacked: bool = False
) -> Html:
    """A table that scrolls by itself when it is too wide.

    Args:
        figures: Columns that align right.
        stacked: On a narrow screen the last column stands below the others.
    """

    def row(tag: str, cells: Sequence[str]) -> Html:
        marks = ["figure" if place in figures else "" for place in range(len(cells))]
        return element(
            "tr", *(element(tag, cell, class_=mark) for cell, mark in zip(cells, marks, strict=True))
        )

    body = element("tbody", *(row("td", cells) for cells in rows))
    whole = element("table", element("thead", row("th", head)), body, class_="stacked" if stacked else "")
    return element("div", whole, class_="wide")


def document(title: str, style: str, body: Html) -> str:
    """A whole page, to be written as UTF-8; nothing of it is fetched, and only its own scripts run.

    Args:
        style: CSS of its own, behind that of all reports.
    """
    rules = Html(files("penult_service.plots").joinpath("report.css").read_text(encoding="utf-8") + style)
    head = join(
        [
            void("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("title", title),
            element("style", rules),
        ]
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{markup(policy(body))}">
{head}
</head>
<body>
{body}
</body>
</html>
"""


def policy(document: str) -> str:
    """A Content-Security-Policy: only the scripts of the document run, by their hashes, and nothing is fetched."""
    scripts = re.findall(r"<script>(.*?)</script>", document, re.DOTALL)
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in dict.fromkeys(scripts)) or "'none'"
    rest = "img-src data:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src {hashes}; {rest}"


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
