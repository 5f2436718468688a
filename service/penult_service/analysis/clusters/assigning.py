"""Stored clusters of new rows, which change nothing of what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.calls import Assign
from penult_service.analysis.maps import placing_kernels as kernels
from penult_service.analysis.nearby import NEIGHBORS, Nearby, by_rows, float32, nearby
from penult_service.analysis.progress import silently, tell
from penult_service.analysis.results import AssignResult
from penult_service.analysis.search.rough import fixed
from penult_service.analysis.search.sieve import nearest

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Assigned:
    """Clusters of n new rows.

    `labels` int32 [n], -1 for none; `distances` float32 [n] to the nearest fitted row, 1 for an all-zero row under
    cosine; `shares` float32 [n], how much speaks for the label; `far` bool [n]; `near` what was found nearest to them.
    """

    labels: Labels
    distances: Floats
    shares: Floats
    far: NDArray[np.bool_]
    near: Nearby


def assign(call: Assign, arrays: Mapping[str, NDArray[Any]]) -> AssignResult:
    """Stored clusters of finite rows float32 [n, d], n at least 1; `arrays` as `Assign` says.

    The label of a row depends on the row and the clusters alone (`assigned`). Tells its stages (`progress`): rows;
    neighbours; clusters.
    """
    tell("rows")
    labels = np.asarray(arrays["stored_labels"])[np.asarray(arrays["fitted_first"])]
    centres = arrays.get("centres")
    found = assigned(
        arrays["source"], arrays["fitted_rows"], labels, call.metric, call.far_distance,
        None if centres is None or not len(centres) else (centres, arrays["centre_labels"]),
    )  # fmt: skip
    return AssignResult(
        labels=found.labels,
        distances=found.distances,
        shares=found.shares,
        far_rows=np.flatnonzero(found.far).astype(np.int32),
        far_distance=call.far_distance,
        zero_rows=found.near.zero,
        used={
            "method": call.method,
            "metric": call.metric,
            "assigned_by": "neighbors" if centres is None or not len(centres) else "centres",
            "n_neighbors": min(NEIGHBORS, len(labels)),
        },
    )


def assigned(
    source: NDArray[Any],
    fitted_rows: Floats,
    labels: Labels,
    metric: str,
    far_distance: float | None = None,
    centres: tuple[NDArray[Any], Labels] | None = None,
) -> Assigned:
    """The clusters of new rows.

    A fitted row has its own label. A row farther from all fitted rows than `far_distance`, and an all-zero one under
    cosine, has none. Others have that of the nearest centre where there are centres (k-means), equal distances by
    label; else the one with most weight among the 15 nearest fitted rows (`Nearby.weights`), equal weights by label.

    Args:
        source: New rows float32 [n, d], finite.
        fitted_rows: float32 [m, d], distinct, as `fitting.for_later` keeps them; m at least 1.
        labels: Theirs, int32 [m], -1 for noise.
        metric: A distance.
        far_distance: None: nothing is far.
        centres: float32 [k, d] and their labels int32 [k].
    """
    near = nearby(source, fitted_rows, NEIGHBORS, metric)
    tell("clusters")
    labels = np.ascontiguousarray(labels, dtype=np.int32)
    weights = near.weights()
    voted, shares = np.empty(len(near.rows), dtype=np.int32), np.empty(len(near.rows))
    chosen = (
        np.full(len(near.rows), -1, dtype=np.int32) if centres is None else _nearest_centre(near, *centres)
    )

    def vote(at: slice) -> None:
        ones: list[NDArray[Any]] = [near.rows[at], weights[at], chosen[at]]
        kernels.vote(fixed(labels), *map(fixed, ones), centres is None, voted[at], shares[at])

    by_rows(vote, len(voted))
    own, far = near.same >= 0, near.far(far_distance)
    voted[own], shares[own] = labels[near.same[own]], 1.0
    voted[far], shares[far] = -1, 0.0
    return Assigned(
        labels=near.of_all(voted, -1),
        distances=near.of_all(float32(near.distances[:, 0]), 1),
        shares=near.of_all(shares.astype(np.float32), 0),
        far=near.of_all(far, False),
        near=near,
    )


def _nearest_centre(near: Nearby, centres: NDArray[Any], labels: Labels) -> Labels:
    """The label of the nearest centre, as `KMeans.predict` finds it, in float64."""
    order = np.argsort(labels, kind="stable")
    with silently():
        _, rows = nearest(near.lines, np.ascontiguousarray(centres[order], dtype=np.float32), 1, "euclidean")
    return np.asarray(labels[order][rows[:, 0]], dtype=np.int32)
