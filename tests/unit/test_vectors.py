"""Arrays: bytes, finite checks, pooling, normalisation and similarity, against scikit-learn and plain loops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from penult_service.errors import InvalidInput
from penult_service.vectors import (
    METRICS,
    Space,
    digest_of_parts,
    l2_normalize,
    matrix_from_bytes,
    matrix_to_bytes,
    pool_tokens,
    rows_not_finite,
    similarity,
)
from sklearn.metrics import pairwise
from sklearn.preprocessing import normalize

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
# scikit-learn takes rows shorter than 2e-15 for zero, so values are not tiny where it is the oracle.
MODERATE = st.floats(-1000, 1000, width=32).map(lambda x: x if abs(x) > 1e-3 else 0.0)
MATRICES = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=8), elements=FINITE)


@st.composite
def pairs(draw: Any) -> tuple[np.ndarray, np.ndarray]:
    """Two matrices with equal columns."""
    n, m, d = (draw(st.integers(1, 6)) for _ in range(3))
    a, b = (draw(arrays(np.float32, (rows, d), elements=MODERATE)) for rows in (n, m))
    return a, b


@given(MATRICES)
def test_bytes_and_back(matrix: np.ndarray) -> None:
    back = matrix_from_bytes(matrix_to_bytes(matrix), *matrix.shape, "vectors")
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, matrix)


def test_bytes_are_little_endian_row_major_float32() -> None:
    matrix = np.array([[1.0, 2.0], [-0.5, 0.0]])
    expected = bytes.fromhex("0000803f 00000040 000000bf 00000000")
    for same in (matrix, matrix.astype(">f4"), np.asfortranarray(matrix), matrix.astype(np.float16)):
        assert matrix_to_bytes(same) == expected


@pytest.mark.parametrize("count", [0, 23, 25, 48])
def test_a_wrong_number_of_bytes(count: int) -> None:
    with pytest.raises(InvalidInput, match=rf"has {count} bytes, but 2 rows of 3 .* take 24") as refused:
        matrix_from_bytes(bytes(count), 2, 3, "a")
    assert (refused.value.reason, refused.value.field) == ("WRONG_BYTE_COUNT", "a.data")


@pytest.mark.parametrize(("rows", "columns"), [(-1, 2), (2, -1), (-1, -1)])
def test_a_negative_shape(rows: int, columns: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        matrix_from_bytes(bytes(8), rows, columns, "a")
    assert refused.value.reason == "WRONG_SHAPE"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_bytes_that_are_not_finite_name_the_first_such_row(value: float) -> None:
    matrix = np.zeros((5, 2), dtype=np.float32)
    matrix[[2, 4], 1] = value
    with pytest.raises(InvalidInput, match=r"row 2 .*\(2 such rows\)") as refused:
        matrix_from_bytes(matrix.tobytes(), 5, 2, "corpus")
    assert (refused.value.reason, refused.value.field) == ("NOT_FINITE", "corpus[2]")


@given(arrays(np.float32, array_shapes(min_dims=1, max_dims=3, max_side=6), elements=st.floats(width=32)))
def test_rows_that_are_not_finite(array: np.ndarray) -> None:
    expected = [i for i, row in enumerate(array) if not np.isfinite(row).all()]
    assert rows_not_finite(array).tolist() == expected


@given(pairs(), st.sampled_from(METRICS))
def test_similarity_is_that_of_scikit_learn(two: tuple[np.ndarray, np.ndarray], metric: str) -> None:
    a, b = two
    oracle = {
        "cosine": pairwise.cosine_similarity,
        "dot": pairwise.linear_kernel,
        "euclidean": lambda x, y: pairwise.pairwise_distances(x, y, metric="sqeuclidean") ** 0.5,
        "manhattan": pairwise.manhattan_distances,
    }[metric]
    scores = similarity(a, b, metric)
    assert scores.dtype == np.float32
    expected = oracle(a.astype(np.float64), b.astype(np.float64))
    # scikit-learn takes squared norms apart: near-equal rows of size 1000 lose the digits below 1e-4.
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-3 if metric == "euclidean" else 1e-5)


@given(MATRICES)
def test_a_row_is_nowhere_from_itself(matrix: np.ndarray) -> None:
    matrix = np.clip(matrix, -1e15, 1e15)
    for metric in ("euclidean", "manhattan"):
        assert (np.diag(similarity(matrix, matrix, metric)) == 0).all()


def test_near_equal_rows_are_told_apart() -> None:
    a = np.array([[1000.0, 1000.0]], dtype=np.float32)
    b = np.nextafter(a, np.float32(2000))
    expected = np.linalg.norm(a.astype(np.float64) - b)
    np.testing.assert_allclose(similarity(a, b, "euclidean")[0, 0], expected, rtol=1e-6)


@given(MATRICES)
def test_cosine_stays_within_one(matrix: np.ndarray) -> None:
    scores = similarity(matrix, matrix, "cosine")
    assert ((scores >= -1) & (scores <= 1)).all()
    zero = ~matrix.any(axis=1)
    assert (scores[zero] == 0).all()
    np.testing.assert_allclose(np.diag(scores)[~zero], 1.0, atol=1e-6)


@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=8), elements=MODERATE))
def test_normalised_rows_are_those_of_scikit_learn(matrix: np.ndarray) -> None:
    unit = l2_normalize(matrix)
    assert unit.dtype == np.float32
    np.testing.assert_allclose(unit, normalize(matrix.astype(np.float64)), rtol=1e-5, atol=1e-7)


@given(MATRICES)
def test_rows_of_any_size_get_length_one(matrix: np.ndarray) -> None:
    lengths = np.linalg.norm(l2_normalize(matrix).astype(np.float64), axis=1)
    np.testing.assert_allclose(lengths, matrix.any(axis=1).astype(float), atol=1e-6)


def test_what_is_not_finite_stays_so_when_normalised() -> None:
    unit = l2_normalize(np.array([[np.nan, 1.0], [0.0, 0.0], [3.0, 4.0]], dtype=np.float32))
    assert np.isnan(unit[0]).all()
    np.testing.assert_allclose(unit[1:], [[0, 0], [0.6, 0.8]], atol=1e-7)


@given(
    tokens=arrays(np.float32, array_shapes(min_dims=3, max_dims=3, max_side=6), elements=MODERATE),
    data=st.data(),
)
def test_pooling_leaves_padding_out(tokens: np.ndarray, data: st.DataObject) -> None:
    n, length, _ = tokens.shape
    counts = data.draw(st.lists(st.integers(1, length), min_size=n, max_size=n))
    mask = (np.arange(length) < np.array(counts)[:, None]).astype(np.int32)
    padded = np.where(mask[:, :, None] > 0, tokens, np.float32(7777))
    loops = {
        "cls": [t[0] for t in tokens],
        "mean": [t[:c].astype(np.float64).mean(axis=0) for t, c in zip(tokens, counts, strict=True)],
        "max": [t[:c].max(axis=0) for t, c in zip(tokens, counts, strict=True)],
    }
    for how, expected in loops.items():
        pooled = pool_tokens(padded, mask, how)
        assert pooled.dtype == np.float32
        np.testing.assert_allclose(pooled, expected, rtol=1e-4, atol=1e-2)


def test_names_that_are_not_there() -> None:
    one = np.ones((1, 1), dtype=np.float32)
    with pytest.raises(ValueError, match="median"):
        pool_tokens(one[None], one, "median")
    with pytest.raises(ValueError, match="jaccard"):
        similarity(one, one, "jaccard")


SPACE = Space("digest", "pooled_output", "pooled", normalize=False, truncate="right")


def test_the_digest_of_a_space_stays_the_same_over_releases() -> None:
    # Stored embeddings carry it: a change here makes them incomparable with new ones.
    assert SPACE.digest == "05a314ef4a354695c618d6bf27e3c422"


def test_every_field_of_a_space_is_in_its_digest() -> None:
    others: list[dict[str, Any]] = [
        {"model_digest": "other"},
        {"layer": "dense"},
        {"pooling": "mean"},
        {"normalize": True},
        {"truncate": "error"},
    ]
    assert {name for other in others for name in other} == set(vars(SPACE))
    assert len({SPACE.digest, *(replace(SPACE, **other).digest for other in others)}) == 6


PARTS = st.lists(st.text(max_size=3), max_size=4)


@given(PARTS, PARTS)
def test_lists_of_parts_have_equal_digests_only_when_equal(a: list[str], b: list[str]) -> None:
    assert (digest_of_parts(a) == digest_of_parts(b)) == (a == b)


def test_parts_do_not_run_into_each_other() -> None:
    assert len({digest_of_parts(p) for p in (["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""])}) == 4
