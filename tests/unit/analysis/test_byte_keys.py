"""Keys of bytes: the products against whole numbers in NumPy, the bound, and that the search by them misses nothing."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from penult_service.analysis.calls import Neighbors
from penult_service.analysis.search import byte_kernel, rough, sieve
from penult_service.analysis.search.byte_keys import ByteKeys, byte_keys
from penult_service.analysis.search.neighbours import search

Matrix = np.ndarray
METRICS = ("cosine", "euclidean", "dot")
KINDS = ("usual", "far off", "sizes", "clumps", "whole", "tiny", "axes", "signs", "huge", "outliers")


def rows_of(kind: str, n: int = 400, d: int = 37) -> Matrix:
    """Rows float32 that are hard in some way, two of them zero."""
    rng = np.random.default_rng(KINDS.index(kind))
    rows = rng.standard_normal((n, d))
    match kind:
        case "far off":
            rows = 5 + 1e-3 * rows
        case "sizes":
            rows *= 10.0 ** rng.uniform(-18, 15, (n, 1))
        case "clumps":
            rows[: n // 2] = rows[0] + 1e-6 * rows[: n // 2]
            rows[n // 2 : 3 * n // 4] = rows[1]
        case "whole":
            rows = np.rint(2 * rows)
        case "tiny":
            rows *= 1e-25
        case "axes":
            rows = np.eye(n, d)[rng.permutation(n)] + 1e-7 * rows
        case "signs":
            rows = np.sign(rows)
        case "huge":
            rows *= 1e18
        case "outliers":
            rows[:3] *= 1e6
    rows[[3, 50]] = 0
    return rows.astype(np.float32)


def exact_keys(queries: Matrix, corpus: Matrix, metric: str) -> Matrix:
    x, y = queries.astype(np.longdouble), corpus.astype(np.longdouble)
    if metric == "euclidean":
        return np.stack([np.square(y - row).sum(axis=1) for row in x])
    if metric == "cosine":
        x, y = (side / np.sqrt(np.square(side).sum(axis=1, keepdims=True)) for side in (x, y))
    return -(x @ y.T)


def keys_of(queries: Matrix, corpus: Matrix, metric: str) -> ByteKeys:
    with rough.Threads() as threads:
        return byte_keys(queries, corpus, metric, threads)


@pytest.mark.parametrize("way", ["of this processor", "loops"])
def test_the_kernel_adds_whole_numbers_exactly(way: str) -> None:
    rng = np.random.default_rng(0)
    n, m, width = 2 * byte_kernel.ROWS, 3 * byte_kernel.COLUMNS, 396
    queries = rng.integers(-127, 128, (n, width)).astype(np.int8)
    corpus = rng.integers(0, 256, (m, width)).astype(np.uint8)
    queries[0], corpus[0], queries[1], corpus[1] = -127, 255, 127, 255
    starts = rng.integers(-1000, 1000, n).astype(np.int32)
    # Powers of two: nothing is rounded, so that the sums are seen.
    steps, corpus_steps = (2.0 ** rng.integers(-3, 3, size) for size in (n, m))
    bases = np.where(np.arange(m) % 5 == 4, np.inf, rng.integers(-99, 99, m))
    sums = starts[:, None] + queries.astype(np.int64) @ corpus.astype(np.int64).T
    expected = (bases - steps[:, None] * corpus_steps * sums).astype(np.float32)
    limits = np.median(expected, axis=1).astype(np.float32)
    fours = corpus.view(np.uint32).reshape(3, byte_kernel.COLUMNS, -1).transpose(0, 2, 1)
    keys, marks = np.empty((n, m), np.float32), np.empty((n, 3), np.uint64)
    floats = [array.astype(np.float32) for array in (steps, corpus_steps, bases)]
    arrays = (queries, starts, floats[0], limits, np.ascontiguousarray(fours), *floats[1:], keys, marks)
    if way == "loops":
        fill = numba.njit(error_model="numpy")(byte_kernel._by_loops)
        for j in range(3):
            for i in range(0, n, byte_kernel.ROWS):
                fill(i, j, *arrays)
    else:
        byte_kernel.tile(*arrays)
    np.testing.assert_array_equal(keys, expected)
    bits = np.unpackbits(marks.view(np.uint8).reshape(n, 3, 8), axis=2, bitorder="little")
    marked = bits[:, :, : byte_kernel.COLUMNS].reshape(n, m).astype(bool)
    np.testing.assert_array_equal(marked, expected <= limits[:, None])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_nearest_row_lies_beyond_the_bound(kind: str, metric: str) -> None:
    rows = rows_of(kind)
    rows = rows[rows.any(axis=1)]  # those without direction have a way of their own
    queries = rows[:90]
    found = keys_of(queries, rows, metric)
    keys = found.tile(slice(0, 90), slice(0, len(rows))).astype(np.float64)
    order = np.argsort(exact_keys(queries, rows, metric), axis=1, kind="stable")
    for k in (1, 7, 30):
        limits = np.sort(keys, axis=1)[:, k - 1] + found.allowances
        assert (np.take_along_axis(keys, order[:, :k], axis=1) <= limits[:, None]).all()
    if kind == "usual":
        # And the bound is of use: it leaves few rows of a matrix like this.
        assert (keys <= limits[:, None]).sum(axis=1).max() < len(rows) / 2


def test_parts_of_the_keys_are_those_of_the_whole() -> None:
    rows = rows_of("usual")
    found = keys_of(rows, rows, "cosine")
    whole = found.tile(slice(0, 400), slice(0, 400))
    for part in (slice(0, 128), slice(64, 200), slice(37, 101), slice(0, 400, 7), slice(399, 400)):
        for some in (slice(0, 1), slice(5, 12), slice(397, 400)):
            np.testing.assert_array_equal(found.tile(some, part), whole[some, part])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_search_by_bytes_is_the_search_by_float32(
    kind: str, metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(kind)
    for k in (1, 9, 80):
        call = Neighbors(k, metric)
        answers = []
        for by_bytes in (False, True):
            monkeypatch.setattr(sieve, "worth_it", lambda *_, by_bytes=by_bytes: by_bytes)
            answers.append([search(call, rows), search(call, rows[:70], rows)])
        for one, other in zip(*answers, strict=True):
            assert one.indices.tobytes() == other.indices.tobytes()
            assert one.scores.tobytes() == other.scores.tobytes()


@pytest.mark.parametrize("metric", METRICS)
def test_the_answer_is_the_same_in_company_in_tiles_and_threads(
    metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sieve, "worth_it", lambda *_: True)
    rows = np.concatenate([rows_of("usual"), rows_of("clumps"), rows_of("whole")])
    call = Neighbors(6, metric)
    whole = search(call, rows)
    answers = [search(call, rows[:333], rows), search(call, rows[:9], rows), search(call, rows[:1], rows)]
    for tile_rows, columns in ((37, 101), (64, 64), (5000, 5000)):
        monkeypatch.setattr(sieve, "_TILE_ROWS", tile_rows)
        monkeypatch.setattr(sieve, "_MARKED_COLUMNS", columns)
        for count in (1, 2):
            monkeypatch.setattr(rough, "cores", lambda count=count: count)
            answers.append(search(call, rows))
    for answer in answers:
        assert answer.indices.tobytes() == whole.indices[: len(answer.indices)].tobytes()
        assert answer.scores.tobytes() == whole.scores[: len(answer.scores)].tobytes()


@pytest.mark.parametrize("copies", [1500, 2900])
def test_near_copies_for_which_there_is_no_room(copies: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sieve, "worth_it", lambda *_: True)
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((3200, 16))
    rows[:copies] = rows[0] + 1e-5 * rng.standard_normal((copies, 16))
    rows = rows[rng.permutation(3200)].astype(np.float32)
    found = search(Neighbors(4, "euclidean", exclude_self=True), rows)
    keys = exact_keys(rows[::40], rows, "euclidean")
    keys[np.arange(80), np.arange(0, 3200, 40)] = np.inf
    np.testing.assert_array_equal(found.indices[::40], np.argsort(keys, axis=1, kind="stable")[:, :4])
