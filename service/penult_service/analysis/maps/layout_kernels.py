"""Kernels of the layout of a UMAP, compiled by numba: one epoch of some rows.

All that is added up is added in an order of its own, and nothing is fused or reordered: the same places come out of
the same places, whoever computes which rows, and whatever the width of the processor's vectors.
"""

from __future__ import annotations

import numba
import numpy as np

NEGATIVES = 5
_GROUP = 32  # rows whose edges are computed together: enough for vectors, few enough for the first cache
_PULL = 8.0  # of a row's pulls in an epoch, as a share of the way to where they pull it
_CLIP = 4.0
_NEAR = 0.001

f32, i32, u32, u64 = np.float32, np.int32, np.uint32, np.uint64
_LOG = [f32(2 / np.log(2) / n) for n in (1, 3, 5, 7)]
_L0, _L1, _L2, _L3 = _LOG
_EXP = [f32(np.log(2) ** n / np.prod(np.arange(1.0, n + 1))) for n in range(1, 7)]
_E1, _E2, _E3, _E4, _E5, _E6 = _EXP
_HALF_ROOT = i32(0x3F3504F3)  # sqrt(1/2) as bits
_GOLDEN = u32(0x9E3779B9)

_kernel = numba.njit(nogil=True, cache=True, error_model="numpy")
_inline = numba.njit(nogil=True, cache=True, inline="always", error_model="numpy")


@_inline
def _power(x, exponent):  # type: ignore[no-untyped-def]
    """x ** exponent for normal float32 x > 0, to about 1e-6: by series of log2 and exp2, without a branch."""
    bits = f32(x).view(np.int32)
    whole = (bits - _HALF_ROOT) >> i32(23)
    part = i32(bits - (whole << i32(23))).view(np.float32)
    s = (part - f32(1)) / (part + f32(1))
    z = s * s
    log = f32(whole) + s * (_L0 + z * (_L1 + z * (_L2 + z * _L3)))
    y = min(max(exponent * log, f32(-120)), f32(120))
    k = np.floor(y + f32(0.5))
    f = y - k
    power = f32(1) + f * (_E1 + f * (_E2 + f * (_E3 + f * (_E4 + f * (_E5 + f * _E6)))))
    return power * i32((i32(k) + i32(127)) << i32(23)).view(np.float32)


@_inline
def _mixed(x):  # type: ignore[no-untyped-def]
    """A hash of 32 bits: two rounds of multiply and xorshift, with Wellons' constants of low bias."""
    h = u32(x)
    h ^= h >> u32(16)
    h = u32(h * u32(0x7FEB352D))
    h ^= h >> u32(15)
    h = u32(h * u32(0x846CA68B))
    h ^= h >> u32(16)
    return h


@_kernel
def powers(x, exponent, out):  # type: ignore[no-untyped-def]
    """float32 [n] to the power of a float32, into `out`: for tests."""
    for j in range(len(x)):
        out[j] = _power(x[j], exponent)


@_kernel
def _drawn(starts, rates, low, high, epoch, edges, ends):  # type: ignore[no-untyped-def]
    """The edges of rows low to high that are drawn in this epoch, and where those of each row end; how many.

    An edge of rate r is drawn in epochs n where floor(n r) grows: evenly, and its other direction with it.
    """
    now, before = f32(epoch), f32(epoch - 1)
    count = np.int64(0)
    for i in range(low, high):
        for edge in range(starts[i], starts[i + 1]):
            edges[count] = edge
            count += np.int64(i32(now * rates[edge]) > i32(before * rates[edge]))
        ends[i - low] = count
    return count


@_kernel
def _strangers(edges, count, key, size, rows):  # type: ignore[no-untyped-def]
    """Row numbers [NEGATIVES, count], each drawn from all by a hash of the key, the edge and its place."""
    for j in range(count):
        base = _mixed(u32(edges[j]) ^ key)
        for k in range(NEGATIVES):
            rows[k, j] = u32((u64(_mixed(u32(base + u32(k) * _GOLDEN))) * u64(size)) >> u64(32))


@_kernel
def _apart(own, places, others, count, d, differences, squares):  # type: ignore[no-untyped-def]
    """Along dimension d: how far each own place is from that of the other row; its square is added."""
    for j in range(count):
        difference = own[j] - places[others[j], d]
        differences[j] = difference
        squares[j] += difference * difference


