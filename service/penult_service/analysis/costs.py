"""What a call will take, estimated from the shapes of its arrays, so that it can be refused before it is begun.

Each analysis is a few kinds of work whose amounts follow from the shapes; what one unit of a kind takes was measured
on two cores (100 to 50,000 rows of 64 to 768 numbers). An estimate is right within a factor of about two where
iterations end as they usually do, grows with every size, and is for a process that is warm.
"""

from __future__ import annotations

from typing import assert_never

from penult_service.analysis.calls import (
    Assign,
    Call,
    Cluster,
    CompareDropout,
    Cost,
    Duplicates,
    EditClusters,
    Grow,
    Neighbors,
    Outliers,
    Project,
    Shapes,
    Similarity,
    Transform,
    graph_neighbors,
    settled,
)

_START = 0.01  # s of any call
_MULTIPLY = 1.3e-11  # s of a multiplication and addition within a matrix product, float32 on two cores
_MULTIPLY_WIDE = 6.0e-11  # the same in float64 on one core
_MANHATTAN = 4.0e-11  # s of a difference of two numbers, taken and added, two cores
_MANHATTAN_WIDE = 4.0e-10  # the same in float64 on one core
_SEARCH_PAIR = 6.0e-10  # s of comparing a pair of rows with the nearest so far, whatever the metric
_SCORE = 8.0e-9  # s of a score, written and rounded
_RANK = 2.0e-7  # s of one neighbour of one row
_EPOCH_EDGE = 5.5e-8  # s of an edge in an epoch of UMAP's layout
_TSNE_STEP = 1.5e-6  # s of a row in a step of t-SNE, times the logarithm of the rows
_LINK = 4.5e-8  # s of a pair of rows in building an agglomerative tree
_RANKED = 1.5e-7  # s of a pair of rows whose cosine is ranked
_PAIR_ROWS = 2_000  # rows whose pairs are ranked
_DENSE_PAIR = 1.2e-9  # s of a pair in HDBSCAN's spanning tree, a dimension
_STARTS, _ITERATIONS = 3, 45  # of k-means, and how many it usually takes
_MIXTURE_STEPS = 20
_PAIRS_MEASURED = 20_000_000
_SCORES_AT_A_TIME = 1 << 21
_BLOCKS = 48 << 20  # bytes of tiles and blocks
_N_CLUSTERS, _N_NEIGHBORS, _PERPLEXITY = 8, 15, 30.0
_PLACING_NEIGHBORS = 32
_REDUCED = {"umap": 5, "pca": 50}
_REDUCTIONS = {"hdbscan": "umap", "gaussian_mixture": "pca"}


def cost(call: Call, shapes: Shapes) -> Cost:
    """Seconds and bytes of a call with arrays of these shapes, the result included, the arrays themselves not.

    Args:
        call: What is asked; it has been checked.
        shapes: Of its arrays, as `calls` names them: [n, d]; of `CompareDropout` also [n, passes, d], which count.
    """
    match call:
        case Similarity():
            return _similarity(call, shapes)
        case Neighbors():
            return _neighbors(call, shapes)
        case Cluster():
            return _cluster(settled(call), *shapes["source"])
        case Project():
            return _project(call, *shapes["source"])
        case CompareDropout():
            return _compare_dropout(call, shapes)
        case Duplicates() | Outliers():
            return _screened(call, *shapes["source"])
        case Transform() | Assign():
            return _placed(call, shapes)
        case Grow():
            return _grown(call, shapes)
        case EditClusters():
            return _edited(call, shapes)
        case _:
            assert_never(call)


def _plus(*parts: Cost) -> Cost:
    """One after the other, with everything kept."""
    return Cost(sum(part.seconds for part in parts), sum(part.bytes for part in parts))


def _similarity(call: Similarity, shapes: Shapes) -> Cost:
    rows, width = shapes["a"]
    columns = 1 if call.pairs else shapes.get("b", shapes["a"])[0]
    each = _MANHATTAN if call.metric == "manhattan" else _MULTIPLY
    seconds = rows * columns * (width * each + _SCORE) + (rows + columns) * width * 2e-9
    return Cost(_START + seconds, 4 * rows * columns + 8 * (rows + columns) * width + _BLOCKS)


def _neighbors(call: Neighbors, shapes: Shapes) -> Cost:
    rows, width = shapes["queries"]
    corpus = shapes["corpus"][0] if "corpus" in shapes else None
    return _plus(
        Cost(_START, _BLOCKS), _search(rows, corpus, width, min(call.k, corpus or rows), call.metric)
    )


