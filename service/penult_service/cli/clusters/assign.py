"""`penult assign` and `penult grow`: new rows in clusters that are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from penult_service import __version__
from penult_service.cli import analyses, estimates, kept, options, remote, tables
from penult_service.cli.analyses import short
from penult_service.cli.console import note, print_table
from penult_service.cli.operation_progress import shown
from penult_service.cli.outputs import drafts
from penult_service.cli.scores.sides import Side
from penult_service.plots.words import counted

if TYPE_CHECKING:
    from penult_client import Assigned, Grown

ADDED = ("cluster", "cluster_name", "share", "distance", "far")
GROWN = ("cluster", "cluster_name")
_Name = Annotated[
    str,
    typer.Option("--clusters", metavar="NAME", help="The clusters, as `penult cluster --name` kept them."),
]
_Source = Annotated[Path, typer.Argument(metavar="INPUT", help="A file of texts or embeddings.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("assign")(assign)
    app.command("grow")(grow)


def assign(
    source: _Source,
    name: _Name,
    show: Annotated[int, typer.Option(min=0, metavar="N", help="How many rows to print.")] = 10,
    model: options.NewRowsModel = None,
    server: options.KeepingServer = None,
    data: options.KeptData = None,
    text_column: options.TextColumn = "text",
    as_json: options.Json = False,
    output: options.TableOutput = None,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
) -> None:
    """Which of the clusters new rows belong to; the clusters stay as they are.

    The label of a row depends on the clusters and the row alone; a row that they were made of has its own. With
    --output the columns of the input are written and beside them `cluster` (-1: none), `cluster_name` (given with
    `penult clusters name`), `share` (how much speaks for it, 0 to 1), `distance` (to the nearest row of the clusters)
    and `far`: farther than 99 % of their own rows are from each other.

    The INPUT is of texts, which are embedded as the clusters' own rows were, or of embeddings that `penult embed`
    wrote. For clusters of embeddings embed new texts with `penult embed` in the same way first.
    """
    tables.check_places([output] if output else [], (source,), overwrite)
    side, rows = kept.new_rows(source, text_column, model, server, data)
    if output is not None:
        tables.check_names(side, ADDED)
    with kept.keeper(model, server, data) as (client, called):
        if dry_run:
            estimate = client.assign(kept.given(side, rows), name, model=called, dry_run=True)
            estimates.show(estimate, server, as_json)
            return
        with shown("waiting for the server's analysis", "was told to end") as report:
            found = client.assign(kept.given(side, rows), name, model=called, progress=report)
    made = Assignment(kept.told(side, found), rows, found)
    kept.tell_new(found, rows, "they are in no cluster", "they are in no cluster")
    _write(output, source, made)
    if as_json:
        print(json.dumps(made.facts(), indent=1, ensure_ascii=False))
    else:
        _show(made, show)


def grow(
    source: _Source,
    name: _Name,
    min_cluster_size: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="The fewest rows of a new cluster. [default: that of the clusters, or 5]"
        ),
    ] = None,
    model: options.NewRowsModel = None,
    server: options.KeepingServer = None,
    data: options.KeptData = None,
    text_column: options.TextColumn = "text",
    as_json: options.Json = False,
    output: options.TableOutput = None,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
) -> None:
    """Take rows into clusters: dense groups of new rows, among which hardly any old ones lie, are new clusters.

    Old clusters keep their numbers. With --output the columns of the input are written and beside them `cluster` (-1:
    none) and `cluster_name`. `penult clusters history NAME` tells what became of the clusters since they were made.
    """
    tables.check_places([output] if output else [], (source,), overwrite)
    side, rows = kept.new_rows(source, text_column, model, server, data)
    if output is not None:
        tables.check_names(side, GROWN)
    with kept.keeper(model, server, data) as (client, called):
        how: dict[str, Any] = {"model": called, "min_cluster_size": min_cluster_size}
        if dry_run:
            estimates.show(client.grow(kept.given(side, rows), name, dry_run=True, **how), server, as_json)
            return
        with shown("waiting for the server's analysis", "was told to end") as report:
            found = client.grow(kept.given(side, rows), name, progress=report, **how)
    made = Growth(kept.told(side, found), rows, found)
    analyses.tell_adjustments(remote.adjustments(found.adjustments))
    _write(output, source, made)
    if as_json:
        print(json.dumps(made.facts(), indent=1, ensure_ascii=False))
    else:
        _show_growth(found)


@dataclass(frozen=True)
class Growth:
    """The clusters that the rows of a side were taken into."""

    side: Side
    rows: NDArray[np.intp]
    found: Grown

    @property
    def names(self) -> Mapping[int, str]:
        """What persons called clusters."""
        return {info.label: info.name for info in self.found.clusters if info.name}

    def parameters(self) -> dict[str, Any]:
        """What was used, and what became of the clusters."""
        found, batch = self.found, self.found.batch
        return {
            "clustering": found.clustering.name,
            "rows": len(self.rows),
            "used": remote.used(found.used),
            "unassigned": batch.unassigned,
            "new_clusters": list(batch.new_labels),
            "space_checked": found.space_checked,
            "embedding_space": self.side.space,
            "adjustments": analyses.plain(remote.adjustments(found.adjustments)),
            "penult": __version__,
        }

    def table(self, source: str) -> Any:
        """The input's columns, and the cluster."""
        added = {"cluster": self.found.labels, "cluster_name": named(self.found.labels, self.names)}
        table = tables.extended(self.side, added, self.rows)
        return tables.with_facts(table, self.side, "grow", {**self.parameters(), "source": source})

    def facts(self) -> dict[str, Any]:
        """All of it, for --json."""
        batch = self.found.batch
        clusters = [
            {"cluster": label, "name": self.names.get(label, ""), "size": size, "drift": drift}
            for label, size, drift in zip(
                batch.labels.tolist(), batch.sizes.tolist(), batch.drift.tolist(), strict=True
            )
        ]
        labels = dict(zip(self.rows.tolist(), self.found.labels.tolist(), strict=True))
        every = [labels.get(row) for row in range(len(self.side.vectors))]
        return {**self.parameters(), "clusters": clusters, "labels": every}


