"""What scores are usual, on the command line: percentiles beside scores, and what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from penult_service.analysis import results
from penult_service.cli.console import note

if TYPE_CHECKING:
    from penult_client import Background


def background(told: results.Background | None, metric: str) -> Background | None:
    """As the client has it, which makes percentiles."""
    if told is None:
        return None
    from penult_client import Background

    return Background(
        quantiles=np.asarray(told.quantiles, np.float64),
        pairs=told.pairs,
        mean=told.mean,
        std=told.std,
        rows=told.rows,
        metric=metric,
    )


def tell(known: Background | None, way_out: str = "") -> None:
    """Prints what is usual, and what percentiles say; where nothing is known a note, with the way out."""
    if known is None:
        note(f"note: too few rows to say which scores are usual: percentiles need 30 different ones{way_out}")
        return
    print(
        f"usual: {known.pairs:,} random pairs have a mean of {known.mean:.4f} (standard deviation {known.std:.4f}); "
        "a percentile is the share of them that are less alike"
    )


def facts(known: Background | None) -> dict[str, Any] | None:
    """For --json: without the 1,001 quantiles, of which every hundredth is told."""
    if known is None:
        return None
    return {
        "mean": known.mean,
        "std": known.std,
        "pairs": known.pairs,
        "rows": known.rows,
        "quantiles": {f"{place / 10:g}%": float(known.quantiles[place]) for place in range(0, 1001, 100)},
    }


def percentile(known: Background | None, score: float) -> float | None:
    """Of one score; None where nothing is known."""
    return None if known is None else float(known.percentiles(score))


def shown(known: Background | None, score: float) -> str:
    """A percentile in a table; empty where nothing is known."""
    value = percentile(known, score)
    return "" if value is None else f"{value:.1f}%"
