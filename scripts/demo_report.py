"""The demo's report: one record of all that it says, as report.md, and printed. (As a page: demo_page.py.)"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import demo_figures
import demo_words
import numpy as np
from demo_ask import Asked
from demo_figures import Cluster, Figure, Near, Pair
from demo_words import WhatIf
from numpy.typing import NDArray
from penult_service.plots.markdown import section, table
from penult_service.plots.words import number
from penult_service.prepared import Proof
from penult_service.preparing.report import Verification

WIDTH = 100


@dataclass(frozen=True)
class Report:
    """All that report.md and report.html say: each figure is made once, as it is printed.

    `answer` are two sentences. `clusters` are those of k-means, `found` those of HDBSCAN, `clusters_before` those of
    k-means before the training.
    """

    answer: list[str]
    what_if: list[WhatIf]
    proof: Proof
    sites: int
    knows: list[Figure]
    same: list[Figure]
    clusters: list[Cluster]
    clusters_before: list[Cluster]
    found: list[Cluster]
    near: list[Near]
    alike: list[Pair]
    unlike: list[Pair]
    provenance: list[tuple[str, str]]
    commands: list[tuple[str, str]]
    seconds: dict[str, float]

    @property
    def by_name(self) -> dict[str, Figure]:
        """All figures."""
        return {figure.name: figure for figure in (*self.knows, *self.same)}


def make(
    found: Verification,
    asked: Asked,
    stored: NDArray[np.float32],
    commands: list[tuple[str, str]],
    seconds: dict[str, float],
) -> Report:
    """The report; `stored` are the embeddings in the file that `penult embed` wrote, float32 [n, d]."""
    texts, trained, untrained = asked.texts, asked.trained, asked.untrained
    alike, unlike = demo_figures.extreme_pairs(texts, trained.scores)
    return Report(
        answer=demo_words.answer(found),
        what_if=demo_words.what_if(found.effect),
        proof=found.manifest.proof,
        sites=len(asked.answers.dropout.sites),
        knows=demo_figures.knows(texts, asked.answers, trained, untrained),
        same=[*demo_figures.same(asked.answers, stored), demo_figures.speed(asked.texts_per_second)],
        clusters=demo_figures.clusters(texts, trained.kmeans),
        clusters_before=demo_figures.clusters(texts, untrained.kmeans),
        found=demo_figures.clusters(texts, trained.hdbscan),
        near=demo_figures.near_texts(texts, trained, untrained),
        alike=alike,
        unlike=unlike,
        provenance=demo_words.provenance(found, trained, untrained),
        commands=commands,
        seconds=dict(seconds),
    )


def markdown(report: Report) -> str:
    """The text of report.md."""
    lines = [
        "# Before or after the dropout?",
        "",
        f"*{demo_words.QUESTION}* {demo_words.ASKED}",
        "",
        " ".join(report.answer),
        "",
        "![The maps of the embeddings, trained and before training](map.png)",
        "",
        *section("If the dropout were on", _what_if(report)),
        *section("The proof", _proof(report)),
        *section("What the embedding in front of the dropout knows", _knows(report)),
        *section("The same, however it is asked", _same(report)),
        *section("Clusters by k-means", _clusters(report.clusters)),
        *section("Clusters by HDBSCAN, which is not told how many", _clusters(report.found)),
        *section("Near texts: the first of each genre", _near(report)),
        *section("The most alike", _pairs(report.alike)),
        *section("The least alike", _pairs(report.unlike)),
        *section("Where it comes from", [f"- {name}: {what}" for name, what in report.provenance]),
        *section("Texts and weights", [f"- {name}: {what}" for name, what in demo_words.SOURCES]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _table(*rows: Sequence[str]) -> list[str]:
    head, *rest = [[_cell(cell) for cell in row] for row in rows]
    return table(head, rest)


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " <br> ")


def _what_if(report: Report) -> list[str]:
    rows = [(line.name, line.off, line.on, line.theory) for line in report.what_if]
    return _table(("", "dropout off", "dropout on", "theory"), *rows) if rows else []


def _proof(report: Report) -> list[str]:
    verdict = "proven to play no part" if report.proof.proven else "NOT proven to play no part"
    rows = [
        (number(f.value), "0" if f.limit == 0 else f"{f.limit:g}", f.meaning) for f in report.proof.figures
    ]
    return [
        f"Dropout is {verdict} in what is served ({report.sites} found by the server). By experiment:",
        "",
        *_table(("found", "accepted", "what"), *rows),
        "",
        "By structure:",
        "",
        *(f"- {finding}" for finding in report.proof.findings),
    ]


def _knows(report: Report) -> list[str]:
    rows = [(f.name, f.value, f.before, f.meaning + f.warning) for f in report.knows]
    return _table(("figure", "trained", "before training", "what it means"), *rows)


def _same(report: Report) -> list[str]:
    return _table(("figure", "value", "what it means"), *((f.name, f.value, f.meaning) for f in report.same))


def _clusters(clusters: Sequence[Cluster]) -> list[str]:
    rows = [
        (
            f"{c.size:,}",
            ", ".join(f"{name} {count}" for name, count in c.genres),
            ", ".join(c.keywords),
            "\n".join(e.text for e in c.examples),
        )
        for c in clusters
    ]
    return _table(("sentences", "of which", "keywords", "nearest to its centre"), *rows)


def _near(report: Report) -> list[str]:
    rows = [
        (
            f"{near.text.genre}: {near.text.text}",
            *("\n".join(map(_scored, of)) for of in (near.trained, near.untrained)),
        )
        for near in report.near
    ]
    return _table(("text", "nearest, trained", "nearest, before training"), *rows)


def _scored(text: demo_figures.Text) -> str:
    return f"{text.score:.3f} {text.genre}: {text.text}"


def _pairs(pairs: Sequence[Pair]) -> list[str]:
    rows = [
        (f"{pair.score:.4f}", f"{pair.one.genre}, {pair.other.genre}", f"{pair.one.text}\n{pair.other.text}")
        for pair in pairs
    ]
    return _table(("cosine", "genres", "texts"), *rows)


def say(report: Report) -> None:
    """Print the answer, the pairs and the figures."""
    print()
    for line in report.answer:
        print(textwrap.fill(line, WIDTH, initial_indent="  ", subsequent_indent="  "))
    for title, pairs in (("most alike", report.alike), ("least alike", report.unlike)):
        print(f"\n  {title}")
        for pair in pairs[:3]:
            print(f"  {pair.score:7.4f}  {pair.one.genre}: {_short(pair.one.text)}")
            print(f"           {pair.other.genre}: {_short(pair.other.text)}")
    print(f"\n  {'':<24}{'trained':>9}{'before':>9}")
    for figure in (*report.knows, *report.same):
        start = f"  {figure.name:<24}{figure.value:>9}{figure.before:>9}  "
        meaning = figure.meaning + figure.warning
        print(textwrap.fill(meaning, WIDTH + 20, initial_indent=start, subsequent_indent=" " * len(start)))


def say_where(out: Path, model: Path, commands: Sequence[tuple[str, str]], seconds: dict[str, float]) -> None:
    """Print where things are, what each part took, and what to try next."""
    took = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
    places = {
        out / "report.html": "start here: the answer, the proof, the maps, clusters, near texts",
        out / "report.md": "the same figures as text",
        out / "map.png": "the maps, trained and before training",
        out
        / "embeddings.parquet": "the held-out sentences with embedding, probabilities and predicted genre",
        out / "verify.json": "the proof, for machines",
        model / "1": "the trained model: a SavedModel, as model.save writes it",
    }
    print(f"\nSeconds: {took}; together {sum(seconds.values()):.1f}\n")
    for place, what in places.items():
        print(f"  {place!s:<30}{what}")
    print("\nTo try next:")
    for command, _ in commands:
        print(f"  {command}")


def _short(text: str) -> str:
    return text if len(text) <= 90 else text[:87] + "..."
