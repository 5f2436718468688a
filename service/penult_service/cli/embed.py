"""`penult embed`: the texts of files become embeddings in a file, row for row, whatever happens on the way."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penult_service.cli import job_progress, options, outputs
from penult_service.cli.embedding import ClientEmbedder
from penult_service.cli.rows import Source, check_kinds, open_inputs
from penult_service.errors import InvalidInput, NotFound, PreconditionFailed
from penult_service.vectors import POOLINGS, TRUNCATIONS

if TYPE_CHECKING:
    from penult_service.cli.job_progress import Progress
    from penult_service.jobs.asking import Reply
    from penult_service.jobs.folder import JobFolder
    from penult_service.jobs.identity import Input
    from penult_service.jobs.job import Summary
    from penult_service.jobs.manifest import Manifest

LISTED = 20
# Inputs of this size take some seconds to be looked at, before the first row is sent.
SAID_BYTES = 1 << 29
# The exit code when all is done but some rows are in the errors file.
PARTLY = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("embed")(embed)


def embed(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Files of texts (.csv, .tsv, .jsonl, .txt), or .parquet files; a pattern in quotes ('logs/*.csv').",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="A .parquet, .arrow or .npy file.", show_default=False
        ),
    ],
    model: options.Model = None,
    server: options.Server = None,
    text_column: options.TextColumn = "text",
    encoding: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of text files. [default: UTF-8]")
    ] = None,
    pooling: options.Pooling = "pooled",
    layer: options.Layer = None,
    normalize: options.Normalize = False,
    truncate: options.Truncate = "right",
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Class probabilities too, from the same pass (not .npy).")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows read and sent at a time.")] = 1024,
    shard_rows: Annotated[
        int, typer.Option(min=1, help="Rows written at a time: at most so many are computed again.")
    ] = 4096,
    shards: Annotated[
        bool, typer.Option("--shards", help="Leave the shards: the output is a directory of such files.")
    ] = False,
    data: options.Data = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the job that was stopped, if there is one.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an output or a job that is there.")
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="The longest wait for a server that is away.")
    ] = 120.0,
    progress: Annotated[
        str, typer.Option(help=f"On stderr: {', '.join(job_progress.STYLES)}; auto: a bar on a screen.")
    ] = "auto",
) -> int:
    """Embed the texts of files, row for row.

    As many rows come out as go in, in their order. A row without a usable text is null in a .parquet or .arrow and
    NaN in a .npy, and stands with its place and the reason in OUT.errors.jsonl; the rest is done, and the exit code
    is 3. When no row can be embedded, nothing is written, and it is 2.

    A .parquet or .arrow keeps the columns of the input and adds embedding, token_count, truncation and error, with
    --probabilities also probabilities and predicted; its metadata (penult.*) says where the numbers came from.
    Beside OUT.npy stands OUT.json, which says the same and lists the bad rows.

    Until it is done, a job keeps its work in OUT.job, beside the output. However it was stopped, the same command
    with --resume goes on, and the output is, byte for byte, what it would have been; changed inputs, options or
    another model are refused.
    """
    options.one_of("--pooling", pooling, POOLINGS)
    options.one_of("--truncate", truncate, TRUNCATIONS)
    options.one_of("--progress", progress, job_progress.STYLES)
    if probabilities and output.suffix.lower() == ".npy":
        raise InvalidInput("a .npy holds embeddings alone; --probabilities needs a .parquet or .arrow output")
    asked = Asked(
        paths=_files(inputs, output),
        output=output,
        settings={
            "pooling": pooling,
            "layer": layer,
            "normalize": normalize,
            "truncate": truncate,
            "probabilities": probabilities,
        },
        text_column=text_column,
        encoding=encoding,
        batch_size=batch_size,
        shard_rows=shard_rows,
        shards=shards,
        resume=resume,
        overwrite=overwrite,
        wait=wait,
    )
    with job_progress.shown(progress) as shown:
        return _run(asked, (model, server, data), shown)


@dataclass(frozen=True)
class Asked:
    """What the command line asks for; `settings` are the client's."""

    paths: list[Path]
    output: Path
    settings: dict[str, Any]
    text_column: str
    encoding: str | None
    batch_size: int
    shard_rows: int
    shards: bool
    resume: bool
    overwrite: bool
    wait: float

    def deciding(self) -> dict[str, Any]:
        """The options that decide the bytes of the output, by their names."""
        named = {f"--{name}": value for name, value in self.settings.items()}
        return {
            **named,
            "--text-column": self.text_column,
            "--encoding": self.encoding,
            "--batch-size": self.batch_size,
            "--shard-rows": self.shard_rows,
            "--shards": self.shards,
        }