@_kernel
def _pulls(squares, count, a, b):  # type: ignore[no-untyped-def]
    """From squared distances what a difference is multiplied with: twice, for either direction of an edge."""
    c = f32(-4) * a * b
    for j in range(count):
        square = squares[j]
        power = _power(square, b)
        pull = c * power / (square * (a * power + f32(1)))
        squares[j] = pull if square > f32(0) else f32(0)


@_kernel
def _pushes(squares, count, a, b):  # type: ignore[no-untyped-def]
    c = f32(2) * b
    for j in range(count):
        square = squares[j]
        squares[j] = c / ((f32(_NEAR) + square) * (a * _power(square, b) + f32(1)))


@_kernel
def _add_moves(factors, differences, count, most, moves):  # type: ignore[no-untyped-def]
    for j in range(count):
        move = factors[j] * differences[j]
        move = move if move < most else most
        move = move if move > -most else -most
        moves[j] += move


@_kernel
def _spread(column, low, high, ends, out):  # type: ignore[no-untyped-def]
    """The number of each row to all its edges."""
    at = 0
    for i in range(low, high):
        value = column[i]
        for j in range(at, ends[i - low]):
            out[j] = value
        at = ends[i - low]


@_kernel
def _summed(values, low, high, ends, out):  # type: ignore[no-untyped-def]
    """The sum over the edges of each row."""
    at = 0
    for i in range(low, high):
        total = f32(0)
        for j in range(at, ends[i - low]):
            total += values[j]
        at = ends[i - low]
        out[i - low] = total


@_kernel
def move_rows(first, last, epoch, key, old, new, starts, tails, rates, alpha, a, b):  # type: ignore[no-untyped-def]
    """One epoch of rows first to last: their places `new` float32 [n, c], from `old`, those of all rows before it.

    `starts` int64 [n + 1], `tails` uint32 [e] and `rates` float32 [e] (0 to 1) are a symmetric graph, row by row;
    `epoch` is from 1 on, `key` uint32 that of the seed, `alpha`, `a`, `b` float32.
    """
    dimensions, size, key = old.shape[1], u32(old.shape[0]), _mixed(u32(epoch) ^ key)
    room = 0
    for low in range(first, last, _GROUP):
        room = max(room, starts[min(low + _GROUP, last)] - starts[low])
    room += 1
    edges, others = np.empty(room, np.uint32), np.empty(room, np.uint32)
    strangers = np.empty((NEGATIVES, room), np.uint32)
    squares, own = np.empty(room, np.float32), np.empty((dimensions, room), np.float32)
    differences, moves = np.empty((dimensions, room), np.float32), np.empty((dimensions, room), np.float32)
    ends, steps, sums = np.empty(_GROUP, np.int64), np.empty(_GROUP, np.float32), np.empty(_GROUP, np.float32)
    for low in range(first, last, _GROUP):
        high = min(low + _GROUP, last)
        count = _drawn(starts, rates, low, high, epoch, edges, ends)
        for j in range(count):
            others[j] = tails[edges[j]]
        _strangers(edges, count, key, size, strangers)
        squares[:count] = f32(0)
        moves[:, :count] = f32(0)
        for d in range(dimensions):
            _spread(old[:, d], low, high, ends, own[d])
            _apart(own[d], old, others, count, d, differences[d], squares)
        _pulls(squares, count, a, b)
        _summed(squares, low, high, ends, steps)
        for i in range(high - low):
            # Pulls of many edges at once would throw a row past where they pull it, out of the map.
            steps[i] = alpha if -alpha * steps[i] <= f32(_PULL) else f32(-_PULL) / steps[i]
        for d in range(dimensions):
            _add_moves(squares, differences[d], count, f32(2 * _CLIP), moves[d])
        for k in range(NEGATIVES):
            squares[:count] = f32(0)
            for d in range(dimensions):
                _apart(own[d], old, strangers[k], count, d, differences[d], squares)
            _pushes(squares, count, a, b)
            for d in range(dimensions):
                _add_moves(squares, differences[d], count, f32(_CLIP), moves[d])
        for d in range(dimensions):
            _summed(moves[d], low, high, ends, sums)
            for i in range(high - low):
                new[low + i, d] = old[low + i, d] + steps[i] * sums[i]