def _search(rows: int, corpus: int | None, width: int, k: int, metric: str) -> Cost:
    """Without a corpus the rows are searched among themselves, each pair once."""
    each = _MULTIPLY if metric != "manhattan" else _MANHATTAN / 2
    pairs = rows * (rows / 2 if corpus is None else corpus) * (width * each + _SEARCH_PAIR)
    ranked = rows * (k + 10) * (_RANK + width * 5e-10)
    return Cost(pairs + ranked, 40 * rows * (k + 10) + 8 * (rows + (corpus or 0)) * width)


def _project(call: Project, rows: int, width: int) -> Cost:
    measured = _measured(rows, width, call.metric)
    base = Cost(_START, _BLOCKS + 8 * rows * width)
    match call.method:
        case "umap":
            return _plus(base, measured, _umap(rows, width, call.n_components, call.n_neighbors, call.metric))
        case "tsne":
            return _plus(base, measured, _tsne(call, rows, width))
        case _:
            return _plus(base, measured, _pca(rows, width))


def _umap(rows: int, width: int, dimensions: int, neighbors: int | None, metric: str) -> Cost:
    near = min(rows, neighbors or _N_NEIGHBORS)
    found = _search(rows, None, width, max(near, min(rows, 16)), metric)
    edges = 1.5 * rows * near
    # 500 epochs for up to 10,000 rows, 200 beyond; an estimate does not fall where the rows grow.
    steps = 1.5 * near * max(200 * rows, 500 * min(rows, 10_000))
    layout = steps * _EPOCH_EDGE * (1 + dimensions / 10)
    spectral = rows * (4e-7 * near + 2.5e-7 * rows**0.5)
    return _plus(found, Cost(layout + spectral + 0.1, int(edges * 120 + 8 * rows * (rows**0.5 + 20))))


def _tsne(call: Project, rows: int, width: int) -> Cost:
    near = int(min(rows, 3 * (call.perplexity or _PERPLEXITY) + 2))
    found = _search(rows, None, width, near, call.metric)
    steps = 1000 * rows * (_TSNE_STEP * max(1, rows.bit_length() - 5) / 4 + near * 1e-8)
    return _plus(found, _pca(rows, width), Cost(steps * (call.n_components - 1), 80 * rows * near))


def _pca(rows: int, width: int) -> Cost:
    least = min(rows, width)
    seconds = rows * width * (least + 50) * _MULTIPLY_WIDE + least**3 * 3e-10
    return Cost(seconds, 24 * least * least + 8 * min(rows, width) * width + _BLOCKS)


def _measured(rows: int, width: int, metric: str) -> Cost:
    """Trustworthiness, exact for few rows and of a sample of many."""
    each = _MANHATTAN if metric == "manhattan" else _MULTIPLY
    return Cost(_pairs_measured(rows) * (width * each + 2e-8), 64 * rows)


def _cluster(call: Cluster, rows: int, width: int) -> Cost:
    kind = call.reduction or _REDUCTIONS.get(call.method, "none")
    count = min(rows, call.n_clusters or _N_CLUSTERS)
    base = Cost(_START + rows * width * 1e-8, _BLOCKS + 20 * rows * width)
    parts = [base, _silhouette(rows, width, count, call)]
    found = width
    if kind != "none":
        found = min(rows, width, call.reduced_dimensions or _REDUCED[kind])
        metric = call.metric
        parts.append(_pca(rows, width) if kind == "pca" else _umap(rows, width, found, None, metric))
    manhattan = call.metric == "manhattan" and kind == "none"
    match call.method:
        case "kmeans":
            parts.append(_kmeans(rows, found, count, _STARTS))
        case "agglomerative":
            parts.append(_agglomerative(rows, found, manhattan))
        case "hdbscan":
            parts.append(
                Cost(rows * rows * found * _DENSE_PAIR + rows * 2e-5, 16 * rows * found + 400 * rows)
            )
        case _:
            parts.append(_mixture(rows, found, count))
    return _plus(*parts)


def _kmeans(rows: int, width: int, count: int, starts: int) -> Cost:
    seconds = starts * _ITERATIONS * rows * count * (width * _MULTIPLY_WIDE + 5e-10)
    return Cost(seconds + starts * count * 2e-4, 4 * rows * (width + 4) + 24 * count * width)


