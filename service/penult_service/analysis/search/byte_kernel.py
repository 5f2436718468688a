"""A matrix product of bytes, by the instructions that processors have for it (VNNI: four products and their sum).

Intel has them since 2019 (AVX512-VNNI) and 2021 (AVX-VNNI), AMD since 2022. LLVM does not find them by itself, so they
are named here. The sums are of whole numbers, and so exact.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic

WIDEST = 1 << 15
"""Columns above which sums of 32 bits could overflow."""


def _lanes() -> int:
    """Sums in a register; 0: this processor has no such instructions, or numba is told of another one."""
    if numba.config.CPU_NAME is not None or numba.config.CPU_FEATURES is not None:
        return 0
    features = binding.get_host_cpu_features()
    return 16 if features.get("avx512vnni") else 8 if features.get("avxvnni") else 0


LANES = _lanes()
# As many sums at a time as there are registers for.
ROWS, _REGISTERS = (4, 2) if LANES == 8 else (6, 4)
COLUMNS = _REGISTERS * (LANES or 16)
_INT, _FLOAT, _MARKS = ir.IntType(32), ir.FloatType(), ir.IntType(64)
_INTS, _FLOATS = ir.VectorType(_INT, max(1, LANES)), ir.VectorType(_FLOAT, max(1, LANES))
_SIZE = 4 * LANES


def _by_instructions(i, j, queries, starts, steps, limits, corpus, corpus_steps, bases, keys, marks):  # type: ignore[no-untyped-def]
    at, width = j * COLUMNS, queries.shape[1]
    of = (
        queries[i:].ctypes.data,
        width,
        starts[i:].ctypes.data,
        steps[i:].ctypes.data,
        limits[i:].ctypes.data,
        corpus[j].ctypes.data,
        width // 4,
        corpus_steps[at:].ctypes.data,
        bases[at:].ctypes.data,
        keys[i:, at:].ctypes.data,
        4 * keys.shape[1],
        marks[i:, j:].ctypes.data,
        8 * marks.shape[1],
    )
    _block(of)


def _by_loops(i, j, queries, starts, steps, limits, corpus, corpus_steps, bases, keys, marks):  # type: ignore[no-untyped-def]
    """The same, on any processor."""
    sums = np.empty(COLUMNS, dtype=np.int32)
    for row in range(i, i + ROWS):
        sums[:] = starts[row]
        for four in range(corpus.shape[1]):
            q = queries[row, 4 * four : 4 * four + 4]
            q0, q1, q2, q3 = np.int32(q[0]), np.int32(q[1]), np.int32(q[2]), np.int32(q[3])
            parts = corpus[j, four]
            for c in range(COLUMNS):
                part = np.int32(parts[c])
                low = q0 * (part & 255) + q1 * ((part >> 8) & 255)
                sums[c] += low + q2 * ((part >> 16) & 255) + q3 * ((part >> 24) & 255)
        mark, at = np.uint64(0), j * COLUMNS
        for c in range(COLUMNS):
            key = bases[at + c] - np.float32(sums[c]) * (steps[row] * corpus_steps[at + c])
            keys[row, at + c] = key
            if key <= limits[row]:
                mark |= np.uint64(1) << np.uint64(c)
        marks[row, j] = mark


_fill = numba.njit(nogil=True, cache=True, error_model="numpy")(_by_instructions if LANES else _by_loops)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def tile(queries, starts, steps, limits, corpus, corpus_steps, bases, keys, marks):  # type: ignore[no-untyped-def]
    """Keys float32 [n, m]: bases[j] - steps[i] corpus_steps[j] (starts[i] + sum of queries[i] corpus[j]).

    `queries` int8 [n, w] with `starts` int32 [n] and `steps` float32 [n]; `corpus` uint32 [m / COLUMNS, w / 4,
    COLUMNS], four unsigned bytes each, with `corpus_steps` and `bases` float32 [m]; n is divisible by ROWS, m by
    COLUMNS, w by 4. Bit b of `marks` uint64 [n, m / COLUMNS] says that key b of its COLUMNS is at most `limits` [n].
    """
    for j in range(len(corpus)):
        for i in range(0, len(queries), ROWS):
            _fill(i, j, queries, starts, steps, limits, corpus, corpus_steps, bases, keys, marks)


@intrinsic
def _block(_context, of):  # type: ignore[no-untyped-def]
    """ROWS x COLUMNS keys and their marks; takes addresses, and `width`, `key_row` and `mark_row` in bytes."""
    return types.void(of), _generate


def _generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
    (
        queries, width, starts, steps, limits, corpus, depth, corpus_steps, bases, keys, key_row, marks, mark_row
    ) = cgutils.unpack_tuple(builder, arguments[0])  # fmt: skip
    sums = _products(builder, queries, width, starts, corpus, depth)
    for r, of_row in enumerate(sums):
        step = _spread(builder, _after(builder, steps, 4 * r), _FLOATS)
        limit = _spread(builder, _after(builder, limits, 4 * r), _FLOATS)
        mark = ir.Constant(_MARKS, 0)
        for c, total in enumerate(of_row):
            at = _SIZE * c
            unit = builder.fmul(step, _load(builder, _after(builder, corpus_steps, at), _FLOATS))
            product = builder.fmul(builder.sitofp(builder.load(total), _FLOATS), unit)
            key = builder.fsub(_load(builder, _after(builder, bases, at), _FLOATS), product)
            _store(builder, key, _after(builder, keys, at))
            within = builder.bitcast(builder.fcmp_ordered("<=", key, limit), ir.IntType(LANES))
            shifted = builder.shl(builder.zext(within, _MARKS), ir.Constant(_MARKS, LANES * c))
            mark = builder.or_(mark, shifted)
        _store(builder, mark, marks)
        keys, marks = builder.add(keys, key_row), builder.add(marks, mark_row)
    return context.get_dummy_value()


def _products(
    builder: Any, queries: Any, width: Any, starts: Any, corpus: Any, depth: Any
) -> list[list[Any]]:
    """Where the sums of products lie: ROWS lists of registers."""
    rows = [queries]
    for _ in range(1, ROWS):
        rows.append(builder.add(rows[-1], width))
    sums = [[cgutils.alloca_once(builder, _INTS) for _ in range(_REGISTERS)] for _ in rows]
    for r, of_row in enumerate(sums):
        for total in of_row:
            builder.store(_spread(builder, _after(builder, starts, 4 * r), _INTS), total)
    add_products = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_INTS, [_INTS] * 3), f"llvm.x86.avx512.vpdpbusd.{8 * _SIZE}"
    )
    with cgutils.for_range(builder, depth) as loop:
        here = builder.add(corpus, _times(builder, loop.index, _SIZE * _REGISTERS))
        parts = [_load(builder, _after(builder, here, _SIZE * c), _INTS) for c in range(_REGISTERS)]
        at = _times(builder, loop.index, 4)
        for row, of_row in zip(rows, sums, strict=True):
            four = _spread(builder, builder.add(row, at), _INTS)
            for part, total in zip(parts, of_row, strict=True):
                builder.store(builder.call(add_products, [builder.load(total), part, four]), total)
    return sums


def _times(builder: Any, number: Any, factor: int) -> Any:
    return builder.mul(number, ir.Constant(number.type, factor))


def _after(builder: Any, address: Any, distance: int) -> Any:
    return builder.add(address, ir.Constant(address.type, distance))


def _load(builder: Any, address: Any, kind: Any) -> Any:
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=4)


def _store(builder: Any, value: Any, address: Any) -> None:
    builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=4)


def _spread(builder: Any, address: Any, kind: Any) -> Any:
    """The one number at the address, in all lanes."""
    nothing, none = ir.Constant(kind, ir.Undefined), ir.Constant(_INT, 0)
    one = builder.insert_element(nothing, _load(builder, address, kind.element), none)
    return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(_INT, LANES), [0] * LANES))
