"""Whether a call can be done at all: said before anything is embedded or computed, in the words of the contract.

What merely does not suit the rows (more clusters than rows, more neighbours than there are) is no error: the analysis
uses less and says so (`results.Adjustment`).
"""

from __future__ import annotations

from penult_service.analysis.calls import (
    ALL_PAIRS,
    DUPLICATE_METRICS,
    LARGER_IS_CLOSER,
    METRICS,
    PROJECT_METHODS,
    PROJECT_METRICS,
    Assign,
    Call,
    Cluster,
    CompareDropout,
    Duplicates,
    EditClusters,
    Grow,
    Neighbors,
    Outliers,
    Project,
    Shapes,
    Similarity,
    Transform,
    settled,
)
from penult_service.analysis.clusters import cluster_checks
from penult_service.analysis.refusals import (
    SEEDS,
    at_least,
    finite,
    known_word,
    labels_suit,
    listed,
    one_width,
    only_of,
    out_of_range,
    rows_suit,
    seed_suits,
    stored_suits,
    too_few,
    wrong,
)
from penult_service.errors import InvalidInput

LEAST_DROPOUT_ROWS, MOST_DROPOUT_ROWS = 3, 5_000
MOST_PASSES = 1_000
LEAST_OUTLIER_ROWS = 3
_DIMENSIONS = (2, 3)
_ROWS = {"a", "b", "background", "queries", "corpus", "source"}


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
            (LABELS_MISMATCH). The field is the contract's, of what lies in it as in `merge.labels`.
        PreconditionFailed: nothing can be placed on this map (CANNOT_TRANSFORM), or in these clusters (CANNOT_ASSIGN).
    """
    if isinstance(call, CompareDropout):
        _compare_dropout(call, shapes)
        return
    for name in _ROWS & shapes.keys():
        rows_suit(name, shapes[name])
    match call:
        case Similarity():
            _similarity(call, shapes)
        case Neighbors():
            _neighbors(call, shapes)
        case Cluster():
            cluster_checks.cluster(settled(call), shapes)
        case Grow():
            cluster_checks.grow(call, shapes)
        case EditClusters():
            cluster_checks.edit(call)
        case Transform() | Assign():
            stored = ("projection", "TRANSFORM") if isinstance(call, Transform) else ("clustering", "ASSIGN")
            stored_suits(shapes, stored[0], f"CANNOT_{stored[1]}")
        case Project():
            _project(call, shapes)
        case Duplicates():
            _duplicates(call)
        case Outliers():
            _outliers(call, shapes)


def _similarity(call: Similarity, shapes: Shapes) -> None:
    known_word("metric", call.metric, METRICS)
    _center(call.center, call.metric)
    one_width("a", "b", shapes)
    one_width("a", "background", shapes)
    if not call.pairs:
        return
    if "b" not in shapes:
        raise wrong("pairs", "pairs compares row i of a with row i of b, and there is no b; give one")
    a, b = shapes["a"][0], shapes["b"][0]
    if a != b:
        raise InvalidInput(
            f"pairs compares row i of a with row i of b, but a has {a} rows and b {b}; give as many of both",
            reason="ROWS_MISMATCH",
            field="b",
            metadata={"a": str(a), "b": str(b)},
        )


def _neighbors(call: Neighbors, shapes: Shapes) -> None:
    known_word("metric", call.metric, METRICS)
    _center(call.center, call.metric)
    one_width("queries", "corpus", shapes)
    at_least("k", call.k, 1)
    if call.exclude_self and "corpus" in shapes:
        raise wrong(
            "exclude_self",
            "exclude_self leaves row i out for query i, which means something without corpus only; leave one out",
        )
    if call.exclude_self and shapes["queries"][0] < 2:
        raise too_few("queries", shapes["queries"][0], 2, "with exclude_self")
    if call.radius is None:
        return
    finite("radius", call.radius)
    if call.metric not in LARGER_IS_CLOSER and call.radius < 0:
        raise out_of_range("radius", call.radius, f"a distance ({call.metric}), so give 0 or more")


def _project(call: Project, shapes: Shapes) -> None:
    known_word("method", call.method, PROJECT_METHODS)
    known_word("metric", call.metric, METRICS)
    seed_suits(call.seed)
    labels_suit(shapes)
    if call.n_components not in _DIMENSIONS:
        raise out_of_range("n_components", call.n_components, "the dimensions of a map; give 2 or 3")
    if call.metric not in PROJECT_METRICS:
        raise wrong(
            "metric", f"metric {call.metric} gives no map; use {listed(PROJECT_METRICS)}", PROJECT_METRICS
        )
    if call.method == "pca" and call.metric == "manhattan":
        raise wrong(
            "metric",
            "metric manhattan does not go with pca, which keeps squared distances;"
            " use cosine or euclidean, or umap or tsne",
            ("cosine", "euclidean"),
        )
    only_of("umap", call.method, n_neighbors=call.n_neighbors, min_dist=call.min_dist)
    only_of("tsne", call.method, perplexity=call.perplexity)
    only_of("umap", call.method, supervised=call.supervised or None, density=call.density or None)
    at_least("n_neighbors", call.n_neighbors, 2)
    at_least("perplexity", call.perplexity, 1)
    if call.min_dist is not None and not 0 <= call.min_dist <= 1:
        raise out_of_range("min_dist", call.min_dist, "how close rows may lie; give 0 to 1")
    _supervised(call, shapes)
    _anchor(call, shapes)


def _supervised(call: Project, shapes: Shapes) -> None:
    if call.supervised and "labels" not in shapes:
        raise wrong(
            "labels", "supervised pulls rows of one label together, and there are no labels; give them"
        )
    if call.target_weight is None:
        return
    if not call.supervised:
        raise wrong(
            "target_weight",
            "target_weight says how much labels count in a supervised map; give supervised too, or leave it out",
        )
    if not 0 <= call.target_weight <= 1:
        raise out_of_range("target_weight", call.target_weight, "how much labels count; give 0 to 1")


def _anchor(call: Project, shapes: Shapes) -> None:
    if "anchor" not in shapes:
        return
    only_of("umap", call.method, aligned_to="anchor")
    rows, dimensions = shapes["anchor"]
    if rows != shapes["source"][0]:
        raise InvalidInput(
            f"the map of aligned_to has {rows} rows, source has {shapes['source'][0]}; align maps of the same rows,"
            " in the same order",
            reason="ROWS_MISMATCH",
            field="aligned_to",
            metadata={"aligned_to": str(rows), "source": str(shapes["source"][0])},
        )
    if dimensions != call.n_components:
        raise wrong(
            "n_components",
            f"the map of aligned_to has {dimensions} dimensions; a map of {call.n_components} cannot lie as it does, so"
            f" give n_components {dimensions}",
        )


def _center(center: bool, metric: str) -> None:
    if center and metric != "cosine":
        changes = (
            "changes dot products with the lengths" if metric == "dot" else f"leaves {metric} distances alike"
        )
        raise wrong("center", f"center {changes}; use it with metric cosine, or leave it out", ("cosine",))


def _duplicates(call: Duplicates) -> None:
    _of_distances(call.metric, "duplicates")
    if not 1 <= call.max_pairs <= ALL_PAIRS:
        raise out_of_range("max_pairs", call.max_pairs, f"give 1 to {ALL_PAIRS}")
    if call.threshold is None:
        return
    finite("threshold", call.threshold)
    if call.metric == "cosine" and not -1 <= call.threshold <= 1:
        raise out_of_range("threshold", call.threshold, "a cosine, so give -1 to 1, such as 0.95")
    if call.metric != "cosine" and call.threshold < 0:
        raise out_of_range("threshold", call.threshold, f"a distance ({call.metric}), so give 0 or more")


def _outliers(call: Outliers, shapes: Shapes) -> None:
    _of_distances(call.metric, "outliers")
    at_least("k", call.k, 1)
    rows = shapes["source"][0]
    if rows < LEAST_OUTLIER_ROWS:
        raise too_few("source", rows, LEAST_OUTLIER_ROWS, "to say which lies apart")


def _of_distances(metric: str, what: str) -> None:
    """That a metric is a distance: `dot` is none, a row is not nearest to itself."""
    known_word("metric", metric, METRICS)
    if metric not in DUPLICATE_METRICS:
        raise wrong(
            "metric", f"metric {metric} gives no {what}; use {listed(DUPLICATE_METRICS)}", DUPLICATE_METRICS
        )


def _compare_dropout(call: CompareDropout, shapes: Shapes) -> None:
    """Its fields are those of CompareDropoutRequest."""
    rows = shapes["source"][0]
    if rows < LEAST_DROPOUT_ROWS:
        raise too_few("input", rows, LEAST_DROPOUT_ROWS, "to have neighbours that can change")
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
            raise out_of_range("dropout.samples", passes, f"the passes to compare; give 1 to {MOST_PASSES}")
    if not 0 <= call.seed < SEEDS:
        raise out_of_range(
            "dropout.seed", call.seed, f"it makes clusters and the map too; give 0 to {SEEDS - 1}"
        )
    at_least("n_clusters", call.n_clusters, 1)
    labels_suit(shapes, "row_labels")
