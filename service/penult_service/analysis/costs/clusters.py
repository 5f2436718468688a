"""Clusters, more of them, and what is changed by hand."""

from __future__ import annotations

from penult_service.analysis.calls import (
    Assign,
    Cluster,
    CompareDropout,
    EditClusters,
    Grow,
    Project,
    Shapes,
    reduction_of,
    settled,
)
from penult_service.analysis.costs.maps import placed, project
from penult_service.analysis.costs.parts import (
    ABSOLUTE_WIDE,
    BASE,
    BLOCK,
    MULTIPLY,
    WIDE,
    agglomerative,
    distinct_rows,
    hdbscan,
    kmeans,
    mixture,
    pca,
    search,
    umap,
)
from penult_service.analysis.costs.work import Work, together

_N_CLUSTERS, _N_NEIGHBORS = 8, 15
_REDUCED = {"umap": 5, "pca": 50}
_AUTO_ROWS, _MOST_TRIED = 4_000, 200
_AUTO_ROUNDS = 24  # numbers tried beside the best ones
_PAIRS_MEASURED = 20_000_000
_DRAWN = 0.632  # of a bootstrap sample's rows are distinct
_BACKDROP = 5_000
_PAIR_ROWS = 2_000  # rows whose pairs are ranked
_RANKED = 1.5e-7  # s of a pair of rows whose cosine is ranked


def cluster(call: Cluster, shapes: Shapes) -> Work:
    """Clusters of `source`, with its texts the words of each."""
    rows, width = shapes["source"]
    call = settled(call)
    kept = shapes.get("near_rows", (0, 0))[1]
    found = _found(call, rows, width, kept)
    parts = [Work(held=BASE + 4 * rows * width), distinct_rows(rows, width), found]
    if call.bootstraps:
        drawn = _found(call, max(1, int(rows * _DRAWN)), width, 0)
        parts.append(together([drawn, Work(held=4 * rows * width * _DRAWN)]).times(call.bootstraps))
    parts += [_measured(call, rows, width), _described(call, rows, width, shapes)]
    if call.keep:
        parts.append(Work(held=4 * rows * width))
        if not kept and reduction_of(call) != "umap":
            parts.append(search(rows, None, width, min(rows, 2), call.metric))
    return together(parts)


def _found(call: Cluster, rows: int, width: int, kept: int) -> Work:
    """The reduction, the numbers tried, and the clusters themselves."""
    kind = reduction_of(call)
    count = min(rows, call.n_clusters or (_MOST_TRIED if call.auto else _N_CLUSTERS))
    space, parts = width, []
    if kind != "none":
        space = min(rows, width, call.reduced_dimensions or _REDUCED[kind])
        near = min(rows, _N_NEIGHBORS)
        parts.append(
            pca(rows, width)
            if kind == "pca"
            else umap(rows, width, space, near, call.metric, graph=kept < near)
        )
        parts.append(Work(held=4 * rows * space))
    metric = call.metric if kind == "none" else "euclidean"
    if call.auto:
        parts.append(_tried(call, rows, space, metric))
    parts.append(_divided(call, rows, space, count, metric))
    return together(parts)


def _divided(call: Cluster, rows: int, space: int, count: int, metric: str, starts: int = 3) -> Work:
    match call.method:
        case "kmeans":
            return kmeans(rows, space, count, starts)
        case "agglomerative":
            return agglomerative(rows, space, metric)
        case "hdbscan":
            return hdbscan(rows, space)
        case _:
            return mixture(rows, space, count)


def _tried(call: Cluster, rows: int, space: int, metric: str) -> Work:
    """Several numbers of clusters on some of the rows, all of whose distances are held."""
    size = min(rows, _AUTO_ROWS)
    most = min(size, _MOST_TRIED, max(10, round(2 * rows**0.5)))
    numbers = [*range(2, min(most, 10) + 1)]
    while numbers[-1] < most:
        numbers.append(min(most, max(numbers[-1] + 1, round(numbers[-1] * 1.2))))
    tries, mean = len(numbers) + min(_AUTO_ROUNDS, most), sum(numbers) / len(numbers)
    score = Work(wide=size * size * mean * MULTIPLY, loops=size * mean * 3e-9)
    each = ABSOLUTE_WIDE if metric == "manhattan" else WIDE
    held = Work(
        wide=size * size * space * each, loops=size * size * 4e-9, held=4 * size * size, room=2 * BLOCK
    )
    if call.method == "agglomerative":
        return together([agglomerative(size, space, metric), together([held, score.times(tries)]).times(1)])
    divided = _divided(call, size, space, round(mean), metric, starts=1)
    return together([held, together([divided, score]).times(tries)]).times(1)


