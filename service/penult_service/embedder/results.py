"""What the caller gets, and which of its rows failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.embedder.passes import Reading
from penult_service.errors import InvalidInput, PenultError, PreconditionFailed
from penult_service.prepared import Manifest
from penult_service.tokenizing import CUT, UNKNOWN, TokenTable
from penult_service.vectors import FloatMatrix, rows_not_finite


@dataclass(frozen=True, eq=False)
class EmbedResult:
    """Embeddings of n texts, in the caller's order.

    `vectors` float32 [n, d]; `probabilities` float32 [n, classes] when asked for; `token_counts` int32 [n],
    special tokens included; `truncations` one of ``unknown``, ``none``, ``cut`` a text; `space` the digest of
    the embedding space. `row_errors` has the error of each row that failed; its numbers are NaN.
    """

    vectors: FloatMatrix
    probabilities: FloatMatrix | None
    token_counts: NDArray[np.int32]
    truncations: Sequence[str]
    space: str
    layer: str
    row_errors: Mapping[int, PenultError]


@dataclass(frozen=True, eq=False)
class ClassifyResult:
    """Class probabilities of n texts: float32 [n, classes]; the rest as in `EmbedResult`."""

    probabilities: FloatMatrix
    labels: Sequence[str]
    token_counts: NDArray[np.int32]
    truncations: Sequence[str]
    row_errors: Mapping[int, PenultError]


@dataclass(frozen=True, eq=False)
class TokenizeResult:
    """Token ids of n texts: int [tokens] each, without padding; the truncations as in `EmbedResult`."""

    ids: Sequence[NDArray[Any]]
    truncations: Sequence[str]


def too_long(table: TokenTable, manifest: Manifest) -> dict[int, PenultError]:
    """The errors of texts that ``truncate="error"`` refuses.

    A text that fills the length exactly is accepted when the tokenizer tells that nothing was cut. When it
    cannot tell, the text is refused: an embedding of part of a text is what the caller asked never to get.
    """
    errors: dict[int, PenultError] = {}
    for i, truncation in enumerate(table.truncations):
        if truncation in (CUT, UNKNOWN):
            errors[i] = _too_long(i, truncation, manifest.max_length)
    return errors


def _too_long(i: int, truncation: str, max_length: int) -> InvalidInput:
    what = (
        f"has more than the {max_length} tokens that the model reads"
        if truncation == CUT
        else f"fills all {max_length} tokens that the model reads, and its tokenizer cannot tell if any are cut"
    )
    return InvalidInput(
        f'texts[{i}] {what}; shorten it, or ask with truncate="right"',
        reason="TEXT_TOO_LONG",
        field=f"texts[{i}]",
        metadata={"max_length": str(max_length), "truncation": truncation},
    )


def not_finite_error(i: int) -> PreconditionFailed:
    """The error of a text for which the model computes NaN or infinity."""
    return PreconditionFailed(
        f"the model gives NaN or infinity for texts[{i}]; leave it out, or mend the model",
        reason="NOT_FINITE",
        field=f"texts[{i}]",
    )


def first_not_finite(outputs: Mapping[str, NDArray[Any]]) -> int | None:
    """The first row with NaN or infinity in any float output, if there is one."""
    floats = (output for output in outputs.values() if np.issubdtype(output.dtype, np.inexact))
    return min((int(rows[0]) for rows in map(rows_not_finite, floats) if rows.size), default=None)


@dataclass(frozen=True, eq=False)
class Readings:
    """What came back for n texts: `rows` says which texts were run, `errors` which were not, and why."""

    table: TokenTable
    rows: Sequence[int]
    readings: Sequence[Reading]
    errors: Mapping[int, PenultError]

    def matrix(self, which: int, columns: int) -> FloatMatrix:
        """Embeddings (0) or probabilities (1): float32 [n, columns] in the caller's order.

        Rows of texts that were not run are NaN.
        """
        matrix = np.full((len(self.table.lengths), columns), np.nan, dtype=np.float32)
        found = [reading[which] for reading in self.readings]
        if found:
            matrix[self.rows] = np.stack([row for row in found if row is not None])
        return matrix

    def mark_not_finite(self, *matrices: FloatMatrix | None) -> dict[int, PenultError]:
        """All row errors, in order; a failed row is NaN in every matrix from here on."""
        present = [matrix for matrix in matrices if matrix is not None]
        bad = {int(i) for matrix in present for i in rows_not_finite(matrix)}
        for matrix in present:
            matrix[sorted(bad)] = np.nan
        return {i: self.errors.get(i) or not_finite_error(i) for i in sorted(bad)}
