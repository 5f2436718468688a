"""New rows in stored clusters: equality, and whether they come to where their class is."""

from __future__ import annotations

from typing import Any

import numpy as np
from bench_data import table, texts_of
from numpy.typing import NDArray
from penult_service.analysis.calls import Assign, Cluster
from penult_service.analysis.nearby import nearby
from penult_service.analysis.results import AssignResult, ClusterResult
from penult_service.analysis.run import run as analyse
from sklearn.metrics import adjusted_rand_score, v_measure_score

_ONE = 40


def told(quick: bool) -> str:
    """Markdown: clusters of Banking77's training rows, by two methods, and its test rows in them."""
    train, test = texts_of("banking77_train"), texts_of("banking77_test")
    other = texts_of("sms_spam").vectors
    step = 5 if quick else 1
    rows, new = train.vectors[::step], test.vectors[::step]
    equal, found = [], []
    for way, call in {
        "hdbscan on 5-D UMAP": Cluster(keep=True),
        "hdbscan, noise to the nearest": Cluster("hdbscan", noise="nearest", keep=True),
        "k-means 77 on the rows": Cluster("kmeans", n_clusters=77, keep=True),
        "k-means 77 on 5-D UMAP": Cluster(n_clusters=77, keep=True),
    }.items():
        clustering: ClusterResult = analyse(call, {"source": rows})  # type: ignore[assignment]
        arrays, far = _stored(clustering), clustering.far_distance
        equal.append([way, *_equal(arrays, far, rows, new)])
        found.append([way, *_agreement(arrays, far, train.labels[::step], new, test.labels[::step], other)])
    return (
        "Rows whose label differs: fitted rows from their own; new ones alone, shuffled, sent twice, from those in one"
        " call\n\n"
        + table(["clusters", "fitted rows", "alone", "shuffled", "twice"], equal)
        + "\n\nNew rows (Banking77 test) in clusters of old ones (train). Right: in a cluster whose largest class is"
        " theirs. Far: of its own test rows, and of SMS texts\n\n"
        + table(
            ["clusters", "noise, fitted / new", "right, of those assigned (nearest row's cluster)", "right, of all",
             "adjusted Rand, fitted / new", "V-measure, fitted / new", "far, own / other"], found,
        )
    )  # fmt: skip


def _stored(clustering: ClusterResult) -> dict[str, NDArray[Any]]:
    """What is kept of a clustering, as `Assign` takes it."""
    arrays = {
        "fitted_rows": clustering.fitted_rows,
        "fitted_first": clustering.fitted_first,
        "stored_labels": clustering.labels,
    }
    if len(clustering.centres):
        arrays |= {
            "centres": clustering.centres,
            "centre_labels": np.arange(len(clustering.centres), dtype=np.int32),
        }
    return arrays


def _labels(arrays: dict[str, Any], far: float | None, rows: NDArray[np.float32]) -> AssignResult:
    return analyse(Assign(far_distance=far), {**arrays, "source": rows})  # type: ignore[return-value]


def _equal(
    arrays: dict[str, Any], far: float | None, rows: NDArray[np.float32], new: NDArray[np.float32]
) -> list[str]:
    whole = _labels(arrays, far, new).labels
    order = np.random.default_rng(0).permutation(len(new))
    alone = np.concatenate([_labels(arrays, far, new[at : at + 1]).labels for at in range(_ONE)])
    twice = _labels(arrays, far, np.concatenate([new, new])).labels
    return [
        f"{(_labels(arrays, far, rows).labels != arrays['stored_labels']).sum()} of {len(rows)}",
        f"{(alone != whole[:_ONE]).sum()} of {_ONE}",
        f"{(_labels(arrays, far, new[order]).labels != whole[order]).sum()} of {len(new)}",
        f"{(twice != np.concatenate([whole, whole])).sum()} of {2 * len(new)}",
    ]


def _agreement(
    arrays: dict[str, Any], far: float | None, labels: NDArray[Any], new: NDArray[np.float32],
    truth: NDArray[Any], other: NDArray[np.float32],
) -> list[str]:  # fmt: skip
    stored, found = arrays["stored_labels"], _labels(arrays, far, new)
    largest = {}
    for name in np.unique(stored[stored >= 0]):
        classes, counts = np.unique(labels[stored == name], return_counts=True)
        largest[name] = classes[counts.argmax()]

    def right(names: NDArray[np.int32]) -> NDArray[np.bool_]:
        return np.array([largest.get(name) == one for name, one in zip(names, truth, strict=True)])

    inside = found.labels >= 0
    nearest = stored[arrays["fitted_first"]][nearby(new, arrays["fitted_rows"], 1, "cosine").nearest]
    return [
        f"{(stored < 0).mean():.3f} / {(~inside).mean():.3f}",
        f"{right(found.labels)[inside].mean():.3f} ({right(nearest)[nearest >= 0].mean():.3f})",
        f"{right(found.labels).mean():.3f}",
        f"{adjusted_rand_score(labels, stored):.3f} / {adjusted_rand_score(truth, found.labels):.3f}",
        f"{v_measure_score(labels, stored):.3f} / {v_measure_score(truth, found.labels):.3f}",
        f"{len(found.far_rows) / len(new):.2%} / {len(_labels(arrays, far, other).far_rows) / len(other):.2%}",
    ]
