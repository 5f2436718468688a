"""`penult embed`, done: begins a job, goes on with one or refuses, and says what became of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penult_service.cli import options, outputs
from penult_service.cli.embed_columns import Named
from penult_service.cli.embedding import MEASURES, PROBE, ClientEmbedder
from penult_service.cli.exits import PARTLY
from penult_service.cli.row_columns import Columns
from penult_service.cli.rows import Source, check_kinds, open_inputs
from penult_service.errors import InvalidInput, PreconditionFailed

if TYPE_CHECKING:
    from penult_service.cli.embedding import Reply
    from penult_service.cli.job_progress import Progress
    from penult_service.cli.sampling.asked import Sampling
    from penult_service.jobs.chunks import Row
    from penult_service.jobs.folder import JobFolder
    from penult_service.jobs.job import Summary
    from penult_service.jobs.manifest import Manifest

LISTED = 20
# A model of several inputs is tried with its first rows, until it takes one.
PROBED = 16
# Inputs of this size take some seconds to be looked at, before the first row is sent.
SAID_BYTES = 1 << 29


@dataclass(frozen=True)
class Asked:
    """What the command line asks for.

    `settings` are the client's, `sampling` is for measures of uncertainty, `serve` are options of a private server.
    """

    paths: list[Path]
    output: Path
    settings: dict[str, Any]
    named: Named
    encoding: str | None
    batch_size: int
    shard_rows: int
    shards: bool
    resume: bool
    overwrite: bool
    wait: float
    sampling: Sampling | None = None
    serve: dict[str, Any] = field(default_factory=dict)

    def deciding(self) -> dict[str, Any]:
        """The options that decide the bytes of the output, by their names."""
        named = {f"--{name}": value for name, value in self.settings.items()}
        sampling = self.sampling.settings() if self.sampling else {}
        return {
            **named,
            **({"--uncertainty": True} if sampling else {}),
            **{f"--{name}": value for name, value in sampling.items()},
            **self.named.deciding(),
            "--encoding": self.encoding,
            "--batch-size": self.batch_size,
            "--shard-rows": self.shard_rows,
            "--shards": self.shards,
        }


def run(asked: Asked, place: tuple[str | None, str | None, Path | None], shown: Progress) -> int:
    """Do what is asked for, anew or from where it was stopped.

    Args:
        asked: What to do.
        place: Model, server and data directory, as of `options.connected`.
        shown: Where progress and messages go.

    Returns:
        The exit code.
    """
    from penult_service.jobs import job
    from penult_service.jobs.folder import JobFolder

    # What is wrong with inputs and output is said before a folder is made there.
    folder = JobFolder(asked.output)
    check_kinds(asked.paths, asked.encoding)
    outputs.check_place(asked.output, asked.paths, overwrite=asked.overwrite or asked.resume)
    with folder.held():
        if asked.resume and folder.finished:
            summary = job.finish(folder)
        else:
            was = _earlier(asked, folder)
            outputs.check_place(
                asked.output, asked.paths, overwrite=asked.overwrite or bool(was and was.overwrite)
            )
            summary = _embed(asked, place, folder, was, shown)
    return _say_done(asked, summary, shown)


def _earlier(asked: Asked, folder: JobFolder) -> Manifest | None:
    """The job to go on with, if there is one and it is asked for."""
    if not folder.begun and not folder.finished:
        return None
    if asked.resume:
        return folder.manifest()
    if asked.overwrite:
        folder.clear()
        return None
    raise InvalidInput(
        f"{folder.path} holds a job for {asked.output} that was stopped: --resume goes on with it, --overwrite starts "
        "anew",
        reason="JOB_UNFINISHED",
    )


def _embed(
    asked: Asked,
    place: tuple[str | None, str | None, Path | None],
    folder: JobFolder,
    was: Manifest | None,
    shown: Progress,
) -> Summary:
    from penult_service.jobs import job
    from penult_service.jobs.asking import Asking, Patience
    from penult_service.jobs.identity import check_untouched, identify
    from penult_service.jobs.manifest import Manifest, refuse_changes, work_changes

    size = sum(path.stat().st_size for path in asked.paths)
    if size > SAID_BYTES:
        shown.say(f"looking at the inputs ({size / 2**30:.1f} GiB)")
    inputs = identify(asked.paths)
    if was:
        refuse_changes(work_changes(was, inputs, asked.deciding()))
    columns = asked.named.before_the_model(asked.paths[0], asked.encoding)
    source = _opened(asked, columns) if columns else None
    model, server, data = place
    with options.connected(model, server, data, **asked.serve) as (client, name):
        private = server is None
        embedder = ClientEmbedder(client, name, asked.settings, private=private, sampling=asked.sampling)
        patience = Patience(asked.wait, embedder.away, shown.say)
        taken = asked.named.of_model(patience(embedder.inputs))
        if source is None or columns != taken:
            columns, source = taken, _opened(asked, taken)
        with _kept_work(folder, shown):
            rows = [PROBE] if columns.plain else list(islice(_good_rows(source), PROBED))
            first = patience(partial(embedder.probe, rows))
            now = _model_of(first, was, shown)
            measures = tuple(first.measures)
            manifest = was or Manifest(tuple(inputs), asked.deciding(), now, source.rows, asked.overwrite)
            if was is None:
                folder.begin(manifest)
            work = job.Work(
                folder=folder,
                manifest=manifest,
                source=source,
                asking=Asking(
                    embedder, patience, partial(_check_same, now), now["dimension"], now["classes"], measures
                ),
                check_inputs=lambda: check_untouched(asked.paths, inputs),
                report=shown,
                facts=_facts(asked, manifest, columns),
                batch_size=asked.batch_size,
                shard_rows=asked.shard_rows,
                kind=asked.output.suffix.lower(),
                keep_shards=asked.shards,
                measures=measures,
            )
            return job.run(work)


def _good_rows(source: Source) -> Iterator[Row]:
    """The rows that can be sent.

    Raises:
        InvalidInput: there is none (NO_GOOD_ROWS).
    """
    none = True
    for chunk in source.chunks(PROBED):
        for row in chunk.rows:
            if row is not None:
                none = False
                yield row
    if none:
        raise InvalidInput(
            f"none of the {source.rows} rows can be embedded; the first is not: {next(source.chunks(1)).problems[0]}",
            reason="NO_GOOD_ROWS",
        )


def _model_of(first: Reply, was: Manifest | None, shown: Progress) -> dict[str, Any]:
    """What the first reply says of the model; refused when the job began with another."""
    from penult_service.jobs.manifest import model_changes, refuse_changes

    now = first.provenance()
    for warning in first.embeddings.warnings:
        shown.say(f"warning: {warning}")
    if was:
        refuse_changes(model_changes(was.model, now))
    return now


def _check_same(model: dict[str, Any], reply: Any) -> None:
    from penult_service.jobs.manifest import model_changes

    found = model_changes(model, reply.provenance())
    if found:
        raise PreconditionFailed(
            f"the server's model is not the one that it was when the job began: {'; '.join(found)}",
            reason="MODEL_CHANGED",
        )


@contextmanager
def _kept_work(folder: JobFolder, shown: Progress) -> Iterator[None]:
    """Says, when the job is stopped, what is left of it."""
    try:
        yield
    except BaseException:
        if folder.finished or folder.begun:
            shown.say(
                f"what is done is kept in {folder.path}; the same command with --resume goes on with it"
            )
        raise


def _facts(asked: Asked, manifest: Manifest, columns: Columns) -> dict[str, Any]:
    names = [each.name for each in manifest.inputs]
    by_input = {each.input or str(number): each.name for number, each in enumerate(columns.each)}
    return {
        **manifest.model,
        "truncate": asked.settings["truncate"],
        "source": names[0] if len(names) == 1 else names,
        **({"text_column": columns.each[0].name} if columns.plain else {"columns": by_input}),
    }


def _opened(asked: Asked, columns: Columns) -> Source:
    """The rows of the inputs; refused when the output would have two columns of a name."""
    from penult_service.jobs.columns import ADDED, ADDED_WITH_CLASSES

    source = open_inputs(asked.paths, columns, asked.encoding)
    if asked.output.suffix.lower() == ".npy":
        return source
    added = {*ADDED, *(ADDED_WITH_CLASSES if asked.settings["probabilities"] else ())}
    added |= {*MEASURES} if asked.sampling else set()
    taken = next((name for name in source.schema.names if name in added), None)
    if taken:
        raise InvalidInput(
            f"{asked.paths[0]} has a column {taken!r} already, and the output adds one of that name; rename it first",
            reason="COLUMN_TAKEN",
        )
    return source


def _say_done(asked: Asked, summary: Summary, shown: Progress) -> int:
    from penult_service.jobs.folder import errors_place

    output, many = asked.output, len(asked.paths) > 1
    shown.say(f"wrote {output}: {summary.rows:,} rows, {summary.what}")
    code = PARTLY if summary.listed else 0
    shown.end(
        output=str(output),
        rows=summary.rows,
        embedded=summary.good,
        listed=summary.listed,
        errors=str(errors_place(output)) if summary.listed else None,
        exit_code=code,
    )
    if not summary.listed:
        return code
    with errors_place(output).open(encoding="utf-8") as lines:
        for _, line in zip(range(LISTED), lines, strict=False):
            row = json.loads(line)
            where = f" ({row['file']})" if many else ""
            shown.say(f"row {row['row']}{where}: {row['message']}")
    if summary.listed > LISTED:
        shown.say(f"... and {summary.listed - LISTED} more rows")
    bad = summary.rows - summary.good
    if bad:
        shown.say(f"{bad:,} of the {summary.rows:,} rows have no embedding: {errors_place(output)} says why")
    else:
        shown.say(
            f"{summary.listed:,} rows have cells that could not be kept: {errors_place(output)} says which"
        )
    return code
