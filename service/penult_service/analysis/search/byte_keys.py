"""Keys of all pairs of rows from bytes: each row as whole numbers of -127 to 127 times a step of its own.

What the bytes b(x) leave out of a row x is a rest r(x) of known length. x.y - b(x).b(y) = r(x).y + b(x).r(y), so by
Cauchy and Schwarz it is at most |r(x)| |y| + |b(x)| |r(y)|: a proven bound, many times what is seen, and yet so small
that it leaves some dozens of many thousands of rows to rank.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.rows import unit_rows, zero_rows
from penult_service.analysis.search import byte_kernel
from penult_service.analysis.search.rough import Floats, Threads, centre_of, fixed, scale_of

_NOWHERE = 16.0  # what a row without direction adds to keys of at most 6 in size
_UNIT = 2.0**-24
_VANISHED = 2.0**-100  # more than can be lost where float32 ends
_FEW_PAIRS = 1 << 20  # that are not worth the preparation


@dataclass(frozen=True, eq=False)
class ByteKeys:
    """As `rough.RoughKeys`, but for a number that all keys of a query have in common.

    A query of infinite margin has no keys that say anything. The arrays are as `byte_kernel.tile` takes them; those of
    queries have rows behind the last, so that any are followed by enough.
    """

    shape: tuple[int, int]
    queries: NDArray[np.int8]
    starts: NDArray[np.int32]
    steps: Floats
    margins: NDArray[np.float64]
    corpus: NDArray[np.uint32]
    corpus_steps: Floats
    bases: Floats
    slope: float = 1.0

    @cached_property
    def allowances(self) -> NDArray[np.float64]:
        """With `slope` as of `RoughKeys`."""
        return 2 * self.margins

    def tile(self, rows: slice, columns: slice) -> Floats:
        """Keys float32 of these queries and these corpus rows."""
        keys, _ = self.marked(rows, columns, np.zeros(rows.stop - rows.start, dtype=np.float32))
        return keys[:, : len(range(*columns.indices(self.shape[1])))]

    def marked(self, rows: slice, columns: slice, limits: Floats) -> tuple[Floats, NDArray[np.uint64]]:
        """The same, with more columns than are asked for, and which keys are at most the `limits` of their queries.

        Bit b of mark j is of column COLUMNS * j + b.
        """
        together, count = byte_kernel.ROWS, rows.stop - rows.start
        padded = -(-count // together) * together
        asked = slice(rows.start, rows.start + padded)
        corpus = self._part(*columns.indices(self.shape[1]))
        keys = np.empty((padded, len(corpus[1])), dtype=np.float32)
        marks = np.empty((padded, len(corpus[0])), dtype=np.uint64)
        limits = np.append(limits, np.zeros(padded - count, dtype=np.float32))
        byte_kernel.tile(
            self.queries[asked], self.starts[asked], self.steps[asked], limits, *corpus, keys, marks
        )
        return keys[:count], marks[:count]

    def _part(self, first: int, last: int, step: int) -> tuple[NDArray[np.uint32], Floats, Floats]:
        block = byte_kernel.COLUMNS
        if step == 1 and first % block == 0:
            blocks = slice(first // block, -(-last // block))
            wide = slice(first, blocks.stop * block)
            return self.corpus[blocks], self.corpus_steps[wide], self.bases[wide]
        chosen = np.arange(first, last, step)
        chosen = np.append(chosen, np.zeros(-len(chosen) % block, dtype=int))
        return (
            _in_blocks(self.corpus[chosen // block, :, chosen % block]),
            self.corpus_steps[chosen],
            self.bases[chosen],
        )


def worth_it(queries: int, corpus: int, width: int, metric: str) -> bool:
    """Whether bytes can do it here, and are quicker."""
    possible = byte_kernel.LANES > 0 and metric != "manhattan" and 8 <= width <= byte_kernel.WIDEST
    return possible and queries * corpus >= _FEW_PAIRS


def byte_keys(
    queries: Floats,
    corpus: Floats,
    metric: str,
    threads: Threads,
    places: NDArray[np.int32] | None = None,
) -> ByteKeys:
    """Keys of queries [n, d] and corpus rows [m, d], any metric but manhattan. One array for both is read once.

    With a length |x| and a rest of each row (both as from the centre), keys are |y|^2 / 2 - x.y; of dot products -x.y.
    With `places` int32 [p] the corpus rows are these, in this order.
    """
    unit, squares = metric == "cosine", metric != "dot"
    centre = np.zeros(queries.shape[1])
    factors = [scale_of(_longest(side)) for side in (queries, corpus)]
    if squares:
        factors = [1.0 if unit else min(factors)] * 2
        step = max(1, len(corpus) // 256)
        centre = factors[0] * centre_of(unit_rows(corpus[::step]) if unit else corpus)
    right = _Side.of(corpus, centre, factors[1], unit, threads, places)
    left = (
        right
        if corpus is queries and places is None
        else _Side.of(queries, centre, factors[0], unit, threads)
    )
    far, rest, width = float(right.lengths.max()), float(right.rests.max()), queries.shape[1]
    most = left.lengths + left.rests
    margins = left.rests * far + most * rest
    # Roundings of float32, of keys of about these sizes, and of the float64 keys that decide.
    margins += 8 * _UNIT * (most * (far + rest) + squares * far**2) + _VANISHED
    sizes = np.square(unit + left.lengths + far) if squares else left.lengths * far
    margins += (width + 10) * 2.0**-51 * sizes
    bases = np.full(len(right.steps) - byte_kernel.ROWS, np.inf, dtype=np.float32)
    bases[: len(right.lengths)] = np.square(right.lengths) / 2 if squares else 0
    if unit:
        nowhere = np.zeros(len(corpus), dtype=np.float32)
        nowhere[zero_rows(corpus)] = _NOWHERE
        bases[: len(right.lengths)] += nowhere if places is None else nowhere[places]
        margins[zero_rows(queries)] = np.inf
    # Bytes of 0 to 255 on one side, as the instructions want it; the other side's starts make up for that.
    packed = _in_blocks(right.bytes[: len(bases)].view(np.uint32) ^ np.uint32(0x80808080))
    starts = -128 * left.bytes.sum(axis=1, dtype=np.int32)
    return ByteKeys(
        (len(queries), len(right.lengths)),
        left.bytes,
        np.asarray(starts, dtype=np.int32),
        left.steps,
        margins,
        packed,
        right.steps[: len(bases)],
        bases,
    )


@dataclass(frozen=True, eq=False)
class _Side:
    """Rows as int8 [n and more, w] times float32 `steps`; float64 [n] `lengths`, and bounds of the `rests`."""

    bytes: NDArray[np.int8]
    steps: Floats
    lengths: NDArray[np.float64]
    rests: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        rows: Floats,
        centre: NDArray[np.float64],
        factor: float,
        unit: bool,
        threads: Threads,
        places: NDArray[np.int32] | None = None,
    ) -> _Side:
        count, width = len(rows if places is None else places), rows.shape[1]
        block = byte_kernel.COLUMNS
        # Filled up to whole blocks, and beyond: a tile of the last row reads more.
        padded = -(-count // block) * block + byte_kernel.ROWS
        side = cls(
            np.zeros((padded, -(-width // 4) * 4), dtype=np.int8),
            np.zeros(padded, dtype=np.float32),
            np.zeros(count),
            np.zeros(count),
        )

        def fill(part: slice) -> None:
            some = rows[part] if places is None else rows[places[part]]
            _to_bytes(
                fixed(some), centre, factor, unit,
                side.bytes[part], side.steps[part], side.lengths[part], side.rests[part],
            )  # fmt: skip

        threads.each(fill, slice(0, count), 1024)
        return side


def _longest(rows: Floats) -> float:
    return float(np.sqrt(rows.shape[1])) * max(float(rows.max(initial=0)), -float(rows.min(initial=0)))


def _in_blocks(fours: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """[m, w / 4] -> [m / COLUMNS, w / 4, COLUMNS]"""
    block = byte_kernel.COLUMNS
    return np.ascontiguousarray(fours.reshape(-1, block, fours.shape[1]).transpose(0, 2, 1))


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "nsz"})
def _to_bytes(rows, centre, factor, unit, out, steps, lengths, rests):  # type: ignore[no-untyped-def]
    """Row times factor (at unit length: divided by its own) less the centre, as bytes; a row of zeros stays zeros."""
    width = rows.shape[1]
    for i in range(len(rows)):
        row, scale = rows[i], factor
        if unit:
            squares = 0.0
            for j in range(width):
                squares += np.float64(row[j]) * np.float64(row[j])
            if squares == 0.0:
                continue
            scale = 1.0 / np.sqrt(squares)
        largest, squares = 0.0, 0.0
        for j in range(width):
            value = row[j] * scale - centre[j]
            largest = max(largest, abs(value))
            squares += value * value
        lengths[i] = np.sqrt(squares)
        steps[i] = np.float32(largest / 127)
        per_step = 1.0 / np.float64(steps[i]) if steps[i] > 0 else 0.0
        rest = 0.0
        for j in range(width):
            value = row[j] * scale - centre[j]
            whole = min(127.0, max(-127.0, np.rint(value * per_step)))
            out[i, j] = np.int8(whole)
            rest += (value - whole * np.float64(steps[i])) ** 2
        # The second part: what float64 itself does not know of the row.
        known = (width + 10) * 2.0**-52 * (lengths[i] + (1.0 if unit else 0.0))
        rests[i] = np.sqrt(rest) * (1 + 2.0**-40) + known
