"""The printed report of `penult verify`: the answer in words, then everything it rests on."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from penult_service.cli import tuned as tuned_words
from penult_service.cli.console import out, print_table
from penult_service.plots.words import number, percent
from penult_service.prepared import NO_LIMIT, Figure, Manifest, Site
from penult_service.preparing.report import DropoutEffect, Verification
from penult_service.tuned import Tuned, named

WIDTH = 100
SITES_SHOWN = 8
PLACES = {"before": "inside the encoder", "at": "in front of the head: read here", "after": "inside the head"}
BEFORE_AFTER = "before_vs_after_dropout"
FEW = (
    "The built-in texts are few and far apart. Among more texts, and ones more alike, more neighbours change: measure "
    "on yours with --texts FILE."
)
# An effect on a smaller share is small; a smaller share of texts is `only`.
SMALL = 0.02
MOST = 0.5


def show(found: Verification, *, own_texts: bool, tuned: Tuned | None = None) -> None:
    """Print the report on stdout. `own_texts`: the what-if was measured on the caller's texts.

    `tuned`: how it is run here, where that was asked for.
    """
    console = out()
    manifest = found.manifest
    for paragraph in answer(manifest, found.effect):
        _print_filled(console, paragraph)
        console.print()
    _section(console, "The model", ("", ""), _model_rows(manifest))
    _section(
        console,
        "The largest differences found for this model",
        ("", "found", ""),
        _difference_rows(found, tuned),
        right=(1,),
    )
    _findings(console, manifest)
    _section(
        console,
        "Proof by experiment",
        ("found", "accepted", "what"),
        [_figure_row(figure) for figure in manifest.proof.figures],
        right=(0, 1),
    )
    _section(console, "Dropouts found", ("layer", "class", "rate", "place"), _site_rows(manifest.sites))
    if found.effect:
        _effect(console, found.effect, own_texts)
        if not own_texts:
            _print_filled(console, FEW)
            console.print()
    if tuned is not None:
        console.print(Text("How it is run here", style="bold"))
        tuned_words.show(tuned)
        console.print()
    if found.confined:
        _print_filled(console, f"The model ran in a process of its own: {found.confined}.")
        console.print()
    for warning in manifest.warnings:
        _print_filled(console, f"warning: {warning}")
    verdict = "proven: dropout plays no part in what is served" if manifest.proof.proven else "NOT proven"
    console.print(Text(verdict, style="bold"))


def answer(manifest: Manifest, effect: DropoutEffect | None) -> list[str]:
    """The question of the person who trained the model, answered in words."""
    if not manifest.readouts:
        return [f"Nothing is read from this model; predict works. {manifest.unread}."]
    readout = manifest.readouts[0]
    if effect is None:
        return [
            f"Penult reads {readout.layer}, {readout.dimension} numbers a text. No dropout stands right behind it, "
            "so there is no before and after to choose between."
        ]
    return [_before_or_after(manifest), _would_it_matter(effect)]


def _before_or_after(manifest: Manifest) -> str:
    readout = manifest.readouts[0]
    apart = next((figure.value for figure in manifest.proof.figures if figure.name == BEFORE_AFTER), None)
    at = next((site.path for site in manifest.sites if site.place == "at"), "dropout")
    same = "the same, bit for bit" if apart == 0 else f"the same within {apart:.1g}" if apart else "the same"
    return (
        f"Before or after the dropout? Take them before; it makes no difference as long as the model predicts. In "
        f"inference {at!r} does nothing: the numbers in front of it and behind it are {same}. Penult reads the ones "
        f"in front, the output of {readout.layer}: {readout.dimension} numbers a text."
    )


def _would_it_matter(effect: DropoutEffect) -> str:
    share = effect.neighbours_changed / effect.neighbours
    matters = "Yes, for comparing texts." if share > SMALL else "Hardly, on these texts."
    only = "only " if effect.nearest_kept < MOST else ""
    flipped = effect.predictions_flipped
    hardly = f"the predictions hardly notice: {percent(flipped)} would change"
    predictions = hardly if flipped <= SMALL else f"{percent(flipped)} of the predictions would change too"
    return (
        f"And if the dropout were on (training=True)? {matters} Among {effect.texts:,} texts, at its rate of "
        f"{effect.rate:g}, {effect.neighbours_changed:.1f} of a text's {effect.neighbours} nearest neighbours would "
        f"be others, and {only}{percent(effect.nearest_kept)} of the texts would keep their nearest one; "
        f"{predictions}. Each call would also give other numbers for the same text."
    )


def _model_rows(manifest: Manifest) -> list[tuple[str, str]]:
    head, readouts = manifest.head, manifest.readouts
    others = ", ".join(f"{r.layer} ({r.dimension})" for r in readouts[1:]) or "none"
    limit = f"{manifest.max_length} tokens" if manifest.max_length < NO_LIMIT else "no limit"
    trims = (
        "trimmed to the longest text"
        if manifest.trims
        else "kept at full length: the model needs its padding"
    )
    labels = ", ".join(head.labels) or f"{head.classes} without names" if head.classes else "none"
    return [
        ("source", manifest.source),
        ("format", manifest.source_format),
        ("layer read", readouts[0].layer if readouts else "none"),
        ("dimension", str(readouts[0].dimension) if readouts else "-"),
        ("also readable", others),
        ("head", head.kind),
        ("labels", labels),
        ("longest text", limit),
        ("batches", trims),
        ("digest", manifest.model_digest[:16]),
        (
            "preparing",
            f"{manifest.cost.seconds:.1f} s, {manifest.cost.peak_bytes / 1e9:.2f} GB of memory at most",
        ),
    ]


def _findings(console: Console, manifest: Manifest) -> None:
    console.print(Text("Proof by structure", style="bold"))
    for finding in manifest.proof.findings:
        _print_filled(console, finding, indent="  ")
    console.print()


VARIED = {
    "companions": "alone, in pairs and threes, backwards, against all together",
    "lengths": "cut to a text's own length, with some padding, with all of it",
    "chunkings": "packed by length in twos, in fours, all in one batch",
    "repeats": "the same batch, 20 times",
    "engines": "on one engine against another",
}
NOT_COMPARED = {
    "lengths": "not compared: the model needs its padding, and keeps it",
    "engines": "not compared: it is asked for by --engine",
}


def _difference_rows(found: Verification, tuned: Tuned | None) -> list[tuple[str, str, str]]:
    """A row for each that was varied; engines are compared where one was asked for."""
    values = found.differences()
    price = tuned.price if tuned else None
    if tuned is not None and price is not None:
        return [
            *(
                _difference_row(found.manifest, what, value)
                for what, value in values.items()
                if what != "engines"
            ),
            (
                "engines",
                number(price.largest_difference),
                f"TensorFlow in float32 against {named(tuned.setting)}",
            ),
        ]
    return [_difference_row(found.manifest, what, value) for what, value in values.items()]


def _difference_row(manifest: Manifest, what: str, value: float | None) -> tuple[str, str, str]:
    if value is None and not manifest.readouts:
        return what, "-", "not compared: nothing is read"
    if value is None:
        return what, "-", NOT_COMPARED.get(what, f"not measured by {manifest.preparer}")
    return what, number(value), VARIED[what]


def _figure_row(figure: Figure) -> tuple[str, str, str]:
    return number(figure.value), "0" if figure.limit == 0 else f"<= {figure.limit:g}", figure.meaning


def _site_rows(sites: Sequence[Site]) -> list[tuple[str, ...]]:
    """Those around the head, then the first of the encoder's."""
    near = [site for site in sites if site.place != "before"]
    inside = [site for site in sites if site.place == "before"]
    shown = near + inside[: max(0, SITES_SHOWN - len(near))]
    rows: list[tuple[str, ...]] = [
        (s.path, s.layer_class, "not said" if s.rate is None else f"{s.rate:g}", PLACES.get(s.place, s.place))
        for s in shown
    ]
    if len(sites) > len(shown):
        rows.append((f"... and {len(sites) - len(shown)} more", "", "", "inside the encoder"))
    return rows or [("none", "", "", "")]


