"""The layout of a UMAP: its definition, any slices, any number of threads, hubs, rows without edges, umap-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.analysis import quality
from penult_service.analysis.maps import layout, layout_kernels, umap_fit
from penult_service.analysis.progress import Progress, telling
from penult_service.analysis.search import rough
from penult_service.analysis.search.neighbours import graph
from penult_service.analysis.workers import warming
from scipy.sparse import csr_array
from sklearn.datasets import load_digits

CACHE = Path(__file__).parents[3] / ".pytest_cache" / "numba"
A, B = 1.577, 0.895


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """Numba's kernels are compiled once for all tests, and kept where the next process finds them."""
    warming.use_numba_cache(CACHE)
    warming.cache_umap()


def edges(count: int, degree: int, seed: int = 0) -> csr_array:
    """A symmetric graph of strengths above 0, the largest 1."""
    random = np.random.default_rng(seed)
    heads = np.repeat(np.arange(count), degree)
    tails = (heads + random.integers(1, count, size=len(heads))) % count
    strengths = csr_array(
        (random.uniform(0.05, 1, len(heads)).astype(np.float32), (heads, tails)), (count, count)
    )
    strengths = strengths.maximum(strengths.T).tocsr()
    strengths.data /= strengths.data.max()
    return strengths


def mixed(x: int) -> int:
    """The hash, by Python's whole numbers."""
    x ^= x >> 16
    x = x * 0x7FEB352D % 2**32
    x ^= x >> 15
    x = x * 0x846CA68B % 2**32
    return x ^ x >> 16


def defined(
    strengths: csr_array, places: NDArray[np.float32], epoch: int, alpha: float, seed: int
) -> NDArray[np.float64]:
    """One epoch as it is defined, in float64."""
    old, size = places.astype(np.float64), len(places)
    new, key = old.copy(), mixed(epoch ^ seed)
    for i in range(size):
        pulls, move = 0.0, np.zeros(old.shape[1])
        for edge in range(strengths.indptr[i], strengths.indptr[i + 1]):
            rate = np.float32(strengths.data[edge])
            if int(np.float32(epoch) * rate) == int(np.float32(epoch - 1) * rate):
                continue
            difference = old[i] - old[strengths.indices[edge]]
            square = difference @ difference
            pull = 4 * A * B * square ** (B - 1) / (1 + A * square**B)
            pulls += pull
            move -= np.clip(pull * difference, -8, 8)
            base = mixed(edge ^ key)
            for k in range(layout_kernels.NEGATIVES):
                stranger = mixed((base + k * 0x9E3779B9) % 2**32) * size >> 32
                difference = old[i] - old[stranger]
                square = difference @ difference
                push = 2 * B / ((0.001 + square) * (1 + A * square**B))
                move += np.clip(push * difference, -4, 4)
        new[i] += min(alpha, 8 / pulls if pulls else alpha) * move
    return new


def epoch_of(
    strengths: csr_array, places: NDArray[np.float32], epoch: int, alpha: float, seed: int, step: int
) -> NDArray[np.float32]:
    """One epoch by the kernel, so many rows at a time."""
    new = np.full_like(places, np.nan)
    arrays = (strengths.indptr.astype(np.int64), strengths.indices.astype(np.uint32), strengths.data)
    old, starts, tails, rates = (rough.fixed(array) for array in (places, *arrays))
    for first in range(0, len(places), step):
        last = min(first + step, len(places))
        numbers = np.float32(alpha), np.float32(A), np.float32(B)
        layout_kernels.move_rows(
            first, last, epoch, np.uint32(seed), old, new, starts, tails, rates, *numbers
        )
    return new


def test_powers_are_those_of_float64() -> None:
    x = np.exp2(np.random.default_rng(0).uniform(-60, 60, 10_000)).astype(np.float32)
    found = np.empty_like(x)
    for exponent in np.float32([0.2, 0.895, 1.0, 1.9]):
        layout_kernels.powers(x, exponent, found)
        np.testing.assert_allclose(found, x.astype(np.float64) ** np.float64(exponent), rtol=1e-5)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
@pytest.mark.parametrize("alpha", [1.0, 0.01])
def test_an_epoch_is_what_it_is_defined_to_be(dimensions: int, alpha: float) -> None:
    strengths = edges(70, 6)
    places = np.random.default_rng(1).uniform(0, 10, (70, dimensions)).astype(np.float32)
    for epoch in (1, 2, 9, 500):
        found = epoch_of(strengths, places, epoch, alpha, 42, 70)
        np.testing.assert_allclose(found, defined(strengths, places, epoch, alpha, 42), rtol=2e-4, atol=2e-4)
        assert (found != places).any()


