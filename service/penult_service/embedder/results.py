"""What the caller gets, and which of its rows failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.embedder.given import Given, place_of
from penult_service.embedder.options import TOKENS
from penult_service.embedder.passes import Reading
from penult_service.errors import InvalidInput, PenultError, PreconditionFailed
from penult_service.prepared import Manifest
from penult_service.tokenizing import CUT, UNKNOWN, TokenTable
from penult_service.vectors import FloatMatrix, rows_not_finite


@dataclass(frozen=True, eq=False)
class EmbedResult:
    """Embeddings of n rows, in the caller's order.

    `pieces` are the numbers of `vectors` in order, float32 arrays of `dimension` numbers a row, as they were computed:
    whoever writes them somewhere copies them once; `probabilities` float32 [n, classes] when asked for; `token_counts`
    int32 [n], special tokens included; `truncations` one of ``unknown``, ``none``, ``cut`` a row; `space` the digest of
    the embedding space, of `layer` by `pooling`. `row_errors` has the error of each row that failed; its numbers are
    NaN.
    """

    pieces: Sequence[FloatMatrix]
    dimension: int
    probabilities: FloatMatrix | None
    token_counts: NDArray[np.int32]
    truncations: Sequence[str]
    space: str
    layer: str
    pooling: str
    row_errors: Mapping[int, PenultError]

    @cached_property
    def vectors(self) -> FloatMatrix:
        """float32 [n, d], of pooling ``tokens`` [sum of token_counts, d], row after row."""
        return np.concatenate(self.pieces, axis=None).reshape(-1, self.dimension)


@dataclass(frozen=True, eq=False)
class ClassifyResult:
    """Class probabilities of n rows: float32 [n, classes]; the rest as in `EmbedResult`.

    Of a model without a seam nothing is known of its tokens: counts of 0, truncations ``unknown``.
    """

    probabilities: FloatMatrix
    labels: Sequence[str]
    token_counts: NDArray[np.int32]
    truncations: Sequence[str]
    row_errors: Mapping[int, PenultError]


@dataclass(frozen=True, eq=False)
class TokenizeResult:
    """Token ids of n texts: int [tokens] each, without padding; the truncations as in `EmbedResult`.

    `types` are the segment ids of the same tokens; None when the model takes none.
    """

    ids: Sequence[NDArray[Any]]
    truncations: Sequence[str]
    types: Sequence[NDArray[Any]] | None = None


def too_long(table: TokenTable, manifest: Manifest, given: Given) -> dict[int, PenultError]:
    """The errors of texts that ``truncate="error"`` refuses.

    A text that fills the length exactly is accepted when the tokenizer tells that nothing was cut. When it
    cannot tell, the text is refused: an embedding of part of a text is what the caller asked never to get.
    """
    errors: dict[int, PenultError] = {}
    for i, truncation in enumerate(table.truncations):
        if truncation in (CUT, UNKNOWN):
            errors[i] = _too_long(i, truncation, manifest, given)
    return errors


def _too_long(i: int, truncation: str, manifest: Manifest, given: Given) -> InvalidInput:
    where, read = place_of(given, i), f"{manifest.max_length} tokens that the model reads"
    if truncation == CUT:
        what = f"has more than the {read}"
    elif len(manifest.texts) > 1:
        what = "may have been cut, its tokenizer cannot tell"
    else:
        what = f"fills all {read}, and its tokenizer cannot tell if any are cut"
    return InvalidInput(
        f'{where.called} {what}; shorten it, or ask with truncate="right"',
        reason="TEXT_TOO_LONG",
        field=where.field,
        metadata={"max_length": str(manifest.max_length), "truncation": truncation},
    )


def not_finite_error(i: int, given: Given) -> PreconditionFailed:
    """The error of a row for which the model computes NaN or infinity."""
    where = place_of(given, i)
    return PreconditionFailed(
        f"the model gives NaN or infinity for {where.called}; leave it out, or mend the model",
        reason="NOT_FINITE",
        field=where.field,
    )


def first_not_finite(outputs: Mapping[str, NDArray[Any]]) -> int | None:
    """The first row with NaN or infinity in any float output, if there is one."""
    floats = (output for output in outputs.values() if np.issubdtype(output.dtype, np.inexact))
    return min((int(rows[0]) for rows in map(rows_not_finite, floats) if rows.size), default=None)


@dataclass(frozen=True, eq=False)
class Readings:
    """What came back for the n rows given: `rows` says which were run, `errors` which were not, and why."""

    given: Given
    table: TokenTable
    rows: Sequence[int]
    readings: Sequence[Reading]
    errors: Mapping[int, PenultError]

    def pieces(self) -> Sequence[FloatMatrix] | None:
        """The embeddings as they were computed, in the caller's order; None: not every row has one that is finite."""
        found = [reading[0] for reading in self.readings if reading[0] is not None]
        batches = {id(whole): whole for whole in (row if row.base is None else row.base for row in found)}
        finite = all(bool(np.isfinite(batch).all()) for batch in batches.values())
        return found if finite and len(found) == len(self.table.lengths) else None

    def vectors(self, columns: int, pooling: str) -> tuple[FloatMatrix, NDArray[np.int32]]:
        """Embeddings float32 [n, columns] in the caller's order, and how many rows of these each row has, int32 [n].

        With pooling ``tokens`` each has its tokens. Rows that were not run are NaN.
        """
        if pooling != TOKENS:
            return self._matrix(0, columns), np.ones(len(self.table.lengths), np.int32)
        counts = self.table.lengths
        ends = np.cumsum(counts)
        matrix = np.full((int(counts.sum()), columns), np.nan, dtype=np.float32)
        for row, (tokens, _) in zip(self.rows, self.readings, strict=True):
            assert tokens is not None
            matrix[ends[row] - counts[row] : ends[row]] = tokens
        return matrix, counts

    def probabilities(self, columns: int) -> FloatMatrix:
        """Probabilities float32 [n, columns] in the caller's order; rows that were not run are NaN."""
        return self._matrix(1, columns)

    def _matrix(self, which: int, columns: int) -> FloatMatrix:
        found = [row for row in (reading[which] for reading in self.readings) if row is not None]
        if len(found) == len(self.table.lengths):
            return np.stack(found)
        matrix = np.full((len(self.table.lengths), columns), np.nan, dtype=np.float32)
        if found:
            matrix[self.rows] = np.stack(found)
        return matrix

    def mark_not_finite(
        self, *matrices: tuple[FloatMatrix, NDArray[np.int32]] | None
    ) -> dict[int, PenultError]:
        """All row errors, in order; a failed row is NaN in every matrix from here on.

        Each matrix comes with how many of its rows each row has.
        """
        present = [pair for pair in matrices if pair is not None]
        owners = [np.repeat(np.arange(len(counts)), counts) for _, counts in present]
        bad = set(self.errors)
        for (matrix, _), owner in zip(present, owners, strict=True):
            bad |= {int(i) for i in owner[rows_not_finite(matrix)]}
        for (matrix, _), owner in zip(present, owners, strict=True):
            matrix[np.isin(owner, sorted(bad))] = np.nan
        return {i: self.errors.get(i) or not_finite_error(i, self.given) for i in sorted(bad)}
