"""`penult cluster`: which rows belong together."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from penult_service.analysis import calls
from penult_service.analysis.results import ClusterResult
from penult_service.cli import analyses, estimates, kept, options, tables
from penult_service.cli.analyses import short
from penult_service.cli.clusters import cluster_report
from penult_service.cli.clusters.clustering import Clustering
from penult_service.cli.console import note, print_table
from penult_service.cli.scores import sides
from penult_service.cli.scores.sides import Side
from penult_service.errors import InvalidInput
from penult_service.plots.clusters.cluster_words import option
from penult_service.plots.words import counted
from penult_service.vectors import POOLINGS, TRUNCATIONS

ADDED = ("cluster",)
AUTO = "auto"
# Texts a cluster that are printed: fewer when there are many clusters.
TEXTS, FEW_CLUSTERS, MOST_CLUSTERS = 3, 20, 100
WORDS = 4
# Mean silhouettes that differ by less are no ranking.
NEARLY = 0.02
FIGURES = {
    "v_measure": "V-measure",
    "adjusted_rand": "adjusted Rand",
    "purity": "purity",
    "normalized_mutual_information": "NMI",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("cluster")(cluster)


def cluster(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A file of texts or embeddings.")],
    method: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"One of {', '.join(calls.CLUSTER_METHODS)}. [default: hdbscan, with --n-clusters kmeans]",
        ),
    ] = None,
    n_clusters: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            help="How many; auto tries several numbers. Not with hdbscan, which finds it. "
            "[default: 8 with another --method]",
        ),
    ] = None,
    metric: Annotated[str, typer.Option(help=f"One of {', '.join(calls.CLUSTER_METRICS)}.")] = "cosine",
    reduction: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Cluster on the rows, or on fewer dimensions of them: {', '.join(calls.REDUCTIONS)}. "
            "[default: umap without --method and for hdbscan, pca for gaussian_mixture, else none]",
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
    bootstraps: Annotated[
        int, typer.Option(metavar="N", help="Cluster so many samples too, and say how far they agree.")
    ] = 0,
    keywords: Annotated[int, typer.Option(metavar="N", help="Words to tell each cluster by, of texts.")] = 10,
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
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="A report (.html, .md) or the rows (.parquet, .csv, .jsonl); several times for several.",
        ),
    ] = None,
    dendrogram: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw how the clusters belong together: a .png or .svg file."),
    ] = None,
    name: options.Name = None,
    overwrite: options.OverwriteOrName = False,
    dry_run: options.DryRun = False,
) -> None:
    """Which rows belong together.

    Prints the clusters, the largest first, with keywords, the texts nearest to their centres, and how good they are.
    With --output a report is written (.html, .md), or the columns of the input and a column `cluster` (.parquet,
    .csv, .jsonl): -1 is in no cluster, null has no embedding. A page (.html) of an INPUT that `penult map` wrote
    shows the clusters on that map.

    The INPUT is of texts (.csv, .tsv, .jsonl, .parquet, .txt), which --model embeds, or of embeddings that
    `penult embed` wrote (.parquet, .arrow, .npy), which need no model. With --server that server computes, else
    this process does. The same rows, parameters and seed give the same clusters. With --name they are kept, by that
    server or in --data DIR (of `penult serve --data`), and `penult assign` and `penult grow` take new rows.
    """
    if method is not None:
        options.one_of("--method", method, calls.CLUSTER_METHODS)
    options.one_of("--metric", metric, calls.CLUSTER_METRICS)
    options.one_of("--noise", noise, calls.NOISE_MODES)
    options.one_of("--pooling", pooling, POOLINGS)
    options.one_of("--truncate", truncate, TRUNCATIONS)
    places = cluster_report.checked(output or [], dendrogram, [source], overwrite)
    call = calls.Cluster(
        method=method or "auto",
        n_clusters=_number(n_clusters),
        metric=metric,
        reduction=reduction,
        reduced_dimensions=reduced_dimensions,
        linkage=linkage,
        min_cluster_size=min_cluster_size,
        min_samples=min_samples,
        noise=noise,
        seed=seed,
        auto=n_clusters == AUTO,
        bootstraps=bootstraps,
        keywords=keywords,
    )
    settings = {"pooling": pooling, "layer": layer, "normalize": normalize, "truncate": truncate}
    more = {"name": name, "overwrite": name and overwrite}
    with kept.opened(model, server, data, settings, more, dry_run=dry_run) as embedding:
        embedding.check(call, ("source",), labelled=label_column is not None)
        added = ADDED if any(place.suffix.lower() in tables.ENDINGS for place in places) else ()
        wanted = {"--label-column": label_column} if label_column is not None else {}
        columns = tables.Columns(wanted, added)
        side = sides.of_file(source, text_column, embedding, keep=True, check=columns.check)
        analyses.tell_missing(side)
        rows = side.good()
        labels = None if label_column is None else labels_of(side, label_column, rows)
        if dry_run:
            estimates.show(embedding.estimate(call, side, rows, labels), server, as_json)
            return
        result, side = embedding.analyse_rows(call, side, rows, labels)
    found = Clustering(call, side, rows, labels, _with_keywords(result, call, side, rows))
    analyses.tell_adjustments(result.adjustments)
    analyses.tell_rows("with zeros alone (no direction, so no cluster)", rows[result.zero_rows])
    command = shlex.join(["penult", *sys.argv[1:]])
    cluster_report.write(places, found, source.name, label_column, command)
    kept.tell(embedding)
    if as_json:
        print(json.dumps(found.facts(), indent=1, ensure_ascii=False))
    else:
        _show(found)
    for advice in result.advice:
        note(f"advice: {option(advice.parameter)}: {advice.why}")


def _with_keywords(
    result: ClusterResult, call: calls.Cluster, side: Side, rows: NDArray[np.intp]
) -> ClusterResult:
    """The result with what a server could not say that was given vectors alone."""
    words = analyses.texts_of(side, rows) if call.keywords else {}
    if any(result.keywords) or not words:
        return result
    from penult_service.analysis.clusters.keywords import keywords

    count = len(result.sizes)
    found = keywords(words["text_bytes"], words["text_ends"], result.labels, count, call.keywords)
    return replace(result, keywords=found)


def _number(n_clusters: str | None) -> int | None:
    """How many clusters are asked for.

    Raises:
        InvalidInput: it is neither a number nor auto.
    """
    if n_clusters is None or n_clusters == AUTO:
        return None
    try:
        return int(n_clusters)
    except ValueError as error:
        raise InvalidInput(
            f"--n-clusters is a number or auto, not {n_clusters!r}", field="--n-clusters"
        ) from error


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


def _show(found: Clustering) -> None:
    result, count = found.result, len(found.result.sizes)
    used = analyses.in_words(found.parameters()["used"])
    print(f"{counted(count, 'cluster')} of {counted(len(found.rows), 'row')}: {used}")
    for line in _quality(found):
        print(line)
    if count:
        print()
        columns = (("label",) if found.labels is not None else (), ("keywords",) if result.keywords else ())
        headings = ("cluster", "rows", "share", *columns[0], *columns[1], "nearest to the centre")
        shown = range(min(count, MOST_CLUSTERS))
        print_table(headings, [line for number in shown for line in _lines(found, number)], right=(0, 1, 2))
    if count > MOST_CLUSTERS:
        print(f"... and {count - MOST_CLUSTERS:,} more clusters; --json has all")


def _quality(found: Clustering) -> list[str]:
    """How good the clusters are, in lines."""
    result = found.result
    quality = [f"noise {result.noise_share:.1%}"]
    if result.silhouette is not None:
        quality.insert(0, f"silhouette {result.silhouette:.3f} (of {result.silhouette_rows:,} rows)")
    if result.davies_bouldin is not None:
        quality.append(f"Davies-Bouldin {result.davies_bouldin:.3f}")
    if result.calinski_harabasz is not None:
        quality.append(f"Calinski-Harabasz {result.calinski_harabasz:,.1f}")
    quality += [f"{FIGURES.get(name, name)} {value:.3f}" for name, value in result.agreement.items()]
    lines = [", ".join(quality)]
    if result.stability is not None:
        known = result.stability
        told = f"{known.adjusted_rand:.3f} ({known.low:.3f} to {known.high:.3f}"
        lines.append(f"stability {told}, adjusted Rand of {known.samples} bootstrap samples)")
    if result.curve:
        best = max(result.curve, key=lambda one: one[1])
        near = sorted(count for count, score in result.curve if score > best[1] - NEARLY)
        others = f"{len(near)}, from {near[0]:,} to {near[-1]:,}, are" if len(near) > 1 else "no other is"
        lines.append(
            f"{len(result.curve)} numbers of clusters tried: {best[0]:,} has the best mean silhouette where they are "
            f"found, {best[1]:.3f}; {others} within {NEARLY} of that (--json and reports have the curve)"
        )
    if len(result.moved):
        lines.append(f"{len(result.moved):,} rows were noise, and went to the nearest cluster")
    return lines


def _lines(found: Clustering, number: int) -> list[tuple[str, ...]]:
    """The lines of a cluster: its facts, and a text each."""
    few = len(found.result.sizes) <= FEW_CLUSTERS
    near = found.nearest(number)[: TEXTS if few else 1]
    size = int(found.result.sizes[number])
    labels = found.frequent(number, 1)
    majority = [f"{short(label, 30)} {rows / size:.0%}" for label, rows in labels]
    words = ", ".join(word for word, _ in found.keywords(number)[:WORDS])
    middle = [*majority, *([short(words, 40)] if found.result.keywords else [])]
    names = [short(found.side.name(row), 80) for row in near] or [""]
    first = (str(number), f"{size:,}", f"{size / len(found.rows):.1%}", *middle, names[0])
    blank = ("",) * (len(first) - 1)
    return [first, *((*blank, name) for name in names[1:])]
