"""`penult cluster`: which rows belong together."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from penult_service import __version__
from penult_service.analysis import calls
from penult_service.analysis.results import ClusterResult
from penult_service.cli import analyses, options, sides, tables
from penult_service.cli.analyses import Embedding, short
from penult_service.cli.console import note, print_table
from penult_service.cli.outputs import drafts
from penult_service.cli.sides import Side
from penult_service.errors import InvalidInput
from penult_service.vectors import POOLINGS, TRUNCATIONS

ADDED = ("cluster",)
# Texts a cluster that are printed: fewer when there are many clusters.
TEXTS, FEW_CLUSTERS, MOST_CLUSTERS = 3, 20, 100


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("cluster")(cluster)


def cluster(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A file of texts or embeddings.")],
    method: Annotated[str, typer.Option(help=f"One of {', '.join(calls.CLUSTER_METHODS)}.")] = "kmeans",
    n_clusters: Annotated[
        int | None, typer.Option(metavar="N", help="How many; not with hdbscan, which finds it. [default: 8]")
    ] = None,
    metric: Annotated[str, typer.Option(help=f"One of {', '.join(calls.CLUSTER_METRICS)}.")] = "cosine",
    reduction: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Cluster on the rows, or on fewer dimensions of them: {', '.join(calls.REDUCTIONS)}. "
            "[default: umap for hdbscan, pca for gaussian_mixture, else none]",
        ),
    ] = None,
    reduced_dimensions: Annotated[
        int | None, typer.Option(metavar="N", help="How many dimensions. [default: 5 with umap, 50 with pca]")
    ] = None,
    linkage: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"Of agglomerative: {', '.join(calls.LINKAGES)}. [default: ward]"),
    ] = None,
    min_cluster_size: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Of hdbscan: the fewest rows of a cluster. [default: max(5, rows / 200)]"
        ),
    ] = None,
    min_samples: Annotated[
        int | None, typer.Option(metavar="N", help="Of hdbscan: rows that make a place dense. [default: 5]")
    ] = None,
    noise: Annotated[
        str, typer.Option(help="Of hdbscan: rows in no cluster keep -1, or go to the nearest cluster.")
    ] = "keep",
    seed: options.Seed = calls.SEED,
    label_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="A column of labels to compare the clusters with.")
    ] = None,
    model: options.Model = None,
    server: options.Server = None,
    text_column: options.TextColumn = "text",
    pooling: options.Pooling = "pooled",
    layer: options.Layer = None,
    normalize: options.Normalize = False,
    truncate: options.Truncate = "right",
    data: options.Data = None,
    as_json: options.Json = False,
    output: options.TableOutput = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Which rows belong together.

    Prints the clusters, the largest first, with the texts nearest to their centres, and how good they are.
    With --output the columns of the input and a column `cluster` are written: -1 is in no cluster, null
    has no embedding.

    The INPUT is of texts (.csv, .tsv, .jsonl, .parquet, .txt), which --model embeds, or of embeddings that
    `penult embed` wrote (.parquet, .arrow, .npy), which need no model. With --server that server computes, else
    this process does. The same rows, parameters and seed give the same clusters.
    """
    options.one_of("--method", method, calls.CLUSTER_METHODS)
    options.one_of("--metric", metric, calls.CLUSTER_METRICS)
    options.one_of("--noise", noise, calls.NOISE_MODES)
    options.one_of("--pooling", pooling, POOLINGS)
    options.one_of("--truncate", truncate, TRUNCATIONS)
    tables.check_places([output] if output else [], (source,), overwrite)
    call = calls.Cluster(
        method=method,
        n_clusters=n_clusters,
        metric=metric,
        reduction=reduction,
        reduced_dimensions=reduced_dimensions,
        linkage=linkage,
        min_cluster_size=min_cluster_size,
        min_samples=min_samples,
        noise=noise,
        seed=seed,
    )
    settings = {"pooling": pooling, "layer": layer, "normalize": normalize, "truncate": truncate}
    with Embedding(model, server, data, settings) as embedding:
        embedding.check(call, ("source",), labelled=label_column is not None)
        side = sides.of_file(source, text_column, embedding, keep=True)
        analyses.tell_missing(side)
        if output is not None:
            tables.check_names(side, ADDED)
        rows = side.good()
        labels = None if label_column is None else labels_of(side, label_column, rows)
        result: ClusterResult = embedding.analyse(call, {"source": side.vectors[rows]}, labels)
    clustering = Clustering(call, side, rows, labels, result)
    analyses.tell_adjustments(result.adjustments)
    analyses.tell_rows("with zeros alone (no direction, so no cluster)", rows[result.zero_rows])
    if output is not None:
        with drafts(output) as (draft,):
            tables.write(draft, output.suffix.lower(), clustering.table(source.name))
        note(f"wrote {output}: {len(side.vectors):,} rows, column cluster")
    if as_json:
        print(json.dumps(clustering.facts(), indent=1, ensure_ascii=False))
    else:
        _show(clustering)


