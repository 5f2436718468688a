"""Kernels of placing and assigning, compiled by numba: what is said of a row depends on that row and what is stored.

Each row is worked on alone, in float64 and in one order of sums; no random numbers.
"""

from __future__ import annotations

import numba
import numpy as np

_MOST_STEPS = 100
_LARGEST = float(np.finfo(np.float32).max)
_kernel = numba.njit(nogil=True, cache=True, error_model="numpy")


@_kernel
def equal_rows(queries, corpus, nearest, suspects, out):  # type: ignore[no-untyped-def]
    """Which corpus row [m, d] is the query [n, d], number for number: int32 [n] into `out`, -1 for none.

    Only queries with `suspects` bool [n] can have one; it is looked for among `nearest` int32 [n, k] first.
    """
    for i in range(len(queries)):
        out[i] = -1
        if not suspects[i]:
            continue
        for j in range(nearest.shape[1]):
            if out[i] < 0 and _same(queries[i], corpus[nearest[i, j]]):
                out[i] = nearest[i, j]
        if out[i] < 0:
            for row in range(len(corpus)):
                if _same(queries[i], corpus[row]):
                    out[i] = row
                    break


@_kernel
def _same(x, y):  # type: ignore[no-untyped-def]
    for j in range(len(x)):  # noqa: SIM110 - numba has no generators
        if x[j] != y[j]:
            return False
    return True


@_kernel
def weigh(distances, weights):  # type: ignore[no-untyped-def]
    """Weights float64 [n, k] of neighbours at these distances [n, k], ascending: exp(-(d - rho) / sigma).

    rho is the nearest distance, and sigma makes the weights add up to log2 k: the fuzzy neighbourhood of UMAP
    (McInnes, Healy and Melville 2018, algorithm 3), for the row alone. Where so many are nearest that no sigma does,
    only they count.
    """
    k = distances.shape[1]
    target = np.log2(k)
    for i in range(len(distances)):
        beyond = distances[i] - distances[i, 0]
        first = 0
        while first < k and beyond[first] == 0.0:
            first += 1
        if first >= target or first == k:
            for j in range(k):
                weights[i, j] = 1.0 if j < first else 0.0
            continue
        # The sum is convex in 1 / sigma and falls: Newton's steps from the left never pass the root. In units of the
        # farthest, that nothing overflows.
        largest, inverse = beyond[k - 1], 0.0
        for _ in range(_MOST_STEPS):
            total, slope = 0.0, 0.0
            for j in range(k):
                x = beyond[j] / largest
                weights[i, j] = np.exp(-x * inverse)
                total += weights[i, j]
                slope += x * weights[i, j]
            step = (total - target) / slope
            inverse += step
            if not step > 1e-14 * inverse:
                break


@_kernel
def place(places, rows, weights, same, closeness, smoothing, scale, tolerance, steps, out):  # type: ignore[no-untyped-def]
    """Places float32 [n, c] into `out`, where the neighbours' places draw each row to.

    Of row i the neighbours rows[i] (int32 [n, k], nearest first) lie at places[rows[i]] (float32 [m, c]). From their
    weighted mean it moves to their weighted geometric median, and from there to the next place where the weighted sum
    of log(scale^2 + distance^2) is least: those far from the others hardly count by then. The nearest neighbour's place
    draws the row to itself as far as `closeness` float64 [n] is below 1; fitted row same[i] has its own.
    """
    at, moved = np.empty(places.shape[1]), np.empty(places.shape[1])
    for i in range(len(rows)):
        if same[i] >= 0:
            out[i] = places[same[i]]
            continue
        at[:] = 0.0
        total = 0.0
        for j in range(rows.shape[1]):
            total += weights[i, j]
            for x in range(len(at)):
                at[x] += weights[i, j] * places[rows[i, j], x]
        at /= total
        _settle(places, rows[i], weights[i], False, smoothing, tolerance, steps, at, moved)
        _settle(places, rows[i], weights[i], True, scale, tolerance, steps, at, moved)
        own = np.exp(-(closeness[i] ** 2))
        for x in range(len(at)):
            out[i, x] = own * places[rows[i, 0], x] + (1.0 - own) * at[x]


@_kernel
def _settle(places, rows, weights, squared, scale, tolerance, steps, at, moved):  # type: ignore[no-untyped-def]
    """Moves `at` to where the weighted sum of sqrt(scale^2 + distance^2) to the places of `rows` is least.

    With `squared`: of log(scale^2 + distance^2). By weighted means, each nearer place with more weight (Weiszfeld 1937;
    with `squared` those of the Cauchy distribution), none of which makes the sum larger, until a step is below the
    tolerance. `moved` is room to work in.
    """
    for _ in range(steps):
        total = 0.0
        moved[:] = 0.0
        for j in range(len(rows)):
            square = scale * scale
            for x in range(len(at)):
                square += (places[rows[j], x] - at[x]) ** 2
            pull = weights[j] / (square if squared else np.sqrt(square))
            total += pull
            for x in range(len(at)):
                moved[x] += pull * places[rows[j], x]
        step = 0.0
        for x in range(len(at)):
            moved[x] /= total
            step += (moved[x] - at[x]) ** 2
            at[x] = moved[x]
        if step < tolerance * tolerance:
            break


@numba.njit(nogil=True, cache=True, inline="never", error_model="numpy", fastmath={"reassoc", "nsz"})
def _dot(x, y):  # type: ignore[no-untyped-def]
    total = 0.0
    for j in range(len(x)):
        total += x[j] * y[j]
    return total


@_kernel
def components(rows, loadings, out):  # type: ignore[no-untyped-def]
    """Products float32 [n, c] into `out` of rows float64 [n, d] and loadings [c, d].

    Those beyond the range of float32 are its largest number: new rows may be of any size.
    """
    for i in range(len(rows)):
        for x in range(len(loadings)):
            out[i, x] = min(max(_dot(rows[i], loadings[x]), -_LARGEST), _LARGEST)


@_kernel
def vote(labels, rows, weights, chosen, voting, out, shares):  # type: ignore[no-untyped-def]
    """The label with most weight among each row's neighbours, int32 [n] into `out`; of equal weights the smallest.

    Neighbours rows[i] (int32 [n, k]) have labels[rows[i]]. Without `voting` it is `chosen` int32 [n]. `shares` float64
    [n] takes what it has of all weights.
    """
    k = rows.shape[1]
    for i in range(len(rows)):
        total, best, most = 0.0, chosen[i], -1.0
        for j in range(k):
            total += weights[i, j]
        for j in range(k):
            label = labels[rows[i, j]]
            if not voting and label != chosen[i]:
                continue
            votes = 0.0
            for other in range(k):
                if labels[rows[i, other]] == label:
                    votes += weights[i, other]
            if votes > most or (votes == most and label < best):
                best, most = label, votes
        out[i], shares[i] = best, max(most, 0.0) / total
