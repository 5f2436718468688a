"""What commands find and say of how a model is run on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from penult_service.cli.console import note, out, print_table
from penult_service.plots.words import percent
from penult_service.tuned import Measured, Price, Tuned, described

if TYPE_CHECKING:
    from penult_service.config import ServeConfig
    from penult_service.prepared import Manifest


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
    from penult_service.engines.choosing import choose
    from penult_service.engines.texts import TEXTS
    from penult_service.engines.wishes import wish_of
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
    headings = ("", "engine", "precision", "threads", "streams", "tokens/s", "one text", "batch", "")
    rows = [_row(one, served=one.setting == found.setting) for one in found.measured]
    if rows:
        print_table(headings, rows, right=(3, 4, 5, 6, 7), whole=(8,))
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
    how = (setting.engine, setting.precision, str(setting.threads), str(setting.streams))
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
