"""`penult neighbors`: the nearest rows of each row."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from penult_service import __version__
from penult_service.analysis import calls
from penult_service.analysis.results import NeighborsResult
from penult_service.cli import analyses, options, tables
from penult_service.cli.analyses import Embedding, short
from penult_service.cli.console import note, print_table
from penult_service.cli.outputs import drafts
from penult_service.cli.scores import sides, usual
from penult_service.cli.scores.sides import Side
from penult_service.errors import InvalidInput
from penult_service.vectors import POOLINGS, TRUNCATIONS

if TYPE_CHECKING:
    from penult_client import Background

ADDED = ("query", "rank", "row", "score", "query_text", "text")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("neighbors")(neighbors)


def neighbors(
    queries: Annotated[
        Path | None, typer.Argument(metavar="QUERIES", help="A file of texts or embeddings.")
    ] = None,
    texts: Annotated[
        list[str] | None,
        typer.Option("--text", metavar="TEXT", help="Instead of QUERIES: a text; several times for several."),
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to search; without it QUERIES are searched themselves."),
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", metavar="N", help="How many neighbours a row.")] = 10,
    metric: Annotated[str, typer.Option(help=f"One of {', '.join(calls.METRICS)}.")] = "cosine",
    radius: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="Only rows at least so similar (cosine, dot), or at most so far (the others)."
        ),
    ] = None,
    exclude_self: Annotated[
        bool | None,
        typer.Option(
            "--exclude-self/--include-self",
            help="Whether a row is no neighbour of itself. [default: excluded without --corpus]",
        ),
    ] = None,
    center: Annotated[
        bool,
        typer.Option("--center", help="Take the mean of the searched rows from every row first (cosine)."),
    ] = False,
    approximate: Annotated[
        bool,
        typer.Option(
            "--approximate",
            help="Search an index that may miss some, and say how many it finds: beyond 65,536 rows.",
        ),
    ] = False,
    show: Annotated[int, typer.Option(min=0, metavar="N", help="How many queries to print.")] = 5,
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
    """The nearest rows of each row, exactly unless --approximate.

    Searches --corpus for the rows nearest to each of QUERIES; without --corpus QUERIES are searched
    themselves, and a row is no neighbour of itself unless --include-self says so.

    Files are of texts (.csv, .tsv, .jsonl, .parquet, .txt), which --model embeds, or of embeddings that
    `penult embed` wrote (.parquet, .arrow, .npy), which need no model. With --server that server computes, else
    this process does. Cosine and dot are similarities (larger is closer), euclidean and manhattan
    distances (smaller is closer); equal scores go by row number, from 0.

    The output has a row for each neighbour: query and row (their numbers), rank, score, percentile (the share of random
    pairs of the searched rows that are less alike: classifiers give cosines near 0.95 to everything), and the texts.
    """
    options.one_of("--metric", metric, calls.METRICS)
    options.one_of("--pooling", pooling, POOLINGS)
    options.one_of("--truncate", truncate, TRUNCATIONS)
    if bool(texts) == (queries is not None):
        raise InvalidInput("name what to search for: either a file QUERIES or --text TEXT (and not both)")
    outputs = [output] if output else []
    tables.check_places(outputs, (queries, corpus), overwrite)
    itself = exclude_self if exclude_self is not None else corpus is None
    call = calls.Neighbors(k, metric, itself, radius, center, approximate)
    settings = {"pooling": pooling, "layer": layer, "normalize": normalize, "truncate": truncate}
    with Embedding(model, server, data, settings) as embedding:
        embedding.check(call, ("queries", "corpus") if corpus else ("queries",))
        a = (
            sides.of_file(queries, text_column, embedding)
            if queries
            else sides.of_texts(texts or [], embedding)
        )
        b = sides.of_file(corpus, text_column, embedding) if corpus else None
        checked = sides.check_spaces(a, b or a)
        analyses.tell_missing(a, "of the queries")
        if b is not None:
            analyses.tell_missing(b, "of the corpus")
        search = Search(call, a, b, checked)
        found = search.run(embedding)
    if not checked and b is not None:
        note(
            "note: a side does not say which embedding space it is in, so nobody has checked that they match"
        )
    _tell(search, found)
    if output is not None:
        with drafts(output) as (draft,):
            tables.write(draft, output.suffix.lower(), search.table(found))
        note(f"wrote {output}: {search.pairs(found)[0].size:,} neighbours of {len(search.rows_a):,} rows")
    if as_json:
        print(json.dumps(search.facts(found), indent=1, ensure_ascii=False))
    else:
        _show(search, found, show)


@dataclass(frozen=True)
class Search:
    """Two sides to search; `b` None: `a` itself. Rows without an embedding are left out."""

    call: calls.Neighbors
    a: Side
    b: Side | None
    checked: bool

    @property
    def rows_a(self) -> NDArray[np.intp]:
        """Numbers of the queries that have an embedding."""
        return self.a.good()

    @property
    def rows_b(self) -> NDArray[np.intp]:
        """Numbers of the rows that can be found."""
        return self.a.good() if self.b is None else self.b.good()

    @property
    def corpus(self) -> Side:
        """The side that is searched."""
        return self.a if self.b is None else self.b

    def run(self, embedding: Embedding) -> NeighborsResult:
        """The neighbours; numbers of rows are those of the files."""
        arrays = {"queries": self.a.vectors[self.rows_a]}
        if self.b is not None:
            arrays["corpus"] = self.b.vectors[self.rows_b]
        result: NeighborsResult = embedding.analyse(self.call, arrays, None)
        rows = self.rows_b
        return NeighborsResult(
            np.where(result.indices < 0, -1, rows[np.maximum(result.indices, 0)]).astype(np.int32),
            result.scores,
            self.rows_a[result.zero_queries].astype(np.int32),
            rows[result.zero_corpus].astype(np.int32),
            result.adjustments,
            result.background,
            result.recall,
        )

    def known(self, found: NeighborsResult) -> Background | None:
        """What scores are usual among the rows that were searched."""
        return usual.background(found.background, self.call.metric)

    def pairs(self, found: NeighborsResult) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Where in the matrices there is a neighbour: queries and ranks, both from 0."""
        queries, ranks = np.nonzero(found.indices >= 0)
        return queries, ranks

    def table(self, found: NeighborsResult) -> Any:
        """A row for each neighbour."""
        import pyarrow as pa

        queries, ranks = self.pairs(found)
        rows = found.indices[queries, ranks]
        numbers = self.rows_a[queries]
        columns: dict[str, Any] = {
            "query": pa.array(numbers.astype(np.int32)),
            "rank": pa.array((ranks + 1).astype(np.int32)),
            "row": pa.array(rows),
            "score": pa.array(found.scores[queries, ranks]),
        }
        known = self.known(found)
        if known is not None:
            columns["percentile"] = pa.array(known.percentiles(found.scores[queries, ranks]))
        for name, side, which in (("query_text", self.a, numbers), ("text", self.corpus, rows)):
            if side.texts is not None:
                columns[name] = pa.array([side.texts[row] for row in which], pa.string())
        return tables.with_facts(pa.table(columns), self.a, "neighbors", self.parameters(found))

    def parameters(self, found: NeighborsResult) -> dict[str, Any]:
        """What was asked and used."""
        return {
            "metric": self.call.metric,
            "k": self.call.k,
            "exclude_self": self.call.exclude_self,
            "radius": self.call.radius,
            "queries": len(self.rows_a),
            "corpus": len(self.rows_b),
            "embedding_space": self.a.space or self.corpus.space,
            "space_checked": self.checked,
            "center": self.call.center,
            "recall": found.recall,
            "background": usual.facts(self.known(found)),
            "zero_queries": found.zero_queries.tolist(),
            "zero_corpus": found.zero_corpus.tolist(),
            "adjustments": analyses.plain(found.adjustments),
            "penult": __version__,
        }

    def facts(self, found: NeighborsResult) -> dict[str, Any]:
        """All of it, for --json."""
        neighbours = []
        known = self.known(found)
        for place, row in enumerate(self.rows_a):
            texts = {} if self.a.texts is None else {"text": self.a.texts[row]}
            near = [self._named(r, s, known) for r, s in _found(found, place)]
            neighbours.append({"row": int(row), **texts, "neighbors": near})
        return {**self.parameters(found), "results": neighbours}

    def _named(self, row: int, score: float, known: Background | None) -> dict[str, Any]:
        texts = {} if self.corpus.texts is None else {"text": self.corpus.texts[row]}
        usually = {} if known is None else {"percentile": usual.percentile(known, score)}
        return {"row": row, "score": score, **usually, **texts}


