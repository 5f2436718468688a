"""Whether a call can be done at all: said before anything is embedded or computed, in the words of the contract.

What merely does not suit the rows (more clusters than rows, more neighbours than there are) is no error: the analysis
uses less and says so (`results.Adjustment`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from penult_service.analysis.calls import (
    CLUSTER_METHODS,
    CLUSTER_METRICS,
    LARGER_IS_CLOSER,
    LINKAGES,
    METRICS,
    NOISE_MODES,
    PROJECT_METHODS,
    PROJECT_METRICS,
    REDUCTIONS,
    Call,
    Cluster,
    CompareDropout,
    Neighbors,
    Project,
    Shapes,
    Similarity,
    settled,
)
from penult_service.errors import InvalidInput

SEEDS = 1 << 32
LEAST_DROPOUT_ROWS, MOST_DROPOUT_ROWS = 3, 5_000
MOST_PASSES = 1_000
_DIMENSIONS = (2, 3)


def check(call: Call, shapes: Shapes) -> None:
    """That the parameters suit the method, the arrays and each other.

    Args:
        call: What is asked.
        shapes: Of its arrays: `a` and perhaps `b`; `queries` and perhaps `corpus`; `source` and perhaps `labels`; those
            of `CompareDropout`.

    Raises:
        InvalidInput: no rows (EMPTY_INPUT), too few or too many (TOO_FEW_ROWS, TOO_MANY_ROWS), rows of two widths
            (DIMENSION_MISMATCH), an unknown word (UNKNOWN_METRIC, UNKNOWN_METHOD ...), a number out of its range
            (OUT_OF_RANGE), what does not go together (WRONG_COMBINATION), labels that are not one a row
            (LABELS_MISMATCH). The field is the contract's.
    """
    if isinstance(call, CompareDropout):
        _compare_dropout(call, shapes)
        return
    for name, shape in shapes.items():
        if name != "labels":
            _rows(name, shape)
    match call:
        case Similarity():
            _similarity(call, shapes)
        case Neighbors():
            _neighbors(call, shapes)
        case Cluster():
            _cluster(settled(call), shapes)
        case Project():
            _project(call, shapes)


def _similarity(call: Similarity, shapes: Shapes) -> None:
    _word("metric", call.metric, METRICS)
    _one_width("a", "b", shapes)
    if not call.pairs:
        return
    if "b" not in shapes:
        raise _wrong("pairs", "pairs compares row i of a with row i of b, and there is no b; give one")
    a, b = shapes["a"][0], shapes["b"][0]
    if a != b:
        raise InvalidInput(
            f"pairs compares row i of a with row i of b, but a has {a} rows and b {b}; give as many of both",
            reason="ROWS_MISMATCH",
            field="b",
            metadata={"a": str(a), "b": str(b)},
        )


def _neighbors(call: Neighbors, shapes: Shapes) -> None:
    _word("metric", call.metric, METRICS)
    _one_width("queries", "corpus", shapes)
    _at_least("k", call.k, 1)
    if call.exclude_self and "corpus" in shapes:
        raise _wrong(
            "exclude_self",
            "exclude_self leaves row i out for query i, which means something without corpus only; leave one out",
        )
    if call.exclude_self and shapes["queries"][0] < 2:
        raise _too_few("queries", shapes["queries"][0], 2, "with exclude_self")
    if call.radius is None:
        return
    _finite("radius", call.radius)
    if call.metric not in LARGER_IS_CLOSER and call.radius < 0:
        raise _out_of_range("radius", call.radius, f"a distance ({call.metric}), so give 0 or more")


def _cluster(call: Cluster, shapes: Shapes) -> None:
    _word("method", call.method, CLUSTER_METHODS)
    _word("noise", call.noise, NOISE_MODES)
    _seed(call.seed)
    _labels(shapes)
    _cluster_metric(call)
    _only("hdbscan", call.method, min_cluster_size=call.min_cluster_size, min_samples=call.min_samples)
    _only("hdbscan", call.method, noise=None if call.noise == "keep" else call.noise)
    _only("agglomerative", call.method, linkage=call.linkage)
    if call.n_clusters is not None and call.method == "hdbscan":
        raise _wrong(
            "n_clusters",
            "hdbscan finds the number of clusters; leave n_clusters out (min_cluster_size steers it), or use kmeans",
        )
    _at_least("n_clusters", call.n_clusters, 1)
    _at_least("min_cluster_size", call.min_cluster_size, 2)
    _at_least("min_samples", call.min_samples, 1)
    _reduction(call)
    _linkage(call)


def _cluster_metric(call: Cluster) -> None:
    _word("metric", call.metric, METRICS)
    if call.metric not in CLUSTER_METRICS:
        raise _wrong(
            "metric",
            f"metric {call.metric} gives no clusters; use {_listed(CLUSTER_METRICS)}",
            CLUSTER_METRICS,
        )
    if call.metric == "manhattan" and call.method not in ("agglomerative", "hdbscan"):
        raise _wrong(
            "metric",
            f"metric manhattan does not go with {call.method}; use cosine or euclidean, or agglomerative or hdbscan",
            ("cosine", "euclidean"),
        )


def _reduction(call: Cluster) -> None:
    if call.reduction is not None:
        _word("reduction", call.reduction, REDUCTIONS)
    _at_least("reduced_dimensions", call.reduced_dimensions, 1)
    chosen = call.reduction or {"hdbscan": "umap", "gaussian_mixture": "pca"}.get(call.method, "none")
    if call.reduced_dimensions is not None and chosen == "none":
        raise _wrong(
            "reduced_dimensions",
            f"{call.method} without a reduction has no reduced_dimensions; give reduction umap or pca too",
        )


def _linkage(call: Cluster) -> None:
    if call.linkage is None:
        return
    _word("linkage", call.linkage, LINKAGES)
    if call.linkage == "ward" and call.metric == "manhattan" and call.reduction in (None, "none"):
        raise _wrong(
            "linkage",
            "linkage ward is about squared distances, which metric manhattan has not; use average, complete or single",
        )


def _project(call: Project, shapes: Shapes) -> None:
    _word("method", call.method, PROJECT_METHODS)
    _word("metric", call.metric, METRICS)
    _seed(call.seed)
    _labels(shapes)
    if call.n_components not in _DIMENSIONS:
        raise _out_of_range("n_components", call.n_components, "the dimensions of a map; give 2 or 3")
    if call.metric not in PROJECT_METRICS:
        raise _wrong(
            "metric", f"metric {call.metric} gives no map; use {_listed(PROJECT_METRICS)}", PROJECT_METRICS
        )
    if call.method == "pca" and call.metric == "manhattan":
        raise _wrong(
            "metric",
            "metric manhattan does not go with pca, which keeps squared distances;"
            " use cosine or euclidean, or umap or tsne",
            ("cosine", "euclidean"),
        )
    _only("umap", call.method, n_neighbors=call.n_neighbors, min_dist=call.min_dist)
    _only("tsne", call.method, perplexity=call.perplexity)
    _at_least("n_neighbors", call.n_neighbors, 2)
    _at_least("perplexity", call.perplexity, 1)
    if call.min_dist is not None and not 0 <= call.min_dist <= 1:
        raise _out_of_range("min_dist", call.min_dist, "how close rows may lie; give 0 to 1")


def _compare_dropout(call: CompareDropout, shapes: Shapes) -> None:
    """Its fields are those of CompareDropoutRequest."""
    rows = shapes["source"][0]
    if rows < LEAST_DROPOUT_ROWS:
        raise _too_few("input", rows, LEAST_DROPOUT_ROWS, "to have neighbours that can change")
    if rows > MOST_DROPOUT_ROWS:
        step = -(-rows // MOST_DROPOUT_ROWS)
        raise InvalidInput(
            f"there are {rows} rows, and dropout is compared on at most {MOST_DROPOUT_ROWS}; send some of them, such as"
            f" one in {step}",
            reason="TOO_MANY_ROWS",
            field="input",
            metadata={"rows": str(rows), "most": str(MOST_DROPOUT_ROWS)},
        )
    for scope in call.scopes:
        if not 1 <= shapes[f"draws_{scope}"][1] <= MOST_PASSES:
            passes = shapes[f"draws_{scope}"][1]
            raise _out_of_range("dropout.samples", passes, f"the passes to compare; give 1 to {MOST_PASSES}")
    if not 0 <= call.seed < SEEDS:
        raise _out_of_range(
            "dropout.seed", call.seed, f"it makes clusters and the map too; give 0 to {SEEDS - 1}"
        )
    _at_least("n_clusters", call.n_clusters, 1)
    _labels(shapes, "row_labels")


def _rows(name: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 2 or not all(shape):
        raise InvalidInput(
            f"{name} has shape {list(shape)}; send at least one row of at least one number",
            reason="EMPTY_INPUT",
            field=name,
        )


def _one_width(first: str, second: str, shapes: Shapes) -> None:
    if second in shapes and shapes[first][1] != shapes[second][1]:
        widths = {name: str(shapes[name][1]) for name in (first, second)}
        raise InvalidInput(
            f"the rows of {first} have {widths[first]} numbers, those of {second} {widths[second]};"
            " compare rows of one width",
            reason="DIMENSION_MISMATCH",
            field=second,
            metadata=widths,
        )


def _labels(shapes: Shapes, field: str = "labels") -> None:
    if "labels" in shapes and shapes["labels"][0] != shapes["source"][0]:
        rows, labels = shapes["source"][0], shapes["labels"][0]
        raise InvalidInput(
            f"there are {labels} labels for {rows} rows; give one a row, or none",
            reason="LABELS_MISMATCH",
            field=field,
            metadata={"rows": str(rows), "labels": str(labels)},
        )


def _seed(seed: int) -> None:
    if not 0 <= seed < SEEDS:
        raise _out_of_range("seed", seed, f"give 0 to {SEEDS - 1}")


def _word(field: str, word: str, known: Iterable[str]) -> None:
    if word not in known:
        raise InvalidInput(
            f"{field} {word!r} is not known; use one of {_listed(known)}",
            reason=f"UNKNOWN_{field.upper()}",
            field=field,
        )


def _only(owner: str, method: str, **parameters: object) -> None:
    """That the parameters of one method are not given to another, which would not use them."""
    for field, value in parameters.items():
        if value is not None and method != owner:
            raise _wrong(field, f"{field} belongs to {owner}, and {method} does not use it; leave it out")


def _at_least(field: str, value: float | None, least: int) -> None:
    if value is not None and not least <= value < math.inf:
        raise _out_of_range(field, value, f"give at least {least}", {"least": str(least)})


def _finite(field: str, value: float) -> None:
    if not math.isfinite(value):
        raise _out_of_range(field, value, "give a finite number, or leave it out")


def _out_of_range(
    field: str, value: float, advice: str, metadata: dict[str, str] | None = None
) -> InvalidInput:
    return InvalidInput(
        f"{field} is {value:g}; {advice}" if isinstance(value, float) else f"{field} is {value}; {advice}",
        reason="OUT_OF_RANGE",
        field=field,
        metadata=metadata,
    )


def _too_few(field: str, rows: int, least: int, why: str) -> InvalidInput:
    return InvalidInput(
        f"{field} has {rows} row{'s' if rows != 1 else ''}; {why} at least {least} are needed",
        reason="TOO_FEW_ROWS",
        field=field,
        metadata={"rows": str(rows), "least": str(least)},
    )


def _wrong(field: str, message: str, known: Iterable[str] = ()) -> InvalidInput:
    available = {"available": ",".join(known)} if known else None
    return InvalidInput(message, reason="WRONG_COMBINATION", field=field, metadata=available)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)
