"""The rows of the autoencoder's recipe: what is trained on, what is measured on, and what is left out as a fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import InvalidInput
from penult_service.recipes.autoencoding import measures
from penult_service.recipes.autoencoding.measures import Matrix
from penult_service.recipes.autoencoding.settings import AutoencoderSettings
from penult_service.recipes.numeric import Numbers, mean_and_scale

FAR = 20.0
"""Robust deviations from the median: where a row lies farther off and is not left out, the report says so."""


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a table, parted and standardised.

    Attributes:
        trained, measured: Standardised rows [n, k]; without held-out rows `measured` are those trained on.
        mean, deviation: Of the rows trained on, in the file's units, [k]; of a column that is constant there 1.
        held_out: Whether `measured` was not trained on.
        left_out: Rows of the file, from 0, that were left out as too far off, in order.
        far: Rows that are farther off than `FAR` and were not left out.
        farthest: What to say of the farthest of these.
    """

    trained: Matrix
    measured: Matrix
    mean: Matrix
    deviation: Matrix
    held_out: bool
    left_out: tuple[int, ...]
    far: tuple[int, ...]
    farthest: str


def prepared_rows(data: Numbers, settings: AutoencoderSettings) -> Rows:
    """The rows trained on and those measured, standardised by the former.

    Raises:
        InvalidInput: Nothing is left to train on, or nothing to hold out; or a column is nothing for float32.
    """
    held_out = measures.held_out_blocks(len(data), settings.valid_fraction, settings.blocks)
    distances = measures.robust_distances(data.values, ~held_out)
    worst = distances.max(axis=1)
    left_out = worst > settings.outliers if settings.outliers is not None else np.zeros(len(data), bool)
    trained = data.values[~held_out & ~left_out]
    measured = data.values[held_out & ~left_out] if held_out.any() else trained
    if len(trained) < 2 or not len(measured):
        what = f"{data.source}: {len(trained)} rows are left to train on and {len(measured)} to measure on"
        raise InvalidInput(what, reason="TOO_FEW_ROWS", field="valid_fraction")
    mean, deviation = mean_and_scale(data, trained)
    far = np.flatnonzero((worst > FAR) & ~left_out)
    return Rows(
        trained=(trained - mean) / deviation,
        measured=(measured - mean) / deviation,
        mean=mean,
        deviation=deviation,
        held_out=bool(held_out.any()),
        left_out=_numbers(np.flatnonzero(left_out)),
        far=_numbers(far),
        farthest=_farthest(data, distances, far),
    )


def _numbers(rows: NDArray[np.intp]) -> tuple[int, ...]:
    return tuple(int(row) for row in rows)


def _farthest(data: Numbers, distances: Matrix, far: NDArray[np.intp]) -> str:
    if not len(far):
        return ""
    row = int(far[distances[far].max(axis=1).argmax()])
    column = int(distances[row].argmax())
    return (
        f"{data.names[column]} is {data.values[row, column]:g} in row {row}, "
        f"{distances[row, column]:,.0f} robust deviations from the median"
    )


def columns_of(data: Numbers, wanted: Sequence[str]) -> tuple[int, ...]:
    """Places of columns that are named, or numbered from 0; a name comes before a number."""
    places = []
    for name in wanted:
        if name in data.names:
            places.append(data.names.index(name))
        elif name.isdecimal() and int(name) < len(data.names):
            places.append(int(name))
        else:
            there = ", ".join(f"{number} {one!r}" for number, one in enumerate(data.names))
            what = f"{data.source}: there is no column {name!r} to drop; there are {there}"
            raise InvalidInput(what, reason="COLUMN_MISSING", field="drop_feature")
    return tuple(dict.fromkeys(places))
