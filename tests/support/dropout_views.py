"""A comparison with and without dropout to draw: made-up rows, their real cosines and neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from penult_service import masks
from penult_service.plots.dropout.dropout_view import Active, DropoutView, Effect, ProofFigure, Site, Spread

CLASSES = ("film", "news", "product", "tweet")
PASSES, NEIGHBOURS, RATE = 4, 15, 0.1


def spread(values: Any) -> Spread:
    """Numbers as a report tells them."""
    numbers = np.asarray(values, np.float64).ravel()
    counts, _ = np.histogram(numbers, 24)
    ends = float(numbers.min()), float(numbers.max())
    return Spread(float(numbers.mean()), float(numbers.std()), *ends, tuple(map(int, counts)))


def view(rows: int = 60, scopes: tuple[str, ...] = ("head", "all"), **more: Any) -> DropoutView:
    """A view of so many rows in four groups; `more` takes the place of its parts."""
    random = np.random.default_rng(rows)
    group = np.arange(rows) % 4
    centres = random.standard_normal((4, 64)) * 2
    clean = (centres[group] + random.standard_normal((rows, 64))).astype(np.float32)
    places = (np.array([[0, 0], [6, 1], [1, 7], [7, 8]])[group] + random.standard_normal((rows, 2))).astype(
        np.float32
    )
    settings: dict[str, Any] = {
        "title": "texts.csv",
        "answer": "Take them before. With dropout on, neighbours would change.",
        "inference": (
            ProofFigure("before_vs_after_dropout", "in front of the dropout against behind it", 0.0, 0.0),
            ProofFigure("repeats", "20 runs of one batch", 3e-7, 1e-5),
        ),
        "sites": (
            *(
                Site(f"encoder/block_{i}/dropout", "Dropout", 0.1, "before_embedding", sampled=True)
                for i in (0, 1)
            ),
            Site("dropout", "Dropout", RATE, "at_seam", (), sampled=True, read=True),
            Site("noise", "SpatialDropout1D", None, "in_head", (0, 1)),
        ),
        "effects": tuple(effect(scope, clean, places, random) for scope in scopes),
        "texts": [f"text {row} of {CLASSES[g]}" for row, g in enumerate(group)],
        "numbers": range(rows),
        "reseeded": spread(random.uniform(0.7, 1.0, PASSES)),
        "passes": PASSES,
        "seed": 42,
        "neighbors": NEIGHBOURS,
        "n_clusters": 4,
        "row_labels": [CLASSES[g] for g in (group + (random.random(rows) < 0.1)) % 4],
        "label_name": "genre",
        "classes": CLASSES,
        "predicted": group.astype(np.int32),
        "coordinates": places,
        "facts": (("model", "fake@1"), ("digest", "0123abcd")),
        "command": "penult dropout model --texts texts.csv",
    }
    return DropoutView(**{**settings, **more})


def effect(
    scope: str, clean: NDArray[np.float32], places: NDArray[np.float32], random: np.random.Generator
) -> Effect:
    """What dropout of the rate does to the rows: once with `head`, thrice over with `all`."""
    rows, times = len(clean), 3 if scope == "all" else 1
    draws = []
    for number in range(PASSES):
        drawn = clean
        for site in range(times):
            keys, _ = masks.keys_of(1, np.full(rows, number), np.arange(rows))
            drawn = masks.dropped(drawn, keys, site, RATE)
        draws.append(drawn)
    near = nearest(clean)
    changed = np.stack([others(near, nearest(draw)) for draw in draws])
    known = scope == "head"
    flips = (random.random((PASSES, rows)) < np.where(np.arange(rows) % 7 == 0, 0.4, 0.0)).mean(axis=0)
    return Effect(
        scope=scope,
        active=tuple(Active(f"dropout {i}", "Dropout", RATE) for i in range(times)),
        cosine_to_clean=spread([cosine(clean, draw) for draw in draws]),
        cosine_between_draws=spread(cosine(draws[0], draws[1])),
        neighbors_changed=float(changed.mean()),
        nearest_kept=float(np.mean([nearest(draw)[:, 0] == near[:, 0] for draw in draws])),
        cluster_agreement=spread(random.uniform(0.5, 0.9, PASSES)),
        row_neighbors_changed=changed.mean(axis=0).astype(np.float32),
        expected_cosine_to_clean=float(np.sqrt(1 - RATE)) if known else None,
        expected_cosine_between_draws=1 - RATE if known else None,
        pair_rank_correlation=0.98765,
        predictions_flipped=float(flips.mean()),
        rows_flipped=int((flips > 0).sum()),
        row_flipped=flips.astype(np.float32),
        coordinates=(places + random.standard_normal(places.shape) * 0.3 * times).astype(np.float32),
    )


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Row against row, float64 [n]."""
    return np.asarray((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1), np.float64)


def nearest(rows: NDArray[np.float32]) -> NDArray[np.intp]:
    """The nearest rows of each, nearest first, int [n, k]."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    scores = unit @ unit.T
    np.fill_diagonal(scores, -np.inf)
    return np.argsort(-scores, axis=1)[:, :NEIGHBOURS]


def others(a: NDArray[np.intp], b: NDArray[np.intp]) -> NDArray[np.int64]:
    """How many of a row's neighbours in `a` are not in `b`, int [n]."""
    return np.array([len(set(x) - set(y)) for x, y in zip(a, b, strict=True)])