def _run(asked: Asked, place: tuple[str | None, str | None, Path | None], shown: Progress) -> int:
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
    from penult_service.jobs.identity import check_untouched, identify
    from penult_service.jobs.manifest import refuse_changes, work_changes

    size = sum(path.stat().st_size for path in asked.paths)
    if size > SAID_BYTES:
        shown.say(f"looking at the inputs ({size / 2**30:.1f} GiB)")
    inputs = identify(asked.paths)
    if was:
        refuse_changes(work_changes(was, inputs, asked.deciding()))
    source = open_inputs(asked.paths, asked.text_column, asked.encoding)
    if asked.output.suffix.lower() != ".npy":
        _check_names(asked, source)
    model, server, data = place
    with options.connected(model, server, data) as (client, name):
        embedder = ClientEmbedder(client, name, asked.settings, private=server is None)
        with _kept_work(folder, shown):
            manifest, asking = _begun(asked, embedder, inputs, source, was, shown)
            if was is None:
                folder.begin(manifest)
            work = job.Work(
                folder=folder,
                manifest=manifest,
                source=source,
                asking=asking,
                check_inputs=lambda: check_untouched(asked.paths, inputs),
                report=shown,
                facts=_facts(asked, manifest),
                batch_size=asked.batch_size,
                shard_rows=asked.shard_rows,
                kind=asked.output.suffix.lower(),
                keep_shards=asked.shards,
            )
            return job.run(work)


def _begun(
    asked: Asked,
    embedder: ClientEmbedder,
    inputs: Sequence[Input],
    source: Source,
    was: Manifest | None,
    shown: Progress,
) -> tuple[Manifest, Any]:
    """The job's manifest and the way to ask, after the first reply: it says what the model is."""
    from penult_service.jobs.asking import Asking, Patience
    from penult_service.jobs.manifest import Manifest, model_changes, refuse_changes

    patience = Patience(asked.wait, embedder.away, shown.say)
    now = outputs.provenance(patience(embedder.probe))
    if was:
        refuse_changes(model_changes(was.model, now))
    manifest = was or Manifest(tuple(inputs), asked.deciding(), now, source.rows, asked.overwrite)

    def check(reply: Reply) -> None:
        found = model_changes(now, outputs.provenance(reply))  # type: ignore[arg-type]
        if found:
            raise PreconditionFailed(
                f"the server's model is not the one that it was when the job began: {'; '.join(found)}",
                reason="MODEL_CHANGED",
            )

    return manifest, Asking(embedder, patience, check, now["dimension"], now["classes"])


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


def _facts(asked: Asked, manifest: Manifest) -> dict[str, Any]:
    names = [each.name for each in manifest.inputs]
    return {
        **manifest.model,
        "truncate": asked.settings["truncate"],
        "source": names[0] if len(names) == 1 else names,
        "text_column": asked.text_column,
    }


def _files(words: Sequence[str], output: Path) -> list[Path]:
    """The files that are named, those of a pattern in the order of their names, without the job's own."""
    own = output.parent.resolve() / f"{output.name}.job"
    paths: list[Path] = []
    for word in words:
        if glob.has_magic(word) and not Path(word).exists():
            found = sorted(Path(name) for name in glob.glob(word, recursive=True))  # noqa: PTH207
            files = [path for path in found if path.is_file() and own not in path.resolve().parents]
            if not files:
                raise NotFound(f"no file is called like {word}", reason="FILE_NOT_FOUND")
            paths += files
        else:
            paths.append(Path(word))
    resolved = [path.resolve() for path in paths]
    twice = next((path for path, real in zip(paths, resolved, strict=True) if resolved.count(real) > 1), None)
    if twice is not None:
        raise InvalidInput(f"{twice} is named twice", reason="INPUT_TWICE")
    return paths


def _check_names(asked: Asked, source: Source) -> None:
    from penult_service.jobs.columns import ADDED, ADDED_WITH_CLASSES

    added = {*ADDED, *(ADDED_WITH_CLASSES if asked.settings["probabilities"] else ())}
    taken = next((name for name in source.schema.names if name in added), None)
    if taken:
        raise InvalidInput(
            f"{asked.paths[0]} has a column {taken!r} already, and the output adds one of that name; rename it first",
            reason="COLUMN_TAKEN",
        )


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
