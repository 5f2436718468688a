"""Zero rows, unit rows, distinct rows, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from penult_service.analysis import rows

SMALL = arrays(
    np.float32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.sampled_from([0, -0.0, 1, 2])
)


@given(SMALL)
def test_distinct_rows_stand_in_order_of_first_appearance(matrix: np.ndarray) -> None:
    found = rows.distinct(matrix)
    seen: list[tuple[float, ...]] = []
    inverse = []
    for row in matrix.tolist():
        if tuple(row) not in seen:
            seen.append(tuple(row))
        inverse.append(seen.index(tuple(row)))
    assert [tuple(row) for row in found.rows.tolist()] == seen
    assert found.inverse.tolist() == inverse
    assert found.first.tolist() == [inverse.index(i) for i in range(len(seen))]
    assert found.first.dtype == found.inverse.dtype == np.int32


def test_rows_that_share_a_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_hashes", lambda matrix: np.zeros(len(matrix), dtype=np.uint64))
    matrix = np.array([[3, 1], [2, 1], [3, 1], [1, 5]], dtype=np.float32)
    found = rows.distinct(matrix)
    assert found.inverse.tolist() == [0, 1, 0, 2]
    np.testing.assert_array_equal(found.rows[found.inverse], matrix)


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_unit_rows_have_length_one_whatever_their_size(size: float) -> None:
    matrix = (np.random.default_rng(0).standard_normal((50, 7)) * size).astype(np.float32)
    matrix[[3, 8]] = 0
    lengths = np.linalg.norm(rows.unit_rows(matrix).astype(np.float64), axis=1)
    np.testing.assert_allclose(lengths, [0.0 if i in (3, 8) else 1.0 for i in range(50)], atol=1e-7)
    assert rows.zero_rows(matrix).tolist() == [3, 8]


@given(st.integers(0, 50), st.integers(0, 40), st.integers(1, 100))
def test_blocks_cover_all_and_keep_to_the_limit(count: int, each: int, limit: int) -> None:
    parts = rows.blocks(count, each, limit)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(count))
    assert all((part.stop - part.start) * each <= max(limit, each) for part in parts)
