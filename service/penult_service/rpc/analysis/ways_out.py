"""What a caller can do whose analysis takes more memory than there is."""

from __future__ import annotations

from dataclasses import replace

from penult_service.analysis.calls import (
    Call,
    Cluster,
    CompareDropout,
    Cost,
    Project,
    Shapes,
    Similarity,
    reduction_of,
    settled,
)
from penult_service.analysis.costs import cost
from penult_service.rpc.limits import bytes_in_words

_ROWS = ("source", "a", "queries")
_LEAST = 3  # rows that it may make sense to send


def ways_out(call: Call, shapes: Shapes, room: int) -> list[str]:
    """What fits into so many bytes instead: fewer rows, other methods; each a part of a sentence, the best first.

    Args:
        call: What is too large.
        shapes: Of its arrays.
        room: Bytes beside those of an idle worker.
    """
    ways = [*_other_methods(call, shapes, room)]
    rows = _most_rows(call, shapes, room)
    if rows >= _LEAST:
        ways.append(f"send at most about {rows:,} rows")
    if isinstance(call, Similarity) and not call.pairs:
        ways.append("ask neighbors (SearchNeighbors) for the nearest rows alone")
    return ways


def _other_methods(call: Call, shapes: Shapes, room: int) -> list[str]:
    found: list[tuple[str, Cost]] = []
    others: list[tuple[str, Call]] = []
    if isinstance(call, Cluster):
        asked = settled(call)
        count = asked.auto or asked.n_clusters is not None
        names = ["kmeans"] if count else ["hdbscan", "kmeans"]
        if asked.method in ("agglomerative", "gaussian_mixture"):
            kept = replace(asked, linkage=None)
            others = [(f"method {name}", replace(kept, method=name)) for name in names]
        if reduction_of(asked) == "none" and asked.method != "agglomerative":
            others.append(("reduction pca", replace(asked, reduction="pca")))
    elif isinstance(call, Project) and call.method != "pca":
        plain = replace(call, supervised=False, density=False)
        others = [
            (f"method {name}", replace(plain, method=name)) for name in ("umap", "pca") if name != call.method
        ]
    elif isinstance(call, CompareDropout) and call.map:
        others = [("no map", replace(call, map=False))]
    for name, other in others:
        takes = cost(other, shapes)
        if takes.bytes <= room:
            found.append((name, takes))
    if not found:
        return []
    named = " or ".join(f"{name} (about {bytes_in_words(takes.bytes)})" for name, takes in found)
    return [f"take {named}"]


def _most_rows(call: Call, shapes: Shapes, room: int) -> int:
    """The most rows that fit, of two digits; 0: none do."""
    rows = next(shapes[name][0] for name in (*_ROWS, "fitted_rows") if name in shapes)
    fits, too_many = 0, rows
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if cost(call, _with_rows(shapes, middle)).bytes <= room:
            fits = middle
        else:
            too_many = middle
    digits = max(0, len(str(fits)) - 2)
    return fits // 10**digits * 10**digits


def _with_rows(shapes: Shapes, rows: int) -> Shapes:
    """The shapes with so many rows of what is sent; what is stored stays."""
    sent = (name for name in shapes if name in _ROWS or name.startswith("draws_"))
    return {**shapes, **{name: (rows, *shapes[name][1:]) for name in sent}}
