"""New rows on stored maps by principal components, which are their products with the loadings."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.analysis.calls import Transform
from penult_service.analysis.fitting import fitting, for_later
from penult_service.analysis.maps import pca
from penult_service.analysis.maps.placing import transform
from sklearn.decomposition import PCA

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.standard_normal((150, 30), dtype=np.float32)
NEW = RANDOM.standard_normal((80, 30), dtype=np.float32)


@pytest.mark.parametrize("size", [1.0, 1e25, 1e-25])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_components_are_the_map_s_for_fitted_rows_and_scikit_learn_s_for_new_ones(
    metric: str, size: float
) -> None:
    rows, new = np.float32(size) * ROWS, np.float32(size) * NEW
    fitted = fitting(rows, metric)
    found = pca.components(fitted.rows, 2, fitted.counts)
    arrays = {
        **for_later(fitted, rows, metric),
        "coordinates": found.coordinates[fitted.inverse],
        "mean": np.ldexp(found.mean, fitted.exponent),
        "loadings": np.ldexp(found.loadings, -fitted.exponent),
    }
    call = Transform("pca", metric, far_distance=arrays["far_distance"])
    again = transform(call, {**arrays, "source": rows})
    assert (again.coordinates == found.coordinates).all()
    placed = transform(call, {**arrays, "source": new})
    alone = [transform(call, {**arrays, "source": row[None]}).coordinates for row in new]
    assert (np.concatenate(alone) == placed.coordinates).all()
    model = PCA(2, svd_solver="full").fit(_lines(ROWS, metric))
    # The map's numbers are those of rows scaled to ordinary size.
    scale = 1.0 if metric == "cosine" else 2.0**fitted.exponent / size
    wanted = model.transform(_lines(NEW, metric))
    np.testing.assert_allclose(np.abs(placed.coordinates * scale), np.abs(wanted), atol=1e-5)
    assert placed.used["method"] == "pca"
    assert len(placed.distances) == 80


def _lines(rows: NDArray[np.float32], metric: str) -> NDArray[np.float64]:
    wide = rows.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=1)[:, None] if metric == "cosine" else wide


def test_components_beyond_the_rank_are_zero() -> None:
    rows = np.outer(np.arange(6), [1, 2, 3]).astype(np.float32)
    found = pca.components(rows, 2, np.ones(6))
    assert (found.loadings[:, 1] == 0).all()
    assert (pca.placed(rows, found.mean, found.loadings) == found.coordinates).all()
    assert (found.coordinates[:, 1] == 0).all()


def test_a_map_without_its_loadings_is_placed_on_by_neighbours() -> None:
    kept = for_later(fitting(ROWS, "cosine"), ROWS, "cosine")
    arrays = {**kept, "coordinates": np.ascontiguousarray(ROWS[:, :2])}
    found = transform(Transform("pca", far_distance=kept["far_distance"]), {**arrays, "source": ROWS})
    assert (found.coordinates == ROWS[:, :2]).all()
    assert (found.used["placed_by"], found.used["n_neighbors"]) == ("neighbors", 15)


def test_places_beyond_float32_are_its_largest_number() -> None:
    rows = np.float32(1e-30) * ROWS
    fitted = fitting(rows, "euclidean")
    found = pca.components(fitted.rows, 2, fitted.counts)
    arrays = {
        **for_later(fitted, rows, "euclidean"),
        "coordinates": found.coordinates[fitted.inverse],
        "mean": np.ldexp(found.mean, fitted.exponent),
        "loadings": np.ldexp(found.loadings, -fitted.exponent),
    }
    new = np.float32(1e37) * NEW
    placed = transform(Transform("pca", "euclidean"), {**arrays, "source": new}).coordinates
    assert (np.abs(placed) == np.finfo(np.float32).max).all()
    assert (np.sign(placed) == np.sign(new.astype(np.float64) @ arrays["loadings"])).all()
