"""Stored clusters that take in new rows: each goes to the cluster it belongs to, and new groups become new clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.calls import Cluster, Grow
from penult_service.analysis.clusters.assigning import assigned
from penult_service.analysis.clusters.editing import Stored, edit, result_of
from penult_service.analysis.clusters.methods import hdbscan
from penult_service.analysis.clusters.reduction import reduce
from penult_service.analysis.fitting import Fitting, far_distance, fitting
from penult_service.analysis.nearby import Nearby
from penult_service.analysis.progress import silently, tell, told_as
from penult_service.analysis.results import GrowResult
from penult_service.analysis.rows import distinct
from penult_service.analysis.search.neighbours import graph
from penult_service.analysis.search.sieve import SEARCHING
from penult_service.errors import InvalidInput

__all__ = ["edit", "grow"]

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]
Arrays = Mapping[str, NDArray[Any]]

BACKDROP = 5_000
"""Old rows, beside those near new ones, that groups of new rows are looked for among; drawn evenly."""
# How many rows of a new group may be old, at most, and of as many as chance would put there.
_OLD, _OF_EXPECTED = 0.2, 0.4
_CHANCE = 0.01  # of so few old rows in a group, by chance, that is taken for none


@dataclass(frozen=True, eq=False)
class _Fresh:
    """New rows that are none of the old ones, each distinct one once.

    `rows` float32 [f, d]; `first` int32 [f] where each appears first among the s new rows; `inverse` int32 [s], -1 for
    those that are old, or have no direction; `equal` int32 [s] the old row that each is, -1 for none; `near` int32, the
    old rows that are near to any.
    """

    rows: Floats
    first: NDArray[np.int32]
    inverse: NDArray[np.int32]
    equal: NDArray[np.int32]
    near: NDArray[np.int32]

    @property
    def counts(self) -> NDArray[np.int64]:
        """How often each appears, int64 [f]."""
        return np.bincount(self.inverse[self.inverse >= 0], minlength=len(self.rows))

    @property
    def places(self) -> NDArray[np.intp]:
        """Where each appears first among the new rows that are neither old nor without direction, [f]."""
        return np.unique(self.inverse[self.inverse >= 0], return_index=True)[1]


def grow(call: Grow, arrays: Arrays) -> GrowResult:
    """Clusters of n old rows with s new ones, float32 [s, d], taken in; `arrays` as `Grow` says.

    A new row gets the label that `Assign` gives it. Where a dense group (HDBSCAN on a UMAP of the new rows with old
    ones around them) is of new rows, it is a new cluster: at most a fifth of its rows are old, 0.4 times as many as by
    their share of all, and so few are there by chance once in 100 (binomial) at most; or most of its new rows had no
    label. New labels begin at `next_label`, the largest cluster first. Old rows keep their labels, and rows that are
    equal to old ones have those. Tells its stages (`progress`): rows; assigning; those of a reduction; new clusters;
    quality.

    Raises:
        InvalidInput: the clustering has no rows to compare with (TOO_FEW_ROWS).
    """
    tell("rows")
    old = Stored.of(arrays)
    if not len(old.rows):
        raise InvalidInput(
            "the clustering has no row with a direction that new ones could be compared with; cluster all rows anew",
            reason="TOO_FEW_ROWS",
            field="clustering",
        )
    source = np.ascontiguousarray(arrays["source"], dtype=np.float32)
    with told_as("assigning", SEARCHING):
        found = assigned(source, old.rows, old.labels, call.metric, call.far_distance, old.centres)
    labels = found.labels.copy()
    fresh = _fresh(found.near)
    new_labels = np.empty(0, dtype=np.int32)
    used: dict[str, Any] = {"reduction": "none", "backdrop_rows": 0}
    if fresh.counts.sum() >= call.min_cluster_size:
        groups, used = _groups(call, old, fresh, labels)
        new_labels = (call.next_label + np.arange(int(groups.max(initial=-1)) + 1)).astype(np.int32)
        inside = fresh.inverse >= 0
        group = groups[fresh.inverse[inside]]
        labels[inside] = np.where(group >= 0, call.next_label + group, labels[inside])
    now = _with(old, labels, fresh)
    result = result_of(old, now, call.metric, new_labels)
    names = ("method", "metric", "min_cluster_size", "min_samples", "seed")
    return replace(
        result,
        far_distance=_far(now.rows, call.metric),
        unassigned=int(np.count_nonzero(labels < 0)),
        used={**{name: getattr(call, name) for name in names}, **used},
    )


def _fresh(near: Nearby) -> _Fresh:
    new = near.same < 0
    found = distinct(near.lines[new])
    numbers = near.kept[new]
    equal = near.of_all(near.same, -1)
    inverse = np.full(len(equal), -1, dtype=np.int32)
    inverse[numbers] = found.inverse
    return _Fresh(found.rows, numbers[found.first], inverse, equal, np.unique(near.rows[new]))


def _groups(
    call: Grow, old: Stored, fresh: _Fresh, labels: Labels
) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """The new cluster of each fresh row, numbered from the largest (0), -1 for none; and what was used."""
    even = np.linspace(0, len(old.rows) - 1, min(BACKDROP, len(old.rows))).astype(np.int32)
    backdrop = np.union1d(fresh.near, even)
    rows = np.concatenate([old.rows[backdrop], fresh.rows[fresh.inverse[fresh.inverse >= 0]]])
    together = _together(rows, call.metric)
    reduced = reduce(Cluster("hdbscan", metric=call.metric, seed=call.seed), together, {})
    tell("new clusters")
    space, samples = reduced.rows[together.inverse], min(call.min_samples, len(rows))
    # Of few old rows no group is left beside one of new ones.
    few = len(backdrop) < call.min_cluster_size
    dense = hdbscan(space, call.min_cluster_size, samples, reduced.metric, single=few)
    dense = dense[together.first][together.inverse]
    # Of the backdrop, and of each fresh row where it is first.
    among, groups = dense[: len(backdrop)], dense[len(backdrop) :][fresh.places]
    unlabelled, counts = labels[fresh.first] < 0, fresh.counts
    share = len(old.rows) / (len(old.rows) + len(fresh.rows))
    sizes: dict[int, int] = {}
    for group in range(int(groups.max(initial=-1)) + 1):
        members = np.flatnonzero(groups == group)
        size = int(counts[members].sum())
        if size < call.min_cluster_size:
            continue
        if _is_new(int(np.count_nonzero(among == group)), len(members), share, unlabelled[members].mean()):
            sizes[group] = size
    order = sorted(sizes, key=lambda group: (-sizes[group], int(np.flatnonzero(groups == group)[0])))
    rank = np.full(int(groups.max(initial=-1)) + 2, -1, dtype=np.int64)  # the last for those in none
    rank[order] = np.arange(len(order))
    return rank[groups], {**reduced.used, "backdrop_rows": len(backdrop)}


def _is_new(old: int, new: int, share: float, lost: float) -> bool:
    """Whether a group of so many old and new rows is a new one, where `share` of all rows are old and `lost` of the
    group's new rows have no label."""
    from scipy.stats import binom

    together = old + new
    if old > together * min(_OLD, _OF_EXPECTED * share):
        return False
    return lost > 0.5 or bool(binom.cdf(old, together, share) <= _CHANCE)


