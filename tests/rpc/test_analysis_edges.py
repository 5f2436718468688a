"""The edges of the analyses over a real socket: what is used instead, or what is said.

Every one ends with an answer in our own words, and with a server that answers the next call.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_client import Client, Clusters, InvalidInputError, Projection
from sklearn.metrics.pairwise import cosine_similarity

SIZES = (1, 2, 3, 5, 14, 16)
MANY = np.random.default_rng(2).standard_normal((1000, 16), dtype=np.float32)
CLUSTERINGS = ("kmeans", "agglomerative", "gaussian_mixture", "hdbscan")
MAPS = ("umap", "pca", "tsne")
COPIES = MANY.copy()
COPIES[200:600] = MANY[200]
ALIKE = np.repeat(MANY[:1], 30, axis=0)
ZEROS = MANY[:60].copy()
ZERO_ROWS = [0, 7, 59]
ZEROS[ZERO_ROWS] = 0


@pytest.fixture(scope="module")
def client(analysing: str) -> Iterator[Client]:
    with Client(analysing, timeout=200) as made:
        made.neighbors(MANY[:2], k=1)  # waits until a worker is warm
        yield made


def adjusted(made: Any) -> dict[str, tuple[str, str]]:
    """What was asked and used, by parameter; each with its reason."""
    assert all(each.why for each in made.adjustments)
    return {each.parameter: (each.asked, each.used) for each in made.adjustments}


def refused(call_: Any, *arguments: Any, **options: Any) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        call_(*arguments, **options)
    return caught.value


def check_clusters(made: Clusters, n: int) -> None:
    """What holds for any clusters."""
    assert (made.labels.shape, made.labels.dtype) == ((n,), np.int32)
    assert made.labels.min() >= -1
    assert np.array_equal(made.sizes, np.bincount(made.labels[made.labels >= 0], minlength=len(made.sizes)))
    assert np.all(np.diff(made.sizes) <= 0)
    assert np.all(made.sizes > 0)
    assert made.quality.noise_share == pytest.approx((made.labels < 0).mean())
    defined = len(made.sizes) >= 2
    assert defined or made.quality.silhouette is None
    assert made.quality.silhouette is None or -1 <= made.quality.silhouette <= 1


def check_map(made: Projection, n: int, components: int) -> None:
    """What holds for any map."""
    assert made.coordinates.shape == (n, components)
    assert np.isfinite(made.coordinates).all()
    quality = made.quality.trustworthiness
    assert quality is None or 0 <= quality <= 1


# A handful of rows


@pytest.mark.parametrize("n", SIZES)
def test_neighbors_of_a_handful(client: Client, n: int) -> None:
    few = MANY[:n]
    made = client.neighbors(few, k=10)
    k = min(10, n)
    scores = cosine_similarity(few.astype(np.float64))
    assert np.array_equal(made.indices, np.argsort(-scores, axis=1, kind="stable")[:, :k])
    assert np.allclose(made.scores, -np.sort(-scores, axis=1)[:, :k], rtol=0, atol=1e-6)
    assert adjusted(made) == ({} if n >= 10 else {"k": ("10", str(n))})
    if n == 1:
        error = refused(client.neighbors, few, exclude_self=True)
        assert (error.reason, error.field, error.metadata["least"]) == ("TOO_FEW_ROWS", "queries", "2")
        return
    others = client.neighbors(few, k=10, exclude_self=True)
    assert others.indices.shape == (n, min(10, n - 1))
    assert not (others.indices == np.arange(n)[:, None]).any()
    assert adjusted(others) == ({} if n > 10 else {"k": ("10", str(n - 1))})


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("method", CLUSTERINGS)
def test_clusters_of_a_handful(client: Client, method: str, n: int) -> None:
    made = client.cluster(MANY[:n], method, labels=range(n))
    check_clusters(made, n)
    assert made.quality.v_measure is not None
    if method == "hdbscan":
        return
    assert len(made.sizes) <= min(8, n)
    if n < 8:
        assert adjusted(made)["n_clusters"] == ("8", str(len(made.sizes)))
    else:
        assert "n_clusters" not in adjusted(made)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("components", [2, 3])
@pytest.mark.parametrize("method", MAPS)
def test_maps_of_a_handful(client: Client, method: str, components: int, n: int) -> None:
    made = client.project(MANY[:n], method, components, labels=range(n))
    check_map(made, n, components)
    assert len(np.unique(made.coordinates, axis=0)) == n
    again = client.project(MANY[:n], method, components)
    assert again.coordinates.tobytes() == made.coordinates.tobytes()
    if method == "umap" and n <= 15:
        assert {"n_neighbors", "method"} & adjusted(made).keys()
    if method == "tsne":
        assert {"perplexity", "method"} & adjusted(made).keys()


# Numbers that do not suit


def test_k(client: Client) -> None:
    for k in (0, 10_000):
        if k:
            made = client.neighbors(MANY[:3], MANY[:20], k=k)
            assert made.indices.shape == (3, 20)
            assert adjusted(made) == {"k": ("10000", "20")}
            continue
        error = refused(client.neighbors, MANY[:3], k=0)
        assert (error.reason, error.field, error.metadata["least"]) == ("OUT_OF_RANGE", "k", "1")


@pytest.mark.parametrize("method", ["kmeans", "agglomerative", "gaussian_mixture"])
def test_more_clusters_than_distinct_rows(client: Client, method: str) -> None:
    three = np.repeat(MANY[:3], 10, axis=0)
    made = client.cluster(three, method, 5)
    check_clusters(made, 30)
    assert made.sizes.tolist() == [10, 10, 10]
    assert adjusted(made)["n_clusters"] == ("5", "3")
    assert len({tuple(made.labels[i : i + 10]) for i in (0, 10, 20)}) == 3


# Rows that are equal


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_all_rows_equal_are_one_cluster(client: Client, method: str) -> None:
    made = client.cluster(ALIKE, method)
    check_clusters(made, 30)
    assert len(set(made.labels.tolist())) == 1
    assert made.quality.silhouette is None
    if method != "hdbscan":
        assert adjusted(made)["n_clusters"] == ("8", "1")


@pytest.mark.parametrize("method", MAPS)
def test_all_rows_equal_have_one_place(client: Client, method: str) -> None:
    made = client.project(ALIKE, method)
    check_map(made, 30, 2)
    assert len(np.unique(made.coordinates, axis=0)) == 1


def test_all_rows_equal_are_neighbours_by_number(client: Client) -> None:
    made = client.neighbors(ALIKE, k=3)
    assert made.indices.tolist() == [[0, 1, 2]] * 30
    assert np.allclose(made.scores, 1, atol=1e-6)
    others = client.neighbors(ALIKE, k=2, exclude_self=True)
    assert others.indices[:4].tolist() == [[1, 2], [0, 2], [0, 1], [0, 1]]


@pytest.mark.parametrize("method", MAPS)
def test_400_copies_among_1000_have_one_place(client: Client, method: str) -> None:
    made = client.project(COPIES, method)
    check_map(made, 1000, 2)
    assert len(np.unique(made.coordinates[200:600], axis=0)) == 1
    assert len(np.unique(made.coordinates, axis=0)) == 601
    if method == "pca":  # which is of all rows, so the copies weigh 400 times
        return
    # They do not push the others into a corner.
    spread = made.coordinates.std(axis=0)
    others = np.delete(made.coordinates, np.arange(200, 600), axis=0).std(axis=0)
    assert np.all(others > 0.5 * spread)


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_400_copies_among_1000_are_together(client: Client, method: str) -> None:
    made = client.cluster(COPIES, method)
    check_clusters(made, 1000)
    assert len(set(made.labels[200:600].tolist())) == 1


def test_400_copies_among_1000_are_each_others_neighbours(client: Client) -> None:
    made = client.neighbors(COPIES, k=5, exclude_self=True)
    assert made.indices[300].tolist() == [200, 201, 202, 203, 204]
    assert made.indices[200].tolist() == [201, 202, 203, 204, 205]
    assert np.allclose(made.scores[200:600], 1, atol=1e-6)


# Rows without a direction


def test_zero_rows_among_neighbours(client: Client) -> None:
    made = client.neighbors(ZEROS, k=60)
    assert made.zero_queries.tolist() == made.zero_corpus.tolist() == ZERO_ROWS
    assert np.isfinite(made.scores).all()
    assert np.all(made.scores[ZERO_ROWS] == 0)
    directed = np.delete(made.indices, ZERO_ROWS, axis=0)
    assert np.array_equal(np.sort(directed[:, -3:], axis=1), np.tile(ZERO_ROWS, (57, 1)))
    few = client.neighbors(ZEROS, k=5)
    assert not np.isin(few.indices, ZERO_ROWS).any()
    assert client.neighbors(ZEROS, k=5, metric="euclidean").zero_queries.size == 0


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_zero_rows_are_in_no_cluster(client: Client, method: str) -> None:
    made = client.cluster(ZEROS, method)
    check_clusters(made, 60)
    assert made.zero_rows.tolist() == ZERO_ROWS
    assert (made.labels[ZERO_ROWS] == -1).all()
    assert not np.isin(np.concatenate([*made.nearest, np.zeros(0, int)]), ZERO_ROWS).any()
    assert client.cluster(ZEROS, method, metric="euclidean").zero_rows.size == 0


@pytest.mark.parametrize("method", MAPS)
def test_zero_rows_lie_together_beside_the_map(client: Client, method: str) -> None:
    made = client.project(ZEROS, method)
    check_map(made, 60, 2)
    assert made.zero_rows.tolist() == ZERO_ROWS
    assert len(np.unique(made.coordinates[ZERO_ROWS], axis=0)) == 1
    others = np.delete(made.coordinates, ZERO_ROWS, axis=0)
    place = made.coordinates[0]
    assert np.any((place < others.min(axis=0)) | (place > others.max(axis=0)))


@pytest.mark.parametrize("method", [*CLUSTERINGS, *MAPS])
def test_nothing_but_zero_rows(client: Client, method: str) -> None:
    zeros = np.zeros((20, 4), np.float32)
    if method in MAPS:
        made = client.project(zeros, method)
        check_map(made, 20, 2)
        assert len(np.unique(made.coordinates, axis=0)) == 1
    else:
        found = client.cluster(zeros, method)
        check_clusters(found, 20)
        assert (found.labels == -1).all()
    assert client.neighbors(zeros, k=2).scores.tolist() == [[0.0, 0.0]] * 20
    assert client.similarity(zeros).scores.tolist() == [[0.0] * 20] * 20


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("method", [*CLUSTERINGS, *MAPS])
def test_rows_of_one_or_two_numbers(client: Client, method: str, columns: int) -> None:
    narrow: NDArray[np.float32] = np.abs(MANY[:40, :columns]) + 0.1
    if method in MAPS:
        check_map(client.project(narrow, method, 3, "euclidean"), 40, 3)
    else:
        check_clusters(client.cluster(narrow, method, metric="euclidean"), 40)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize("method", [*CLUSTERINGS, *MAPS])
def test_rows_of_tiny_and_huge_numbers(client: Client, method: str, scale: float) -> None:
    far = MANY[:40] * np.float32(scale)
    if method in MAPS:
        check_map(client.project(far, method), 40, 2)
    else:
        check_clusters(client.cluster(far, method), 40)
    made = client.neighbors(far, k=3)
    assert np.array_equal(made.indices, client.neighbors(MANY[:40], k=3).indices)
