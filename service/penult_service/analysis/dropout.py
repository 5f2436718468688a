"""What active dropout does to rows: how far they turn, and what neighbours, clusters, classes and a map make of it.

The clean rows and the draws are given: who draws is not this room's business. Everything is by cosine, as neighbours
of embeddings usually are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from penult_service.analysis.calls import Cluster, CompareDropout, Project
from penult_service.analysis.clusters.clustering import labels_of
from penult_service.analysis.maps.projection import project
from penult_service.analysis.progress import counting, only, silently, tell
from penult_service.analysis.refusals import SEEDS
from penult_service.analysis.results import Adjustment, CompareDropoutResult, Distribution, DropoutEffect
from penult_service.analysis.rows import blocks
from penult_service.analysis.search.neighbours import graph

NEIGHBORS = 15
BINS = 40
PAIR_ROWS = 2_000  # rows whose pairs are ranked: of more, so many drawn evenly
_DECIMALS = 12  # of cosines and indices: what differs less is rounding

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int32]


def compare(call: CompareDropout, arrays: Mapping[str, NDArray[Any]]) -> CompareDropoutResult:
    """The figures of each scope; arrays as `CompareDropout` names them, n at least 2, finite.

    The same arrays and seed give the same bytes at any number of threads. More clusters than distinct rows are lowered,
    and told.

    Tells its stages (`progress`): neighbours (of the clean rows and of each pass), clusters (in runs of k-means), map,
    layout.
    """
    clean = np.ascontiguousarray(arrays["source"], dtype=np.float32)
    draws = {scope: arrays[f"draws_{scope}"] for scope in call.scopes}
    turned, adjustments = _turned(clean, draws)
    clustered = _clustered(call, clean, draws)
    flips = {
        scope: arrays[f"predicted_{scope}"] != arrays["predicted"][:, None]
        for scope in call.scopes
        if "predicted" in arrays
    }
    nothing: Floats = np.empty((0, len(clean)), np.float32)
    return CompareDropoutResult(
        effects=tuple(
            _effect(scope, turned[scope], clustered.agreement[scope], flips.get(scope)) for scope in draws
        ),
        cluster_agreement_reseeded=clustered.reseeded,
        neighbors=min(NEIGHBORS, len(clean) - 1),
        n_clusters=clustered.count,
        row_neighbors_changed=np.stack([found.changed.mean(axis=0) for found in turned.values()]).astype(
            np.float32
        ),
        row_flipped=np.stack([flip.mean(axis=1) for flip in flips.values()]).astype(np.float32)
        if flips
        else nothing,
        coordinates=_map(call, clean, draws) if call.map else np.empty((0, len(clean), 2), np.float32),
        adjustments=(*clustered.adjustments, *adjustments),
    )


def distribution(values: NDArray[Any]) -> Distribution:
    """At least one number, told by some, with `BINS` bins; what differs by rounding alone is one number."""
    values = np.round(np.asarray(values, dtype=np.float64).ravel(), _DECIMALS)
    low, high = float(values.min()), float(values.max())
    counts = np.histogram(values, BINS, (low, high))[0].tolist() if low < high else ()
    return Distribution(float(values.mean()), float(values.std()), low, high, tuple(counts))


@dataclass(frozen=True, eq=False)
class _Turned:
    """Of a scope's passes.

    Cosines float64 [passes, n] to the clean row and [passes - 1, n] to the pass before; how many neighbours changed,
    int [passes, n], and whether the nearest stayed, bool [passes, n]; rank correlations.
    """

    to_clean: Doubles
    between: Doubles
    changed: NDArray[np.intp]
    kept: NDArray[np.bool_]
    correlations: list[float]


def _turned(
    clean: Floats, draws: Mapping[str, NDArray[Any]]
) -> tuple[dict[str, _Turned], tuple[Adjustment, ...]]:
    passes = sum(drawn.shape[1] for drawn in draws.values())
    more = counting("neighbours", passes + 1)
    near, (chosen, adjustments) = _nearest(clean), _pair_rows(len(clean))
    ranks = _ranks(clean[chosen])
    more(1)
    found = {}
    for scope, drawn in draws.items():
        to_clean, between, changed, kept, correlations = [], [], [], [], []
        before: Floats | None = None
        for number in range(drawn.shape[1]):
            rows = np.ascontiguousarray(drawn[:, number], dtype=np.float32)
            others = _nearest(rows)
            to_clean.append(_cosines(clean, rows))
            if before is not None:
                between.append(_cosines(before, rows))
            same = (near[:, :, None] == others[:, None, :]).any(axis=2)
            changed.append(near.shape[1] - same.sum(axis=1))
            kept.append(near[:, 0] == others[:, 0])
            correlation = _correlation(ranks, _ranks(rows[chosen]))
            correlations += [] if correlation is None else [correlation]
            before = rows
            more(1)
        found[scope] = _Turned(
            np.stack(to_clean),
            np.stack(between) if between else np.empty((0, len(clean))),
            np.stack(changed),
            np.stack(kept),
            correlations,
        )
    return found, adjustments


def _nearest(rows: Floats) -> Ints:
    """The nearest others of each row, int32 [n, k], nearest first."""
    with silently():
        return graph(rows, min(NEIGHBORS, len(rows) - 1) + 1, "cosine")[0][:, 1:]


def _cosines(a: Floats, b: Floats) -> Doubles:
    """Of row i of a [n, d] with row i of b, float64 [n]; 0 with an all-zero row."""
    found = np.zeros(len(a))
    for block in blocks(len(a), 16 * a.shape[1]):
        x, y = (side[block].astype(np.float64) for side in (a, b))
        lengths = np.sqrt(np.einsum("ij,ij->i", x, x) * np.einsum("ij,ij->i", y, y))
        np.divide(np.einsum("ij,ij->i", x, y), lengths, out=found[block], where=lengths > 0)
    return np.clip(np.round(found, _DECIMALS), -1.0, 1.0)


def _pair_rows(rows: int) -> tuple[NDArray[np.intp], tuple[Adjustment, ...]]:
    """The rows whose pairs are ranked, and what is told when those are not all."""
    count = min(rows, PAIR_ROWS)
    chosen = np.arange(count) * rows // count
    if count == rows:
        return chosen, ()
    asked, used = (f"{number * (number - 1) // 2} pairs" for number in (rows, count))
    why = f"the rank correlation is of all pairs of {count} rows, drawn evenly"
    return chosen, (Adjustment("pair_rank_correlation", asked, used, why),)


def _ranks(rows: Floats) -> Doubles:
    """The cosines of all pairs of rows [m, d] as ranks less their mean, equal ones sharing theirs: [m (m - 1) / 2]."""
    from scipy.stats import rankdata

    unit = rows.astype(np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", unit, unit))[:, None]
    np.divide(unit, lengths, out=unit, where=lengths > 0)
    with threadpool_limits(1, user_api="blas"):
        cosines = np.round(unit @ unit.T, _DECIMALS)
    pairs = np.concatenate([cosines[i, i + 1 :] for i in range(len(rows) - 1)])
    return np.asarray(rankdata(pairs) - (len(pairs) + 1) / 2)


def _correlation(a: Doubles, b: Doubles) -> float | None:
    """Spearman's, of ranks; None where one side is all alike."""
    lengths = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
    return float(np.clip((a * b).sum() / lengths, -1.0, 1.0)) if lengths else None