def _effect(console: Console, effect: DropoutEffect, own_texts: bool) -> None:
    whose = "texts given" if own_texts else "built-in texts"
    rows = [
        (
            "cosine of a vector to itself without dropout",
            f"{effect.mean_cosine:.3f}",
            f"{effect.expected_cosine:.3f}",
        ),
        (
            "cosine of two passes over the same text",
            f"{effect.draw_cosine:.3f}",
            f"{effect.expected_draw_cosine:.3f}",
        ),
        (f"of {effect.neighbours} nearest neighbours, others", f"{effect.neighbours_changed:.1f}", ""),
        ("texts that keep their nearest neighbour", percent(effect.nearest_kept), ""),
        ("predictions that change", percent(effect.predictions_flipped), ""),
    ]
    title = f"If the dropout (rate {effect.rate:g}) were on, for the {effect.texts:,} {whose}"
    _section(console, title, ("", "measured", "theory"), rows, right=(1, 2))


def _print_filled(console: Console, text: str, indent: str = "") -> None:
    console.print(Text(textwrap.fill(text, min(WIDTH, console.width), subsequent_indent=indent)))


def _section(
    console: Console,
    title: str,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[int] = (),
) -> None:
    console.print(Text(title, style="bold"))
    print_table(headings, rows, right=right)
    console.print()