@dataclass(frozen=True)
class Assignment:
    """The clusters of the rows of a side that have an embedding."""

    side: Side
    rows: NDArray[np.intp]
    found: Assigned

    def parameters(self) -> dict[str, Any]:
        """What was used."""
        found = self.found
        return {
            "clustering": found.clustering.name,
            "rows": len(self.rows),
            "used": remote.used(found.used),
            "unassigned": int((found.labels < 0).sum()),
            "far": len(found.far_rows),
            "far_distance": found.far_distance,
            "space_checked": found.space_checked,
            "embedding_space": self.side.space,
            "zero_rows": self.rows[found.zero_rows].tolist(),
            "penult": __version__,
        }

    def table(self, source: str) -> Any:
        """The input's columns, the cluster, and how sure that is."""
        found = self.found
        values = (found.labels, named(found.labels, found.names), found.shares, found.distances, found.far)
        table = tables.extended(self.side, dict(zip(ADDED, values, strict=True)), self.rows)
        return tables.with_facts(table, self.side, "assign", {**self.parameters(), "source": source})

    def facts(self) -> dict[str, Any]:
        """All of it, for --json."""
        found, texts = self.found, self.side.texts
        rows = [
            {
                "row": row,
                **({} if texts is None else {"text": texts[row]}),
                "cluster": int(found.labels[i]),
                "name": found.names.get(int(found.labels[i]), ""),
                "share": float(found.shares[i]),
                "distance": float(found.distances[i]),
                "far": bool(found.far[i]),
            }
            for i, row in enumerate(self.rows.tolist())
        ]
        return {**self.parameters(), "results": rows}


def named(labels: NDArray[np.int32], names: Mapping[int, str]) -> NDArray[Any]:
    """object [n]: what persons called the clusters; "" where nobody did."""
    made = np.empty(len(labels), object)
    made[:] = [names.get(label, "") for label in labels.tolist()]
    return made


def _write(output: Path | None, source: Path, made: Assignment | Growth) -> None:
    if output is None:
        return
    with drafts(output) as (draft,):
        tables.write(draft, output.suffix.lower(), made.table(source.name))
    note(f"wrote {output}: {len(made.side.vectors):,} rows")


def _show(made: Assignment, show: int) -> None:
    found = made.found
    none = int((found.labels < 0).sum())
    print(
        f"{counted(len(made.rows), 'row')} in clusters {found.clustering.name}: {len(found.labels) - none:,} belong "
        f"to one, {none:,} to none; {kept.far_words(found)}"
    )
    if show:
        lines = [
            (
                f"row {row}",
                _called(int(found.labels[i]), found.names),
                f"{found.shares[i]:.2f}",
                f"{found.distances[i]:.4f}",
                "far" if found.far[i] else "",
                short(made.side.texts[row], 80) if made.side.texts else "",
            )
            for i, row in enumerate(made.rows[:show].tolist())
        ]
        print_table(("", "cluster", "share", "distance", "", ""), lines, right=(0, 2, 3))
    if len(made.rows) > show:
        print(f"... and {len(made.rows) - show:,} more; -o FILE or --json has all")


def _show_growth(found: Grown) -> None:
    batch = found.batch
    new, none = counted(len(batch.new_labels), "new cluster"), counted(batch.unassigned, "row")
    print(f"{counted(batch.rows, 'row')} taken into clusters {found.clustering.name}: {new}, {none} in none")
    names = {info.label: info.name for info in found.clusters if info.name}
    taken = dict(zip(*np.unique(found.labels, return_counts=True), strict=True))
    lines = [
        (
            _called(label, names),
            f"{size:,}",
            f"{taken.get(label, 0):,}",
            "new" if label in batch.new_labels else f"{drift:.4f}",
        )
        for label, size, drift in zip(
            batch.labels.tolist(), batch.sizes.tolist(), batch.drift.tolist(), strict=True
        )
    ]
    print_table(("cluster", "rows", "of these", "centre moved"), lines, right=(1, 2, 3))


def _called(label: int, names: Mapping[int, str]) -> str:
    """A cluster's number, and its name where it has one."""
    if label < 0:
        return "none"
    return f"{label} {short(names[label], 30)}" if names.get(label) else str(label)
