"""The demo's figures, made from what the server answered. Nothing here asks or writes anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from demo_ask import ALONE, SOME, Analyses, Answers, Texts, apart
from numpy.typing import NDArray
from penult_client import Clusters
from penult_service.analysis.clusters.cluster_quality import silhouettes
from penult_service.analysis.clusters.keywords import keywords
from penult_service.plots.words import number

PAIRS, EXAMPLES, CLUSTERS, KEYWORDS = 5, 3, 8, 6
# What all-MiniLM-L6-v2 leaves far behind; lower means that something is wrong (or other weights were named).
EXPECTED_ACCURACY, EXPECTED_PURITY = 0.85, 0.80


@dataclass(frozen=True)
class Figure:
    """A figure and what it means, in a sentence. `before` is the same before training, where that says something."""

    name: str
    value: str
    meaning: str
    before: str = ""
    warning: str = ""


@dataclass(frozen=True)
class Text:
    """A sentence and its genre; `score` is its cosine with another, where there is one."""

    text: str
    genre: str
    score: float = 1.0


@dataclass(frozen=True)
class Near:
    """A sentence, and those nearest to it by the embeddings of the trained and of the untrained model."""

    text: Text
    trained: list[Text]
    untrained: list[Text]


@dataclass(frozen=True)
class Pair:
    """Two sentences and their cosine."""

    score: float
    one: Text
    other: Text


@dataclass(frozen=True)
class Cluster:
    """Rows found to belong together: how many of each genre (most first), those nearest to the centre, and the words
    that tell them from the others."""

    size: int
    genres: list[tuple[str, int]]
    examples: list[Text]
    keywords: list[str]


def accuracy(answers: Answers, genres: Sequence[str]) -> float:
    """Share of the texts whose genre is the likeliest by the probabilities."""
    e = answers.embeddings
    assert e.probabilities is not None  # they were asked for
    return float(
        np.mean(
            [e.labels[i] == genre for i, genre in zip(e.probabilities.argmax(axis=1), genres, strict=True)]
        )
    )


def knows(texts: Texts, answers: Answers, trained: Analyses, untrained: Analyses) -> list[Figure]:
    """What the embeddings know of the genres, before and after the training."""
    right, chance = accuracy(answers, texts.genres), f"(chance {1 / len(texts.names):g})"
    return [
        Figure(
            "accuracy",
            _share(right),
            f"share of the {len(texts.texts):,} held-out sentences whose genre is recognised {chance}",
            warning=_below(right, EXPECTED_ACCURACY),
        ),
        *_neighbourhoods(trained, untrained, chance),
        *_silhouettes(texts, trained, untrained),
        *_clustered("k-means", trained.kmeans, untrained.kmeans),
        *_clustered("HDBSCAN", trained.hdbscan, untrained.hdbscan),
    ]


def _neighbourhoods(trained: Analyses, untrained: Analyses, chance: str) -> list[Figure]:
    one, two = trained.projection.quality, untrained.projection.quality
    near = f"share of a sentence's {one.neighbors} nearest that are of its genre"
    return [
        Figure(
            "neighbour purity",
            _share(one.label_purity_source),
            f"{near}, by cosine of the embeddings {chance}",
            _share(two.label_purity_source),
            _below(one.label_purity_source or 0.0, EXPECTED_PURITY),
        ),
        Figure(
            "purity on the map", _share(one.label_purity), f"{near}, on the map", _share(two.label_purity)
        ),
        Figure(
            "trustworthiness",
            _share(one.trustworthiness),
            f"whether the {one.neighbors} nearest on the map are near among the embeddings too; 1 is best",
            _share(two.trustworthiness),
        ),
    ]


def _silhouettes(texts: Texts, trained: Analyses, untrained: Analyses) -> list[Figure]:
    pair = (trained, untrained)
    rows = [silhouette(of.embeddings.vectors, texts.genres, "cosine") for of in pair]
    places = [silhouette(of.projection.coordinates, texts.genres, "euclidean") for of in pair]
    what = "how far the genres stand apart, -1 to 1"
    return [
        Figure("silhouette", _share(rows[0]), f"{what}, by cosine of the embeddings", _share(rows[1])),
        Figure("silhouette on the map", _share(places[0]), f"{what}, on the map", _share(places[1])),
    ]


def _clustered(name: str, one: Clusters, two: Clusters) -> list[Figure]:
    """How well clusters agree with the genres."""
    found = [f"{len(of.sizes)}" for of in (one, two)]
    figures = [
        Figure(
            f"{name}: purity",
            _share(one.quality.purity),
            "share of the sentences that are of the commonest genre of their cluster",
            _share(two.quality.purity),
        ),
        Figure(
            f"{name}: adjusted Rand",
            _share(one.quality.adjusted_rand),
            "agreement of clusters and genres; 0 is chance, 1 is equal",
            _share(two.quality.adjusted_rand),
        ),
    ]
    if one.used.get("method") == "hdbscan":
        least = one.used.get("min_cluster_size", "a few")
        noise = [f"{100 * of.quality.noise_share:.0f} %" for of in (one, two)]
        figures += [
            Figure(
                f"{name}: clusters",
                found[0],
                f"found, told only that one has {least} sentences at least",
                found[1],
            ),
            Figure(f"{name}: noise", noise[0], "sentences that it puts into no cluster", noise[1]),
        ]
    return figures


def silhouette(rows: NDArray[np.float32], labels: Sequence[str], metric: str) -> float | None:
    """Mean silhouette of the labels (Rousseeuw 1987)."""
    codes = np.unique(labels, return_inverse=True)[1].astype(np.int32)
    return silhouettes(rows, codes, metric).mean


def same(answers: Answers, stored: NDArray[np.float32]) -> list[Figure]:
    """Differences that should be none; `stored` is what `penult embed` wrote of the same texts, float32 [n, d]."""
    e = answers.embeddings
    assert e.probabilities is not None
    found = [
        ("asked twice", answers.repeats, "between two equal calls; 0 is bitwise equal: no dropout"),
        (
            "alone or together",
            apart(e.vectors[:ALONE], answers.alone),
            "of a text asked for alone and among others",
        ),
        (
            "head against model",
            apart(e.probabilities[:SOME], answers.predicted),
            "between probabilities from the embedding and the model's own predict",
        ),
        (
            "file against client",
            apart(stored, e.vectors),
            "between what penult embed wrote and what the client got",
        ),
    ]
    return [Figure(name, number(value), f"largest difference {what}") for name, value, what in found]


def speed(per_second: float) -> Figure:
    """How quickly the server embeds."""
    return Figure(
        "texts per second", f"{per_second:.0f}", "embeddings and probabilities, over gRPC, one call"
    )


def extreme_pairs(texts: Texts, scores: NDArray[np.float32]) -> tuple[list[Pair], list[Pair]]:
    """The most and the least alike sentences, most extreme first; scores float32 [n, n], larger is nearer."""
    first, second = np.triu_indices(len(scores), k=1)
    order = np.argsort(-scores[first, second], kind="stable")

    def pairs(chosen: NDArray[np.intp]) -> list[Pair]:
        found = [(int(first[i]), int(second[i])) for i in chosen]
        return [Pair(float(scores[a, b]), text_at(texts, a), text_at(texts, b)) for a, b in found]

    return pairs(order[:PAIRS]), pairs(order[::-1][:PAIRS])


def near_texts(texts: Texts, trained: Analyses, untrained: Analyses) -> list[Near]:
    """The first sentence of each genre, and those nearest to it."""

    def nearest(row: int, of: Analyses) -> list[Text]:
        found = zip(of.near.indices[row], of.near.scores[row], strict=True)
        return [text_at(texts, int(other), float(score)) for other, score in found]

    rows = [texts.genres.index(genre) for genre in texts.names]
    return [Near(text_at(texts, row), nearest(row, trained), nearest(row, untrained)) for row in rows]


def clusters(texts: Texts, found: Clusters) -> list[Cluster]:
    """The largest clusters."""
    genres = np.array(texts.genres)
    encoded = [text.encode() for text in texts.texts]
    ends = np.cumsum([len(each) for each in encoded], dtype=np.int64)
    told = keywords(
        np.frombuffer(b"".join(encoded), np.uint8), ends, found.labels, len(found.sizes), KEYWORDS
    )
    return [
        Cluster(
            size=int(size),
            genres=Counter(genres[found.labels == place].tolist()).most_common(),
            examples=[text_at(texts, int(row)) for row in found.nearest[place][:EXAMPLES]],
            keywords=[word for word, _ in told[place]],
        )
        for place, size in enumerate(found.sizes[:CLUSTERS])
    ]


def text_at(texts: Texts, row: int, score: float = 1.0) -> Text:
    """The sentence of a row."""
    return Text(texts.texts[row], texts.genres[row], score)


def _share(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _below(value: float, expected: float) -> str:
    return f" (expected: at least {expected:g})" if value < expected else ""
