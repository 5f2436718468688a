"""A report on clusters as Markdown: for terminals, notebooks and reports; without pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator

from penult_service.plots.clusters import cluster_words
from penult_service.plots.clusters.cluster_page import FIGURES, HISTORY, history
from penult_service.plots.clusters.cluster_view import ClusterView, Example, Group
from penult_service.plots.clusters.dendrogram import Tree, tree_of
from penult_service.plots.markdown import plain, section, table
from penult_service.plots.words import number, percent, said

LONGEST_TEXT = 200
# Examples of each kind that are listed.
EXAMPLES = 3


def markdown(view: ClusterView) -> str:
    """The text, to be written as UTF-8."""
    lines = [
        f"# {plain(view.title) or 'Clusters'}",
        "",
        plain(cluster_words.kicker(view), 300),
        "",
        *(line for part in cluster_words.answer(view) for line in (f"**{plain(part, 600)}**", "")),
        *(f"- `{_option(parameter)}`: {plain(why, 1000)}" for parameter, why in cluster_words.advice(view)),
        "",
        *section("Figures", _figures(view)),
        *section("The clusters", _clusters(view)),
        *section("Examples", list(_examples(view))),
        *section("How many clusters", _curve(view)),
        *section("The hierarchy", _hierarchy(view)),
        *section("What became of them", _history(view)),
        *section("How they were found", list(_method(view))),
    ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _option(parameter: str) -> str:
    """An option as code: what an option has, and nothing that could end it."""
    return re.sub(r"[^\w-]", "", said(parameter))


def _figures(view: ClusterView) -> list[str]:
    rows = [(plain(one.name), one.value, plain(one.note, 300)) for one in cluster_words.figures(view)]
    return table(("figure", "value", "how to read it"), rows)


def _clusters(view: ClusterView) -> list[str]:
    more = cluster_words.columns(view)
    words = any(group.name for group in view.groups)
    keywords = any(group.keywords for group in view.groups)
    head = [
        "cluster",
        *(["name"] if words else []),
        "rows",
        "share",
        *(["keywords"] if keywords else []),
        *more,
    ]
    rows = []
    for group in view.groups:
        cells = [str(group.label), *([plain(group.name)] if words else []), f"{group.size:,}"]
        cells.append(percent(group.size / max(view.rows, 1)))
        cells += [plain(", ".join(group.keywords), 400)] if keywords else []
        for name, of in more.items():
            cells.append(of(group) if name in FIGURES else plain(of(group), 400))
        rows.append(cells)
    return table(list(map(plain, head)), rows) if rows else []


def _examples(view: ClusterView) -> Iterator[str]:
    if not any(group.central or group.border or group.odd for group in view.groups):
        return
    yield from (cluster_words.CLUSTERS, "")
    for group in view.groups:
        yield f"- **{plain(group.title)}**"
        for name, given in (("central", group.central), ("border", group.border), ("odd", group.odd)):
            yield from (f"  - {name}: {_quoted(example)}" for example in given[:EXAMPLES])


def _quoted(example: Example) -> str:
    return plain(example.words, LONGEST_TEXT)


def _curve(view: ClusterView) -> list[str]:
    rows = [(f"{count:,}", f"{score:.3f}") for count, score in view.curve]
    return [cluster_words.curve(view), "", *table(("clusters", "mean silhouette"), rows)] if rows else []


def _hierarchy(view: ClusterView) -> list[str]:
    tree = tree_of(view)
    if tree is None:
        return []
    metric = plain(f"{view.used.get('metric', '')} distance of their centres".strip())
    told = f"Each branch says at which {metric} its two sides are joined."
    return [told, "", "```text", *tree_lines(tree), "```"]


def tree_lines(tree: Tree) -> Iterator[str]:
    """The hierarchy in lines of text, one a branch or leaf."""
    # What stands before a line, and the corner that leads to it.
    waiting = [(tree, "", "")]
    while waiting:
        node, before, corner = waiting.pop()
        yield f"{before}{corner}{_node(node)}"
        inner = before + {"": "", "├─ ": "│  ", "└─ ": "   "}[corner]
        for place in range(len(node.branches) - 1, -1, -1):
            last = place == len(node.branches) - 1
            waiting.append((node.branches[place], inner, "└─ " if last else "├─ "))


def _node(node: Tree) -> str:
    if node.branches:
        return number(node.distance)
    if len(node.groups) == 1:
        return f"{_title(node.groups[0])} ({node.size:,})"
    largest = sorted(node.groups, key=lambda group: -group.size)
    return said(f"{len(largest)} clusters: {'; '.join(map(_title, largest))}", 200) + f" ({node.size:,})"


def _title(group: Group) -> str:
    # In a block of text no sign has a meaning but the one that ends it.
    return said(group.title, 80).replace("`", "'")


def _history(view: ClusterView) -> list[str]:
    if len(view.history) < 2:
        return []
    rows = [list(map(plain, line)) for line in history(view)]
    return [cluster_words.HISTORY, "", *table(HISTORY, rows)]


def _method(view: ClusterView) -> Iterator[str]:
    facts = [("parameters", ", ".join(cluster_words.parameters(view))), *view.facts]
    yield from (f"- {plain(a)}: {plain(b, 600)}" for a, b in facts if b)
    yield from (f"- {plain(note, 600)}" for note in view.notes)
    if view.command:
        yield f"- to make this page again: {plain(view.command, 2000)}"
