"""Kernels of the search for duplicates, compiled by numba: pairs within a threshold, what they connect, and medoids.

A score is a cosine or a distance, float64, from the one place that computes keys (`kernels`). Nothing here uses numba's
threading layer.
"""

from __future__ import annotations

import numpy as np

from penult_service.analysis.search.kernels import COSINE, EUCLIDEAN, _inline, _kernel, _key, _rough_absolutes
from penult_service.analysis.search.sift_kernels import _STRIDE, _any_within

_COLUMNS = 128  # rows that stay in the processor's cache
_EQUAL = 1e-12  # of a sum of scores: less is rounding


@_inline
def _score(metric, x, y, xx, yy):  # type: ignore[no-untyped-def]
    """The cosine, or the distance, of two rows; xx and yy are their squared norms, not 0 under cosine."""
    key = _key(metric, x, y, xx, yy)
    if metric == COSINE:
        return -key
    return np.sqrt(key) if metric == EUCLIDEAN else key


@_inline
def _is_within(metric, score, threshold):  # type: ignore[no-untyped-def]
    return score >= threshold if metric == COSINE else score <= threshold


@_kernel
def scores(metric, rows, norms, firsts, seconds, out):  # type: ignore[no-untyped-def]
    """Scores float64 [p] of rows firsts[i] and seconds[i], into `out`."""
    for i in range(len(firsts)):
        x, y = firsts[i], seconds[i]
        out[i] = _score(metric, rows[x], rows[y], norms[x], norms[y])


@_kernel
def within_tile(  # type: ignore[no-untyped-def]
    tile, row, column, first, start, limits, metric, rows, norms, threshold, firsts, seconds, out
):
    """Pairs of rows within the threshold that a tile of float32 keys [b, c] does not rule out, each pair once.

    The tile's rows are the rows from `first` on, its columns those from `start` on; what has a key above limits[i] is
    ruled out. Begins at the tile's place (row, column), and ends where there is no room for more: how many were
    written to `firsts`, `seconds` and `out` (scores), and the place to go on from.
    """
    count = 0
    for i in range(row, len(tile)):
        begin = max(0, first + i + 1 - start)
        if i == row:
            begin = max(begin, column)
        x = first + i
        for j in range(begin, tile.shape[1], _STRIDE):
            part = tile[i, j : j + _STRIDE]
            if len(part) == _STRIDE and not _any_within(part, limits[i]):
                continue
            if count + _STRIDE > len(firsts):
                return count, i, j
            for at in range(len(part)):
                if part[at] <= limits[i]:
                    y = start + j + at
                    score = _score(metric, rows[x], rows[y], norms[x], norms[y])
                    if _is_within(metric, score, threshold):
                        firsts[count], seconds[count], out[count] = x, y, score
                        count += 1
    return count, len(tile), 0


@_kernel
def within_absolutes(  # type: ignore[no-untyped-def]
    rough, first, last, start, stop, limit, metric, rows, norms, threshold, firsts, seconds, out
):
    """The same of rows `first` to `last` and `start` to `stop`, by sums of absolute differences: how many.

    `rough` float32 [n, w] are the rows; a sum that has passed the limit is not taken to its end. There is room for all.
    """
    count = 0
    for base in range(start, stop, _COLUMNS):
        for i in range(first, last):
            for j in range(max(base, i + 1), min(base + _COLUMNS, stop)):
                total = np.float32(0)
                for at in range(0, rough.shape[1], _STRIDE):
                    total += _rough_absolutes(rough[i, at : at + _STRIDE], rough[j, at : at + _STRIDE])
                    if total > limit:
                        break
                if total <= limit:
                    score = _score(metric, rows[i], rows[j], norms[i], norms[j])
                    if _is_within(metric, score, threshold):
                        firsts[count], seconds[count], out[count] = i, j, score
                        count += 1
    return count


@_inline
def _root(parents, at):  # type: ignore[no-untyped-def]
    while parents[at] != at:
        parents[at] = parents[parents[at]]
        at = parents[at]
    return at


@_kernel
def unite(parents, firsts, seconds):  # type: ignore[no-untyped-def]
    """Makes one group of what each pair connects; `parents` int32 [n] leads from each row to the first of its group."""
    for i in range(len(firsts)):
        one, other = _root(parents, firsts[i]), _root(parents, seconds[i])
        if one < other:
            parents[other] = one
        elif other < one:
            parents[one] = other


@_kernel
def roots(parents, out):  # type: ignore[no-untyped-def]
    """The first row of each row's group, int32 [n]."""
    for i in range(len(parents)):
        out[i] = _root(parents, i)


