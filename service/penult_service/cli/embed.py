"""`penult embed`: the texts of files become embeddings in a file, row for row, whatever happens on the way."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from penult_service.cli import embed_job, job_progress, options
from penult_service.cli.embed_columns import Named
from penult_service.cli.sampling.asked import SAMPLES, SEED, Sampling
from penult_service.errors import InvalidInput, NotFound
from penult_service.vectors import POOLINGS, TRUNCATIONS

# From the next one on, the client takes the samples of a request apart, and two requests under way at once are packed
# as it happens: what stands in the output must be a function of the input alone.
EMBED_SAMPLES = 999


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
    text_column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="The column that holds the texts; given twice, the two texts of a pair, in order. [default: text]",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="INPUT=NAME",
            help="The column of an input, for a model of several (`penult models` lists them); can be given again. "
            "[default: those called like the inputs]",
        ),
    ] = None,
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
    uncertainty: Annotated[
        bool,
        typer.Option(
            "--uncertainty", help="How sure the model is too, from samples with dropout put back (not .npy)."
        ),
    ] = False,
    samples: Annotated[
        int | None,
        typer.Option(min=1, max=EMBED_SAMPLES, help=f"Of --uncertainty: samples a row. [default: {SAMPLES}]"),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="R", help="Of --uncertainty: the rate of the dropouts. [default: the model's own]"
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help=f"Of --uncertainty: makes the masks. [default: {SEED}]")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows read and sent at a time.")] = 1024,
    shard_rows: Annotated[
        int, typer.Option(min=1, help="Rows written at a time: at most so many are computed again.")
    ] = 4096,
    shards: Annotated[
        bool, typer.Option("--shards", help="Leave the shards: the output is a directory of such files.")
    ] = False,
    engine: options.Engine = None,
    precision: options.Precision = None,
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
    """Embed the texts of files, row for row; for a model of several inputs, rows of texts and numbers.

    As many rows come out as go in, in their order. A row without a usable text is null in a .parquet or .arrow and
    NaN in a .npy, and stands with its place and the reason in OUT.errors.jsonl; the rest is done, and the exit code
    is 3. When no row can be embedded, nothing is written, and it is 2.

    For a model of several inputs a row is made of the columns called like the inputs, or of those that --column names
    (--column title=headline --column year=published). Numbers may be written down: 3, 2.5, true, [0.5, 1].

    A .parquet or .arrow keeps the columns of the input and adds embedding, token_count, truncation and error, with
    --probabilities also probabilities and predicted; its metadata (penult.*) says where the numbers came from.
    With --uncertainty each row is sampled as well, with the dropouts in front of the head put back: uncertainty is the
    entropy of the mean probabilities in nats (of a model that is no classifier the standard deviation), and
    mutual_information the part of it on which the samples disagree. Seed and row number alone make a row's masks.
    Beside OUT.npy stands OUT.json, which says the same and lists the bad rows.

    Until it is done, a job keeps its work in OUT.job, beside the output. However it was stopped, the same command
    with --resume goes on, and the output is, byte for byte, what it would have been; changed inputs, options or
    another model are refused.
    """
    if pooling == "tokens":
        raise InvalidInput(
            "--pooling tokens gives one row a token, and an output has one a text; take cls, mean or max"
        )
    options.one_of("--pooling", pooling, POOLINGS)
    options.one_of("--truncate", truncate, TRUNCATIONS)
    options.one_of("--progress", progress, job_progress.STYLES)
    if probabilities and output.suffix.lower() == ".npy":
        raise InvalidInput("a .npy holds embeddings alone; --probabilities needs a .parquet or .arrow output")
    if uncertainty and output.suffix.lower() == ".npy":
        raise InvalidInput("a .npy holds embeddings alone; --uncertainty needs a .parquet or .arrow output")
    sampling = _sampling(samples, rate, seed, wanted=uncertainty)
    asked = embed_job.Asked(
        paths=_files(inputs, output),
        output=output,
        settings={
            "pooling": pooling,
            "layer": layer,
            "normalize": normalize,
            "truncate": truncate,
            "probabilities": probabilities,
        },
        named=Named.of(text_column or (), column or ()),
        encoding=encoding,
        batch_size=batch_size,
        shard_rows=shard_rows,
        shards=shards,
        resume=resume,
        overwrite=overwrite,
        wait=wait,
        sampling=sampling,
        serve={
            name: value for name, value in (("engine", engine), ("precision", precision)) if value is not None
        },
    )
    with job_progress.shown(progress) as shown:
        return embed_job.run(asked, (model, server, data), shown)


def _sampling(samples: int | None, rate: float | None, seed: int | None, *, wanted: bool) -> Sampling | None:
    """How dropout is put back; None where it is not.

    Raises:
        InvalidInput: one of them is given in vain, or as of `Sampling.of`.
    """
    if wanted:
        return Sampling.of(samples or SAMPLES, SEED if seed is None else seed, rate=rate)
    given = {"--samples": samples, "--rate": rate, "--seed": seed}
    for name, value in given.items():
        if value is not None:
            raise InvalidInput(f"{name} is of --uncertainty, which is not asked for", field=name)
    return None


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