def _measured(call: Cluster, rows: int, width: int) -> Work:
    count = min(rows, call.n_clusters or (_MOST_TRIED if call.auto else _N_CLUSTERS))
    if call.metric == "cosine":
        return Work(
            wide=rows * width * count * WIDE,
            memory=rows * width * 2.5e-8,
            room=15 * rows * width + min(2 * BLOCK, 48 * rows * count),
        )
    pairs = min(rows * rows, max(_PAIRS_MEASURED, 500 * rows))
    each = 5.0e-11 if call.metric == "manhattan" else MULTIPLY
    return Work(
        wide=pairs * width * each,
        loops=pairs * 1.2e-8,
        memory=pairs / (1 << 21) * rows * width * 5e-9 + rows * width * 2e-8,
        room=min(3 * BLOCK, 24 * pairs) + 44 * rows * width,
    )


def _described(call: Cluster, rows: int, width: int, shapes: Shapes) -> Work:
    """Exemplars, the hierarchy and the words."""
    size = shapes.get("text_bytes", (0,))[0] if call.keywords else 0
    return Work(
        memory=rows * width * 8e-9,
        loops=size * 4e-8 + 0.01,
        held=24 * rows,
        room=min(BLOCK, 16 * rows * width) + 12 * size,
    )


def grow(call: Grow, shapes: Shapes) -> Work:
    """Assigned, clustered among old rows around them, and the centres and the far distance of all."""
    rows, width = shapes["source"]
    fitted = shapes["fitted_rows"][0]
    around = min(fitted, _BACKDROP + _N_NEIGHBORS * rows) + rows
    every = fitted + rows
    assigned = placed(Assign(metric=call.metric), shapes)
    return together(
        [
            assigned,
            together(
                [
                    Work(held=12 * around * width),
                    umap(around, width, _REDUCED["umap"], _N_NEIGHBORS, call.metric),
                    hdbscan(around, _REDUCED["umap"]),
                ]
            ).times(1),
            Work(memory=every * width * 3e-8, held=12 * every * width),
            search(every, None, width, min(every, 2), call.metric),
        ]
    )


def edit(call: EditClusters, shapes: Shapes) -> Work:
    """The centres of all, and of one that is split its parts."""
    fitted, width = shapes["fitted_rows"]
    parts = [Work(memory=fitted * width * 3e-8, held=BASE + 12 * fitted * width)]
    if call.split is not None:
        parts.append(kmeans(fitted, shapes.get("reduced", (fitted, width))[1], call.n_clusters))
    return together(parts)


def compare_dropout(call: CompareDropout, shapes: Shapes) -> Work:
    """Every pass has its neighbours, ranks and clusters; the map is of the clean rows and a pass of each scope."""
    rows, width = shapes["source"]
    draws = [shapes[f"draws_{scope}"] for scope in call.scopes]
    passes = 1 + sum(shape[1] for shape in draws)
    runs = passes + max(shape[1] for shape in draws)
    pairs = min(rows, _PAIR_ROWS) ** 2 // 2
    ranked = Work(
        wide=pairs * 2 * width * WIDE, loops=pairs * _RANKED, memory=rows * width * 2e-8, room=90 * pairs
    )
    clusters = kmeans(rows, width, min(rows, call.n_clusters))
    parts = [
        # What is mapped from files counts as the worker's.
        Work(held=BASE + 8 * rows * width + 4 * rows * width * (passes - 1)),
        together(
            [
                distinct_rows(rows, width),
                search(rows, None, width, min(rows, _N_NEIGHBORS + 1), "cosine"),
                ranked,
            ]
        ).times(passes),
        together([distinct_rows(rows, width), clusters]).times(runs),
    ]
    if call.map:
        parts.append(project(Project(), {"source": (rows * (1 + len(draws)), width)}, 0))
    return together(parts)
