"""What the demo asks the server: embeddings, near texts, clusters and maps, of a model and of its untrained self."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from penult_client import Client, Clusters, DropoutReport, Embeddings, Neighbors, Projection

TRAINED, UNTRAINED = "genre", "genre-untrained"
NEAR, SEED = 3, 42
# HDBSCAN's default, rows / 200, finds topics; genres are larger.
FEWEST = 20
ALONE, SOME = 50, 100


@dataclass(frozen=True)
class Texts:
    """The held-out sentences and their genres, in the order of the file."""

    texts: list[str]
    genres: list[str]

    @property
    def names(self) -> list[str]:
        """The genres that there are."""
        return sorted(set(self.genres))


@dataclass(frozen=True)
class Answers:
    """What the server answered about the held-out texts.

    `repeats` is the largest difference between two equal calls; `alone` holds the embeddings of the first texts, each
    asked for in a call of its own.
    """

    embeddings: Embeddings
    repeats: float
    alone: NDArray[np.float32]
    predicted: NDArray[np.float32]
    dropout: DropoutReport


@dataclass(frozen=True)
class Analyses:
    """What the server found in the embeddings of one model; `scores` is float32 [n, n], cosines."""

    embeddings: Embeddings
    scores: NDArray[np.float32]
    near: Neighbors
    kmeans: Clusters
    hdbscan: Clusters
    projection: Projection


@dataclass(frozen=True)
class Asked:
    """All that the demo has asked. `texts_per_second` is what the server embeds when it does nothing else."""

    texts: Texts
    answers: Answers
    trained: Analyses
    untrained: Analyses
    texts_per_second: float


def read_texts(held_out: Path) -> Texts:
    """The rows of held_out.csv."""
    with held_out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return Texts([row["text"] for row in rows], [row["genre"] for row in rows])


def ask(client: Client, texts: list[str]) -> Answers:
    """Embed the texts, and ask again in the ways that must not make a difference."""
    embeddings = client.embed(texts, model=TRAINED, probabilities=True, progress=True)
    twice = [client.embed(texts[:SOME], model=TRAINED).vectors for _ in range(2)]
    (predicted,) = client.predict(texts[:SOME], model=TRAINED).outputs.values()
    return Answers(
        embeddings=embeddings,
        repeats=apart(*twice),
        alone=np.concatenate([client.embed([text], model=TRAINED).vectors for text in texts[:ALONE]]),
        predicted=predicted,
        dropout=client.inspect_dropout(TRAINED),
    )


def ask_untrained(client: Client, texts: list[str]) -> tuple[Embeddings, float]:
    """The embeddings before training, and texts a second."""
    begun = time.monotonic()
    embeddings = client.embed(texts, model=UNTRAINED, probabilities=True, progress=True)
    return embeddings, len(texts) / (time.monotonic() - begun)


def analyse(client: Client, embeddings: Embeddings, genres: list[str]) -> Analyses:
    """Cosines, near texts, clusters by two methods, and a map; each told with its seconds."""
    count, smallest = len(set(genres)), max(2, len(genres) // FEWEST)
    with _timed(embeddings, "cosines and near texts"):
        scores = client.similarity(embeddings).scores
        near = client.neighbors(embeddings, k=NEAR, exclude_self=True)
    with _timed(embeddings, f"{count} clusters by k-means"):
        kmeans = client.cluster(embeddings, "kmeans", n_clusters=count, seed=SEED, labels=genres)
    with _timed(embeddings, f"clusters of {smallest} at least by HDBSCAN"):
        hdbscan = client.cluster(embeddings, "hdbscan", min_cluster_size=smallest, seed=SEED, labels=genres)
    with _timed(embeddings, "map by UMAP"):
        projection = client.project(embeddings, "umap", seed=SEED, labels=genres)
    return Analyses(embeddings, scores, near, kmeans, hdbscan, projection)


def apart(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """The largest difference."""
    return float(np.abs(a - b).max())


@contextmanager
def _timed(embeddings: Embeddings, what: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    print(f"      {embeddings.model}: {what}: {time.monotonic() - begun:.1f} s", flush=True)
