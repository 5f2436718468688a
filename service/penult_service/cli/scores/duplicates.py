"""`penult duplicates`: rows that are equal, or nearly."""

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
from penult_service.analysis.results import DuplicatesResult
from penult_service.cli import analyses, options, tables
from penult_service.cli.analyses import short
from penult_service.cli.console import note, print_table
from penult_service.cli.outputs import drafts
from penult_service.cli.scores import usual
from penult_service.cli.scores.screening import Screening
from penult_service.cli.scores.sides import Side

ADDED = ("duplicate_group", "keep")
# Rows of a group that are printed.
ROWS = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("duplicates")(duplicates)


def duplicates(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A file of texts or embeddings.")],
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="How alike two rows are at least, or how far apart at most. [default: 0.95, or 0]",
        ),
    ] = None,
    metric: Annotated[str, typer.Option(help=f"One of {', '.join(calls.DUPLICATE_METRICS)}.")] = "cosine",
    max_pairs: Annotated[
        int, typer.Option(metavar="N", help="The most pairs to give, the most alike first.")
    ] = calls.MOST_PAIRS,
    show: Annotated[int, typer.Option(min=0, metavar="N", help="How many groups to print.")] = 10,
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
    pairs: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the pairs to a .parquet, .csv or .jsonl file."),
    ] = None,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
) -> None:
    """Rows that are equal, or nearly, and which of them to keep.

    With --output the columns of the input are written and beside them `duplicate_group` (-1: none is like it) and
    `keep`: true for rows to keep, one of each group. With --pairs a row for each pair: a, b (numbers of rows), score.

    Classifiers give cosines near 0.95 to everything, so a percentile stands beside each score: the share of random
    pairs of these rows that are less alike.

    The INPUT is of texts (.csv, .tsv, .jsonl, .parquet, .txt), which --model embeds, or of embeddings that
    `penult embed` wrote (.parquet, .arrow, .npy), which need no model. With --server that server computes, else
    this process does.
    """
    places = [place for place in (output, pairs) if place is not None]
    tables.check_places(places, (source,), overwrite)
    call = calls.Duplicates(threshold, metric, max_pairs)
    settings = {"pooling": pooling, "layer": layer, "normalize": normalize, "truncate": truncate}
    asked = Screening(source, text_column, model, server, data, settings)
    made = asked.screened(call, ADDED if output else (), dry_run=dry_run, as_json=as_json)
    if made is None:
        return
    side, rows, result = made
    found = Found(call, *made)
    analyses.tell_rows("with zeros alone (no direction, so like none)", rows[result.zero_rows])
    with drafts(*places) as written:
        for draft, place in zip(written, places, strict=True):
            table = found.table(source.name) if place is output else found.pairs()
            tables.write(draft, place.suffix.lower(), table)
    for place in places:
        what = f"{len(side.vectors):,} rows" if place is output else f"{len(result.pairs):,} pairs"
        note(f"wrote {place}: {what}")
    if as_json:
        print(json.dumps(found.facts(), indent=1, ensure_ascii=False))
    else:
        _show(found, show)


@dataclass(frozen=True)
class Found:
    """Duplicates among the rows of a side that have an embedding."""

    call: calls.Duplicates
    side: Side
    rows: NDArray[np.intp]
    result: DuplicatesResult

    @property
    def keep(self) -> NDArray[np.bool_]:
        """bool [m]: what is left when of each group one row is kept."""
        kept_rows: NDArray[np.bool_] = self.result.groups < 0
        kept_rows[self.result.keepers] = True
        return kept_rows

    def parameters(self) -> dict[str, Any]:
        """What was asked and found, in figures."""
        result = self.result
        known = usual.background(result.background, self.call.metric)
        return {
            "metric": self.call.metric,
            "threshold": result.threshold,
            "threshold_percentile": usual.percentile(known, result.threshold),
            "rows": len(self.rows),
            "groups": len(result.keepers),
            "rows_kept": int(self.keep.sum()),
            "pairs": result.total_pairs,
            "equal_pairs": result.equal_pairs,
            "background": usual.facts(known),
            "embedding_space": self.side.space,
            "adjustments": analyses.plain(result.adjustments),
            "zero_rows": self.rows[result.zero_rows].tolist(),
            "penult": __version__,
        }

    def table(self, source: str) -> Any:
        """The input's columns, the group, and whether to keep the row."""
        added = dict(zip(ADDED, (self.result.groups, self.keep), strict=True))
        facts = {**self.parameters(), "source": source, "asked": asdict(self.call)}
        return tables.with_facts(tables.extended(self.side, added, self.rows), self.side, "duplicates", facts)

    def pairs(self) -> Any:
        """A row for each pair that is given."""
        import pyarrow as pa

        result = self.result
        known = usual.background(result.background, self.call.metric)
        numbers = self.rows[result.pairs].astype(np.int32)
        columns: dict[str, Any] = {
            "a": pa.array(numbers[:, 0]),
            "b": pa.array(numbers[:, 1]),
            "score": pa.array(result.scores),
        }
        if known is not None:
            columns["percentile"] = pa.array(known.percentiles(result.scores))
        if self.side.texts is not None:
            for name, which in (("text_a", numbers[:, 0]), ("text_b", numbers[:, 1])):
                columns[name] = pa.array([self.side.texts[row] for row in which], pa.string())
        return tables.with_facts(pa.table(columns), self.side, "duplicates", self.parameters())

    def members(self, group: int) -> list[int]:
        """Rows of a group, the one to keep first."""
        places = np.flatnonzero(self.result.groups == group)
        keeper = self.result.keepers[group]
        return [int(self.rows[keeper]), *self.rows[places[places != keeper]].tolist()]

    def facts(self) -> dict[str, Any]:
        """All of it, for --json."""
        texts = self.side.texts
        groups = []
        for group in range(len(self.result.keepers)):
            members = self.members(group)
            told = {} if texts is None else {"texts": [texts[row] for row in members]}
            groups.append({"group": group, "keep": members[0], "rows": members, **told})
        return {**self.parameters(), "found": groups}


def _show(found: Found, show: int) -> None:
    result, groups = found.result, len(found.result.keepers)
    known = usual.background(result.background, found.call.metric)
    rule = "at least" if found.call.metric in calls.LARGER_IS_CLOSER else "at most"
    percentile = usual.shown(known, result.threshold)
    where = f" (percentile {percentile})" if percentile else ""
    print(
        f"{groups:,} group{'s' * (groups != 1)} of rows that are alike: {found.call.metric} {rule} "
        f"{result.threshold:g}{where}; {found.keep.sum():,} of {len(found.rows):,} rows are left without them"
    )
    print(f"{result.total_pairs:,} pairs, {result.equal_pairs:,} of them of equal rows")
    usual.tell(known)
    if not groups or not show:
        return
    print()
    lines: list[tuple[str, ...]] = []
    for group in range(min(groups, show)):
        members = found.members(group)
        for place, row in enumerate(members[:ROWS]):
            first = (str(group), f"{len(members):,}") if place == 0 else ("", "")
            what = "keep" if place == 0 else ""
            lines.append(
                (*first, what, f"row {row}", short(found.side.texts[row], 90) if found.side.texts else "")
            )
    print_table(("group", "rows", "", "", ""), lines, right=(0, 1))
    if groups > show:
        print(f"... and {groups - show:,} more groups; -o FILE or --json has all, --show N prints more")
