"""Neighbours, clusters, maps and large matrices by real workers over a real socket, against scikit-learn.

The tests that cost a worker its life stand apart, so that its successor gets warm meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import grpc
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from penult.v1 import analysis_service_pb2 as pb
from penult_client import Client, DeadlineError, InternalError, InvalidInputError, PreconditionError
from penult_service.config import Limits
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness
from sklearn.metrics import (
    adjusted_rand_score,
    pairwise_distances,
    silhouette_score,
    v_measure_score,
)
from sklearn.neighbors import NearestNeighbors
from support.bad_input import rows as source_of
from support.calling import METHODS, call
from support.fakes import fake_model
from support.serving import open_channel, serving, wait_until

RANDOM = np.random.default_rng(11)
ROWS = RANDOM.standard_normal((300, 24), dtype=np.float32)
BLOBS, BLOB_OF = make_blobs(240, 24, centers=6, cluster_std=0.6, random_state=3)
BLOBS = BLOBS.astype(np.float32)
WORKER = "penult_service.analysis.workers.worker"


@pytest.fixture(scope="module")
def client(analysing: str) -> Iterator[Client]:
    with Client(analysing, timeout=200) as made:
        made.neighbors(ROWS[:2], k=1)  # waits until a worker is warm
        yield made


def workers() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if WORKER in child.cmdline():
                found.append(child)
    return found


def cpu_of_workers() -> float:
    return sum(sum(worker.cpu_times()[:2]) for worker in workers())


def busy_worker() -> psutil.Process | None:
    """The worker that has the rows of a run mapped."""
    for worker in workers():
        with suppress(psutil.Error):
            if any(mapped.path.endswith("source.npy") for mapped in worker.memory_maps()):
                return worker
    return None


def begin(client: Client, pool: ThreadPoolExecutor, **options: object) -> tuple[Future, psutil.Process]:
    """A map that takes a while, and the worker that is at it."""
    many = RANDOM.standard_normal((4000, 32), dtype=np.float32)
    future = pool.submit(client.project, many, "tsne", **options)
    wait_until(lambda: future.done() or busy_worker() is not None, 60)
    worker = busy_worker()
    assert worker is not None
    return future, worker


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "manhattan"])
def test_neighbors_are_those_of_scikit_learn(client: Client, metric: str) -> None:
    queries, corpus = ROWS[:40], ROWS[40:]
    made = client.neighbors(queries, corpus, k=7, metric=metric)
    oracle = NearestNeighbors(n_neighbors=7, metric=metric, algorithm="brute").fit(corpus.astype(np.float64))
    distances, indices = oracle.kneighbors(queries.astype(np.float64))
    assert np.array_equal(made.indices, indices)
    assert np.allclose(1 - made.scores if metric == "cosine" else made.scores, distances, rtol=0, atol=2e-6)
    assert (made.metric, made.space_checked, made.adjustments, made.model) == (metric, False, (), "")


def test_neighbors_by_dot_among_themselves_and_within_a_radius(client: Client) -> None:
    scores = ROWS.astype(np.float64) @ ROWS.T.astype(np.float64)
    np.fill_diagonal(scores, -np.inf)
    order = np.argsort(-scores, axis=1)[:, :5]
    made = client.neighbors(ROWS, k=5, metric="dot", exclude_self=True)
    assert np.array_equal(made.indices, order)
    radius = float(np.median(made.scores))
    within = client.neighbors(ROWS, k=5, metric="dot", exclude_self=True, radius=radius)
    kept = made.scores >= np.float32(radius)
    assert 0 < kept.sum() < kept.size
    assert np.array_equal(within.indices, np.where(kept, made.indices, -1))
    assert np.array_equal(within.scores, np.where(kept, made.scores, -np.inf))


def test_a_worker_killed_from_outside(client: Client) -> None:
    with ThreadPoolExecutor(1) as pool:
        future, worker = begin(client, pool)
        worker.kill()
        with pytest.raises(InternalError) as caught:
            future.result(20)
    assert caught.value.reason == "WORKER_DIED"
    assert caught.value.metadata["signal"] == "SIGKILL"
    assert client.neighbors(ROWS, k=1, exclude_self=False).indices[:, 0].tolist() == list(range(300))


def test_texts_among_embeddings(client: Client) -> None:
    corpus = client.embed(["a fine film", "a dull film", "something else entirely", "nothing"])
    made = client.neighbors(["a dull film", "nothing"], corpus, k=2)
    assert made.indices[:, 0].tolist() == [1, 3]
    assert made.scores[:, 0] == pytest.approx(1, abs=1e-6)
    assert made.space_checked
    assert (made.model, made.version, made.space) == ("reviews", 3, corpus.space)
    assert not client.neighbors(["nothing"], corpus.vectors, k=1).space_checked


@pytest.mark.parametrize("method", ["kmeans", "agglomerative", "gaussian_mixture", "hdbscan"])
def test_clusters_of_blobs(client: Client, method: str) -> None:
    count = None if method == "hdbscan" else 6
    names = [f"blob {number}" for number in BLOB_OF]
    made = client.cluster(BLOBS, method, count, "euclidean", labels=names)
    assert adjusted_rand_score(BLOB_OF, made.labels) > 0.99
    assert made.sizes.tolist() == sorted(np.bincount(made.labels[made.labels >= 0]).tolist(), reverse=True)
    assert made.sizes.sum() == (made.labels >= 0).sum()
    inside = made.labels >= 0
    assert made.quality.silhouette == pytest.approx(
        silhouette_score(BLOBS[inside].astype(np.float64), made.labels[inside]), abs=1e-5
    )
    assert made.quality.silhouette_rows == inside.sum()
    assert made.quality.noise_share == pytest.approx(1 - inside.mean())
    assert made.quality.v_measure == pytest.approx(v_measure_score(BLOB_OF, made.labels))
    assert made.quality.adjusted_rand == pytest.approx(adjusted_rand_score(BLOB_OF, made.labels))
    assert made.quality.purity is not None
    assert made.quality.purity > 0.99
    assert made.used["method"] == method
    for label, nearest in enumerate(made.nearest):
        assert 1 <= len(nearest) <= 5
        assert set(made.labels[nearest]) == {label}


def test_clusters_of_texts(client: Client) -> None:
    texts = [f"{word} {word} {word} {i % 3}" for i in range(10) for word in ("film", "soup", "rain")]
    made = client.cluster(texts, n_clusters=3)
    assert adjusted_rand_score([0, 1, 2] * 10, made.labels) == 1.0
    assert (made.model, made.quality.v_measure) == ("reviews", None)


def test_a_deadline_in_the_middle_ends_the_work(client: Client) -> None:
    with ThreadPoolExecutor(1) as pool:
        future, worker = begin(client, pool, deadline=1.0)
        with pytest.raises(DeadlineError):
            future.result(20)
        wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    assert client.cluster(BLOBS, n_clusters=6).sizes.sum() == 240


def test_pca_is_that_of_scikit_learn(client: Client) -> None:
    made = client.project(ROWS, "pca", 3, "euclidean")
    oracle = PCA(3, svd_solver="full").fit(ROWS.astype(np.float64))
    places = oracle.transform(ROWS.astype(np.float64))
    signs = np.sign((places * made.coordinates).sum(axis=0))
    assert np.allclose(made.coordinates * signs, places, rtol=0, atol=1e-4)
    assert np.allclose(made.explained_variance, oracle.explained_variance_ratio_, atol=1e-6)


@pytest.mark.parametrize("method", ["umap", "tsne"])
def test_a_map_keeps_neighbours_and_says_how_well(client: Client, method: str) -> None:
    names = [str(number) for number in BLOB_OF]
    made = client.project(BLOBS, method, 2, "euclidean", 5, labels=names)
    assert made.coordinates.shape == (240, 2)
    assert np.isfinite(made.coordinates).all()
    quality = made.quality
    assert quality.rows == 240
    assert quality.trustworthiness == pytest.approx(
        trustworthiness(BLOBS, made.coordinates, n_neighbors=quality.neighbors), abs=1e-3
    )
    assert quality.trustworthiness > 0.9
    assert quality.label_purity == pytest.approx(purity(made.coordinates, quality.neighbors), abs=1e-2)
    assert quality.label_purity_source == pytest.approx(purity(BLOBS, quality.neighbors), abs=1e-2)
    again = client.project(BLOBS, method, 2, "euclidean", 5)
    assert again.coordinates.tobytes() == made.coordinates.tobytes()
    assert again.quality.label_purity is None
    if method == "umap":  # t-SNE begins with principal components, and draws nothing
        other = client.project(BLOBS, method, 2, "euclidean", 6)
        assert other.coordinates.tobytes() != made.coordinates.tobytes()


def purity(places: NDArray[np.float32], neighbors: int) -> float:
    distances = pairwise_distances(places.astype(np.float64))
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1)[:, :neighbors]
    return float((BLOB_OF[nearest] == BLOB_OF[:, None]).mean())


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean", "manhattan"])
def test_a_large_matrix_by_a_worker_is_that_of_the_small_ones(client: Client, metric: str) -> None:
    a = RANDOM.standard_normal((1700, 96), dtype=np.float32)
    b = RANDOM.standard_normal((1100, 96), dtype=np.float32)
    before = cpu_of_workers()
    whole = client.similarity(a, b, metric).scores
    assert cpu_of_workers() > before  # it was a worker
    small = client.similarity(a[:50], b[:60], metric).scores
    assert np.allclose(whole[:50, :60], small, rtol=0, atol=2e-6 * np.abs(small).max())
    pairs = client.similarity(a[:1100], b, metric, pairs=True).scores
    assert np.allclose(np.diag(whole[:1100]), pairs[:, 0], rtol=0, atol=2e-6 * np.abs(pairs).max())


def test_a_cancel_in_the_middle_ends_the_work(client: Client, analysing: str) -> None:
    many = RANDOM.standard_normal((4000, 32), dtype=np.float32)
    request = pb.ProjectRequest(source=source_of(*many.tolist()), method=pb.PROJECTION_METHOD_TSNE)
    path = f"/{METHODS['Project'].containing_service.full_name}/Project"
    with open_channel(analysing) as channel:
        future = channel.unary_unary(path).future(request.SerializeToString(), timeout=60)
        wait_until(lambda: busy_worker() is not None, 60)
        worker = busy_worker()
        assert worker is not None
        future.cancel()
        assert future.code() is grpc.StatusCode.CANCELLED
        wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    began = time.monotonic()
    assert client.neighbors(ROWS, k=1).indices[:, 0].tolist() == list(range(300))
    assert time.monotonic() - began < 60


def test_without_workers_small_similarities_are_answered_and_the_rest_is_refused() -> None:
    # Were the texts of a refused call embedded, the model would fail.
    model = fake_model("reviews", 3, fails_on="poison")
    with serving(model) as server, Client(server.address) as client:
        assert client.similarity(ROWS).scores.shape == (300, 300)
        pairs = client.similarity(ROWS[:5], ROWS[5:10], pairs=True).scores
        oracle = 1 - pairwise_distances(ROWS[:5].astype(np.float64), ROWS[5:10], metric="cosine")
        assert np.allclose(pairs[:, 0], np.diag(oracle), atol=1e-6)
        large = np.ones((1500, 256), np.float32)
        for refused in (
            lambda: client.similarity(large),
            lambda: client.neighbors(ROWS),
            lambda: client.cluster(ROWS),
            lambda: client.project(["a", "poison", "c"]),
        ):
            with pytest.raises(PreconditionError) as caught:
                refused()
            assert caught.value.reason == "ANALYSIS_OFF"


def test_what_is_too_large_is_refused_before_anything_is_embedded_or_computed() -> None:
    limits = Limits(max_analysis_seconds=1e-6, max_scores=90_000)
    source = source_of(*ROWS)
    with serving(fake_model("reviews", 3, seconds=60), limits=limits, warm=False) as server:
        with server.channel() as channel:
            for method, request in (
                ("SearchNeighbors", pb.SearchNeighborsRequest(queries=source, k=1)),
                ("Cluster", pb.ClusterRequest(source=source, n_clusters=2)),
                ("Project", pb.ProjectRequest(source=source)),
            ):
                refused = call(channel, method, request)
                assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "USE_START_ANALYSIS")
                assert "StartAnalysis" in refused.message
                assert float(refused.metadata["estimated_seconds"]) >= 0
                assert refused.metadata["max_analysis_seconds"] == "1e-06"
        client = Client(server.address)
        with pytest.raises(InvalidInputError, match="neighbors") as refusal:
            client.similarity(ROWS, np.ones((301, 24)))
        assert refusal.value.reason == "TOO_MANY_SCORES"
        client.close()
