"""`penult embed`: the texts of a file become embeddings in a file, row for row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from penult_service.cli import options, outputs
from penult_service.cli.console import note, progress
from penult_service.cli.outputs import Answer
from penult_service.cli.rows import Chunk, Source, open_rows
from penult_service.errors import InvalidInput, PreconditionFailed
from penult_service.vectors import POOLINGS, TRUNCATIONS

if TYPE_CHECKING:
    from penult_client import Client, Embeddings

LISTED = 20


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("embed")(embed)


def embed(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="A .csv, .tsv, .jsonl, .parquet or .txt file.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="A .parquet or .npy file.", show_default=False),
    ],
    model: options.Model = None,
    server: options.Server = None,
    text_column: options.TextColumn = "text",
    pooling: options.Pooling = "pooled",
    layer: options.Layer = None,
    normalize: options.Normalize = False,
    truncate: options.Truncate = "right",
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Class probabilities too, from the same pass (.parquet).")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows read, sent and written at a time.")] = 1024,
    data: options.Data = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that is there.")] = False,
) -> None:
    """Embed the texts of a file, row for row.

    As many rows come out as go in, in their order. A row without a usable text is listed on stderr, with
    its number (from 0) and the reason, and is null in a .parquet and NaN in a .npy; the rest is done, and
    the exit code is 0. When no row can be embedded, nothing is written, and it is 2.

    A .parquet keeps the columns of the input and adds embedding, token_count, truncation and error, with
    --probabilities also probabilities and predicted; its metadata (penult.*) says where the numbers came
    from. Beside OUT.npy stands OUT.json, which says the same and lists the bad rows.
    """
    options.one_of("--pooling", pooling, POOLINGS)
    options.one_of("--truncate", truncate, TRUNCATIONS)
    outputs.check_place(output, source, overwrite)
    if probabilities and output.suffix.lower() == ".npy":
        raise InvalidInput("a .npy holds embeddings alone; --probabilities needs a .parquet output")
    rows = open_rows(source, text_column)
    if output.suffix.lower() == ".parquet":
        _check_names(source, rows, probabilities)
    settings = {
        "pooling": pooling,
        "layer": layer,
        "normalize": normalize,
        "truncate": truncate,
        "probabilities": probabilities,
    }
    facts = {"truncate": truncate, "source": source.name, "text_column": text_column}
    with options.connected(model, server, data) as (client, name):
        job = Job(client, name, settings)
        _run(job, rows, batch_size, output, facts)


@dataclass
class Job:
    """Embeds chunks; `first` is the first reply, whose model and version all others must share.

    `bad` collects the rows without an embedding: number and reason.
    """

    client: Client
    model: str | None
    settings: dict[str, Any]
    first: Embeddings | None = None
    bad: list[tuple[int, str]] = field(default_factory=list)

    def answers(self, rows: Source, size: int) -> Iterator[Answer]:
        """An answer a chunk, in order. Leading chunks without a good row wait until the dimension is known."""
        waiting: list[tuple[Chunk, Embeddings | None, list[str | None]]] = []
        for chunk in rows.chunks(size):
            waiting.append((chunk, *self._ask(chunk)))
            if self.first is not None:
                for early, reply, errors in waiting:
                    yield _spread(early, reply, errors, self.first)
                waiting.clear()

    def _ask(self, chunk: Chunk) -> tuple[Embeddings | None, list[str | None]]:
        """The reply to the chunk's good texts, None when no row has numbers, and why rows have none."""
        errors: list[str | None] = [chunk.problems.get(place) for place in range(len(chunk.texts))]
        good = [place for place, text in enumerate(chunk.texts) if text is not None]
        reply = None
        if good:
            texts = [text for text in chunk.texts if text is not None]
            reply = self.client.embed(texts, model=self.model, on_row_error="report", **self.settings)
            for error in reply.row_errors:
                # The number in the message counts the texts that were sent; the row's own is said beside it.
                errors[good[error.index]] = error.message.replace(error.field or "\0", "the text")
        self.bad += [(chunk.first + place, why) for place, why in enumerate(errors) if why]
        if reply is None or len(reply.row_errors) == len(good):
            return None, errors
        self._check(reply)
        return reply, errors

    def _check(self, reply: Embeddings) -> None:
        if self.first is None:
            self.first = reply
            self.model = f"{reply.model}@{reply.version}"
        if reply.space != self.first.space:
            raise PreconditionFailed(
                f"the server's {self.model} is not the model that it was when the job began; start again",
                reason="MODEL_CHANGED",
            )


def _run(job: Job, rows: Source, size: int, output: Path, facts: dict[str, Any]) -> None:
    with progress("embedding", rows.rows) as advance, ExitStack() as stack:
        writer: outputs.Output | None = None
        for answer in job.answers(rows, size):
            if writer is None and job.first is not None:
                facts = {**outputs.provenance(job.first), **facts}
                writer = stack.enter_context(outputs.opened(output, rows.rows, rows.schema, facts))
            if writer is not None:
                writer.write(answer)
            advance(len(answer.errors))
    _list_bad(job.bad)
    if job.first is None:
        raise InvalidInput(
            f"none of the {rows.rows} rows has a text that can be embedded", reason="NO_GOOD_ROWS"
        )
    _say_done(job.first, rows.rows, len(job.bad), output)


def _spread(chunk: Chunk, reply: Embeddings | None, errors: list[str | None], like: Embeddings) -> Answer:
    """The reply's rows at the places of their texts, NaN at the others."""
    n = len(errors)
    vectors = np.full((n, like.vectors.shape[1]), np.nan, np.float32)
    counts = np.zeros(n, np.int32)
    truncations = ["unknown"] * n
    chances = (
        None if like.probabilities is None else np.full((n, like.probabilities.shape[1]), np.nan, np.float32)
    )
    if reply is not None:
        sent = [place for place, text in enumerate(chunk.texts) if text is not None]
        vectors[sent], counts[sent] = reply.vectors, reply.token_counts
        for place, truncation in zip(sent, reply.truncated, strict=True):
            truncations[place] = str(truncation)
        if chances is not None:
            chances[sent] = reply.probabilities
    failed = [place for place, why in enumerate(errors) if why]
    vectors[failed] = np.nan
    return Answer(chunk, vectors, chances, counts, truncations, errors)


def _check_names(source: Path, rows: Source, probabilities: bool) -> None:
    added = {*outputs.ADDED, *(outputs.ADDED_WITH_CLASSES if probabilities else ())}
    taken = next((name for name in rows.schema.names if name in added), None)
    if taken:
        raise InvalidInput(
            f"{source} has a column {taken!r} already, and the output adds one of that name; rename it first",
            reason="COLUMN_TAKEN",
        )


def _list_bad(bad: list[tuple[int, str]]) -> None:
    for row, why in bad[:LISTED]:
        note(f"row {row}: {why}")
    if len(bad) > LISTED:
        note(f"... and {len(bad) - LISTED} more rows without an embedding")


def _say_done(first: Embeddings, rows: int, bad: int, output: Path) -> None:
    what = f"{first.vectors.shape[1]} numbers a row, {first.layer} of {first.model}@{first.version}"
    note(f"wrote {output}: {rows:,} rows, {what}")
    if bad:
        where = "its column error" if output.suffix.lower() == ".parquet" else str(outputs.sidecar(output))
        note(f"{bad:,} of the {rows:,} rows have no embedding: {where} says why")
