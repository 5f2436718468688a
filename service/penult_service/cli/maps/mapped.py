"""What `penult map` made: its facts, as columns beside those of the input, and as pictures show it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penult_service import __version__
from penult_service.analysis import calls
from penult_service.analysis.results import ProjectResult
from penult_service.cli import analyses, tables
from penult_service.cli.maps.colouring import Colouring
from penult_service.cli.scores.sides import Side

if TYPE_CHECKING:
    from penult_service.plots.maps.views import MapView

AXES = ("x", "y", "z")
# Parameters that a caption leaves out; -o, --json and the command's own words have them.
UNSHOWN = ("method", "n_components", "layout", "same_bytes", "n_epochs")
NAMES = {"umap": "UMAP", "pca": "PCA", "tsne": "t-SNE"}


@dataclass(frozen=True)
class Map:
    """A map of the rows of a side that have an embedding; `measured` is the column whose purity is told."""

    call: calls.Project
    side: Side
    rows: NDArray[np.intp]
    colouring: Colouring
    result: ProjectResult
    source: str
    title: str | None
    measured: str = ""

    def parameters(self) -> dict[str, Any]:
        """What was used, and how good it is."""
        result = self.result
        return {
            "used": {name: value for name, value in result.used.items() if value is not None},
            "rows": len(self.rows),
            "embedding_space": self.side.space,
            "trustworthiness": result.trustworthiness,
            "quality_rows": result.quality_rows,
            "quality_neighbors": result.quality_neighbors,
            "continuity": result.continuity,
            "neighbors_kept": result.neighbors_kept,
            "distance_correlation": result.distance_correlation,
            "label_purity": result.label_purity,
            "label_purity_source": result.label_purity_source,
            "alignment_disparity": result.alignment_disparity,
            "explained_variance": result.explained_variance.tolist(),
            "adjustments": analyses.plain(result.adjustments),
            "zero_rows": self.rows[result.zero_rows].tolist(),
            "penult": __version__,
        }

    def table(self) -> Any:
        """The input's columns, and the places."""
        places = dict(zip(AXES, self.result.coordinates.T, strict=False))
        table = tables.extended(self.side, places, self.rows)
        facts = {**self.parameters(), "source": self.source, "asked": asdict(self.call)}
        return tables.with_facts(table, self.side, "map", facts)

    def facts(self) -> dict[str, Any]:
        """All of it, for --json: the place of each row, null without an embedding."""
        every: list[list[float] | None] = [None] * len(self.side.vectors)
        for row, place in zip(self.rows.tolist(), self.result.coordinates, strict=True):
            every[row] = [float(str(number)) for number in place]
        kept: list[float | None] = [None] * len(every)
        for row, share in zip(self.rows.tolist(), self.result.row_neighbors_kept.tolist(), strict=False):
            kept[row] = share if math.isfinite(share) else None
        return {**self.parameters(), "coordinates": every, "row_neighbors_kept": kept}

    def view(self) -> MapView:
        """What the pictures show."""
        from penult_service.plots.maps.views import MapView

        texts = self.side.texts
        return MapView(
            self.result.coordinates,
            self.colouring.labels,
            None if texts is None else [texts[row] for row in self.rows],
            title=self.title or self.source,
            caption=" · ".join(self.caption()),
            values=self.colouring.values,
            legend=self.colouring.name,
            noise=self.colouring.noise,
            neighbors_kept=self.result.row_neighbors_kept if len(self.result.row_neighbors_kept) else None,
        )

    def caption(self) -> list[str]:
        """The method, the rows, and how far to trust it."""
        used, result = self.result.used, self.result
        method = str(used.get("method", self.call.method))
        parts = [f"{NAMES.get(method, method)} of {len(self.rows):,} rows"]
        shown = {name: value for name, value in used.items() if name not in UNSHOWN and str(value) != "False"}
        parts.append(analyses.in_words(shown))
        if len(result.explained_variance):
            parts.append("explains " + " + ".join(f"{share:.0%}" for share in result.explained_variance))
        if result.trustworthiness is not None:
            parts.append(f"trustworthiness {result.trustworthiness:.3f}")
        if result.neighbors_kept is not None:
            parts.append(f"neighbours kept {result.neighbors_kept:.0%}")
        return [part for part in parts if part]
