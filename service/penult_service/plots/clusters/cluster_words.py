"""The figures of a report on clusters as people read them: the same words on a page and in Markdown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from penult_service.plots.clusters.cluster_view import Batch, ClusterView, Group
from penult_service.plots.words import counted, number, percent, said, signed

METHODS = {
    "kmeans": "k-means",
    "agglomerative": "agglomerative",
    "hdbscan": "HDBSCAN",
    "gaussian_mixture": "a Gaussian mixture",
}
REDUCTIONS = {"umap": "UMAP", "pca": "principal components"}
AGREEMENT = {
    "v_measure": ("V-measure", "0 to 1; 1: each cluster is one label, and each label one cluster"),
    "adjusted_rand": ("Adjusted Rand index", "about 0 by chance, 1 when equal"),
    "purity": ("Purity", "share of the rows with the most frequent label of their cluster"),
    "normalized_mutual_information": ("Normalised mutual information", "0 to 1; 1 when equal"),
}
CLUSTERS = (
    "The nearest example lies nearest to the centre. A border one lies near another cluster, an odd one farthest from "
    "the centre: look there for what does not belong."
)
MAP = "Each row in the colour of its cluster. Point at a dot to read it; search; drag and zoom."
TREE = (
    "What is alike is joined early, from the right to the left: clusters that are joined near the right could be "
    "merged."
)
HISTORY = "What became of these clusters. Drift is how far a centre moved; new clusters have none."
EVENTS = {"made": "made", "grown": "rows taken in", "merged": "merged", "split": "split", "named": "named"}


@dataclass(frozen=True)
class Figure:
    """A figure for people: what it is, its value, and how to read it."""

    name: str
    value: str
    note: str


def kicker(view: ClusterView) -> str:
    """How many clusters of how many rows, and how they were found."""
    used = view.used
    method = METHODS.get(str(used.get("method")), str(used.get("method", "")))
    parts = [f"{counted(len(view.groups), 'cluster')} of {counted(view.rows, 'row')}", method]
    if used.get("reduction") in REDUCTIONS:
        many = used.get("reduced_dimensions")
        parts[1] += f" on {f'{many} dimensions of ' if many else ''}{REDUCTIONS[str(used['reduction'])]}"
    return " · ".join(filter(None, (*parts, str(used.get("metric", "")))))


def answer(view: ClusterView) -> list[str]:
    """What to know first: one sentence a line."""
    if not view.groups:
        return ["No clusters were found: every row is in none."] if view.rows else ["There are no rows."]
    sizes = [group.size for group in view.groups]
    largest = max(view.groups, key=lambda group: group.size)
    if len(sizes) == 1:
        found = [f"One cluster, of {counted(sizes[0], 'row')}."]
    else:
        named = f" ({said(largest.words)})" if largest.words else ""
        found = [f"{len(sizes):,} clusters, the largest of {counted(max(sizes), 'row')}{named}, the smallest of "
                 f"{min(sizes):,}."]  # fmt: skip
    if view.unassigned:
        found.append(
            f"{counted(view.unassigned, 'row')} ({percent(view.unassigned / view.rows)}) in no cluster."
        )
    if view.moved:
        were = "was" if view.moved == 1 else "were"
        found.append(f"{counted(view.moved, 'row')} {were} noise, and went to the nearest cluster.")
    return found


def curve(view: ClusterView) -> str:
    """What the curve of the numbers tried is, and how to read it."""
    return (
        f"The mean silhouette of each number of clusters that was tried, {_space(view)}. Where the curve is flat, no "
        "number is better than another: take the one that is useful."
    )


def _space(view: ClusterView) -> str:
    """What the clusters were found on."""
    where = view.used.get("reduction")
    return f"in the {REDUCTIONS[str(where)]} space" if where in REDUCTIONS else "on the rows themselves"


def figures(view: ClusterView) -> list[Figure]:
    """Those that there are."""
    space = _space(view)
    found = [Figure("Rows in no cluster", percent(view.unassigned / view.rows if view.rows else 0.0),
                    f"{view.unassigned:,} of {view.rows:,}")]  # fmt: skip
    if view.silhouette is not None:
        note = "from -1 to 1; near 0: clusters touch. On the rows themselves"
        note += f", {view.silhouette_rows:,} of them" if 0 < view.silhouette_rows < view.rows else ""
        found.append(Figure("Silhouette", signed(view.silhouette), note))
    if view.davies_bouldin is not None:
        found.append(Figure("Davies-Bouldin index", number(view.davies_bouldin), f"less is better; {space}"))
    if view.calinski_harabasz is not None:
        value = (
            f"{view.calinski_harabasz:,.0f}"
            if view.calinski_harabasz >= 100
            else number(view.calinski_harabasz)
        )
        note = f"more is better, between clusterings of the same rows; {space}"
        found.append(Figure("Calinski-Harabasz index", value, note))
    if view.stability is not None:
        known = view.stability
        note = (
            f"adjusted Rand index of {counted(known.samples, 'bootstrap sample')}, 95 % of them "
            f"{signed(known.low, 2)} to {signed(known.high, 2)}; 1: always the same clusters"
        )
        found.append(Figure("Stability", signed(known.mean, 2), note))
    for name, score in view.agreement.items():
        title, note = AGREEMENT.get(name, (name.replace("_", " "), ""))
        against = f"against {said(view.label_name)}: " if view.label_name else ""
        found.append(Figure(title, signed(score), against + note))
    return found


def advice(view: ClusterView) -> list[tuple[str, str]]:
    """The parameter to move, as it is written on the command line, and why."""
    return [(option(parameter), why) for parameter, why in view.advice]


def option(parameter: str) -> str:
    """A parameter as it is written on the command line."""
    return "INPUT" if parameter == "source" else f"--{parameter.replace('_', '-')}"


def columns(view: ClusterView) -> dict[str, Callable[[Group], str]]:
    """The columns of the table of clusters beside name, size and examples: a heading, and what a cluster has."""
    found: dict[str, Callable[[Group], str]] = {}
    if any(group.labels for group in view.groups):
        found[said(view.label_name)] = partial(labels, most=3)
    if any(group.silhouette is not None for group in view.groups):
        found["silhouette"] = lambda group: "" if group.silhouette is None else signed(group.silhouette, 2)
    last = next((batch for batch in reversed(view.history) if any(batch.drift)), None)
    if last is not None:
        moved = dict(zip(last.labels, last.drift, strict=False))
        found["last drift"] = lambda group: number(moved[group.label]) if group.label in moved else ""
    return found


def other_keywords(group: Group) -> str:
    """The keywords that its words do not tell already."""
    told = () if group.name else group.words.split(", ")
    return said(", ".join(keyword for keyword in group.keywords if keyword not in told), 400)


def labels(group: Group, most: int) -> str:
    """The most frequent labels of a cluster with their shares."""
    shares = [(said(label, 60), percent(rows / max(group.size, 1))) for label, rows in group.labels[:most]]
    return ", ".join(f"{label}\u00a0{share}".replace(" %", "\u00a0%") for label, share in shares)


def happened(batch: Batch) -> str:
    """What became of clusters at a time, in words."""
    parts = [EVENTS.get(batch.event, said(batch.event))]
    for many, what in ((batch.new_labels, "new"), (batch.gone_labels, "gone")):
        if many and batch.event != "made":
            shown = ", ".join(str(label) for label in many[:12]) + (" ..." if len(many) > 12 else "")
            parts.append(f"{what}: {shown}")
    return "; ".join(parts)


def farthest(batch: Batch, view: ClusterView) -> str:
    """The cluster whose centre moved most, and how far; empty where none did."""
    moved = max(zip(batch.drift, batch.labels, strict=False), default=(0.0, 0))
    if moved[0] <= 0:
        return ""
    name = next((group.words for group in view.groups if group.label == moved[1]), "")
    return f"{said(f'{moved[1]} {name}'.rstrip(), 60)}: {number(moved[0])}"


def parameters(view: ClusterView) -> list[str]:
    """The parameters that were used, as they are called."""
    return [
        f"{name} {f'{value:g}' if isinstance(value, float) else value}" for name, value in view.used.items()
    ]
