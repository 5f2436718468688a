"""report.html: the demo's report as one page that needs nothing else, on a phone or in the dark as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import demo_svg
import demo_words
from demo_ask import Asked
from demo_figures import Figure
from demo_genres import Genres
from demo_report import Report
from penult_service.cli.verification import BEFORE_AFTER
from penult_service.plots.colours import key_of
from penult_service.plots.maps import map_page
from penult_service.plots.maps.views import MapView
from penult_service.plots.markup import Html, document, element, join, paragraph, section, table
from penult_service.plots.words import number

CSS = Path(__file__).with_name("demo_page.css")
TITLE = "Before or after the dropout?"
SECTIONS = (
    ("maps", "Maps"),
    ("on", "If it were on"),
    ("proof", "Proof"),
    ("figures", "Figures"),
    ("clusters", "Clusters"),
    ("near", "Near texts"),
    ("all", "All texts"),
    ("yourself", "Do it yourself"),
    ("sources", "Sources"),
)


def views(asked: Asked) -> list[MapView]:
    """The two maps, as pictures show them."""
    return [
        MapView(
            of.projection.coordinates,
            asked.texts.genres,
            asked.texts.texts,
            title,
            f"UMAP · {purity} of the neighbours on the map are of the same genre",
            legend="genre",
        )
        for title, of in (("Trained", asked.trained), ("Before training", asked.untrained))
        for purity in [f"{100 * (of.projection.quality.label_purity or 0):.0f} %"]
    ]


def page(report: Report, maps: Sequence[MapView]) -> str:
    """The document, to be written as UTF-8.

    Args:
        maps: The map of the trained model's embeddings, and that of the untrained one's.
    """
    key = key_of(maps)
    assert key is not None  # the maps have labels
    words = Genres({entry.name: place for place, entry in enumerate(key.entries)})
    body = join(
        [
            _top(report),
            element(
                "main",
                words.maps(maps, key),
                _on(report),
                _proof(report),
                _figures(report),
                words.clusters(report),
                words.near(report),
                _explore(maps[0]),
                _yourself(report),
                _sources(report),
            ),
            element("footer", _seconds(report)),
        ]
    )
    return document(TITLE, CSS.read_text(encoding="utf-8") + demo_svg.colours(key), body)


def _top(report: Report) -> Html:
    links = [element("a", title, href=f"#{name}") for name, title in SECTIONS]
    return element(
        "header",
        element("h1", demo_words.QUESTION),
        paragraph(demo_words.ASKED, class_="kicker"),
        element("div", *map(paragraph, report.answer), class_="answer"),
        element("dl", *_tiles(report), class_="tiles"),
        element("nav", *links, aria_label="sections"),
        class_="top",
    )


def _tiles(report: Report) -> list[Html]:
    """The figures that say most: what they are, how they look, what to compare them with."""
    figures = report.by_name
    purity, right = figures["neighbour purity"], figures["accuracy"]
    tiles = [
        ("before and after the dropout", number(figure.value), "is the largest difference")
        for figure in report.proof.figures
        if figure.name == BEFORE_AFTER
    ]
    tiles += [
        ("with dropout left on", line.on, line.name) for line in report.what_if if "replaced" in line.name
    ]
    tiles += [
        ("neighbours of the same genre", purity.value, f"before training {purity.before}, chance 0.25"),
        ("genres recognised", right.value, "of texts that were held out, chance 0.25"),
    ]
    return [
        element("div", element("dt", what), element("dd", value, element("small", note)))
        for what, value, note in tiles
    ]


def _on(report: Report) -> Html:
    rows = [(line.name, line.off, line.on, line.theory) for line in report.what_if]
    return section(
        "on",
        "If the dropout were on",
        paragraph(
            "Dropout sets numbers at random to zero and enlarges the others: useful while training, harmful in "
            "embeddings. Measured on the held-out texts, as if the layer had been left on (training=True):"
        ),
        table(("", "off", "on", "theory"), rows, figures=(1, 2), stacked=True),
        paragraph(
            "Classes survive it, neighbours do not: one would see it in nearest neighbours, not in the accuracy."
        ),
    )


def _proof(report: Report) -> Html:
    rows = [
        (f.name.replace("_", " "), number(f.value), number(f.limit), f.meaning) for f in report.proof.figures
    ]
    return section(
        "proof",
        "The proof",
        paragraph(
            element("b", "Proven" if report.proof.proven else "NOT proven"),
            ": dropout plays no part in what is served. Penult repeats this for every model before serving it, and "
            "refuses the model when it fails. By experiment, the largest differences:",
        ),
        table(("what", "found", "accepted", "in full"), rows, figures=(1, 2), stacked=True),
        element(
            "details",
            element("summary", "By structure: what stands behind the outputs"),
            element("ul", *(element("li", finding) for finding in report.proof.findings)),
        ),
    )


def _figures(report: Report) -> Html:
    def meaning(figure: Figure) -> Html:
        return join(
            [figure.meaning, element("span", figure.warning, class_="warning") if figure.warning else ""]
        )

    rows = [(f.name, f.value, f.before, meaning(f)) for f in report.knows]
    same = [(f.name, "", f.value, f.meaning) for f in report.same]
    return section(
        "figures",
        "What the embedding in front of the dropout knows",
        table(("figure", "trained", "before", "what it means"), rows, figures=(1, 2), stacked=True),
        element("h3", "The same, however it is asked (over gRPC)"),
        table(("figure", "", "value", "what it means"), same, figures=(1, 2), stacked=True),
    )


def _explore(view: MapView) -> Html:
    whole = replace(view, title=f"{len(view.coordinates):,} held-out sentences")
    return section(
        "all",
        "All texts on the map",
        paragraph("Point at a dot to read it; search; pick genres in the list; drag and zoom."),
        element("div", Html(map_page.fragment(whole, "explore")), class_="explore"),
    )


def _yourself(report: Report) -> Html:
    lines = [
        join([Html("<i>"), f"# {what}", Html("</i>\n"), command, "\n\n"]) for command, what in report.commands
    ]
    return section("yourself", "Do it yourself", element("pre", element("code", Html(join(lines).rstrip()))))


def _sources(report: Report) -> Html:
    def facts(rows: Sequence[tuple[str, str]]) -> Html:
        return element("dl", *(join([element("dt", a), element("dd", b)]) for a, b in rows), class_="facts")

    return section("sources", "Texts, weights, versions", facts(demo_words.SOURCES), facts(report.provenance))


def _seconds(report: Report) -> Html:
    took = " · ".join(f"{name} {value:.1f}" for name, value in report.seconds.items())
    return paragraph(f"Made by scripts/demo of Penult. Seconds: {took}.")
