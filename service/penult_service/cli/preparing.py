"""`penult verify` and `penult prepare`: the dropout proof of a model, and what serving does at load, done ahead."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penult_service.cli import options
from penult_service.cli.console import note, stage_bar
from penult_service.cli.exits import DONE, FAILED
from penult_service.cli.rows import open_rows
from penult_service.errors import InvalidInput, PenultError
from penult_service.repository.sources import highest_version
from penult_service.tuned import Tuned

if TYPE_CHECKING:
    from penult_service.config import ServeConfig
    from penult_service.prepared import Manifest

# Faults of the command, not of the model: where it is, and where the result goes.
USAGE_REASONS = (
    *("NO_SUCH_PATH", "OUTPUT_EXISTS", "OUTPUT_NOT_WRITABLE", "CACHE_NOT_WRITABLE"),
    "CACHE_NOT_PRIVATE",
    "LAYER_NOT_PREPARED",
)

ModelPath = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A saved model: a directory, or a .keras or .h5 file.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("verify")(verify)
    app.command("prepare")(prepare)


def verify(
    model: ModelPath,
    texts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Measure on these texts instead of built-in ones.")
    ] = None,
    text_column: options.TextColumn = "text",
    as_json: options.Json = False,
    engine: options.Engine = None,
    precision: options.Precision = None,
    allow_op: options.AllowOps = None,
    data: options.Data = None,
) -> int:
    """Before or after the dropout, and does it matter?

    The answer in words, and the proof. Shows by structure and by experiment that dropout plays no part in
    the embeddings that are served, and what would happen to comparisons if it were on. With --engine or
    --precision also how the model is run here, and how far that is from TensorFlow in float32. Exit codes: 0
    proven, 1 refused, 2 usage.
    """
    from penult_service.cli.verification import show
    from penult_service.preparing.launch import verify as run

    config = config_of(data, allow_op, engine=engine, precision=precision)
    sample = texts_of(texts, text_column) if texts else None
    tuned = None
    try:
        with stage_bar() as progress:
            found = run(
                highest_version(model),
                cache=config.cache,
                texts=sample,
                allow_ops=config.allowed_ops,
                timeout=config.prepare_timeout,
                memory_limit=config.prepare_memory_bytes,
                progress=progress,
            )
            if engine or precision:
                tuned = _run_here(highest_version(model), found.manifest, config, progress)
    except PenultError as error:
        return _refused(error, as_json)
    if as_json:
        told = {"proven": found.manifest.proof.proven, **found.to_dict()}
        if tuned is not None:
            told["serving"] = asdict(tuned)
        print(json.dumps(told, indent=1, ensure_ascii=False))
    else:
        show(found, own_texts=sample is not None, tuned=tuned)
    return DONE if found.manifest.proof.proven else FAILED


def prepare(
    model: ModelPath,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="A new directory. [default: the cache]"),
    ] = None,
    layer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Read this layer. [default: in front of the dropout]")
    ] = None,
    texts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Measure the price of the precision on these texts, not built-in ones."
        ),
    ] = None,
    text_column: options.TextColumn = "text",
    engine: options.Engine = None,
    precision: options.Precision = None,
    threads: options.Threads = None,
    force_precision: options.ForcePrecision = False,
    allow_op: options.AllowOps = None,
    allow_stochastic: options.AllowStochastic = False,
    data: options.Data = None,
) -> int:
    """Read, cut and prove a model ahead of serving.

    Does what `penult serve` does when it loads a model, and prints where the result is: a model that
    serves in seconds, on machines without Keras too. It also measures how the model runs best here (see `penult
    tune`) and says what a lower precision changes, so that serve with the same options starts at once; with
    --output, which may be for another machine, only when one of these options is given. Exit codes: 0 prepared,
    1 refused, 2 usage.
    """
    from penult_service.cli.tuned import say, tuned_of
    from penult_service.prepared import MANIFEST_NAME, Manifest
    from penult_service.preparing.launch import prepare as run

    config = config_of(
        data,
        allow_op,
        allow_stochastic=allow_stochastic or None,
        engine=engine,
        precision=precision,
        threads=threads,
        force_precision=force_precision or None,
    )
    sample = texts_of(texts, text_column) if texts else None
    try:
        with stage_bar() as progress:
            place = run(
                highest_version(model),
                output=output,
                cache=config.cache,
                layer=layer,
                allow_ops=config.allowed_ops,
                allow_stochastic=config.allow_stochastic,
                timeout=config.prepare_timeout,
                memory_limit=config.prepare_memory_bytes,
                progress=progress,
            )
            manifest = Manifest.from_json((place / MANIFEST_NAME).read_text(encoding="utf-8"))  # just checked
            tuned = None
            if output is None or engine or precision or threads or sample:
                again = sample is not None
                tuned = tuned_of(place, manifest, config, texts=sample, again=again, progress=progress)
    except PenultError as error:
        return _refused(error, as_json=False)
    for warning in manifest.warnings if config.allow_stochastic else ():
        note(f"warning: {warning}")
    if manifest.unread:
        note(f"note: only predict works: {manifest.unread}")
    if tuned is not None and (tuned.measured or tuned.price):
        say(tuned)
    print(place)
    return DONE


def config_of(data: Path | None, allow_op: list[str] | None, **given: object) -> ServeConfig:
    """The settings of a server: what is not given (None) comes from PENULT_* variables.

    Raises:
        InvalidInput: one of them is wrong (WRONG_SETTING).
    """
    from penult_service.config import settings

    return settings(data=data, allow_ops=",".join(allow_op or ()) or None, **given)


def _run_here(source: Path, manifest: Manifest, config: ServeConfig, progress: Any) -> Tuned:
    """How a model that has just been prepared is run."""
    from penult_service.cli.tuned import tuned_of
    from penult_service.preparing.launch import prepare

    random = not manifest.proof.proven
    place = prepare(source, cache=config.cache, allow_ops=config.allowed_ops, allow_stochastic=random)
    allowing = config.model_copy(update={"allow_stochastic": config.allow_stochastic or random})
    return tuned_of(place, manifest, allowing, progress=progress)


def texts_of(path: Path, column: str) -> list[str]:
    """The usable texts of a file; the others are counted on stderr."""
    chunks = list(open_rows(path, column).chunks(4096))
    texts = [text for chunk in chunks for text in chunk.texts if text is not None]
    bad = sum(len(chunk.problems) for chunk in chunks)
    if len(texts) < 2:
        raise InvalidInput(
            f"{path} has {len(texts)} usable texts; comparing takes two at least", reason="NO_ROWS"
        )
    if bad:
        note(f"note: {bad} rows of {path} have no usable text and are left out")
    return texts


def _refused(error: PenultError, as_json: bool) -> int:
    """The reason for people and for machines. Damaged files are a refusal too; what is asked wrongly is not."""
    if error.reason in USAGE_REASONS:
        raise error
    if as_json:
        told = {"proven": False, "reason": error.reason, "message": error.message, "metadata": error.metadata}
        print(json.dumps(told, indent=1, ensure_ascii=False))
    note(f"refused ({error.reason}): {' '.join(error.message.split())}")
    return FAILED
