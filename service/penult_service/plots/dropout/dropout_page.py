"""A report on dropout as one page that needs nothing else, on a phone or in the dark as well."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from penult_service.plots.dropout import dropout_pictures, dropout_words
from penult_service.plots.dropout.dropout_map import map_view
from penult_service.plots.dropout.dropout_view import DropoutView, Site
from penult_service.plots.maps import map_page
from penult_service.plots.markup import Html, document, element, join, paragraph, section, table
from penult_service.plots.pictures import shown_all
from penult_service.plots.words import number, said

LONGEST_TEXT = 400
FLIPS_SHOWN, SITES_SHOWN = 12, 12


def page(view: DropoutView) -> str:
    """The document, to be written as UTF-8."""
    parts = [
        ("inference", "While the model predicts", _inference(view)),
        ("sites", "The dropouts", _sites(view)),
        ("on", "If dropout were on", _on(view)),
        ("flips", "Predictions that flip", _flips(view)),
        ("map", "The map", _map(view)),
        ("method", "Method", _method(view)),
        ("sources", "Where it comes from", _sources(view)),
    ]
    shown = [(name, title, content) for name, title, content in parts if content]
    links = [element("a", title, href=f"#{name}") for name, title, _ in shown]
    top = element(
        "header",
        element("h1", dropout_words.QUESTION),
        paragraph(said(dropout_words.kicker(view), 300), class_="kicker"),
        element("div", *map(paragraph, dropout_words.sentences(view.answer)), class_="answer"),
        element("dl", *_tiles(view), class_="tiles"),
        element("nav", *links, aria_label="sections"),
        class_="top",
    )
    body = join(
        [top, element("main", *(section(name, title, *content) for name, title, content in shown)), _footer()]
    )
    style = files("penult_service.plots.dropout").joinpath("dropout_page.css").read_text(encoding="utf-8")
    return document(said(f"Dropout: {view.title}"), style, body)


def _tiles(view: DropoutView) -> list[Html]:
    return [
        element("div", element("dt", what), element("dd", value, element("small", note)))
        for what, value, note in dropout_words.tiles(view)
    ]


def _inference(view: DropoutView) -> list[Html]:
    if not view.inference:
        return []
    rows = [
        (
            said(figure.name.replace("_", " ")),
            number(figure.value),
            number(figure.limit),
            said(figure.meaning, 400),
        )
        for figure in view.inference
    ]
    head = ("what", "found", "accepted", "in full")
    return [paragraph(dropout_words.INFERENCE), table(head, rows, figures=(1, 2), stacked=True)]


def _sites(view: DropoutView) -> list[Html]:
    if not view.sites:
        return [paragraph("No dropout layer is known of this model.")]
    found = [paragraph(dropout_words.SITES)]
    near, inside = dropout_words.around_head(view.sites)
    if len(view.sites) <= SITES_SHOWN or not near:
        return [*found, _site_table(view.sites)]
    # Of a deep encoder there are many, all alike.
    summary = element("summary", f"and {len(inside):,} inside the encoder")
    return [*found, _site_table(near), element("details", summary, _site_table(inside))]


def _site_table(sites: Sequence[Site]) -> Html:
    head = ("layer", "class", "rate", "place", "one draw is shared by", "can be put back")
    rows = [
        (
            said(site.path),
            said(site.layer_class),
            dropout_words.rate(site),
            element("b" if site.read else "span", dropout_words.place(site)),
            dropout_words.shared(site),
            "yes" if site.sampled else "no",
        )
        for site in sites
    ]
    return element("div", table(head, rows, figures=(2,)), class_="sites")


def _on(view: DropoutView) -> list[Html]:
    names = [dropout_words.scope(effect) for effect in view.effects]
    rows = [
        (line.name, *line.values, join([element("b", line.beside, class_="beside"), line.meaning]))
        for line in dropout_words.lines(view)
    ]
    shown = table(
        ("dropout", *names, "to hold it against, and what it means"),
        rows,
        figures=range(1, len(names) + 1),
        stacked=True,
    )
    drawn = [
        *dropout_pictures.cosines(view),
        dropout_pictures.neighbours(view),
        dropout_pictures.clusters(view),
    ]
    return [paragraph(dropout_words.ON), element("div", shown, class_="effects"), shown_all(drawn)]


def _flips(view: DropoutView) -> list[Html]:
    if not view.classifies:
        return []
    found = [paragraph(dropout_words.flipped(view, FLIPS_SHOWN))]
    rows = view.most_flipped(FLIPS_SHOWN)
    if rows:
        found.append(element("ol", *(_flip(view, row) for row in rows), class_="flips"))
    return found


def _flip(view: DropoutView, row: int) -> Html:
    # The words of a text may run from right to left: they must not turn those beside them.
    labels = [("predicted", view.class_name(row))]
    if view.row_labels is not None:
        labels.insert(0, (view.label_name, view.row_labels[row]))
    told = [join([f"{said(what)}: ", element("bdi", said(label)), " · "]) for what, label in labels]
    return element(
        "li",
        element("bdi", said(view.texts[row], LONGEST_TEXT)),
        element("small", f"row {view.numbers[row]:,} · ", *told, dropout_words.flips(view, row)),
    )


def _map(view: DropoutView) -> list[Html]:
    drawn = dropout_pictures.maps(view)
    if view.coordinates is None or not drawn:
        return []
    caption = "without dropout: point at a dot to read it; search; drag and zoom"
    explored = map_view(view, view.coordinates, f"{len(view):,} texts", caption)
    return [
        paragraph(dropout_words.MAP),
        shown_all(drawn),
        element("div", Html(map_page.fragment(explored, "explore")), class_="explore"),
    ]


def _method(view: DropoutView) -> list[Html]:
    return [element("ul", *(element("li", each) for each in dropout_words.method(view)), class_="method")]


def _sources(view: DropoutView) -> list[Html]:
    facts = [join([element("dt", said(a)), element("dd", said(b, 600))]) for a, b in view.facts]
    found = [element("dl", *facts, class_="facts")]
    if view.command:
        found += [paragraph("To make it again:"), element("pre", element("code", said(view.command, 2000)))]
    return found


def _footer() -> Html:
    return element("footer", paragraph("Made by penult dropout."))