@dataclass(frozen=True)
class _Clustered:
    count: int
    agreement: dict[str, Distribution]
    reseeded: Distribution
    adjustments: tuple[Adjustment, ...]


def _clustered(call: CompareDropout, clean: Floats, draws: Mapping[str, NDArray[Any]]) -> _Clustered:
    """k-means of everything: of the clean rows once more with as many other seeds as a scope has passes."""
    from sklearn.metrics import adjusted_rand_score

    others = max(drawn.shape[1] for drawn in draws.values())
    more = counting("clusters", 1 + others + sum(drawn.shape[1] for drawn in draws.values()))

    def labels(rows: NDArray[Any], seed: int = call.seed) -> tuple[Ints, tuple[Adjustment, ...]]:
        with silently():
            found = labels_of(Cluster("kmeans", call.n_clusters, seed=seed), rows)
        more(1)
        return found

    with threadpool_limits(1):
        first, adjustments = labels(clean)
        agreement = {
            scope: distribution(
                np.array([adjusted_rand_score(first, labels(drawn[:, i])[0]) for i in range(drawn.shape[1])])
            )
            for scope, drawn in draws.items()
        }
        seeds = ((call.seed + 1 + number) % SEEDS for number in range(others))
        reseeded = np.array([adjusted_rand_score(first, labels(clean, seed)[0]) for seed in seeds])
    count = len(np.unique(first[first >= 0]))
    return _Clustered(count, agreement, distribution(reseeded), adjustments)


def _map(call: CompareDropout, clean: Floats, draws: Mapping[str, NDArray[Any]]) -> Floats:
    """The clean rows and those of each scope's first pass on one map, float32 [1 + scopes, n, 2]."""
    tell("map")
    together = np.concatenate([clean, *(drawn[:, 0] for drawn in draws.values())])
    with only("layout"):
        places = project(Project(seed=call.seed), together).coordinates
    return places.reshape(1 + len(draws), len(clean), 2)


def _effect(
    scope: str, turned: _Turned, agreement: Distribution, flips: NDArray[np.bool_] | None
) -> DropoutEffect:
    return DropoutEffect(
        scope=scope,
        cosine_to_clean=distribution(turned.to_clean),
        cosine_between_draws=distribution(turned.between) if turned.between.size else None,
        neighbors_changed=float(turned.changed.mean()),
        nearest_kept=float(turned.kept.mean()),
        cluster_agreement=agreement,
        pair_rank_correlation=float(np.mean(turned.correlations)) if turned.correlations else None,
        predictions_flipped=None if flips is None else float(flips.mean()),
        rows_flipped=None if flips is None else int(flips.any(axis=1).sum()),
    )
