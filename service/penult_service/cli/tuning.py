"""`penult tune`: how a model is run on this machine, measured again; and what other commands say of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penult_service.cli import options
from penult_service.cli.console import note, out, print_table, stage_bar
from penult_service.cli.exits import DONE
from penult_service.cli.preparing import ModelPath, config_of, texts_of
from penult_service.plots.words import percent
from penult_service.tuned import Measured, Price, Tuned, described

if TYPE_CHECKING:
    from penult_service.config import ServeConfig
    from penult_service.prepared import Manifest


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


def tuned_of(
    prepared: Path,
    manifest: Manifest,
    config: ServeConfig,
    *,
    texts: Sequence[str] | None = None,
    again: bool = False,
    progress: object = None,
) -> Tuned:
    """What `penult serve` runs a prepared model with, measured where it is not known; as `engines.choosing.choose`."""
    from penult_service.engines.choosing import choose, wish_of
    from penult_service.engines.texts import TEXTS
    from penult_service.preparing.cached import private

    chosen = choose(
        prepared,
        manifest,
        wish_of(config, manifest),
        lambda: private(config.engines_cache),
        texts=texts or TEXTS,
        again=again,
        progress=progress,  # type: ignore[arg-type]
    )
    return chosen.tuned


def show(found: Tuned) -> None:
    """Print what was measured as a table, and the price."""
    headings = ("", "engine", "precision", "threads", "tokens/s", "one text", "batch", "")
    rows = [_row(one, served=one.setting == found.setting) for one in found.measured]
    if rows:
        print_table(headings, rows, right=(3, 4, 5, 6), whole=(7,))
    else:
        out().print(described(found))
    if found.price is not None:
        print()
        print(priced(found.price, f"{found.setting.engine} in {found.setting.precision}"))
    if found.processor:
        print()
        print(f"measured on {found.processor} with {found.load:g} processes that wanted to run")


def _row(one: Measured, *, served: bool) -> tuple[str, ...]:
    setting = one.setting
    figures = ("-", "-", "-")
    if not one.problem:
        batch = f"{setting.token_budget:,} tokens, {setting.max_rows} rows"
        figures = (f"{one.tokens_per_second:,.0f}", f"{one.one_seconds * 1e3:.1f} ms", batch)
    how = (setting.engine, setting.precision, str(setting.threads))
    return ("->" if served else "", *how, *figures, one.problem)


def priced(price: Price, what: str) -> str:
    """In words, what a setting changes."""
    flipped = "" if price.flipped is None else f"; {percent(price.flipped)} of the predictions change"
    kept = (
        ""
        if price.neighbors_kept is None
        else f"; of ten nearest neighbours {10 * price.neighbors_kept:.2f} stay"
    )
    return (
        f"{what} against TensorFlow in float32, on {price.texts:,} texts: cosine at least {price.lowest_cosine:.6f}, "
        f"on average {price.mean_cosine:.6f}; numbers differ by at most {price.largest_difference:.2g}{flipped}{kept}"
    )


def say(found: Tuned) -> None:
    """A note of what serves, and of its price where the precision is reduced."""
    note(f"note: runs here with {described(found)}")
    if found.price is not None and found.setting.precision != "float32":
        note(f"note: {priced(found.price, found.setting.precision)}")
