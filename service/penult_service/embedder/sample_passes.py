"""What runs on the executor's thread where dropout is put back: a batch in, one result a row out."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.embedder.passes import check_by_row, class_probabilities
from penult_service.embedder.protocols import Engine
from penult_service.embedder.tables import stacked, width_of
from penult_service.masks import Draw, Keys
from penult_service.prepared import Manifest
from penult_service.tokenizing import TokenTable
from penult_service.vectors import FloatMatrix

# Numbers of one call of `sample_head`, at its widest: 16 MiB.
_NUMBERS = 1 << 22


@dataclass(frozen=True, eq=False)
class SampleRow:
    """A row, and what makes its masks in each of s samples: its table, its row there, keys int64 [s] as of `Draw`."""

    table: TokenTable
    row: int
    row_keys: Keys
    shared_keys: Keys


@dataclass(frozen=True, eq=False)
class Sampled:
    """Of a row: outputs float32 [s, k] of s samples; and, as far as the pass has them, the seam's embedding.

    `seam` is that without dropout, float32 [d], and `clean` the outputs made of it, float32 [k]; of `InnerPass` the
    embedding with the dropouts inside the encoder active, and no `clean`.
    """

    outputs: FloatMatrix
    seam: FloatMatrix | None
    clean: FloatMatrix | None = None


@dataclass(frozen=True)
class _SamplePass:
    """Equal passes share batches: of one engine, with the same rates. `kind` is that of the tables."""

    engine: Engine
    manifest: Manifest = field(compare=False)
    rates: tuple[float, ...]
    kind: Hashable = ()

    def _stacked(self, rows: Sequence[SampleRow]) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """Tokens and values by name."""
        of_tables = [(row.table, row.row) for row in rows]
        return stacked(of_tables, width=width_of(of_tables, self.manifest))

    def _draw(self, row_keys: Keys, shared_keys: Keys) -> Draw:
        return Draw(row_keys, shared_keys, np.array(self.rates, np.float32))

    def _joining(self, values: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {name: values[name] for name in self.manifest.head_values}

    def _numbers(self, outputs: Mapping[str, NDArray[Any]], rows: int) -> FloatMatrix:
        head = self.manifest.head
        check_by_row(head.output, outputs[head.output], rows)
        return class_probabilities(head, outputs[head.output])


@dataclass(frozen=True)
class HeadPass(_SamplePass):
    """One pass of the encoder; of each row as many of the head as it has samples."""

    def __call__(self, rows: Sequence[SampleRow]) -> list[Sampled]:
        """Rows of any tables of that kind -> clean embedding, clean outputs and sampled outputs of each."""
        inputs, values = self._stacked(rows)
        readouts = self.engine.encode(inputs | values, (self.manifest.seam,))
        seam = np.asarray(readouts[self.manifest.seam], dtype=np.float32)
        joining = self._joining(values)
        clean = self._numbers(self.engine.head(seam, joining), len(rows))
        sampled = self._sampled(seam, joining, rows)
        return [Sampled(sampled[i], seam[i], clean[i]) for i in range(len(rows))]

    def _sampled(
        self, seam: FloatMatrix, joining: Mapping[str, NDArray[Any]], rows: Sequence[SampleRow]
    ) -> list[FloatMatrix]:
        counts = [len(row.row_keys) for row in rows]
        owners = np.repeat(np.arange(len(rows)), counts)
        row_keys = np.concatenate([row.row_keys for row in rows])
        shared_keys = np.concatenate([row.shared_keys for row in rows])
        beside = sum(array[0].size for array in joining.values())
        step = max(1, _NUMBERS // max(seam.shape[1] + beside, self.manifest.head.classes))
        found = []
        for start in range(0, len(owners), step):
            part = slice(start, start + step)
            own = owners[part]
            outputs = self.engine.sample_head(
                seam[own],
                {name: array[own] for name, array in joining.items()},
                self._draw(row_keys[part], shared_keys[part]),
            )
            found.append(self._numbers(outputs, len(own)))
        return np.split(np.concatenate(found), np.cumsum(counts)[:-1])


@dataclass(frozen=True)
class InnerPass(_SamplePass):
    """One pass of encoder and head for each sample of each row: every `SampleRow` is one sample.

    With `embeddings` the sampled embedding is kept.
    """

    embeddings: bool = False

    def __call__(self, rows: Sequence[SampleRow]) -> list[Sampled]:
        """Rows of any tables of that kind, with one sample each -> outputs [1, k] and embedding of each."""
        inputs, values = self._stacked(rows)
        draw = self._draw(
            np.concatenate([row.row_keys for row in rows]), np.concatenate([row.shared_keys for row in rows])
        )
        seam = np.asarray(self.engine.sample_encode(inputs | values, draw), dtype=np.float32)
        outputs = self._numbers(self.engine.sample_head(seam, self._joining(values), draw), len(rows))
        return [Sampled(outputs[i : i + 1], seam[i] if self.embeddings else None) for i in range(len(rows))]
