"""The rows of a file, screened for what is alike or far: as `penult duplicates` and `outliers` do it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.calls import DUPLICATE_METRICS, Duplicates, Outliers
from penult_service.cli import analyses, estimates, kept, options, tables
from penult_service.cli.scores import sides
from penult_service.cli.scores.sides import Side
from penult_service.vectors import POOLINGS, TRUNCATIONS


@dataclass(frozen=True)
class Screening:
    """What the options of a command say of its rows: where they are, what embeds them how, who computes."""

    source: Path
    text_column: str
    model: str | None
    server: str | None
    data: Path | None
    settings: Mapping[str, Any]

    def screened(
        self, call: Duplicates | Outliers, added: Sequence[str], *, dry_run: bool, as_json: bool
    ) -> tuple[Side, NDArray[np.intp], Any] | None:
        """The side, the numbers of its rows that have an embedding, and the result; None of a dry run, which is shown.

        Args:
            call: What is asked.
            added: Columns that will stand beside those of the input.
            dry_run: Whether to say what it would take.
            as_json: Whether to say that as JSON.
        """
        options.one_of("--metric", call.metric, DUPLICATE_METRICS)
        options.one_of("--pooling", self.settings["pooling"], POOLINGS)
        options.one_of("--truncate", self.settings["truncate"], TRUNCATIONS)
        with kept.opened(self.model, self.server, self.data, self.settings, dry_run=dry_run) as embedding:
            embedding.check(call, ("source",))
            side = sides.of_file(self.source, self.text_column, embedding, keep=True)
            analyses.tell_missing(side)
            tables.check_names(side, added)
            rows = side.good()
            if dry_run:
                estimates.show(embedding.estimate(call, side, rows), self.server, as_json)
                return None
            result, side = embedding.analyse_rows(call, side, rows)
        analyses.tell_adjustments(result.adjustments)
        return side, rows, result
