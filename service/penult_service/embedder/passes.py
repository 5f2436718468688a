"""What runs on the executor's thread: a batch in, one result a row out."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.embedder.options import TOKENS
from penult_service.embedder.protocols import Engine
from penult_service.embedder.tables import stacked, width_of
from penult_service.errors import PenultError, PreconditionFailed
from penult_service.prepared import Head, Manifest
from penult_service.tokenizing import TokenTable
from penult_service.vectors import FloatMatrix, pool_tokens

# A text: its table, and its row there.
TokenRow = tuple[TokenTable, int]
# Of a text: its embedding float32 [d] ([tokens, d] of all its tokens) and its probabilities float32 [classes], as far
# as asked for.
Reading = tuple[FloatMatrix | None, FloatMatrix | None]


@dataclass(frozen=True, eq=False)
class Stacked:
    """A batch of n rows: token inputs int [n, width] and values [n, ...] by name, and the tokens of each row."""

    inputs: Mapping[str, NDArray[Any]]
    values: Mapping[str, NDArray[Any]]
    lengths: NDArray[np.int32]


@dataclass(frozen=True)
class EncodePass:
    """One forward pass for embeddings, probabilities or both, in two steps. Equal passes share batches.

    `kind` is that of the tables (see `tables.kind_of`).
    """

    engine: Engine
    manifest: Manifest = field(compare=False)
    layer: str | None
    pooling: str
    probabilities: bool
    kind: Hashable = ()

    def __call__(self, rows: Sequence[TokenRow]) -> list[Reading]:
        """Rows of any tables of that kind -> a reading each."""
        return self.compute(self.prepare(rows))

    def prepare(self, rows: Sequence[TokenRow]) -> Stacked:
        """Rows of any tables of that kind, in the arrays that the engine takes; on any thread."""
        lengths = np.array([table.lengths[i] for table, i in rows], np.int32)
        return Stacked(*stacked(rows, width=width_of(rows, self.manifest)), lengths)

    def compute(self, batch: Stacked, *, alone: bool = True) -> list[Reading]:
        """A reading for each row, in order."""
        inputs, values = batch.inputs, batch.values
        readouts = self.engine.encode({**inputs, **values}, self._layers(), alone=alone)
        rows = len(batch.lengths)
        vectors: Sequence[FloatMatrix | None] | FloatMatrix = [None] * rows
        probabilities: Sequence[FloatMatrix | None] | FloatMatrix = [None] * rows
        if self.layer is not None:
            vectors = self._pooled(readouts[self.layer], inputs, batch.lengths)
        if self.probabilities:
            seam = np.asarray(readouts[self.manifest.seam], dtype=np.float32)
            outputs = self.engine.head(seam, {name: values[name] for name in self.manifest.head_values})
            output = outputs[self.manifest.head.output]
            check_by_row(self.manifest.head.output, output, rows)
            probabilities = class_probabilities(self.manifest.head, output)
        return list(zip(vectors, probabilities, strict=True))

    def _layers(self) -> tuple[str, ...]:
        wanted = {self.layer} | ({self.manifest.seam} if self.probabilities else set())
        return tuple(r.layer for r in self.manifest.readouts if r.layer in wanted)

    def _pooled(
        self, readout: NDArray[Any], inputs: Mapping[str, NDArray[Any]], lengths: NDArray[Any]
    ) -> Sequence[FloatMatrix] | FloatMatrix:
        if self.pooling == "pooled":
            return np.asarray(readout, dtype=np.float32)
        if self.pooling == TOKENS:  # copies, so that no row keeps its whole batch alive
            return [
                np.array(of_row[:length], np.float32) for of_row, length in zip(readout, lengths, strict=True)
            ]
        name = next((i.name for i in self.manifest.inputs if i.role == "mask"), None)
        mask = inputs[name] if name else np.arange(readout.shape[1]) < lengths[:, None]
        return pool_tokens(readout, mask, self.pooling)


@dataclass(frozen=True)
class WholePass:
    """The saved inference function as it is. `kind` as in `EncodePass`."""

    engine: Engine
    kind: Hashable = ()

    def __call__(self, rows: Sequence[TokenRow]) -> list[dict[str, NDArray[Any]]]:
        """Rows of any tables of that kind -> the outputs of each by name, the first axis kept (length 1)."""
        inputs, values = stacked(rows)
        try:
            outputs = self.engine.whole(inputs | values)
        except PenultError:
            raise
        except Exception as error:  # noqa: BLE001
            # Messages of string operations may quote the texts, and what is raised here is logged.
            raise RuntimeError(f"{type(error).__name__} in the saved inference function") from None
        for name, output in outputs.items():
            check_by_row(name, output, len(rows))
        return [{name: output[i : i + 1] for name, output in outputs.items()} for i in range(len(rows))]


def check_by_row(name: str, output: NDArray[Any], rows: int) -> None:
    """Refuse an output whose first axis is not the rows.

    Raises:
        PreconditionFailed: it is not (OUTPUT_NOT_BY_ROW).
    """
    if output.shape[:1] != (rows,):
        raise PreconditionFailed(
            f"output {name!r} has shape {list(output.shape)} for {rows} texts: not one row a "
            "text, so it is not known which is whose",
            reason="OUTPUT_NOT_BY_ROW",
        )


def class_probabilities(head: Head, output: NDArray[Any]) -> FloatMatrix:
    """The head's output [n, outputs] or [n] -> float32 [n, classes]; one sigmoid gives (1 - p, p).

    Of a linear output, by the head's activation; what is not finite there is NaN, also where its limit would be 0 or 1.
    """
    columns = np.asarray(output, dtype=np.float32).reshape(len(output), -1)
    if head.activation:
        columns = np.where(np.isfinite(columns), columns, np.float32(np.nan))
    if head.activation == "softmax":
        powers = np.exp(columns - columns.max(axis=1, keepdims=True))
        columns = powers / powers.sum(axis=1, keepdims=True)
    elif head.activation == "sigmoid":
        columns = _sigmoid(columns)
    if head.kind == "sigmoid" and columns.shape[1] == 1:
        return np.concatenate([1.0 - columns, columns], axis=1)
    return columns


def _sigmoid(logits: FloatMatrix) -> FloatMatrix:
    """1 / (1 + exp(-x)), by the power that does not overflow."""
    powers = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1.0, powers) / (1.0 + powers), dtype=np.float32)
