"""What `penult map --color COLUMN` colours by: labels, numbers on a scale, or how good the map is at each row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.results import ProjectResult
from penult_service.cli import tables
from penult_service.cli.scores.sides import Side
from penult_service.errors import InvalidInput

# Numbers with more distinct values than these are a quantity, not names of classes.
MOST_CLASSES = 20
# What `penult cluster` writes.
CLUSTER_COLUMN, NOISE = "cluster", "-1"
# Not a column: how well the map shows the neighbours of each row.
NEIGHBORS_KEPT = "neighbors-kept"


@dataclass(frozen=True)
class Colouring:
    """`labels` str [m], "" where there is none, or `values` float64 [m], NaN where there is none; or neither."""

    name: str = ""
    labels: list[str] | None = None
    values: NDArray[np.float64] | None = None
    noise: str | None = None

    @property
    def measurable(self) -> list[str] | None:
        """Labels that a map can be measured with: every row has one."""
        return None if self.labels is None or "" in self.labels else self.labels


def colouring_of(side: Side, name: str, rows: NDArray[np.intp]) -> Colouring:
    """The colouring of some rows by a column of the input.

    Raises:
        InvalidInput: no such column, or one that holds lists.
    """
    import pyarrow as pa

    column = tables.column_of(side, name, "--color")
    if pa.types.is_nested(column.type):
        raise InvalidInput(f"column {name!r} holds {column.type}, which is no label", reason="NOT_A_LABEL")
    cells = column.to_pylist()
    cells = [cells[row] for row in rows]
    if name == CLUSTER_COLUMN:
        return Colouring(name, [tables.word(cell) for cell in cells], noise=NOISE)
    values = _numbers(cells)
    if values is not None and len(np.unique(values[np.isfinite(values)])) > MOST_CLASSES:
        return Colouring(name, values=values)
    return Colouring(name, [tables.word(cell) for cell in cells])


def kept_wanted(side: Side, name: str) -> bool:
    """Whether a name stands for the neighbours kept, and for no column of the input."""
    return name == NEIGHBORS_KEPT and (side.table is None or name not in side.table.column_names)


def of_neighbors_kept(result: ProjectResult) -> Colouring:
    """The colouring by the share of its neighbours that each row keeps.

    Raises:
        InvalidInput: there is no such share of these rows.
    """
    kept = np.asarray(result.row_neighbors_kept, np.float64)
    if not np.isfinite(kept).any():
        raise InvalidInput(
            f"--color {NEIGHBORS_KEPT}: too few rows to say which neighbours the map keeps; leave it out",
            reason="TOO_FEW_ROWS",
        )
    return Colouring("neighbours kept", values=kept)


def _numbers(cells: list[Any]) -> NDArray[np.float64] | None:
    """The cells as numbers, NaN where they are empty; None when one is something else."""
    numbers = np.full(len(cells), np.nan)
    for place, cell in enumerate(cells):
        if cell is None or cell == "":
            continue
        if isinstance(cell, bool) or not isinstance(cell, int | float | str):
            return None
        try:
            numbers[place] = float(cell)
        except (ValueError, OverflowError):
            return None
    return np.where(np.isfinite(numbers), numbers, np.nan)
