"""What the demo asks the server, the figures made from its answers, and the report of them."""

from __future__ import annotations

import csv
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from penult_client import Client, DropoutReport, Embeddings
from penult_service.cli.verification import answer, number
from penult_service.preparing.report import Verification

PAIRS, NEIGHBOURS = 5, 10
WIDTH = 100
ALONE, SOME = 50, 100
# What all-MiniLM-L6-v2 leaves far behind; lower means that something is wrong (or other weights were named).
EXPECTED_ACCURACY, EXPECTED_PURITY = 0.85, 0.80


@dataclass(frozen=True)
class Answers:
    """The held-out texts, and what the server answered about them.

    `repeats` is the largest difference between two equal calls; `alone` holds the embeddings of the first texts, each
    asked for in a call of its own; `scores` is float32 [n, n].
    """

    texts: list[str]
    genres: list[str]
    embeddings: Embeddings
    repeats: float
    alone: NDArray[np.float32]
    predicted: NDArray[np.float32]
    scores: NDArray[np.float32]
    dropout: DropoutReport
    texts_per_second: float


@dataclass(frozen=True)
class Figure:
    """A figure and what it means, in a sentence."""

    name: str
    value: str
    meaning: str
    warning: str = ""


def ask(client: Client, held_out: Path) -> Answers:
    """Ask a server about the held-out texts."""
    with held_out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = [row["text"] for row in rows]
    begun = time.monotonic()
    embeddings = client.embed(texts, model="genre", probabilities=True, progress=True)
    seconds = time.monotonic() - begun
    twice = [client.embed(texts[:SOME], model="genre").vectors for _ in range(2)]
    alone = np.concatenate([client.embed([text], model="genre").vectors for text in texts[:ALONE]])
    (predicted,) = client.predict(texts[:SOME], model="genre").outputs.values()
    scores = client.similarity(embeddings).scores
    dropout = client.inspect_dropout("genre")
    genres = [row["genre"] for row in rows]
    repeats = _apart(*twice)
    return Answers(
        texts, genres, embeddings, repeats, alone, predicted, scores, dropout, len(texts) / seconds
    )


def figures(answers: Answers, table: Path) -> list[Figure]:
    """The figures; `table` is what `penult embed` wrote of the same texts."""
    e = answers.embeddings
    assert e.probabilities is not None  # they were asked for
    guessed = [e.labels[i] for i in e.probabilities.argmax(axis=1)]
    accuracy = float(np.mean([a == b for a, b in zip(guessed, answers.genres, strict=True)]))
    pure = purity(answers.scores, answers.genres)
    return [
        Figure(
            "accuracy",
            f"{accuracy:.3f}",
            f"share of the {len(answers.texts):,} held-out sentences whose genre is recognised (chance 0.25)",
            _below(accuracy, EXPECTED_ACCURACY),
        ),
        Figure(
            "neighbour purity",
            f"{pure:.3f}",
            f"share of a sentence's {NEIGHBOURS} nearest (cosine) that are of its genre: what the embedding in front "
            "of the dropout knows (chance 0.25)",
            _below(pure, EXPECTED_PURITY),
        ),
        *(
            Figure(name, number(value), f"largest difference {what}")
            for name, value, what in _differences(answers, table)
        ),
        Figure(
            "texts per second",
            f"{answers.texts_per_second:.0f}",
            "embeddings and probabilities, over gRPC, one call",
        ),
    ]


def _differences(answers: Answers, table: Path) -> list[tuple[str, float, str]]:
    """Name, value, and between what."""
    e = answers.embeddings
    assert e.probabilities is not None
    stored = np.stack(pq.read_table(table).column("embedding").to_numpy())
    return [
        ("asked twice", answers.repeats, "between two equal calls; 0 is bitwise equal: no dropout"),
        (
            "alone or together",
            _apart(e.vectors[:ALONE], answers.alone),
            "of a text asked for alone and among others",
        ),
        (
            "head against model",
            _apart(e.probabilities[:SOME], answers.predicted),
            "between probabilities from the embedding and the model's own predict",
        ),
        (
            "file against client",
            _apart(stored, e.vectors),
            "between what penult embed wrote and what the client got",
        ),
    ]


def _apart(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.abs(a - b).max())


