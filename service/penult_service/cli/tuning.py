"""`penult tune`: how a model is run on this machine, measured again."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from penult_service.cli import options
from penult_service.cli.console import stage_bar
from penult_service.cli.exits import DONE
from penult_service.cli.preparing import ModelPath, config_of, texts_of
from penult_service.cli.tuned import show, tuned_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("tune")(tune)


def tune(
    model: ModelPath,
    texts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Measure the price on these texts, not built-in ones.")
    ] = None,
    text_column: options.TextColumn = "text",
    engine: options.Engine = None,
    precision: options.Precision = None,
    threads: options.Threads = None,
    force_precision: options.ForcePrecision = False,
    as_json: options.Json = False,
    allow_op: options.AllowOps = None,
    allow_stochastic: options.AllowStochastic = False,
    data: options.Data = None,
) -> int:
    """Measure which engine is fastest for a model on this machine.

    `penult serve` measures once, when it first loads a model with the same --engine, --precision and --threads,
    and keeps the answer; this measures again, replaces it, and prints all figures. Give the same options, and
    --data, as to serve, while the machine does nothing else.

    Lower precision has a price, and it is said: how near each embedding stays to its own in float32, predictions
    that change, and near neighbours that stay near. Exit codes: 0 done, 1 refused (the price is too high, or the
    engine named cannot run this model), 2 usage.
    """
    from penult_service.prepared import load_manifest
    from penult_service.preparing.launch import prepare
    from penult_service.repository.sources import highest_version

    config = config_of(
        data,
        allow_op,
        engine=engine,
        precision=precision,
        threads=threads,
        force_precision=force_precision or None,
        allow_stochastic=allow_stochastic or None,
    )
    sample = texts_of(texts, text_column) if texts else None
    with stage_bar() as progress:
        place = prepare(
            highest_version(model),
            cache=config.cache,
            allow_ops=config.allowed_ops,
            allow_stochastic=config.allow_stochastic,
            timeout=config.prepare_timeout,
            memory_limit=config.prepare_memory_bytes,
            progress=progress,
        )
        found = tuned_of(place, load_manifest(place), config, texts=sample, again=True, progress=progress)
    if as_json:
        print(json.dumps(asdict(found), indent=1, ensure_ascii=False))
    else:
        show(found)
    return DONE