def _found(found: NeighborsResult, place: int) -> list[tuple[int, float]]:
    """Rows and scores of a query's neighbours."""
    pairs = zip(found.indices[place].tolist(), found.scores[place].tolist(), strict=True)
    return [(row, score) for row, score in pairs if row >= 0]


def _tell(search: Search, found: NeighborsResult) -> None:
    analyses.tell_adjustments(found.adjustments)
    what = "with zeros alone (their cosine with every row is 0)"
    analyses.tell_rows(f"of the queries {what}", found.zero_queries)
    if search.b is not None:
        analyses.tell_rows(f"of the corpus {what}", found.zero_corpus)


def _show(search: Search, found: NeighborsResult, show: int) -> None:
    queries, rows = len(search.rows_a), len(search.rows_b)
    closer = "larger" if search.call.metric in calls.LARGER_IS_CLOSER else "smaller"
    without = ", a row is no neighbour of itself" if search.call.exclude_self else ""
    what = f"{queries:,} quer{'ies' if queries > 1 else 'y'}, searched among {rows:,} rows{without}"
    print(f"{search.call.metric}, {closer} is closer; {what}")
    known = search.known(found)
    usual.tell(known)
    if found.recall is not None:
        print(
            f"an index was searched, which finds {found.recall:.2%} of the nearest (measured on some queries)"
        )
    for place, row in enumerate(search.rows_a[:show]):
        print(f"\nrow {row}" + ("" if search.a.texts is None else f": {short(search.a.texts[row], 100)}"))
        near = [
            (f"{s:.4f}", usual.shown(known, s), f"row {r}", _text(search.corpus, r))
            for r, s in _found(found, place)
        ]
        if near:
            print_table(("", "", "", ""), near, right=(0, 1, 2))
        else:
            print("no neighbour within the radius")
    if queries > show:
        print(f"\n... and {queries - show:,} more queries; -o FILE or --json has all, --show N prints more")


def _text(side: Side, row: int) -> str:
    return "" if side.texts is None else short(side.texts[row], 90)
