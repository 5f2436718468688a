"""Maps, and new rows on them."""

from __future__ import annotations

from penult_service.analysis.calls import Assign, Project, Shapes, Transform
from penult_service.analysis.costs.parts import BASE, BLOCK, MULTIPLY, distinct_rows, pca, search, umap
from penult_service.analysis.costs.work import Work, together

_NEIGHBORS, _PERPLEXITY, _QUALITY = 15, 30.0, 16
_TSNE_STEPS, _TSNE_STEP = 1_000, 1.8e-6  # s of a row in a step, times the logarithm of the rows
_GRAPH_ROWS = 20_000  # whose graph is made for the quality of a map that has none
_PAIRS_MEASURED = 20_000_000
_ALL_MEASURED = 4_472  # rows
_KEPT_NEIGHBORS = 32
_RANKED = 6e-9  # s of a pair whose rank is asked for
_SAMPLE = 20_000  # pairs whose distances are ranked


def project(call: Project, shapes: Shapes, kept: int) -> Work:
    """A map of `source`, whose neighbour graph is kept with so many columns (0: it is not)."""
    rows, width = shapes["source"]
    parts = [Work(held=BASE + 4 * rows * width), distinct_rows(rows, width)]
    match call.method:
        case "umap":
            near = max(call.n_neighbors or _NEIGHBORS, _QUALITY)
            columns = max(near, _KEPT_NEIGHBORS) if call.keep_graph else near
            parts += _graph(rows, width, columns, call.metric, kept >= near)
            asked = call.n_neighbors or _NEIGHBORS
            parts.append(
                umap(rows, width, call.n_components, asked, call.metric, density=call.density, graph=False)
            )
        case "tsne":
            near = int(min(rows, 3 * (call.perplexity or _PERPLEXITY) + 2))
            parts += _graph(rows, width, near, call.metric, kept >= near)
            parts += [pca(rows, width), _tsne(rows, near, call.n_components)]
        case _:
            parts.append(pca(rows, width))
            if rows <= _GRAPH_ROWS:
                parts += _graph(rows, width, _QUALITY, call.metric, kept >= _QUALITY)
    parts.append(_measured(rows, width, call.n_components, call.metric))
    if call.keep:
        parts.append(Work(held=8 * rows))
    return together(parts)


def _graph(rows: int, width: int, near: int, metric: str, kept: bool) -> list[Work]:
    near = min(rows, near)
    return [Work(held=8 * rows * near)] if kept else [search(rows, None, width, near, metric)]


def _tsne(rows: int, near: int, dimensions: int) -> Work:
    steps = _TSNE_STEPS * rows * (_TSNE_STEP * max(1, rows.bit_length() - 5) / 4 + near * 1e-8)
    return Work(loops=steps * (dimensions - 1), held=8 * rows, room=60 * rows * near)


def _measured(rows: int, width: int, dimensions: int, metric: str) -> Work:
    """How good it is on either side: exact for few rows and of a sample of many."""
    pairs = min(rows * rows, max(_PAIRS_MEASURED, 500 * rows))
    each = 5.0e-11 if metric == "manhattan" else MULTIPLY
    return Work(
        products=pairs * (width + dimensions) * each,
        shared=pairs * 2 * _RANKED,
        loops=rows * 6e-6 + 0.01,
        held=68 * rows,
        room=(4 if metric == "cosine" else 12) * width * (rows + min(rows, _ALL_MEASURED))
        + 2 * min(BLOCK, 16 * _SAMPLE * width),
    )


def placed(call: Transform | Assign, shapes: Shapes) -> Work:
    """New rows among those that were fitted, whose file is mapped, and counts as the worker's."""
    rows, width = shapes["source"]
    fitted = shapes["fitted_rows"][0]
    parts = [
        Work(held=BASE + 4 * (rows + fitted) * width, memory=rows * width * 4e-9),
        Work(held=4 * rows * width),
        search(rows, fitted, width, min(fitted, _NEIGHBORS), call.metric),
    ]
    places = shapes.get("coordinates", (0, 2))[1]
    parts.append(Work(shared=rows * (2e-6 + places * 1.5e-6), held=(300 + 24 * places) * rows))
    return together(parts)
