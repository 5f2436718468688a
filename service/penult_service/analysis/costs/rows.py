"""Rows compared with rows: similarity, neighbours, duplicates, outliers."""

from __future__ import annotations

from penult_service.analysis.calls import Duplicates, Neighbors, Outliers, Shapes, Similarity
from penult_service.analysis.costs.parts import BASE, BLOCK, MULTIPLY, distinct_rows, search
from penult_service.analysis.costs.work import Work, together

_SCORE = 2.2e-8  # s of a score, written and rounded
_ABSOLUTE = 5.0e-11
_USUAL = 3.0e-7  # s of a number a row, of 20,000 random pairs
_USUAL_ROWS = 4_000
_SHORT, _SHORT_PAIR = 24, 5e-10  # numbers of a row that rule most pairs out, and s of a pair
_PAIRS_A_ROW = 10  # that are found, at most, where a threshold says something
_LISTS = 1 << 16  # rows from which an approximate search has lists


def similarity(call: Similarity, shapes: Shapes) -> Work:
    """A matrix, or scores of pairs; and what is usual."""
    rows, width = shapes["a"]
    others = shapes.get("b", shapes["a"])[0]
    columns = 1 if call.pairs else others
    each = _ABSOLUTE if call.metric == "manhattan" else MULTIPLY
    scores = rows * columns
    return together(
        [
            Work(held=BASE + 4 * (rows + (others if "b" in shapes else 0)) * width),
            _usual(rows, width),
            Work(
                products=scores * width * each,
                loops=scores * _SCORE,
                memory=(rows + columns) * width * 4e-9,
                held=4 * scores,
                room=4 * (rows + others) * width + 2 * BLOCK,
            ),
        ]
    )


def neighbors(call: Neighbors, shapes: Shapes) -> Work:
    """The nearest rows; and what is usual."""
    rows, width = shapes["queries"]
    corpus = shapes["corpus"][0] if "corpus" in shapes else None
    others = rows if corpus is None else corpus
    k = min(call.k, others)
    found = search(rows, corpus, width, k, call.metric)
    if call.approximate and others >= _LISTS and 8 * rows >= others and call.metric != "manhattan":
        found = together([found, Work(loops=others * 2e-6, room=8 * others * width)])
    centred = 4 * (rows + (corpus or 0)) * width if call.center else 0
    return together(
        [
            Work(held=BASE + 4 * (rows + (corpus or 0)) * width + centred),
            Work(memory=(rows + (corpus or 0)) * width * 4e-9, held=4 * (rows + (corpus or 0)) * width),
            found,
            Work(held=8 * rows * k, room=24 * rows * k),
            _usual(others, width),
        ]
    )


def _usual(rows: int, width: int) -> Work:
    return Work(loops=min(rows, _USUAL_ROWS) * width * 2e-8 + 5e-3, room=10 * min(rows, _USUAL_ROWS) * width)


def duplicates(call: Duplicates, shapes: Shapes) -> Work:
    """All pairs, most of which short rows rule out; a graph that is kept would save some of them."""
    rows, width = shapes["source"]
    pairs = rows * rows / 2
    short = min(width, _SHORT)
    each = width * _ABSOLUTE if call.metric == "manhattan" else short * MULTIPLY
    if call.metric != "cosine" and not call.threshold:
        pairs = 0.0
    found = min(pairs, call.max_pairs, _PAIRS_A_ROW * rows)
    return together(
        [
            Work(held=BASE + 4 * rows * width),
            distinct_rows(rows, width),
            _usual(rows, width),
            # The distinct rows as they came, beside those at unit length.
            Work(memory=rows * width * 3e-8, held=4 * rows * width),
            Work(products=pairs * each, shared=pairs * _SHORT_PAIR + rows * 2.5e-5, held=60 * found),
            Work(held=4 * rows * (3 * width if call.metric == "manhattan" else short + 6)),
        ]
    )


def outliers(call: Outliers, shapes: Shapes, kept: int) -> Work:
    """A graph, and what is read of it."""
    rows, width = shapes["source"]
    near = min(rows, call.k + 1)
    made = (
        []
        if kept >= near
        else [search(rows, None, width, max(near, 32) if call.keep_graph else near, call.metric)]
    )
    return together(
        [
            Work(held=BASE + 4 * rows * width),
            distinct_rows(rows, width),
            *made,
            Work(loops=rows * near * 8e-8, held=8 * rows * near, room=16 * rows * near),
        ]
    )
