"""A report on dropout as Markdown, with its pictures as files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from penult_service.plots.dropout import dropout_pictures, dropout_words
from penult_service.plots.dropout.dropout_view import DropoutView
from penult_service.plots.markdown import plain, section, table
from penult_service.plots.pictures import Picture
from penult_service.plots.words import number

LONGEST_TEXT = 400
FLIPS_SHOWN = 12


def markdown(view: DropoutView, folder: str) -> tuple[str, dict[str, bytes]]:
    """The text, to be written as UTF-8, and its pictures by the names that they have in `folder`."""
    pictures = dropout_pictures.every(view)
    drawn = {picture.name: picture for picture in pictures}

    def shown(*names: str) -> Iterator[str]:
        for name, picture in drawn.items():
            if name.startswith(names):
                yield from _picture(picture, folder)

    lines = [
        f"# {dropout_words.QUESTION}",
        "",
        plain(dropout_words.kicker(view), 300),
        "",
        *(line for part in dropout_words.sentences(view.answer) for line in (f"**{plain(part, 2000)}**", "")),
        *section("While the model predicts", _inference(view)),
        *section("The dropouts", _sites(view)),
        *section("If dropout were on", [*_on(view), *shown("cosine", "neighbours", "clusters")]),
        *section("Predictions that flip", _flips(view)),
        *section("The map", [dropout_words.MAP, "", *shown("map")] if "map" in _kinds(pictures) else []),
        *section("Method", [f"- {plain(each, 4000)}" for each in dropout_words.method(view)]),
        *section("Where it comes from", [f"- {plain(a)}: {plain(b, 600)}" for a, b in view.facts]),
    ]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"
    return text, {f"{picture.name}.png": picture.file(kind="png") for picture in pictures}


def _kinds(pictures: Sequence[Picture]) -> set[str]:
    return {picture.name.partition("-")[0] for picture in pictures}


def _picture(picture: Picture, folder: str) -> Iterator[str]:
    place = re.sub(r"[^\w./-]", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), folder)
    yield from (f"![{plain(picture.title)}]({place}/{picture.name}.png)", "")
    yield from (f"*{plain(picture.title)}.* {plain(picture.caption, 400)}".rstrip(), "")


def _inference(view: DropoutView) -> list[str]:
    if not view.inference:
        return []
    rows = [(number(f.value), number(f.limit), plain(f.meaning, 300)) for f in view.inference]
    return [dropout_words.INFERENCE, "", *table(("found", "accepted", "what"), rows)]


def _sites(view: DropoutView) -> list[str]:
    rows = [
        (
            plain(site.path),
            plain(site.layer_class),
            dropout_words.rate(site),
            plain(dropout_words.place(site)),
            dropout_words.shared(site),
            "yes" if site.sampled else "no",
        )
        for site in view.sites
    ]
    head = ("layer", "class", "rate", "place", "one draw is shared by", "can be put back")
    return [dropout_words.SITES, "", *table(head, rows)] if rows else []


def _on(view: DropoutView) -> list[str]:
    names = [plain(dropout_words.scope(effect)) for effect in view.effects]
    rows = [
        (plain(line.name), *line.values, plain(line.beside), plain(line.meaning, 400))
        for line in dropout_words.lines(view)
    ]
    head = ("dropout", *names, "to hold it against", "what it means")
    return [dropout_words.ON, "", *table(head, rows), ""]


def _flips(view: DropoutView) -> list[str]:
    if not view.classifies:
        return []
    rows = [
        (
            str(view.numbers[row]),
            plain(view.texts[row], LONGEST_TEXT),
            *([] if view.row_labels is None else [plain(view.row_labels[row])]),
            plain(view.class_name(row)),
            plain(dropout_words.flips(view, row), 400),
        )
        for row in view.most_flipped(FLIPS_SHOWN)
    ]
    labelled = [] if view.row_labels is None else [plain(view.label_name)]
    head = ("row", "text", *labelled, "predicted", "another class")
    return [dropout_words.flipped(view, FLIPS_SHOWN), "", *(table(head, rows) if rows else [])]
