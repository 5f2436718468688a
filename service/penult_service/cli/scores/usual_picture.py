"""`penult similarity --picture`: usual scores, and those that were asked for among them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from penult_service.cli import analyses, tables
from penult_service.cli.analyses import short
from penult_service.cli.console import note
from penult_service.cli.outputs import drafts
from penult_service.errors import InvalidInput

if TYPE_CHECKING:
    from penult_service.cli.scores.comparison import Comparison, Pair
    from penult_service.plots.background_picture import BackgroundView

PICTURES = (".png", ".svg")
# Pairs that are marked; of two sides with more, the scores are a histogram, of so many at most.
MARKED, MOST_SCORES = 6, 200_000


def check(picture: Path | None, sources: Sequence[Path | None], overwrite: bool) -> None:
    """Refuse, before any work, what cannot be written or drawn. Raises as `tables.check_places`."""
    if picture is not None:
        tables.check_places([picture], sources, overwrite, PICTURES)
        analyses.require("matplotlib")


def write(
    picture: Path, compared: Comparison, most: Sequence[Pair], least: Sequence[Pair], title: str
) -> None:
    """The picture.

    Raises:
        InvalidInput: nobody knows what is usual.
    """
    from penult_service.plots.background_picture import picture as drawn

    view = _view(compared, most, least, title)
    with drafts(picture) as (draft,):
        draft.write_bytes(drawn(view, picture.suffix.lower().removeprefix(".")))
    note(f"wrote {picture}")


def _view(compared: Comparison, most: Sequence[Pair], least: Sequence[Pair], title: str) -> BackgroundView:
    from penult_service.plots.background_picture import BackgroundView

    known = compared.known
    if known is None:
        raise InvalidInput(
            "--picture shows what scores are usual, and these are fewer than 30 different rows; name more of the kind "
            "with --background FILE",
            reason="TOO_FEW_ROWS",
        )
    names: list[str] = []
    asked = 0
    if compared.within or compared.pairs <= MARKED:
        half = MARKED // 2
        pairs = [*most] if compared.pairs <= len(most) else [*most[:half], *least[:half]]
        pairs = list(dict.fromkeys(pairs))[:MARKED]
        scores = np.array([pair.score for pair in pairs])
        names = [
            f"{short(compared.a.name(pair.a), 40)} / {short(compared.b.name(pair.b), 40)}" for pair in pairs
        ]
    else:
        asked, stride = compared.pairs, -(-compared.pairs // MOST_SCORES)
        scores = np.concatenate([block.ravel()[::stride] for _, block in compared.blocks()])
        scores = scores[np.isfinite(scores)]
    percentiles = np.asarray(known.percentiles(scores), np.float64)
    return BackgroundView(
        known.quantiles, known.pairs, known.metric, scores, percentiles, names, title, asked
    )
