"""`penult outliers`: rows that lie far from all."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from penult_service import __version__
from penult_service.analysis import calls
from penult_service.analysis.results import OutliersResult
from penult_service.cli import analyses, options, tables
from penult_service.cli.analyses import short
from penult_service.cli.console import note, print_table
from penult_service.cli.outputs import drafts
from penult_service.cli.scores.screening import Screening
from penult_service.cli.scores.sides import Side

ADDED = ("outlier_score", "occurrences")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("outliers")(outliers)


def outliers(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A file of texts or embeddings.")],
    k: Annotated[int, typer.Option("--k", "-k", metavar="N", help="At how many neighbours.")] = 10,
    metric: Annotated[str, typer.Option(help=f"One of {', '.join(calls.DUPLICATE_METRICS)}.")] = "cosine",
    show: Annotated[int, typer.Option(min=0, metavar="N", help="How many rows to print.")] = 10,
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
    dry_run: options.DryRun = False,
) -> None:
    """Rows that lie far from all others.

    The score of a row is its mean distance to the k nearest other rows (a cosine distance is 1 - cosine). With
    --output the columns of the input are written and beside them `outlier_score` and `occurrences`: of how many rows it
    is among the k nearest.

    The INPUT is of texts (.csv, .tsv, .jsonl, .parquet, .txt), which --model embeds, or of embeddings that
    `penult embed` wrote (.parquet, .arrow, .npy), which need no model. With --server that server computes, else
    this process does.
    """
    tables.check_places([output] if output else [], (source,), overwrite)
    call = calls.Outliers(k, metric)
    settings = {"pooling": pooling, "layer": layer, "normalize": normalize, "truncate": truncate}
    asked = Screening(source, text_column, model, server, data, settings)
    made = asked.screened(call, ADDED if output else (), dry_run=dry_run, as_json=as_json)
    if made is None:
        return
    side, rows, result = made
    found = Found(call, *made)
    analyses.tell_rows("with zeros alone (no direction: their score is 1)", rows[result.zero_rows])
    if output is not None:
        with drafts(output) as (draft,):
            tables.write(draft, output.suffix.lower(), found.table(source.name))
        note(f"wrote {output}: {len(side.vectors):,} rows, columns {' and '.join(ADDED)}")
    if as_json:
        print(json.dumps(found.facts(), indent=1, ensure_ascii=False))
    else:
        _show(found, show)


@dataclass(frozen=True)
class Found:
    """How far the rows of a side that have an embedding lie from their neighbours."""

    call: calls.Outliers
    side: Side
    rows: NDArray[np.intp]
    result: OutliersResult

    def parameters(self) -> dict[str, Any]:
        """What was asked and found, in figures."""
        result = self.result
        return {
            "metric": self.call.metric,
            "k": result.k,
            "rows": len(self.rows),
            "hubness": result.hubness,
            "antihubs": result.antihubs,
            "most_occurrences": int(result.occurrences.max(initial=0)),
            "embedding_space": self.side.space,
            "adjustments": analyses.plain(result.adjustments),
            "zero_rows": self.rows[result.zero_rows].tolist(),
            "penult": __version__,
        }

    def table(self, source: str) -> Any:
        """The input's columns, the score and the occurrences."""
        added = dict(zip(ADDED, (self.result.scores, self.result.occurrences), strict=True))
        facts = {**self.parameters(), "source": source, "asked": asdict(self.call)}
        return tables.with_facts(tables.extended(self.side, added, self.rows), self.side, "outliers", facts)

    def first(self, most: int | None = None) -> list[dict[str, Any]]:
        """The rows that are farthest, the farthest first."""
        found = []
        for place in self.result.order[:most].tolist():
            row = int(self.rows[place])
            texts = {} if self.side.texts is None else {"text": self.side.texts[row]}
            score, occurrences = float(self.result.scores[place]), int(self.result.occurrences[place])
            found.append({"row": row, "score": score, "occurrences": occurrences, **texts})
        return found

    def facts(self) -> dict[str, Any]:
        """All of it, for --json; the farthest thousand rows by score, and the scores of all."""
        every: list[float | None] = [None] * len(self.side.vectors)
        for row, score in zip(self.rows.tolist(), self.result.scores.tolist(), strict=True):
            every[row] = score
        return {**self.parameters(), "farthest": self.first(), "scores": every}


def _show(found: Found, show: int) -> None:
    result = found.result
    what = f"mean {found.call.metric} distance to the {result.k} nearest others"
    scores = result.scores
    print(
        f"{len(found.rows):,} rows: {what} {scores.min():.4f} to {scores.max():.4f}, median {np.median(scores):.4f}"
    )
    hubs = (
        ""
        if result.hubness is None
        else f", hubness {result.hubness:.2f} (above 1: a few are near to very many)"
    )
    most = int(result.occurrences.max(initial=0))
    print(f"one row is among the nearest of {most:,} others; {result.antihubs:,} of none{hubs}")
    if show:
        print()
        lines = [
            (
                f"{one['score']:.4f}",
                f"row {one['row']}",
                f"{one['occurrences']:,}",
                short(one.get("text", ""), 90),
            )
            for one in found.first(show)
        ]
        print_table(("distance", "", "near to", ""), lines, right=(0, 1, 2))
