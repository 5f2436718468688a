"""Stored clusters as they are after a change: merged or split by hand, or grown (`growing`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.calls import EditClusters
from penult_service.analysis.clusters.description import centres_of, exemplars, merges
from penult_service.analysis.clusters.methods import STARTS, kmeans
from penult_service.analysis.fitting import fitting
from penult_service.analysis.maps.projection import lowered
from penult_service.analysis.progress import tell
from penult_service.analysis.results import Adjustment, GrowResult
from penult_service.errors import InvalidInput

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int32]

_NAMED = 20  # labels that a refusal names


@dataclass(frozen=True, eq=False)
class Stored:
    """Rows in clusters.

    Attributes:
        rows: float32 [m, d], distinct ones, under cosine of unit length.
        first: int32 [m], where among all n each is first.
        all_labels: int32 [n], -1 for none.
        inverse: int32 [n], which distinct row each is, -1 for none of them; None: not known.
        centres: Of k-means its centres [k, d] and their labels; None of others.
    """

    rows: Floats
    first: Ints
    all_labels: Ints
    inverse: Ints | None
    centres: tuple[NDArray[Any], Ints] | None

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Stored:
        """What `calls.Grow` and `calls.EditClusters` are given."""
        labels, inverse = np.asarray(arrays["stored_labels"]), arrays.get("fitted_inverse")
        centres = arrays.get("centres")
        return cls(
            rows=np.ascontiguousarray(arrays["fitted_rows"], dtype=np.float32),
            first=np.asarray(arrays["fitted_first"]),
            all_labels=labels,
            inverse=inverse if inverse is not None and len(inverse) == len(labels) else None,
            centres=(centres, arrays["centre_labels"]) if centres is not None and len(centres) else None,
        )

    @property
    def labels(self) -> Ints:
        """Those of the distinct rows, int32 [m]."""
        return np.asarray(self.all_labels[self.first])

    def members(self, rows: Floats) -> tuple[Floats, Ints, Ints]:
        """All rows that are in clusters, with their labels and their numbers; `rows` [m, d] stand for the distinct
        ones."""
        if self.inverse is None:
            inside = np.flatnonzero(self.labels >= 0)
            return rows[inside], self.labels[inside], self.first[inside]
        inside = np.flatnonzero((self.inverse >= 0) & (self.all_labels >= 0))
        return rows[self.inverse[inside]], self.all_labels[inside], inside.astype(np.int32)


def edit(call: EditClusters, arrays: Mapping[str, NDArray[Any]]) -> GrowResult:
    """Clusters merged, or one split; `arrays` as `EditClusters` says. `far_distance` is not measured again: None.

    Merged ones have the label of the largest, of equal ones the least. A cluster is split by k-means in the space that
    it was found in, where that is given, else on its rows; its largest part keeps the label, and the others have new
    ones from `next_label` on, the larger first. Tells its stages (`progress`): rows; clusters; quality.

    Raises:
        InvalidInput: a label that no cluster has (UNKNOWN_LABEL), one distinct row to split (TOO_FEW_ROWS).
    """
    tell("rows")
    old = Stored.of(arrays)
    tell("clusters")
    told: tuple[Adjustment, ...] = ()
    if call.split is None:
        _known("merge.labels", call.merge, old)
        labels, new = _merged(call.merge, old), np.empty(0, np.int32)
    else:
        _known("split.label", (call.split,), old)
        labels, new, told = _split(call, call.split, old, arrays.get("reduced"))
    used: dict[str, Any] = {"metric": call.metric, "edit": "merge" if call.split is None else "split"}
    result = result_of(old, replace(old, all_labels=labels), call.metric, new)
    return replace(result, used=used, adjustments=told)


def result_of(old: Stored, now: Stored, metric: str, new_labels: Ints) -> GrowResult:
    """What is said of clusters after a change; the rows of `old` are the first of `now`. Tells the stage quality."""
    tell("quality")
    rows, exponent = (now.rows, 0) if metric == "cosine" else _scaled(now.rows, metric)
    lines, labels, numbers = now.members(rows)
    names, codes = np.unique(labels, return_inverse=True)
    centres = centres_of(lines, codes, len(names))
    shown = exemplars(lines, codes, centres, metric).of(numbers)
    gone = np.setdiff1d(old.all_labels[old.all_labels >= 0], names)
    return GrowResult(
        labels=now.all_labels,
        fitted_rows=now.rows,
        fitted_first=now.first,
        far_distance=None,
        cluster_labels=names.astype(np.int32),
        sizes=np.array([np.count_nonzero(now.all_labels == name) for name in names], dtype=np.int32),
        nearest=shown.nearest,
        border=shown.border,
        odd=shown.odd,
        drift=np.ldexp(_drift(old, rows[: len(old.rows)], names, centres, metric), exponent),
        new_labels=new_labels,
        gone_labels=gone.astype(np.int32),
        unassigned=0,
        used={},
        centres=np.ldexp(centres, exponent).astype(np.float32)
        if old.centres
        else np.empty((0, 0), np.float32),
        fitted_inverse=np.empty(0, np.int32) if now.inverse is None else now.inverse,
        merges=merges(centres, metric),
    )


def _merged(merge: tuple[int, ...], old: Stored) -> Ints:
    sizes = {label: int(np.count_nonzero(old.all_labels == label)) for label in merge}
    kept = min(sizes, key=lambda label: (-sizes[label], label))
    return np.where(np.isin(old.all_labels, merge), np.int32(kept), old.all_labels)


def _split(
    call: EditClusters, label: int, old: Stored, reduced: NDArray[Any] | None
) -> tuple[Ints, Ints, tuple[Adjustment, ...]]:
    """All labels, the new ones, and what was not used as asked."""
    inside = np.flatnonzero(old.labels == label)
    if len(inside) < 2:
        raise InvalidInput(
            f"all rows of cluster {label} are equal, so it has no parts; split another",
            reason="TOO_FEW_ROWS",
            field="split.label",
            metadata={"rows": str(len(inside)), "least": "2"},
        )
    why = f"cluster {label} has {len(inside)} distinct rows"
    count, told = lowered("n_clusters", call.n_clusters, len(inside), why)
    found_on = reduced if reduced is not None and len(reduced) == len(old.rows) else old.rows
    lines = np.ascontiguousarray(found_on[inside], dtype=np.float32)
    if found_on is old.rows and call.metric != "cosine":
        lines = _scaled(lines, call.metric)[0]
    inverse = old.inverse
    times = np.ones(len(old.rows), dtype=np.int64)
    if inverse is not None:
        times = np.bincount(inverse[inverse >= 0], minlength=len(old.rows))
    found = kmeans(lines, count, times[inside], call.seed, STARTS)
    parts, own = np.unique(found, return_inverse=True)
    sizes = np.bincount(own, times[inside], len(parts))
    firsts = [int(inside[own == part].min()) for part in range(len(parts))]
    order = sorted(range(len(parts)), key=lambda part: (-sizes[part], firsts[part]))
    new = (call.next_label + np.arange(len(parts) - 1)).astype(np.int32)
    names = np.empty(len(parts), dtype=np.int32)
    names[order] = np.concatenate([[label], new])
    if len(parts) < count:
        told = (*told, Adjustment("n_clusters", str(count), str(len(parts)), "the others came out empty"))
    of_distinct = old.labels.copy()
    of_distinct[inside] = names[own]
    labels = old.all_labels.copy()
    labels[old.first] = of_distinct
    if inverse is not None:
        labels[inverse >= 0] = of_distinct[inverse[inverse >= 0]]
    return labels, new, told


def _known(field: str, labels: tuple[int, ...], old: Stored) -> None:
    there = np.unique(old.all_labels[old.all_labels >= 0])
    unknown = [label for label in labels if label not in there]
    if unknown:
        named = ", ".join(map(str, there[:_NAMED])) + (" ..." if len(there) > _NAMED else "")
        raise InvalidInput(
            f"no cluster has the label {unknown[0]}; there are {named or 'none'}",
            reason="UNKNOWN_LABEL",
            field=field,
            metadata={"label": str(unknown[0])},
        )


def _scaled(rows: Floats, metric: str) -> tuple[Floats, int]:
    """Rows times a power of two, so that no distance is beyond float32, and minus its exponent."""
    found = fitting(rows, metric)
    return found.all_rows, found.exponent


def _drift(
    old: Stored, rows: Floats, names: NDArray[Any], centres: Doubles, metric: str
) -> NDArray[np.float64]:
    """How far each centre [k, d] is from where it was, under the metric; 0 for those that were not there."""
    lines, labels, _ = old.members(rows)
    before, codes = np.unique(labels, return_inverse=True)
    were = centres_of(lines, codes, len(before))
    drift = np.zeros(len(names))
    for number, name in enumerate(names):
        at = np.searchsorted(before, name)
        if at < len(before) and before[at] == name:
            drift[number] = _apart(were[at], centres[number], metric)
    return drift


def _apart(one: Doubles, other: Doubles, metric: str) -> float:
    if (one == other).all():
        return 0.0
    if metric == "cosine":
        lengths = float(np.sqrt((one @ one) * (other @ other)))
        return max(0.0, 1.0 - float(one @ other) / lengths) if lengths else 0.0
    return float(np.abs(one - other).sum() if metric == "manhattan" else np.sqrt(((one - other) ** 2).sum()))
