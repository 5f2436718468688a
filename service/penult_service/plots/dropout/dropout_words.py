"""The figures of a report on dropout as people read them: the same words on a screen, a page and in Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from penult_service.plots.dropout.dropout_view import ALL, HEAD, DropoutView, Effect, Site, Spread
from penult_service.plots.words import counted, mean_of, number, percent, said, signed

SCOPES = {HEAD: "in front of the head", ALL: "everywhere", "named": "those chosen"}
PLACES = {
    "before_embedding": "inside the encoder",
    "at_seam": "right behind the embedding",
    "in_head": "inside the head",
    "": "not known",
}
BEFORE_AFTER = "before_vs_after_dropout"
QUESTION = "Before or after the dropout?"
INFERENCE = (
    "While a model predicts, its dropout should do nothing. Measured on this one: the largest differences found, and "
    "the largest that would be accepted."
)
ON = (
    "Dropout sets numbers at random to zero and enlarges the others: useful in training, harmful in embeddings. "
    "Measured on these texts, as if it were on (training=True)."
)
MAP = (
    "Each arrow begins at a row's place without dropout and ends at its place in the first pass; both were put on one "
    "map. Long arrows are rows that would lie somewhere else each time they are asked for."
)
SITES = "In the order in which the model computes them."


@dataclass(frozen=True)
class Line:
    """A figure: its name, a value an effect, what to hold it against, and what it means."""

    name: str
    values: tuple[str, ...]
    beside: str
    meaning: str


def scope(effect: Effect) -> str:
    """Which dropouts are active."""
    return SCOPES.get(effect.scope, effect.scope)


def lines(view: DropoutView) -> list[Line]:
    """Every figure of active dropout."""
    k = view.neighbors

    def line(name: str, value: Callable[[Effect], str], beside: str, meaning: str) -> Line:
        return Line(name, tuple(value(effect) for effect in view.effects), beside, meaning)

    found = [
        line(
            "cosine to the clean vector",
            lambda e: _about(e.cosine_to_clean),
            _theory(view, "expected_cosine_to_clean", "sqrt(1 - p)"),
            "A row behind active dropout against itself without; over rows and passes, with the standard deviation.",
        ),
        line(
            "cosine of two draws",
            lambda e: "-" if e.cosine_between_draws is None else _about(e.cosine_between_draws),
            _theory(view, "expected_cosine_between_draws", "1 - p"),
            "Two passes over the same row: what a caller sees who asks twice.",
        ),
        line(
            f"neighbours replaced, of the {k} nearest",
            lambda e: mean_of(e.neighbors_changed),
            "all the other texts: none can change" if _all_are_near(view) else "without dropout: 0",
            f"How many of a row's {k} nearest rows by cosine are others; mean over rows and passes.",
        ),
        line(
            "nearest neighbour kept",
            lambda e: percent(e.nearest_kept),
            f"without dropout: {percent(1.0)}",
            "Share of rows and passes whose nearest row stays the nearest.",
        ),
        line(
            f"k-means with {view.n_clusters} clusters agrees (ARI)",
            lambda e: _about(e.cluster_agreement),
            f"another seed alone: {_about(view.reseeded)}",
            "Adjusted Rand index of the clusters with and without dropout, over passes: 1 the same, 0 by chance. "
            "Beside it k-means of the clean rows against itself from another seed: that much of the "
            "loss is k-means' own.",
        ),
        line(
            "rank correlation of pairs",
            lambda e: "-" if e.pair_rank_correlation is None else signed(e.pair_rank_correlation),
            "without dropout: 1",
            "Spearman's, of the cosines of pairs of rows with and without dropout; mean over passes.",
        ),
    ]
    return found + _predictions(view, line)


def _predictions(view: DropoutView, line: Callable[..., Line]) -> list[Line]:
    if not view.classifies:
        return []

    def rows(effect: Effect) -> str:
        return "-" if effect.rows_flipped is None else f"{effect.rows_flipped:,}"

    found = [
        line(
            "predictions flipped",
            lambda e: "-" if e.predictions_flipped is None else percent(e.predictions_flipped),
            f"without dropout: {percent(0.0)}",
            "Share of rows and passes whose predicted class (or set of labels) is another than without dropout.",
        ),
        line(
            "rows that flip in any pass",
            rows,
            f"of {len(view):,}",
            f"Rows whose class was another one in at least one of {passes(view)}.",
        ),
    ]
    right = view.right()
    if right is not None and right.any() and not right.all():
        for name, which, isnt in (("right", right, "is"), ("wrong", ~right, "is not")):
            found.append(
                line(
                    f"flipped, of those predicted {name}",
                    partial(_share, which=which),
                    f"{int(which.sum()):,} rows",
                    f"Of the rows whose class without dropout {isnt} their {said(view.label_name)}: the share of "
                    "rows and passes with another class.",
                )
            )
    return found


def _share(effect: Effect, which: NDArray[np.bool_]) -> str:
    return "-" if effect.row_flipped is None else percent(float(effect.row_flipped[which].mean()))


def _about(spread: Spread) -> str:
    return f"{signed(spread.mean)} ± {spread.std:.3f}"


def passes(view: DropoutView) -> str:
    """How many there were."""
    return counted(view.passes, "pass")


def _all_are_near(view: DropoutView) -> bool:
    """Whether every other row is among the nearest, so that no neighbour can be another."""
    return view.neighbors >= len(view) - 1


def _theory(view: DropoutView, name: str, formula: str) -> str:
    """What the theory says, of the effects of which it says something."""
    told = [(effect, getattr(effect, name)) for effect in view.effects]
    known = [(effect, value) for effect, value in told if value is not None]
    values = " and ".join(
        f"{value:.3f}" + (f" ({scope(effect)})" if len(known) < len(told) else "") for effect, value in known
    )
    return f"theory {formula}: {values}" if known else "no theory for these"


def apart(view: DropoutView) -> str:
    """The largest difference of before and after in inference; empty when it was not measured."""
    found = [figure.value for figure in view.inference if figure.name == BEFORE_AFTER]
    return number(found[0]) if found else ""


def place(site: Site) -> str:
    """Where a dropout stands."""
    if site.read:
        return "the embedding is read right in front of it"
    return PLACES.get(site.place, said(site.place.replace("_", " ")))


def rate(site: Site) -> str:
    """Its rate."""
    return "not said" if site.rate is None else f"{site.rate:g}"


def shared(site: Site) -> str:
    """Which numbers share one draw."""
    if not site.shared_axes:
        return "none: each number has its own"
    axes = [f"axis {axis}" for axis in site.shared_axes if axis > 0]
    return " and ".join((["all rows of a batch"] if 0 in site.shared_axes else []) + axes)


def active(effect: Effect, most: int = 3) -> str:
    """The dropouts that were active: by name, or how many with which rates."""
    if len(effect.active) <= most:
        return ", ".join(f"{said(each.path)} ({each.rate:g})" for each in effect.active)
    rates = sorted({each.rate for each in effect.active})
    told = f"rate {rates[0]:g}" if len(rates) == 1 else f"rates {rates[0]:g} to {rates[-1]:g}"
    return f"{len(effect.active):,} dropouts ({told})"


def around_head(sites: Sequence[Site]) -> tuple[list[Site], list[Site]]:
    """Those from the embedding on, and those inside the encoder."""
    inside = [site for site in sites if site.place == "before_embedding"]
    return [site for site in sites if site.place != "before_embedding"], inside


def method(view: DropoutView) -> list[str]:
    """How it was measured, in sentences."""
    where = "; ".join(f"{scope(effect)}: {active(effect)}" for effect in view.effects)
    found = [
        "The inference graph was run with dropout put back on purpose; what stays is enlarged by 1 / (1 - p), as in "
        f"training, and all else is as in inference. Active, with their rates: {where}.",
        f"{passes(view)} with seed {view.seed}. The masks of a row depend on the seed, the pass, the row's "
        "number and the dropout alone: the same seed gives the same figures.",
        f"Neighbours are the {view.neighbors} nearest rows by cosine among these {len(view):,}; clusters are "
        f"{view.n_clusters} of k-means, with one seed for all passes. Among more texts, and texts more alike, more "
        "neighbours change.",
        "The theory: with dropout of rate p on the embedding itself, x . (m * x) is |x|^2 in the mean, and |m * x|^2 "
        "is |x|^2 / (1 - p). So the cosine to the clean vector is about sqrt(1 - p), that of two draws 1 - p "
        "(dropout: Srivastava and others 2014; adjusted Rand index: Hubert and Arabie 1985).",
    ]
    return found + [said(each, 1000) for each in view.notes]


def flips(view: DropoutView, row: int) -> str:
    """How often the class of a row flips: `another class in 13 of 30 passes with dropout everywhere`."""
    told = [
        (round(float(effect.row_flipped[row]) * view.passes), scope(effect))
        for effect in view.effects
        if effect.row_flipped is not None
    ]
    (first, where), *rest = told
    others = "".join(f", in {count} with dropout {place}" for count, place in rest)
    return f"another class in {first} of {passes(view)} with dropout {where}{others}"


def movement(view: DropoutView, effect: Effect) -> str:
    """How far rows move on the map; empty without one."""
    moved = view.movement(effect)
    if moved is None:
        return ""
    return (
        f"Half of the rows move by more than {percent(moved.median)} of the map's width; {percent(moved.beyond)} of "
        "all farther than a row usually is from its nearest one."
    )


def sentences(answer: str) -> list[str]:
    """The answer a sentence at a time."""
    return [said(each, 2000) for each in re.split(r"(?<=[.!?])\s+(?=[A-Z])|[\r\n]+", answer) if each.strip()]


def flipped(view: DropoutView, most: int) -> str:
    """What the list of the rows that flip most begins with."""
    rows = view.most_flipped(len(view))
    if not rows:
        return f"No prediction flips in any of {passes(view)}."
    shown = "All of them:" if len(rows) <= most else f"The {most} that flip most:"
    have = "has" if len(rows) == 1 else "have"
    return f"{len(rows):,} of {counted(len(view), 'row')} {have} another class in at least one pass. {shown}"


def kicker(view: DropoutView) -> str:
    """What was compared, in a line."""
    model = dict(view.facts).get("model", "")
    parts = [
        said(model),
        f"{len(view):,} texts of {said(view.title)}",
        passes(view),
        f"seed {view.seed}",
    ]
    return " · ".join(part for part in parts if part)


def tiles(view: DropoutView) -> list[tuple[str, str, str]]:
    """The figures that say most: what they are, how they look, what to hold them against."""
    found = []
    if apart(view):
        found.append(("before and after the dropout", apart(view), "is the largest difference, in inference"))
    if not view.effects:
        return found
    effect = view.effects[0]
    on = f"with dropout {scope(effect)}"
    found += [
        (f"neighbours replaced, of {view.neighbors}", mean_of(effect.neighbors_changed), on),
        (
            "clusters agree (ARI)",
            signed(effect.cluster_agreement.mean, 2),
            f"{on}; another k-means seed alone: {signed(view.reseeded.mean, 2)}",
        ),
    ]
    if effect.predictions_flipped is not None:
        found.append(("predictions flipped", percent(effect.predictions_flipped), on))
    return found