def test_who_moves_which_rows_changes_nothing() -> None:
    strengths = edges(200, 9)
    places = np.random.default_rng(1).uniform(0, 10, (200, 2)).astype(np.float32)
    whole = epoch_of(strengths, places, 7, 0.5, 3, 200)
    assert np.isfinite(whole).all()
    for step in (1, 7, 32, 33, 199):
        assert (epoch_of(strengths, places, 7, 0.5, 3, step) == whole).all()


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Threads share out few rows, too."""
    monkeypatch.setattr(layout, "_PART_ROWS", 50)
    return monkeypatch


def test_the_same_bytes_at_any_number_of_threads(small_parts: pytest.MonkeyPatch) -> None:
    strengths = edges(1_000, 8)
    start = np.random.default_rng(1).uniform(0, 10, (1_000, 2)).astype(np.float32)
    found = []
    for cores in (1, 2, 4, 7):
        small_parts.setattr(rough, "cores", lambda cores=cores: cores)
        found.append(layout.laid_out(start, strengths, 40, A, B, 42).tobytes())
    assert len(set(found)) == 1
    assert layout.laid_out(start, strengths, 40, A, B, 43).tobytes() not in found


def test_an_edge_is_drawn_once_in_an_epoch_at_most() -> None:
    strengths = edges(200, 9)
    places = np.random.default_rng(1).uniform(0, 10, (200, 2)).astype(np.float32)
    often = strengths.copy()
    often.data[:] = 1
    for rate in np.nextafter(np.float32(1), np.float32([0, 2])):  # one rounds up to what is drawn twice
        strengths.data[:] = rate
        for epoch in (2, 5, 17):
            found = epoch_of(strengths, places, epoch, 0.5, 3, 200)
            assert (found == epoch_of(often, places, epoch, 0.5, 3, 200)).all()


def test_a_hub_stays_on_the_map() -> None:
    count = 3_000
    hub = csr_array(
        (np.ones(count - 1, np.float32), (np.zeros(count - 1, int), np.arange(1, count))), (count, count)
    )
    strengths = (edges(count, 3) + hub + hub.T).tocsr()
    start = np.random.default_rng(1).uniform(0, 10, (count, 2)).astype(np.float32)
    places = layout.laid_out(start, strengths, 60, A, B, 42)
    assert np.isfinite(places).all()
    others = places[1:]
    assert (np.abs(places[0] - others.mean(axis=0)) < np.ptp(others, axis=0)).all()
    assert np.ptp(places) < 100


def test_rows_without_edges_stay_where_they_are() -> None:
    strengths = edges(50, 4).tolil()
    strengths[7] = 0
    strengths[:, 7] = 0
    strengths = strengths.tocsr()
    start = np.random.default_rng(1).uniform(0, 10, (50, 2)).astype(np.float32)
    places = layout.laid_out(start, strengths, 10, A, B, 1)
    assert (places[7] == start[7]).all()
    assert (places[6] != start[6]).all()
    none = layout.laid_out(start, csr_array((50, 50), dtype=np.float32), 10, A, B, 1)
    assert (none == start).all()


def test_epochs_are_told() -> None:
    told: list[Progress] = []
    start = np.random.default_rng(1).uniform(0, 10, (50, 2)).astype(np.float32)
    with telling(told.append):
        layout.laid_out(start, edges(50, 4), 250, A, B, 1)
    assert {progress.stage for progress in told} == {"layout"}
    done = [progress.done for progress in told]
    assert done == sorted(done)
    assert done[0] == 0
    assert done[-1] == told[-1].total == 250


def test_maps_of_digits_are_as_good_as_umap_learns_over_seeds() -> None:
    from umap.umap_ import fuzzy_simplicial_set, simplicial_set_embedding

    rows = np.unique(load_digits().data[:500], axis=0).astype(np.float32)
    near = graph(rows, 15, "euclidean")
    strengths, _, _ = fuzzy_simplicial_set(
        rows, 15, None, "euclidean", knn_indices=near[0], knn_dists=near[1]
    )
    a, b = umap_fit._curve(0.1)
    ours, theirs = [], []
    for seed in range(4):
        random = np.random.RandomState(seed)
        places, _ = simplicial_set_embedding(
            rows,
            strengths.copy(),
            2,
            1.0,
            a,
            b,
            1.0,
            5,
            500,
            "spectral",
            random,
            "euclidean",
            {},
            False,
            {},
            False,
        )
        theirs.append(quality.of_map(rows, places, "euclidean").trustworthiness)
        found = umap_fit.fit(rows, near, 2, min_dist=0.1, seed=seed)
        ours.append(quality.of_map(rows, found, "euclidean").trustworthiness)
    assert np.mean(ours) > np.mean(theirs) - 0.002
    assert min(ours) > min(theirs) - 0.004
