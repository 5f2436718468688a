"""New rows on stored maps: by the definition, by themselves, and at the edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.analysis.calls import Project, Transform
from penult_service.analysis.fitting import beside, far_distance, fitting, for_later
from penult_service.analysis.maps.placing import transform
from penult_service.analysis.maps.projection import project
from penult_service.analysis.nearby import nearby
from penult_service.analysis.results import TransformResult
from penult_service.analysis.search import approximate, rough
from scipy.optimize import brentq, minimize
from scipy.spatial.distance import cdist

Arrays = dict[str, NDArray[Any]]
METRICS = ("cosine", "euclidean", "manhattan")


def islands(rows: int, seed: int, size: float = 1.0) -> NDArray[np.float32]:
    """Rows [rows, 6] around five centres."""
    random = np.random.default_rng(seed)
    centres = 3 * np.random.default_rng(7).standard_normal((5, 6))
    return np.asarray(
        size * (centres[random.integers(0, 5, rows)] + random.standard_normal((rows, 6))), np.float32
    )


def stored(rows: NDArray[np.float32], metric: str, dimensions: int = 2) -> tuple[Arrays, float | None]:
    """A map of rows, made of their own first numbers bent a little, and its far distance."""
    fitted = fitting(rows, metric)
    kept = for_later(fitted, rows, metric)
    places = np.tanh(rows[:, :dimensions] / 3) * 10
    # Equal rows have one place.
    coordinates = np.zeros_like(places)
    coordinates[fitted.kept] = places[kept["fitted_first"]][fitted.inverse]
    return {
        "fitted_rows": kept["fitted_rows"],
        "fitted_first": kept["fitted_first"],
        "coordinates": coordinates,
    }, kept["far_distance"]


def placed(
    arrays: Arrays, source: NDArray[np.float32], metric: str = "cosine", far: float | None = None, k: int = 15
) -> TransformResult:
    return transform(Transform("umap", metric, k, far), {**arrays, "source": source})


@dataclass(frozen=True, eq=False)
class ByHand:
    """The method, written down: SciPy's distances, its root for sigma, its minimum for the median."""

    around: NDArray[np.float64]
    weights: NDArray[np.float64]
    spread: float
    own: float

    @classmethod
    def of(cls, row: NDArray[np.float32], arrays: Arrays, metric: str, far: float, k: int) -> ByHand:
        places = arrays["coordinates"][arrays["fitted_first"]].astype(np.float64)
        name = {"manhattan": "cityblock"}.get(metric, metric)
        distances = cdist(row[None].astype(np.float64), arrays["fitted_rows"].astype(np.float64), name)[0]
        near = np.argsort(distances, kind="stable")[:k]
        beyond = distances[near] - distances[near[0]]

        def too_much(sigma: float) -> float:
            return float(np.exp(-beyond / sigma).sum() - np.log2(k))

        sigma = brentq(too_much, beyond[1] / 1e3, beyond[-1] * 1e3, xtol=1e-15 * beyond[-1])
        ratio = distances[near[0]] / far
        return cls(
            places[near],
            np.exp(-beyond / sigma),
            float(np.sqrt(((places - places.mean(axis=0)) ** 2).sum(axis=1).mean())),
            float(np.exp(-(((ratio if metric == "cosine" else ratio**2) / 3e-5) ** 2))),
        )

    def squares(self, at: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
        return ((self.around - at) ** 2).sum(axis=1) + (scale * self.spread) ** 2

    def far_from_median(self, at: NDArray[np.float64]) -> float:
        return float((self.weights * np.sqrt(self.squares(at, 1.5e-3))).sum())

    def energy(self, at: NDArray[np.float64]) -> float:
        return float((self.weights * np.log(self.squares(at, 0.02))).sum())

    def least(
        self, cost: Callable[[NDArray[np.float64]], float], start: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Where the cost is least around a place."""
        size = 1e-3 * self.spread
        simplex = start + size * np.vstack([np.zeros(len(start)), np.eye(len(start))])
        how = {"xatol": 1e-9, "fatol": 1e-15, "initial_simplex": simplex, "maxiter": 4_000}
        return np.asarray(minimize(cost, start, method="Nelder-Mead", options=how).x)

    def place(self) -> NDArray[np.float64]:
        at = self.least(self.far_from_median, self.weights @ self.around / self.weights.sum())
        for _ in range(1_000):
            pulls = self.weights / self.squares(at, 0.02)
            at = pulls @ self.around / pulls.sum()
        assert self.energy(self.least(self.energy, at)) > self.energy(at) - 1e-9
        return self.own * self.around[0] + (1 - self.own) * at


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dimensions", [2, 3])
def test_places_are_those_of_the_definition(metric: str, dimensions: int) -> None:
    arrays, far = stored(islands(200, 1), metric, dimensions)
    assert far
    new = islands(18, 2)
    new[:3] = islands(200, 1)[:3] * np.float32(1 + 1e-3)  # some close to a fitted row
    new[3:6] = islands(200, 1)[:3] + np.float32(2e-4)
    found = placed(arrays, new, metric, far)
    wanted = np.array([ByHand.of(row, arrays, metric, far, 15).place() for row in new])
    spread = float(np.sqrt(arrays["coordinates"].var(axis=0).sum()))
    np.testing.assert_allclose(found.coordinates, wanted, atol=1e-5 * spread)


@pytest.mark.parametrize("metric", METRICS)
def test_weights_add_up_to_the_logarithm(metric: str) -> None:
    arrays, _ = stored(islands(100, 3), metric)
    near = nearby(islands(50, 4), arrays["fitted_rows"], 12, metric)
    weights = near.weights()
    np.testing.assert_allclose(weights.sum(axis=1), np.log2(12), rtol=1e-12)
    assert (weights[:, 0] == 1).all()
    assert (np.diff(weights, axis=1) <= 0).all()


@pytest.mark.parametrize("size", [1.0, 1e25, 1e-25])
@pytest.mark.parametrize("metric", METRICS)
def test_a_row_is_placed_by_itself_bit_for_bit(
    metric: str, size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, new = islands(300, 5, size), islands(700, 6, size)
    new[::7], new[3] = rows[:100], 0
    arrays, far = stored(rows, metric)
    together = placed(arrays, new, metric, far)
    order = np.random.default_rng(0).permutation(len(new))
    monkeypatch.setattr(rough, "cores", lambda: 3)
    shuffled = placed(arrays, new[order], metric, far)
    parts = [placed(arrays, new[at : at + 60], metric, far) for at in range(0, len(new), 60)]
    alone = [placed(arrays, new[at : at + 1], metric, far) for at in range(40)]
    for name in ("coordinates", "distances", "nearest_rows"):
        whole = getattr(together, name)
        assert (getattr(shuffled, name) == whole[order]).all()
        assert (np.concatenate([getattr(part, name) for part in parts]) == whole).all()
        assert (np.concatenate([getattr(one, name) for one in alone]) == whole[:40]).all()
    assert np.isfinite(together.coordinates).all()


@pytest.mark.parametrize("size", [1.0, 1e30, 1e-30])
@pytest.mark.parametrize("metric", METRICS)
def test_fitted_rows_have_their_own_place(metric: str, size: float) -> None:
    rows = islands(200, 8, size)
    rows[50:60] = rows[:10]  # duplicates
    rows[60], rows[61] = rows[11], 0
    rows[60, 0] = np.nextafter(rows[60, 0], np.float32(np.inf))  # as near as may be, and another row
    arrays, far = stored(rows, metric)
    found = placed(arrays, rows, metric, far)
    at = np.setdiff1d(np.arange(200), [61])
    assert (found.coordinates[at] == arrays["coordinates"][at]).all()
    fitted = fitting(rows, metric)  # under cosine the nearest is the same, where it has the same unit row
    first = np.arange(200)
    first[fitted.kept] = arrays["fitted_first"][fitted.inverse]
    assert (first[50:60] == np.arange(10)).all()
    assert (found.nearest_rows[at] == first[at]).all()
    assert (found.distances[at] == 0).all()
    assert not found.far_rows.size


def test_copies_within_rounding_keep_their_own_places() -> None:
    """More of them than neighbours, so near that cosines cannot tell them apart."""
    rows = np.tile(islands(1, 9), (60, 1))
    rows[:, 0] += np.arange(60, dtype=np.float32) * np.spacing(np.abs(rows[0, 0]))
    rows = np.concatenate([islands(50, 10), rows])
    arrays, far = stored(rows, "cosine")
    arrays["coordinates"] = np.random.default_rng(0).standard_normal((len(rows), 2)).astype(np.float32)
    found = placed(arrays, rows, "cosine", far)
    distinct = arrays["fitted_first"]
    assert len(distinct) > 60
    assert (found.coordinates[distinct] == arrays["coordinates"][distinct]).all()


def test_near_copies_that_cannot_be_told_apart_are_placed_alone_as_together() -> None:
    random = np.random.default_rng(1)
    clump = (islands(1, 11) + 1e-6 * random.standard_normal((400, 6))).astype(np.float32)
    arrays, far = stored(np.concatenate([islands(100, 12), clump]), "cosine")
    arrays["coordinates"] = random.standard_normal((500, 2)).astype(np.float32)
    new = (islands(1, 11) + 1e-6 * random.standard_normal((50, 6))).astype(np.float32)
    together = placed(arrays, new, "cosine", far).coordinates
    alone = np.concatenate([placed(arrays, row[None], "cosine", far).coordinates for row in new])
    assert (alone == together).all()


def test_length_does_not_count_under_cosine() -> None:
    arrays, _ = stored(islands(100, 13), "cosine")
    new = islands(20, 14)
    assert (placed(arrays, new * 4).coordinates == placed(arrays, new).coordinates).all()
    assert (placed(arrays, islands(100, 13, 0.125)).coordinates == arrays["coordinates"]).all()


def test_zero_rows_lie_beside_the_map_where_its_own_do() -> None:
    rows = islands(60, 15)
    rows[4] = 0
    map_ = project(Project("pca", keep=True), rows)
    arrays = {**for_later(fitting(rows, "cosine"), rows, "cosine"), "coordinates": map_.coordinates}
    new = np.concatenate([rows[:2], np.zeros((2, 6), np.float32)])
    found = placed(arrays, new)
    assert found.zero_rows.tolist() == [2, 3]
    assert (found.coordinates[2:] == map_.coordinates[4]).all()
    assert found.nearest_rows.tolist() == [0, 1, -1, -1]
    assert found.distances.tolist() == [0, 0, 1, 1]
    assert not found.far_rows.size


def test_far_rows_are_told() -> None:
    rows = islands(400, 16)
    arrays, far = stored(rows, "euclidean")
    other = cdist(rows, rows)
    np.fill_diagonal(other, np.inf)
    assert far == pytest.approx(np.quantile(other.min(axis=1), 0.99), rel=1e-6)
    new = np.concatenate([islands(200, 17), np.full((3, 6), 100, np.float32)])
    found = placed(arrays, new, "euclidean", far)
    wanted = cdist(new, rows).min(axis=1)
    np.testing.assert_allclose(found.distances, wanted, rtol=1e-6)
    assert found.far_rows.tolist() == np.flatnonzero(wanted > far).tolist()
    assert set(found.far_rows) >= {200, 201, 202}
    assert len(found.far_rows) < 20
    assert found.far_distance == far
    assert not placed(arrays, new, "euclidean", None).far_rows.size


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("metric", METRICS)
def test_few_fitted_rows(metric: str, count: int) -> None:
    rows = islands(count, 18)
    arrays, far = stored(rows, metric)
    assert (far is None) == (count < 3)
    new = np.concatenate([islands(10, 19), rows])
    found = placed(arrays, new, metric, far)
    assert found.used["n_neighbors"] == min(count, 15)
    assert (found.coordinates[10:] == arrays["coordinates"]).all()
    low, high = arrays["coordinates"].min(axis=0), arrays["coordinates"].max(axis=0)
    assert ((found.coordinates >= low - 1e-5) & (found.coordinates <= high + 1e-5)).all()


def test_all_places_equal() -> None:
    arrays, far = stored(islands(30, 20), "euclidean")
    arrays["coordinates"][:] = 2.5
    assert (placed(arrays, islands(5, 21), "euclidean", far).coordinates == 2.5).all()


def test_rows_beyond_all_measure_are_placed_and_far() -> None:
    arrays, far = stored(islands(50, 22), "euclidean")
    huge = np.full((2, 6), 3e38, np.float32)
    found = placed(arrays, huge, "euclidean", far)
    assert np.isfinite(found.coordinates).all()
    assert found.far_rows.tolist() == [0, 1]
    assert (found.distances == np.finfo(np.float32).max).all()


def test_a_map_by_tsne_asks_fewer_neighbours_than_it_was_made_of() -> None:
    arrays, far = stored(islands(200, 23), "cosine")
    many = transform(Transform("tsne", "cosine", 91, far), {**arrays, "source": islands(9, 24)})
    assert many.used["n_neighbors"] == 15
    assert (many.coordinates == placed(arrays, islands(9, 24), far=far).coordinates).all()
    assert placed(arrays, islands(9, 24), far=far, k=40).used["n_neighbors"] == 40


def test_a_real_map_takes_its_own_rows_back() -> None:
    rows = islands(120, 25)
    map_ = project(Project("tsne"), rows)
    kept = for_later(fitting(rows, "cosine"), rows, "cosine")
    found = placed({**kept, "coordinates": map_.coordinates}, rows, "cosine", kept["far_distance"])
    assert (found.coordinates == map_.coordinates).all()


def test_no_far_distance_of_fewer_than_three_rows() -> None:
    assert far_distance(np.zeros((2, 2), np.float32)) is None
    assert far_distance(np.array([[0, 1], [0, 2], [0, 3]], np.float32)) == pytest.approx(2.98)
    assert (beside(np.empty((0, 2), np.float32), 2) == 0).all()


def test_an_approximate_search_is_used_where_it_pays_and_otherwise_told() -> None:
    arrays, far = stored(islands(100, 26), "cosine")
    new = islands(30, 27)
    found = transform(Transform(far_distance=far, approximate=True), {**arrays, "source": new})
    assert (found.coordinates == placed(arrays, new, far=far).coordinates).all()
    assert found.used["search"] == "exact"
    assert [(told.parameter, told.asked, told.used) for told in found.adjustments] == [
        ("approximate", "true", "false")
    ]


def test_places_by_an_approximate_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approximate, "SMALLEST", 4_000)
    rows = islands(4_000, 28)
    count = np.arange(len(rows), dtype=np.int32)
    arrays = {"fitted_rows": rows, "fitted_first": count, "coordinates": np.tanh(rows[:, :2])}
    new = np.concatenate([islands(600, 29), rows[:200]])
    found = transform(Transform("umap", "euclidean", 15, 1.0, True), {**arrays, "source": new})
    exact = placed(arrays, new, "euclidean", 1.0)
    assert (found.used["search"], found.adjustments) == ("lists", ())
    assert (found.coordinates[600:] == arrays["coordinates"][:200]).all()
    assert (found.nearest_rows == exact.nearest_rows).mean() > 0.9
    assert np.median(np.abs(found.coordinates - exact.coordinates)) < 1e-3