@_kernel
def medoids(metric, rows, norms, weights, starts, members, most, out):  # type: ignore[no-untyped-def]
    """Of each group the row most like the others: into `out` int32 [g].

    Group g is members[starts[g]:starts[g + 1]], ascending; row r counts weights[r] times. Sums of cosines are products
    with the sum of unit rows; sums of distances in a group of more than `most` pairs are those to evenly drawn ones.
    """
    for g in range(len(starts) - 1):
        group = members[starts[g] : starts[g + 1]]
        sums = np.zeros(len(group))
        if metric == COSINE:
            centre = np.zeros(rows.shape[1])
            for row in group:
                scale = weights[row] / np.sqrt(norms[row])
                for j in range(len(centre)):
                    centre[j] += scale * np.float64(rows[row, j])
            for i in range(len(group)):
                total = 0.0
                for j in range(len(centre)):
                    total += np.float64(rows[group[i], j]) * centre[j]
                sums[i] = -total / np.sqrt(norms[group[i]])
        else:
            step = max(1, len(group) * len(group) // most)
            for i in range(len(group)):
                for j in range(0, len(group), step):
                    x, y = group[i], group[j]
                    sums[i] += weights[y] * _score(metric, rows[x], rows[y], norms[x], norms[y])
        least = sums.min()
        equal = least + _EQUAL * abs(least)
        for i in range(len(group)):
            if sums[i] <= equal:
                out[g] = group[i]
                break


@_kernel
def spread(keys, firsts, seconds, starts, members, pairs, out):  # type: ignore[no-untyped-def]
    """Pairs of all rows from pairs of distinct ones, in order, as many as `pairs` int32 [p, 2] and `out` [p] take.

    `keys` float64 [q] ascend; distinct row r stands for the rows members[starts[r]:starts[r + 1]], ascending, and a
    pair of r with itself for all pairs among these. Equal keys go by the first row, then by the second. How many there
    are is what comes back.
    """
    count, begin = 0, 0
    while begin < len(keys) and count < len(pairs):
        end = begin + 1
        while end < len(keys) and keys[end] == keys[begin]:
            end += 1
        one, other = firsts[begin], seconds[begin]
        if end == begin + 1 and starts[one + 1] - starts[one] == 1 and starts[other + 1] - starts[other] == 1:
            pairs[count, 0], pairs[count, 1] = members[starts[one]], members[starts[other]]
            out[count] = keys[begin]
            count += 1
            begin = end
            continue
        count = _spread_equal(
            keys[begin], firsts[begin:end], seconds[begin:end], starts, members, pairs, out, count
        )
        begin = end
    return count


@_inline
def _spread_equal(key, firsts, seconds, starts, members, pairs, out, count):  # type: ignore[no-untyped-def]
    """The same of pairs of one key, in `pairs` from `count` on."""
    ones, others = _either_way(firsts, seconds)
    rows, places = _taking_part(ones, starts, members)
    for at in np.argsort(rows, kind="mergesort"):
        for partner in _partners(rows[at], places[at], ones, others, starts, members):
            if count == len(pairs):
                return count
            pairs[count, 0], pairs[count, 1], out[count] = rows[at], partner, key
            count += 1
    return count


@_inline
def _either_way(firsts, seconds):  # type: ignore[no-untyped-def]
    """Pairs both ways round, by the first row: the others of each stand together, itself twice running."""
    size = len(firsts)
    ones, others = np.empty(2 * size, np.int32), np.empty(2 * size, np.int32)
    for i in range(size):
        ones[2 * i], others[2 * i] = firsts[i], seconds[i]
        ones[2 * i + 1], others[2 * i + 1] = seconds[i], firsts[i]
    order = np.argsort(ones, kind="mergesort")
    return ones[order], others[order]


@_inline
def _taking_part(ones, starts, members):  # type: ignore[no-untyped-def]
    """All rows that the distinct rows `ones` stand for, and where in it each one's begins."""
    total = 0
    for i in range(len(ones)):
        if i == 0 or ones[i] != ones[i - 1]:
            total += starts[ones[i] + 1] - starts[ones[i]]
    rows, places, at = np.empty(total, np.int32), np.empty(total, np.int32), 0
    for i in range(len(ones)):
        if i == 0 or ones[i] != ones[i - 1]:
            for j in range(starts[ones[i]], starts[ones[i] + 1]):
                rows[at], places[at] = members[j], i
                at += 1
    return rows, places


@_inline
def _partners(row, place, ones, others, starts, members):  # type: ignore[no-untyped-def]
    """The rows after `row` that are in a pair with it, ascending; those of its distinct row begin at `place`."""
    end, total = place, 0
    while end < len(ones) and ones[end] == ones[place]:
        total += starts[others[end] + 1] - starts[others[end]]
        end += 1
    found, count = np.empty(total, np.int32), 0
    for i in range(place, end):
        if i > place and others[i] == others[i - 1]:
            continue  # itself, for the second time
        for j in range(starts[others[i]], starts[others[i] + 1]):
            if members[j] > row:
                found[count] = members[j]
                count += 1
    return np.sort(found[:count])