def purity(scores: NDArray[np.float32], genres: Sequence[str]) -> float:
    """Mean share of each row's nearest others that have its genre; scores float32 [n, n], larger is nearer."""
    names = np.asarray(genres)
    others = scores.copy()
    np.fill_diagonal(others, -np.inf)
    nearest = np.argsort(-others, axis=1, kind="stable")[:, :NEIGHBOURS]
    return float((names[nearest] == names[:, None]).mean())


def extreme_pairs(scores: NDArray[np.float32]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The most and the least alike pairs of rows, most extreme first."""
    first, second = np.triu_indices(len(scores), k=1)
    order = np.argsort(-scores[first, second], kind="stable")
    near, far = order[:PAIRS], order[::-1][:PAIRS]
    return [(int(first[i]), int(second[i])) for i in near], [(int(first[i]), int(second[i])) for i in far]


def markdown(answers: Answers, found: Sequence[Figure], verified: Verification) -> str:
    """The text of report.md."""
    e = answers.embeddings
    near, far = extreme_pairs(answers.scores)
    lines = [
        "# Genres of sentences, in front of the dropout",
        "",
        f"Answered over gRPC by `models/{e.model}/versions/{e.version}`: layer `{e.layer}`, "
        f"{e.vectors.shape[1]} numbers a text, {e.engine} {e.precision}, embedding space `{e.space}`.",
        "",
        "## Before or after the dropout?",
        "",
        *(line for paragraph in answer(verified.manifest, verified.effect) for line in (paragraph, "")),
        f"The server's own report: {len(answers.dropout.sites)} dropouts found, "
        f"{'proven to play no part' if answers.dropout.proven else 'NOT proven to play no part'} in what it serves. "
        "All figures of the proof: `verify.json`.",
        "",
        "## Figures",
        "",
        "| figure | value | what it means |",
        "| --- | --- | --- |",
        *(f"| {f.name} | {f.value} | {f.meaning}{f.warning} |" for f in found),
        "",
    ]
    for title, pairs in (("The most alike", near), ("The least alike", far)):
        lines += [f"## {title}", "", "| cosine | genres | texts |", "| --- | --- | --- |"]
        lines += [_pair_row(answers, a, b) for a, b in pairs]
        lines.append("")
    lines.append(
        "Texts: C. J. Hutto and E. Gilbert, VADER, ICWSM 2014. Weights: all-MiniLM-L6-v2, Apache-2.0."
    )
    return "\n".join(lines) + "\n"


def say_figures(answers: Answers, found: Sequence[Figure]) -> None:
    """Print the figures and the pairs."""
    near, far = extreme_pairs(answers.scores)
    for title, pairs in (("most alike", near), ("least alike", far)):
        print(f"\n  {title}")
        for a, b in pairs:
            print(f"  {answers.scores[a, b]:7.4f}  {answers.genres[a]}: {_short(answers.texts[a])}")
            print(f"           {answers.genres[b]}: {_short(answers.texts[b])}")
    print()
    for figure in found:
        start = f"  {figure.name:<20}{figure.value:>9}  "
        meaning = figure.meaning + figure.warning
        print(textwrap.fill(meaning, WIDTH, initial_indent=start, subsequent_indent=" " * len(start)))


def say_where(out: Path, penult: str, model: Path, data: Path, seconds: dict[str, float]) -> None:
    """Print where things are, what each part took, and what to try next."""
    took = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
    places = {
        out / "report.md": "the figures, with what each means",
        out
        / "embeddings.parquet": "the held-out sentences with embedding, probabilities and predicted genre",
        out / "verify.json": "the proof, for machines",
        model / "1": "the trained model: a SavedModel, as model.save writes it",
    }
    texts = '"A moving film." "The battery died." "A touching movie."'
    print(f"\nSeconds: {took}; together {sum(seconds.values()):.1f}\n")
    for place, what in places.items():
        print(f"  {place!s:<30}{what}")
    print("\nTo try next:")
    print(f"  {penult} similarity --file-a {out}/embeddings.parquet --top 10")
    print(f"  {penult} similarity {texts} --model {model}/1 --data {data}")
    print(f"  {penult} serve genre={model} --data {data}")


def _below(value: float, expected: float) -> str:
    return f" (expected: at least {expected:g})" if value < expected else ""


def _pair_row(answers: Answers, a: int, b: int) -> str:
    texts = " <br> ".join(answers.texts[i].replace("|", "\\|") for i in (a, b))
    return f"| {answers.scores[a, b]:.4f} | {answers.genres[a]}, {answers.genres[b]} | {texts} |"


def _short(text: str) -> str:
    return text if len(text) <= 90 else text[:87] + "..."