def _agglomerative(rows: int, width: int, manhattan: bool) -> Cost:
    """All pairs, twice over: SciPy works on a copy."""
    pairs = rows * (rows - 1) // 2
    each = _MANHATTAN_WIDE if manhattan else _MULTIPLY_WIDE
    return Cost(pairs * (width * each + _LINK), 16 * pairs + 8 * rows * width)


def _mixture(rows: int, width: int, count: int) -> Cost:
    step = rows * count * (width * width * _MULTIPLY_WIDE + width * 2.5e-9 + 3e-8)
    start = _kmeans(rows, width, count, 1)
    return Cost(_MIXTURE_STEPS * step + start.seconds, start.bytes + rows * (24 * count + 40 * width))


def _silhouette(rows: int, width: int, count: int, call: Cluster) -> Cost:
    if call.metric == "cosine":
        return Cost(rows * width * (count * _MULTIPLY_WIDE + 5e-9), 16 * rows * (width + count))
    each = _MANHATTAN if call.metric == "manhattan" else _MULTIPLY_WIDE
    pairs = _pairs_measured(rows)
    again = pairs / _SCORES_AT_A_TIME * rows * width * 5e-9  # all rows are read once for so many
    return Cost(pairs * (width * each + 1.2e-8) + again, 2 * _BLOCKS + 64 * rows)


def _pairs_measured(rows: int) -> int:
    """Of few rows all pairs, of many those of a sample."""
    return min(rows * rows, max(_PAIRS_MEASURED, 500 * rows))


def _screened(call: Duplicates | Outliers, rows: int, width: int) -> Cost:
    """A graph, and what is read of it."""
    near = min(rows, graph_neighbors(call, rows))
    kept = 8 * call.max_pairs if isinstance(call, Duplicates) else 0
    found = _search(rows, None, width, near, call.metric)
    return _plus(Cost(_START, _BLOCKS + kept), found, Cost(rows * near * _RANK, 16 * rows * near))


def _placed(call: Transform | Assign, shapes: Shapes) -> Cost:
    """New rows among those that were fitted, whose file is mapped, and counts as the worker's."""
    rows, width = shapes["source"]
    fitted = shapes["fitted_rows"][0]
    found = _search(rows, fitted, width, min(fitted, _PLACING_NEIGHBORS), call.metric)
    return _plus(Cost(_START, _BLOCKS + 4 * fitted * width), found, Cost(rows * 1e-5, 64 * rows))


def _grown(call: Grow, shapes: Shapes) -> Cost:
    """Assigned, clustered where far from all, and the centres of all rows."""
    rows, width = shapes["source"]
    fitted = shapes["fitted_rows"][0]
    assigned = _placed(Assign(metric=call.metric), shapes)
    clustered = _cluster(settled(Cluster(metric=call.metric, method="hdbscan")), rows, width)
    return _plus(assigned, clustered, Cost((fitted + rows) * width * 2e-8, 12 * (fitted + rows) * width))


def _edited(call: EditClusters, shapes: Shapes) -> Cost:
    fitted, width = shapes["fitted_rows"]
    parts = _kmeans(fitted, width, call.n_clusters, _STARTS) if call.split is not None else Cost(0.0, 0)
    return _plus(Cost(_START, _BLOCKS), parts, Cost(fitted * width * 2e-8, 12 * fitted * width))


def _compare_dropout(call: CompareDropout, shapes: Shapes) -> Cost:
    """Every pass has its neighbours, ranks and clusters; the map is of the clean rows and a pass of each scope."""
    rows, width = shapes["source"]
    draws = [shapes[f"draws_{scope}"] for scope in call.scopes]
    passes = 1 + sum(shape[1] for shape in draws)
    runs = passes + max(shape[1] for shape in draws)
    pairs = min(rows, _PAIR_ROWS) ** 2 // 2
    near = _search(rows, None, width, min(rows, _N_NEIGHBORS + 1), "cosine")
    clusters = _kmeans(rows, width, min(rows, call.n_clusters), _STARTS)
    each = near.seconds + rows * width * 2e-8 + pairs * (2 * width * _MULTIPLY_WIDE + _RANKED)
    parts = [
        Cost(_START + passes * each + runs * (clusters.seconds + rows * width * 1e-8), near.bytes),
        # What is mapped from files counts as the worker's.
        Cost(
            0.0, clusters.bytes + 60 * pairs + 32 * rows * width + 4 * rows * width * (passes - 1) + _BLOCKS
        ),
    ]
    if call.map:
        parts.append(_project(Project(), rows * (1 + len(draws)), width))
    return _plus(*parts)
