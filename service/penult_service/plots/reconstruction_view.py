"""What is told of reconstructed columns of numbers, with them and without; and its tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import InvalidInput
from penult_service.plots.words import said

Floats = NDArray[np.float64]
Table = tuple[list[str], list[list[str]]]
"""Its head, and its rows."""

LONGEST_NAMES = 3  # columns that are named one by one


@dataclass(frozen=True, eq=False)
class Kind:
    """A way to reconstruct: errors of k columns, over s trainings.

    Attributes:
        name: What it is called.
        trained: Mean squared error on the rows trained on, float [s].
        clean: By column, with nothing missing, float [s, k].
        itself: Of each column while it alone is missing, float [s, k].
        one: Of all columns while one is missing, by which one, float [s, k].
        chosen: By column, with all chosen columns missing, float [s, k].
        baseline: Whether it is there to compare with.
    """

    name: str
    trained: Floats
    clean: Floats
    itself: Floats
    one: Floats
    chosen: Floats
    baseline: bool = False


@dataclass(frozen=True, eq=False)
class ReconstructionView:
    """What is shown: kinds, the names of the columns, the places of those chosen, a title and a caption.

    Raises:
        InvalidInput: No kind, or errors that are not one a column.
    """

    kinds: tuple[Kind, ...]
    columns: tuple[str, ...]
    chosen: tuple[int, ...]
    title: str = ""
    caption: str = ""

    def __post_init__(self) -> None:
        if not self.kinds:
            raise InvalidInput("there is nothing to draw", reason="NO_ROWS")
        for kind in self.kinds:
            parts = (kind.clean, kind.itself, kind.one, kind.chosen)
            if {part.shape for part in parts} != {(len(kind.trained), len(self.columns))}:
                raise InvalidInput(
                    f"errors of {kind.name} are one a training and column", reason="WRONG_SHAPE"
                )

    @property
    def chosen_names(self) -> str:
        """The chosen columns in words; empty without any."""
        if len(self.chosen) > LONGEST_NAMES:
            return f"the {len(self.chosen)} chosen columns"
        return ", ".join(said(self.columns[place]) for place in self.chosen)

    @property
    def missing(self) -> str:
        """What is missing, in words."""
        return f"{self.chosen_names} missing" if self.chosen else "one missing, on average"

    def without(self, kind: Kind) -> Floats:
        """The error of all columns while the chosen ones are missing; else the mean over which one is; [s]."""
        return (kind.chosen if self.chosen else kind.one).mean(axis=1)


def overview(view: ReconstructionView) -> Table:
    """Errors of all columns, and of the chosen ones: with them and without."""
    head = ["", "rows trained on", "nothing missing", view.missing]
    if view.chosen:
        name = view.chosen_names
        head += [f"{name} itself, there", f"{name} itself, missing", f"the others, {name} missing"]
    places = list(view.chosen)
    rows = []
    for kind in view.kinds:
        parts = [kind.trained, kind.clean.mean(axis=1), view.without(kind)]
        if places:
            parts += [kind.clean[:, places].mean(axis=1), kind.chosen[:, places].mean(axis=1)]
            others = np.delete(kind.chosen, places, axis=1)
            parts.append(others.mean(axis=1) if others.size else np.full(len(others), np.nan))
        else:
            parts.append(kind.itself.mean(axis=1))
        rows.append([kind.name, *map(_with_spread, parts)])
    return (head if places else [*head, "the missing one itself"]), rows


def by_column(view: ReconstructionView) -> Table:
    """Of each column its own error: while it is there → while it alone is missing."""
    rows = []
    for place, name in enumerate(view.columns):
        cells = [
            f"{figures(float(kind.clean[:, place].mean()))} → {figures(float(kind.itself[:, place].mean()))}"
            for kind in view.kinds
        ]
        rows.append([said(name) + (" (chosen)" if place in view.chosen else ""), *cells])
    return ["", *(kind.name for kind in view.kinds)], rows


def figures(value: float) -> str:
    """Three digits, zeros too: errors stand below each other."""
    return f"{value:#.3g}"


def _with_spread(values: Floats) -> str:
    """The mean over trainings; of several also the standard deviation of one (n - 1), in as many decimals."""
    mean = figures(float(values.mean()))
    decimals = len(mean.partition("e")[0].partition(".")[2])
    return f"{mean} ± {values.std(ddof=1):.{decimals}f}" if len(values) > 1 else mean