def labels_of(side: Side, name: str, rows: NDArray[np.intp]) -> list[str]:
    """The labels of some rows.

    Raises:
        InvalidInput: no such column, or a row without a label.
    """
    values = tables.column_of(side, name, "--label-column").to_pylist()
    labels = [tables.word(values[row]) for row in rows]
    if "" in labels:
        raise InvalidInput(
            f"row {rows[labels.index('')]} has no label in column {name!r} ({labels.count('')} such rows); "
            "label every row, or leave --label-column out",
            reason="NO_LABEL",
        )
    return labels


@dataclass(frozen=True)
class Clustering:
    """Clusters of the rows of a side that have an embedding; `labels` are theirs."""

    call: calls.Cluster
    side: Side
    rows: NDArray[np.intp]
    labels: Sequence[str] | None
    result: ClusterResult

    def parameters(self) -> dict[str, Any]:
        """What was used, and how good it is."""
        result = self.result
        return {
            "used": {name: value for name, value in result.used.items() if value is not None},
            "rows": len(self.rows),
            "embedding_space": self.side.space,
            "clusters": len(result.sizes),
            "silhouette": result.silhouette,
            "silhouette_rows": result.silhouette_rows,
            "noise_share": result.noise_share,
            **result.agreement,
            "adjustments": analyses.plain(result.adjustments),
            "zero_rows": self.rows[result.zero_rows].tolist(),
            "penult": __version__,
        }

    def table(self, source: str) -> Any:
        """The input's columns, and the cluster."""
        table = tables.extended(self.side, {"cluster": self.result.labels}, self.rows)
        facts = {**self.parameters(), "source": source, "asked": asdict(self.call)}
        return tables.with_facts(table, self.side, "cluster", facts)

    def facts(self) -> dict[str, Any]:
        """All of it, for --json: each cluster, and the cluster of each row (null without an embedding)."""
        every: list[int | None] = [None] * len(self.side.vectors)
        for row, label in zip(self.rows.tolist(), self.result.labels.tolist(), strict=True):
            every[row] = label
        found = [self._cluster(number) for number in range(len(self.result.sizes))]
        return {**self.parameters(), "clusters": found, "labels": every}

    def nearest(self, number: int) -> list[int]:
        """Rows nearest to the centre of a cluster, nearest first."""
        return [int(self.rows[place]) for place in self.result.nearest[number] if place >= 0]

    def most_frequent(self, number: int) -> tuple[str, float] | None:
        """The label that most rows of a cluster have, and their share; None without labels."""
        if self.labels is None:
            return None
        members = np.flatnonzero(self.result.labels == number).tolist()
        label, count = Counter(self.labels[place] for place in members).most_common(1)[0]
        return label, count / len(members)

    def _cluster(self, number: int) -> dict[str, Any]:
        texts = self.side.texts
        near = [
            {"row": row, **({} if texts is None else {"text": texts[row]})} for row in self.nearest(number)
        ]
        label = self.most_frequent(number)
        majority = {} if label is None else {"label": label[0], "label_share": label[1]}
        return {"cluster": number, "size": int(self.result.sizes[number]), **majority, "nearest": near}


def _show(found: Clustering) -> None:
    result, count = found.result, len(found.result.sizes)
    used = analyses.in_words(found.parameters()["used"])
    print(f"{count:,} cluster{'s' * (count != 1)} of {len(found.rows):,} rows: {used}")
    quality = [f"noise {result.noise_share:.1%}"]
    if result.silhouette is not None:
        quality.insert(0, f"silhouette {result.silhouette:.3f} (of {result.silhouette_rows:,} rows)")
    names = {"v_measure": "V-measure", "adjusted_rand": "adjusted Rand", "purity": "purity"}
    quality += [f"{names[name]} {value:.3f}" for name, value in result.agreement.items()]
    print(", ".join(quality))
    if count:
        print()
        labelled = found.labels is not None
        headings = ("cluster", "rows", "share", *(("label",) if labelled else ()), "nearest to the centre")
        shown = range(min(count, MOST_CLUSTERS))
        print_table(headings, [line for number in shown for line in _lines(found, number)], right=(0, 1, 2))
    if count > MOST_CLUSTERS:
        print(f"... and {count - MOST_CLUSTERS:,} more clusters; --json has all")


def _lines(found: Clustering, number: int) -> list[tuple[str, ...]]:
    """The lines of a cluster: its facts, and a text each."""
    few = len(found.result.sizes) <= FEW_CLUSTERS
    near = found.nearest(number)[: TEXTS if few else 1]
    size = int(found.result.sizes[number])
    label = found.most_frequent(number)
    majority = () if label is None else (f"{short(label[0], 30)} {label[1]:.0%}",)
    names = [short(found.side.name(row), 80) for row in near] or [""]
    first = (str(number), f"{size:,}", f"{size / len(found.rows):.1%}", *majority, names[0])
    blank = ("",) * (len(first) - 1)
    return [first, *((*blank, name) for name in names[1:])]