def _with(old: Stored, labels: Labels, fresh: _Fresh) -> Stored:
    """All rows, the old ones first."""
    count, inverse = len(old.all_labels), old.inverse
    if inverse is not None:
        new = np.where(fresh.inverse >= 0, fresh.inverse + np.int32(len(old.rows)), fresh.equal)
        inverse = np.concatenate([inverse, new]).astype(np.int32)
    return Stored(
        rows=np.concatenate([old.rows, fresh.rows]),
        first=np.concatenate([old.first, fresh.first + np.int32(count)]).astype(np.int32),
        all_labels=np.concatenate([old.all_labels, labels]).astype(np.int32),
        inverse=inverse,
        centres=None,
    )


def _together(rows: Floats, metric: str) -> Fitting:
    """What is fitted of rows that are of unit length already under cosine."""
    if metric != "cosine":
        return fitting(rows, metric)
    found = distinct(rows)
    return Fitting(found.rows, found.inverse, np.arange(len(rows), dtype=np.int32), np.empty(0, np.int32))


def _far(rows: Floats, metric: str) -> float | None:
    """The far distance of distinct rows."""
    together = _together(rows, metric)
    if len(together.rows) < 3:
        return None
    with silently():
        far = far_distance(graph(together.rows, 2, metric)[1])
    return None if far is None else float(np.ldexp(far, together.exponent))
