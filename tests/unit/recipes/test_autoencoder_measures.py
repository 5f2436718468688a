"""Errors with columns missing, PCA, far rows and blocks, each against plain arithmetic or another library."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from penult_service.errors import InvalidInput
from penult_service.recipes.autoencoding import measures
from sklearn.decomposition import PCA


def correlated(rows: int, columns: int, seed: int = 0) -> measures.Matrix:
    """Standardised rows of which three numbers decide most."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3)) @ rng.normal(size=(3, columns)) + 0.3 * rng.normal(size=(rows, columns))
    standardised: measures.Matrix = (x - x.mean(axis=0)) / x.std(axis=0)
    return standardised


def test_errors_by_hand() -> None:
    x = correlated(7, 4)
    asked: list[tuple[int, ...]] = []

    def reconstruct(rows: measures.Matrix, missing: Sequence[int]) -> measures.Matrix:
        asked.append(tuple(missing))
        changed = x.copy()
        changed[:, list(missing)] = 0
        np.testing.assert_array_equal(rows, changed)
        return rows[:, ::-1] / 2

    found = measures.errors_of(reconstruct, x, [1, 3])
    assert asked == [(0,), (1,), (2,), (3,), (), (1, 3)]

    def by_hand(missing: Sequence[int], column: int) -> float:
        given = [[0.0 if place in missing else row[place] for place in range(4)] for row in x]
        return sum((given[n][3 - column] / 2 - x[n, column]) ** 2 for n in range(7)) / 7

    for column in range(4):
        assert found.clean[column] == pytest.approx(by_hand([], column))
        assert found.chosen[column] == pytest.approx(by_hand([1, 3], column))
        assert found.itself[column] == pytest.approx(by_hand([column], column))
        for missing in range(4):
            assert found.alone[missing, column] == pytest.approx(by_hand([missing], column))


@pytest.mark.parametrize("width", [1, 3, 5])
def test_pca_is_that_of_scikit_learn(width: int) -> None:
    x = correlated(200, 6)
    theirs = PCA(width, svd_solver="full").fit(x)
    ours = measures.Pca(x, width)
    new = correlated(30, 6, seed=1)
    np.testing.assert_allclose(
        ours.reconstruct(new, []), theirs.inverse_transform(theirs.transform(new)), atol=1e-10
    )
    np.testing.assert_allclose(ours.reconstruct_from_others(new, []), ours.reconstruct(new, []), atol=1e-10)


def test_pca_from_the_others_fits_them_best() -> None:
    x, missing = correlated(50, 6), [1, 4]
    pca = measures.Pca(x, 3)
    there = [0, 2, 3, 5]
    given = x.copy()
    given[:, missing] = 99  # not looked at
    found = pca.reconstruct_from_others(given, missing)
    for row in range(len(x)):
        scores, *_ = np.linalg.lstsq(pca.components[:, there].T, x[row, there], rcond=None)
        np.testing.assert_allclose(found[row], scores @ pca.components, atol=1e-10)


def test_how_far_off_rows_are() -> None:
    rng = np.random.default_rng(4)
    x = np.column_stack([rng.normal(100, 2, 1000), rng.normal(0, 5, 1000), np.zeros(1000)])
    x[17, 1], x[3, 2] = 500, 7
    judged_by = np.arange(1000) < 800
    found = measures.robust_distances(x, judged_by)
    median = np.median(x[:800, 1])
    deviation = 1.4826 * np.median(np.abs(x[:800, 1] - median))
    assert found[17, 1] == pytest.approx((500 - median) / deviation)
    assert deviation == pytest.approx(5, rel=0.1)
    assert not found[:, 2].any()  # nearly constant: no deviation to judge by
    assert found[:, 0].max() < 5


def test_blocks_of_rows() -> None:
    held_out = measures.held_out_blocks(1003, 0.2, 20)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], held_out, [False]]).astype(int)))
    assert len(edges) == 2 * 4
    assert set(np.diff(edges)[::2]) <= {50, 51}
    assert abs(held_out.mean() - 0.2) < 0.005
    assert not held_out[:50].any()
    assert measures.held_out_blocks(10, 0.0, 20).sum() == 0
    assert measures.held_out_blocks(20, 0.5, 20).sum() == 10


@pytest.mark.parametrize(
    ("rows", "fraction", "blocks", "words"),
    [
        (10, 0.2, 20, "there are 10 rows; 20 blocks cannot be made of them"),
        (100, 0.01, 20, "of 20 blocks 0.01 is 0: at least one must be held out"),
        (100, 0.99, 20, "of 20 blocks 0.99 is 20"),
    ],
)
def test_blocks_that_cannot_be_held_out(rows: int, fraction: float, blocks: int, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        measures.held_out_blocks(rows, fraction, blocks)
