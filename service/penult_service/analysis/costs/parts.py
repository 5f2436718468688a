"""What analyses have in common: the search for neighbours, fewer dimensions, divisions into clusters."""

from __future__ import annotations

import math

from penult_service.analysis.costs.work import Work, together

# Seconds of the reference machine, of one thread, where nothing else is said.
MULTIPLY = 1.8e-11  # a multiplication and addition within a product of float32
WIDE = 3.0e-11  # the same in float64
_BYTE = 2.9e-12  # the same of bytes
_ABSOLUTE = 5.0e-11  # a difference of two numbers, taken and added
ABSOLUTE_WIDE = 4.0e-10  # the same in float64
_PAIR = 1.2e-9  # a pair of rows, compared with the nearest so far
_CANDIDATE = 2.0e-8  # a number of a row, of those that are ranked exactly
_RANK, _COLUMN = 1.0e-5, 1.0e-6  # of a query, and of each of its neighbours
_FEW_PAIRS, _LEAST_WIDTH = 1 << 20, 8  # below which nobody takes bytes
_SIEVE = 1 << 28
_STARTS, _ITERATIONS = 3, 45  # of k-means, and how many it usually takes
_DIVIDE = 5.5e-11  # a multiplication and addition in a step of k-means
_LINK = 6.8e-8  # a pair of rows in building an agglomerative tree
_MIXTURE_STEPS = 35
_DENSE_PAIR = 6.0e-10  # a pair in HDBSCAN's spanning tree, a dimension
_NO_TREE, _CORE_PAIR = 60, 8.0e-10  # dimensions in which no k-d tree helps, and what a pair takes there
_EPOCH_ROW, _EPOCH_NUMBER = 1.6e-7, 3.1e-8  # a row in an epoch of UMAP's layout, and each of its dimensions
_SERIAL_ROW = 2.2e-6  # a row in an epoch of umap-learn's layout, one thread
_USUAL_EDGES = 3.9  # the logarithm of 15 neighbours: as many edges of a row are drawn in an epoch
_SHARED_LAYOUT = 2_048  # rows from which threads share a layout
_MANY = 10_000  # rows from which UMAP takes fewer epochs
BLOCK = 1 << 24  # bytes of a block of rows
BASE = 8 << 20  # bytes of tiles, blocks and tables of any analysis


def distinct_rows(rows: int, width: int) -> Work:
    """Rows at unit length, the distinct ones found; these are there until the end."""
    return Work(
        memory=rows * width * 1.2e-8 + 2e-3,
        held=4 * rows * width + 24 * rows,
        room=min(BLOCK, 12 * rows * width),
    )


def search(rows: int, corpus: int | None, width: int, k: int, metric: str) -> Work:
    """The `k` nearest; without a corpus the rows are searched among themselves."""
    others = rows if corpus is None else corpus
    ranked = rows * (_RANK + width * _CANDIDATE + k * _COLUMN)
    room = min(_SIEVE, 16 * 512 * min(others, 8 * k + 1024))
    found = 12 * rows * k + 40 * rows
    pairs: float = rows * others
    if metric == "manhattan" or width < _LEAST_WIDTH or pairs < _FEW_PAIRS:
        pairs = pairs if corpus is not None else pairs / 2
        product = pairs * width * (_ABSOLUTE if metric == "manhattan" else MULTIPLY)
        room = min(_SIEVE, 8 * rows * (4 * k + 256))
        rough = 8 * (rows + others) * width
        return Work(products=product, shared=pairs * _PAIR + ranked, held=found, room=room + rough)
    return Work(
        bytes=pairs * width * _BYTE, shared=ranked, held=found, room=room + 2 * (rows + others) * width
    )


def umap(
    rows: int,
    width: int,
    dimensions: int,
    neighbors: int,
    metric: str,
    *,
    density: bool = False,
    graph: bool = True,
) -> Work:
    """A UMAP with its neighbours (`graph`: these have to be found first)."""
    near = min(rows, neighbors)
    parts = [search(rows, None, width, near, metric)] if graph else []
    # 500 epochs for up to 10,000 rows, 200 beyond; an estimate does not fall where the rows grow.
    epochs = max(200 * rows, 500 * min(rows, _MANY)) + (200 * rows if density else 0)
    edges = math.log2(max(2, near)) / _USUAL_EDGES
    drawn = epochs * edges * (_EPOCH_ROW + dimensions * _EPOCH_NUMBER)
    made = Work(
        loops=0.04 + rows * 2e-7 * near + rows**1.5 * (5e-8 + 1.2e-8 * dimensions),
        held=16 * rows * near,
        room=70 * rows * near + 8 * rows * 70,
    )
    if density:
        laid = Work(loops=epochs * edges * _SERIAL_ROW)
    elif rows < _SHARED_LAYOUT:
        laid = Work(loops=drawn)
    else:
        laid = Work(layout=drawn)
    return together([*parts, made, laid])


def pca(rows: int, width: int) -> Work:
    """Principal components, of whichever side is smaller."""
    least = min(rows, width)
    return Work(
        wide=rows * width * (least + 50) * WIDE + least**3 * 3e-10,
        held=8 * least * width,
        room=24 * least * least + 3 * BLOCK,
    )


def kmeans(rows: int, width: int, count: int, starts: int = _STARTS) -> Work:
    """Some starts of k-means."""
    steps = starts * _ITERATIONS * rows * count * (width * _DIVIDE + 5e-10)
    return Work(
        wide=steps,
        loops=starts * (count * 2e-4 + 5e-3),
        held=8 * rows,
        room=4 * rows * (width + 4) + 24 * count * width,
    )


def agglomerative(rows: int, width: int, metric: str) -> Work:
    """All pairs, twice over: SciPy works on a copy."""
    pairs = rows * (rows - 1) // 2
    each = ABSOLUTE_WIDE if metric == "manhattan" else WIDE
    return Work(
        wide=pairs * width * each,
        loops=pairs * _LINK,
        held=40 * rows,
        room=16 * pairs + 8 * rows * width + BLOCK,
    )


def hdbscan(rows: int, width: int) -> Work:
    """A spanning tree of all pairs, of which no more than a row is held."""
    each = _DENSE_PAIR + _CORE_PAIR * min(1.0, width / _NO_TREE)
    return Work(loops=rows * rows * width * each + rows * 1e-5, room=20 * rows * width + 300 * rows)


def mixture(rows: int, width: int, count: int) -> Work:
    """Steps of a mixture of Gaussians of one shape, which begins with a k-means."""
    step = rows * count * (width * 2.5e-9 + 3e-8) + rows * count * width * width * WIDE
    start = kmeans(rows, width, count, 1)
    return together([start, Work(wide=_MIXTURE_STEPS * step, room=rows * (20 * count + 24 * width))])
