"""`penult clusters`: clusters that are kept, what became of them, and what a person changes."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from penult_service.cli import cluster_report, kept, options
from penult_service.cli.analyses import in_words, short
from penult_service.cli.console import print_table
from penult_service.cli.stored_rows import StoredRows, places_of, stored_rows
from penult_service.errors import InvalidInput

if TYPE_CHECKING:
    from penult_client import ClusterBatch, ClusterInfo, Clusters, StoredInfo

# Keywords of a cluster that are printed.
WORDS = 5
_Name = Annotated[str, typer.Argument(metavar="NAME", help="What they are kept under.", show_default=False)]
_Label = Annotated[int, typer.Argument(metavar="LABEL", help="The cluster's number.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(_list)
    group.command("show")(_show)
    group.command("merge")(_merge)
    group.command("split")(_split)
    group.command("name")(_name)
    group.command("history")(_history)
    group.command("delete")(_delete)
    app.add_typer(group, name="clusters", help="Clusters that are kept: `penult cluster --name` makes them.")


def _list(
    server: options.Server = None, data: options.KeptData = None, as_json: options.Json = False
) -> None:
    """All clusterings that are kept, by name."""
    with kept.keeper(None, server, data) as (client, _):
        found = client.clusterings()
    if as_json:
        _print_json([_info(each) for each in found])
        return
    if not found:
        print(f"{server or data} keeps no clusters")
        return
    headings = ("name", "clusters", "rows", "method", "of", "made", "changed", "kept")
    print_table(headings, [_row(each) for each in found], right=(1, 2))
    for each in found:
        if each.problem:
            print(f"{each.name}: {each.problem}")


def _show(
    name: _Name,
    server: options.Server = None,
    data: options.KeptData = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="A report: a .html or .md file; several times for both."
        ),
    ] = None,
    dendrogram: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw how the clusters belong together: a .png or .svg file."),
    ] = None,
    source: Annotated[
        list[Path] | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help="Of a report: the files that the clusters were made of and took in, in that order, for their texts. "
            "[default: the dataset, if they are of one]",
        ),
    ] = None,
    on_map: Annotated[
        str | None,
        typer.Option(
            "--map", metavar="NAME", help="Of a page: show them on a map of the same rows, that is kept."
        ),
    ] = None,
    text_column: options.TextColumn = "text",
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> None:
    """The clusters, with their keywords and names."""
    places = cluster_report.checked(output or [], dendrogram, source or [], overwrite, cluster_report.REPORTS)
    if source and not places:
        raise InvalidInput("--input is of a report; name one with -o FILE", field="--input")
    if on_map and not any(place.suffix.lower() in cluster_report.PAGES for place in places):
        raise InvalidInput("--map is of a page; name one with -o FILE.html", field="--map")
    rows, coordinates = StoredRows(), None
    with kept.keeper(None, server, data) as (client, _):
        found = client.clustering(name)
        if places and found.stored is not None:
            rows = stored_rows(client, found.stored, source or [], text_column)
        if on_map:
            coordinates = places_of(client, found, on_map)
    if places:
        cluster_report.write_kept(
            places, found, name, rows.texts, shlex.join(["penult", *sys.argv[1:]]), coordinates
        )
    _tell(found, as_json)


def _merge(
    name: _Name,
    labels: Annotated[
        list[int],
        typer.Argument(metavar="LABEL LABEL...", help="Numbers of two clusters or more.", show_default=False),
    ],
    server: options.Server = None,
    data: options.KeptData = None,
    as_json: options.Json = False,
) -> None:
    """Make one cluster of some; it has the number of the largest."""
    with kept.keeper(None, server, data) as (client, _):
        found = client.merge_clusters(name, labels)
    _tell(found, as_json)


def _split(
    name: _Name,
    label: _Label,
    parts: Annotated[int, typer.Option("--into", metavar="N", help="Into how many.")] = 2,
    server: options.Server = None,
    data: options.KeptData = None,
    as_json: options.Json = False,
) -> None:
    """Make several clusters of one; the largest part keeps its number."""
    with kept.keeper(None, server, data) as (client, _):
        found = client.split_cluster(name, label, parts)
    _tell(found, as_json)


def _name(
    name: _Name,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="LABEL=TEXT...",
            help='Such as 0=refunds 3="lost cards"; 0= takes the name away.',
            show_default=False,
        ),
    ],
    server: options.Server = None,
    data: options.KeptData = None,
    as_json: options.Json = False,
) -> None:
    """Give clusters names."""
    given = dict(_parsed(each) for each in names)
    with kept.keeper(None, server, data) as (client, _):
        found = client.name_clusters(name, given)
    _tell(found, as_json)


def _history(
    name: _Name,
    server: options.Server = None,
    data: options.KeptData = None,
    as_json: options.Json = False,
) -> None:
    """What became of the clusters since they were made: batches, sizes, how far centres moved."""
    with kept.keeper(None, server, data) as (client, _):
        found = client.clustering(name)
    if as_json:
        _print_json([_batch(each) for each in found.history])
        return
    headings = ("when", "what", "rows", "in none", "clusters", "new", "gone", "largest move of a centre")
    print_table(headings, [_event(each) for each in found.history], right=(2, 3, 4))


def _delete(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names.", show_default=False)],
    server: options.Server = None,
    data: options.KeptData = None,
) -> None:
    """Delete clusterings."""
    with kept.keeper(None, server, data) as (client, _):
        for each in names:
            client.delete_clustering(each)
            print(f"{each} is deleted")


def _parsed(given: str) -> tuple[int, str]:
    """The label and the name of ``LABEL=TEXT``.

    Raises:
        InvalidInput: it is none.
    """
    label, equals, text = given.partition("=")
    if not equals or not label.strip().isdecimal():
        raise InvalidInput(
            f"{given!r} is no LABEL=TEXT, such as 0=refunds", reason="NOT_A_NAME", field="names"
        )
    return int(label), text


def _tell(found: Clusters, as_json: bool) -> None:
    if as_json:
        _print_json(_facts(found))
        return
    stored = found.stored
    assert stored is not None
    count, rows = len(found.clusters), len(found.labels)
    none = int((found.labels < 0).sum())
    print(f"{stored.name}: {count:,} clusters of {rows:,} rows, {none:,} in none; {in_words(found.used)}")
    if found.history:
        print(f"last {found.history[-1].event}; `penult clusters history {stored.name}` tells all")
    if not count:
        return
    print()
    headings = ("cluster", "name", "rows", "share", "keywords", "central rows")
    print_table(headings, [_cluster(each, rows) for each in found.clusters], right=(0, 2, 3))


def _cluster(info: ClusterInfo, rows: int) -> tuple[str, ...]:
    return (
        str(info.label),
        short(info.name, 40) or "-",
        f"{info.size:,}",
        f"{info.size / max(rows, 1):.1%}",
        ", ".join(word for word, _ in info.keywords[:WORDS]) or "-",
        ", ".join(map(str, info.nearest[:3].tolist())),
    )


def _facts(found: Clusters) -> dict[str, Any]:
    assert found.stored is not None
    return {
        **_info(found.stored),
        "used": found.used,
        "quality": asdict(found.quality),
        "clusters": [
            {
                "cluster": info.label,
                "name": info.name,
                "size": info.size,
                "nearest": info.nearest.tolist(),
                "border": info.border.tolist(),
                "odd": info.odd.tolist(),
                "keywords": [{"word": word, "weight": weight} for word, weight in info.keywords],
                "labels": info.labels,
                "silhouette": info.silhouette,
            }
            for info in found.clusters
        ],
        "merges": found.merges.tolist(),
        "history": [_batch(each) for each in found.history],
        "labels": found.labels.tolist(),
    }


def _batch(batch: ClusterBatch) -> dict[str, Any]:
    return {
        "created": batch.created.isoformat() if batch.created else "",
        "event": batch.event,
        "rows": batch.rows,
        "unassigned": batch.unassigned,
        "new_labels": list(batch.new_labels),
        "gone_labels": list(batch.gone_labels),
        "labels": batch.labels.tolist(),
        "sizes": batch.sizes.tolist(),
        "drift": batch.drift.tolist(),
    }


def _event(batch: ClusterBatch) -> tuple[str, ...]:
    moved = "-"
    if batch.drift.size and batch.drift.max() > 0:
        far = int(np.argmax(batch.drift))
        moved = f"{batch.drift[far]:.4f} (cluster {batch.labels[far]})"
    return (
        batch.created.strftime("%Y-%m-%d %H:%M") if batch.created else "-",
        batch.event,
        f"{batch.rows:,}",
        f"{batch.unassigned:,}",
        f"{len(batch.labels):,}",
        ", ".join(map(str, batch.new_labels)) if batch.event != "made" else "-",
        ", ".join(map(str, batch.gone_labels)),
        moved,
    )


def _info(info: StoredInfo) -> dict[str, Any]:
    facts = asdict(info)
    for name in ("created", "updated"):
        facts[name] = facts[name].isoformat() if facts[name] else ""
    facts["cluster_names"] = {str(label): name for label, name in info.cluster_names.items()}
    return facts


def _row(info: StoredInfo) -> tuple[str, ...]:
    return (
        info.name,
        "-" if info.clusters is None else f"{info.clusters:,}",
        f"{info.rows:,}",
        str(info.parameters.get("method", "-")),
        info.dataset or "-",
        info.created.strftime("%Y-%m-%d %H:%M") if info.created else "-",
        info.updated.strftime("%Y-%m-%d %H:%M") if info.updated else "-",
        "damaged" if info.problem else "yes" if info.durable else "until the server ends",
    )


def _print_json(told: Any) -> None:
    print(json.dumps(told, indent=1, ensure_ascii=False))
