"""A report on clusters as one page that needs nothing else, on a phone or in the dark as well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files

from penult_service.plots import colours
from penult_service.plots.clusters import cluster_pictures, cluster_words
from penult_service.plots.clusters.cluster_view import ClusterView, Example, Group
from penult_service.plots.maps import map_page
from penult_service.plots.markup import Html, document, element, join, markup, paragraph, section, table
from penult_service.plots.pictures import shown_all
from penult_service.plots.words import percent, said

LONGEST_TEXT = 300
# Columns that hold numbers, and sort the largest first.
FIGURES = ("rows", "silhouette", "last drift")


def page(view: ClusterView) -> str:
    """The document, to be written as UTF-8."""
    parts = [
        ("map", "On the map", _map(view)),
        ("clusters", "The clusters", _clusters(view)),
        ("numbers", "How many clusters", _curve(view)),
        ("hierarchy", "The hierarchy", _hierarchy(view)),
        ("history", "What became of them", _history(view)),
        ("method", "How they were found", _method(view)),
    ]
    there = [(name, title, content) for name, title, content in parts if content]
    links = [element("a", title, href=f"#{name}") for name, title, _ in there]
    top = element(
        "header",
        element("h1", said(view.title) or "Clusters"),
        paragraph(said(cluster_words.kicker(view), 300), class_="kicker"),
        element("div", *map(paragraph, cluster_words.answer(view)), class_="answer"),
        *_advice(view),
        element("dl", *_tiles(view), class_="tiles"),
        element("nav", *links, aria_label="sections"),
        class_="top",
    )
    main = element("main", *(section(name, title, *content) for name, title, content in there))
    footer = element("footer", paragraph("Made by Penult."))
    script = element("script", Html(_asset("cluster_page.js")))
    return document(
        said(f"Clusters: {view.title}"), _asset("cluster_page.css"), join([top, main, footer, script])
    )


def _advice(view: ClusterView) -> list[Html]:
    lines = [
        element("li", element("code", said(parameter)), " ", said(why, 1000))
        for parameter, why in cluster_words.advice(view)
    ]
    return [element("ul", *lines, class_="advice")] if lines else []


def _tiles(view: ClusterView) -> Iterator[Html]:
    for figure in cluster_words.figures(view):
        yield element(
            "div", element("dt", figure.name), element("dd", figure.value, element("small", figure.note))
        )


def _clusters(view: ClusterView) -> list[Html]:
    if not view.groups:
        return []
    more = cluster_words.columns(view)
    examples = any(group.central or group.border or group.odd for group in view.groups)
    names = ["cluster", "rows", *more, *(["examples"] if examples else [])]
    head = element("tr", *(_heading(name) for name in names))
    entries = view.colours()
    largest = max(group.size for group in view.groups)
    rows = []
    for group in view.groups:
        cells = [_name(group, entries[group.label]), _size(group, view.rows, largest)]
        cells += [
            element("td", _breakable(value), class_=_class(name), data_name=name, **_sorts(name, value))
            for name, value in ((name, of(group)) for name, of in more.items())
        ]
        cells += [_examples(group)] if examples else []
        rows.append(element("tr", *cells))
    whole = element("table", element("thead", head), element("tbody", *rows), class_="clusters")
    told = [paragraph(cluster_words.CLUSTERS)] if examples else []
    return [*told, element("div", whole, class_="wide")]


def _heading(name: str) -> Html:
    """A heading; the script makes a button of it that sorts."""
    return element("th", name, class_=_class(name), scope="col", data_sort="" if name == "examples" else name)


def _class(name: str) -> str:
    return "figure" if name in FIGURES else "words"


def _sorts(name: str, value: str) -> dict[str, str]:
    return {"data_value": value or "-9"} if name in FIGURES else {}


def _breakable(words: str) -> Html:
    """Words that may be broken behind a _ too: labels are often written with them."""
    return Html(markup(words).replace("_", "_<wbr>"))


def _name(group: Group, entry: colours.Entry) -> Html:
    ink = f"--light: {entry.colour}; --dark: {entry.on_dark}"
    dot = element("i", class_=f"dot {entry.marker}", style=ink)
    words = said(group.words, 80)
    rest = cluster_words.other_keywords(group)
    content = [dot, element("b", str(group.label)), *([" ", element("bdi", words)] if words else [])]
    content += [element("small", rest, dir="auto")] if rest else []
    return element("td", *content, class_="name", data_value=f"{group.label}")


def _size(group: Group, rows: int, largest: int) -> Html:
    """How many rows, their share, and a bar."""
    bar = element("i", class_="bar", style=f"width: {100 * group.size / max(largest, 1):.1f}%")
    share = element("small", percent(group.size / max(rows, 1)))
    return element("td", f"{group.size:,} ", share, bar, class_="size", data_value=str(group.size))


def _examples(group: Group) -> Html:
    first = [_quoted(group.central[0])] if group.central else []
    kinds = [("central", group.central[1:]), ("border", group.border), ("odd", group.odd)]
    lists = [
        join([element("dt", name), *(element("dd", _quoted(example)) for example in given)])
        for name, given in kinds
        if given
    ]
    more = [element("details", element("summary", "more"), element("dl", *lists))] if lists else []
    return element("td", *first, *more, class_="examples")


def _quoted(example: Example) -> Html:
    # Words may run from right to left: they must not turn those beside them.
    return element("bdi", said(example.words, LONGEST_TEXT), title=f"row {example.row:,}")


def _curve(view: ClusterView) -> list[Html]:
    drawn = cluster_pictures.curve(view)
    return [] if drawn is None else [paragraph(cluster_words.curve(view)), shown_all([drawn])]


def _hierarchy(view: ClusterView) -> list[Html]:
    drawn = cluster_pictures.hierarchy(view)
    return [] if drawn is None else [paragraph(cluster_words.TREE), shown_all([drawn])]


def _history(view: ClusterView) -> list[Html]:
    if len(view.history) < 2:
        return []
    drawn = cluster_pictures.sizes(view)
    pictures = [shown_all([drawn])] if drawn is not None else []
    rows = [list(line) for line in history(view)]
    shown = element("div", table(HISTORY, rows, figures=(0, 3, 4, 5)), class_="history")
    return [paragraph(cluster_words.HISTORY), *pictures, shown]


HISTORY = ("", "when", "what", "rows", "of them in none", "clusters", "largest drift")


def history(view: ClusterView) -> Iterator[Sequence[str]]:
    """What became of the clusters, a line a time, as `HISTORY` heads them."""
    for place, batch in enumerate(view.history):
        none = f"{batch.unassigned:,}" if batch.rows else ""
        clusters = f"{len(batch.labels):,}" if batch.labels else ""
        what, drift = cluster_words.happened(batch), cluster_words.farthest(batch, view)
        yield (
            str(place + 1),
            said(batch.when),
            what,
            f"{batch.rows:,}" if batch.rows else "",
            none,
            clusters,
            drift,
        )


def _map(view: ClusterView) -> list[Html]:
    if view.map is None:
        return []
    shown = element("div", Html(map_page.fragment(view.map, "explore")), class_="explore")
    return [paragraph(cluster_words.MAP), shown]


def _method(view: ClusterView) -> list[Html]:
    facts = [("parameters", ", ".join(cluster_words.parameters(view))), *view.facts]
    lines = [join([element("dt", said(a)), element("dd", said(b, 600))]) for a, b in facts if b]
    found = [element("dl", *lines, class_="facts")]
    if view.notes:
        found.append(element("ul", *(element("li", said(note, 600)) for note in view.notes)))
    if view.command:
        found += [
            paragraph("To make this page again:"),
            element("pre", element("code", said(view.command, 2000))),
        ]
    return found


def _asset(name: str) -> str:
    return files("penult_service.plots.clusters").joinpath(name).read_text(encoding="utf-8")
