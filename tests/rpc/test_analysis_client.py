"""The analyses of both clients over a real socket, against a server whose numbers are known."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import numpy as np
import pytest
from penult_client import Adjustment, DeadlineError, PreconditionError, ResourceExhaustedError
from support import wire_server
from support.wire_numbers import vector_of
from support.wire_server import Script, status

TEXTS = ["one", "two words", "", "naïve café", "x" * 20]
MATRIX = np.array([vector_of(text) for text in TEXTS], dtype=np.float32)


@pytest.fixture
def address(script: Script) -> Iterator[str]:
    server, where = wire_server.start(script)
    yield where
    server.stop(0).wait()


def test_neighbors(flavour, address):
    client = flavour.client(address)
    scores = MATRIX @ MATRIX.T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :2]
    for queries, corpus in ((TEXTS, None), (TEXTS, MATRIX), (MATRIX, TEXTS)):
        made = flavour.run(client.neighbors(queries, corpus, k=2, metric="dot"))
        np.testing.assert_array_equal(made.indices, order)
        assert (made.indices.dtype, made.scores.dtype) == (np.int32, np.float32)
        np.testing.assert_array_equal(made.scores, np.take_along_axis(scores, order, axis=1))
        assert (made.metric, made.adjustments, len(made)) == ("dot", (), 5)
        assert made.zero_queries.tolist() == made.zero_corpus.tolist() == [2]
    fewer = flavour.run(client.neighbors(MATRIX, k=9))
    assert fewer.indices.shape == (5, 5)
    assert fewer.adjustments == (Adjustment(parameter="k", asked="9", used="5", why="there are 5 rows"),)
    embedded = flavour.run(client.embed(TEXTS))
    assert flavour.run(client.neighbors(embedded, embedded, k=1)).space_checked


def test_clusters(flavour, address):
    client = flavour.client(address)
    made = flavour.run(client.cluster(TEXTS, n_clusters=2, labels=TEXTS))
    assert made.labels.tolist() == [0, 1, 0, 1, 0]
    assert made.sizes.tolist() == [3, 2]
    assert [rows.tolist() for rows in made.nearest] == [[0, 2, 4], [1, 3]]
    assert (made.quality.silhouette, made.quality.purity) == (0.25, 0.75)
    assert made.used == {"method": "kmeans", "n_clusters": "2"}
    assert (made.model, made.version, made.space) == ("reviews", 3, "space-d1")
    alone = flavour.run(client.cluster(MATRIX[:1]))
    assert alone.quality.silhouette is None
    assert [a.parameter for a in alone.adjustments] == ["n_clusters"]
    assert flavour.run(client.cluster(MATRIX, "hdbscan")).labels[-1] == -1


def test_maps(flavour, address):
    client = flavour.client(address)
    made = flavour.run(client.project(TEXTS, n_components=3, seed=7))
    np.testing.assert_array_equal(made.coordinates, MATRIX[:, :3])
    assert made.quality.trustworthiness == 0.5
    assert made.quality.label_purity is None
    assert made.used == {"seed": "7"}
    assert made.zero_rows.tolist() == [2]
    assert made.explained_variance.size == 0
    pca = flavour.run(client.project(MATRIX[:2], "pca", labels=[1, 2]))
    assert pca.explained_variance.tolist() == [0.75, 0.125]
    assert pca.quality.trustworthiness is None
    assert (pca.quality.label_purity, pca.quality.label_purity_source) == (0.25, 0.75)


def test_similarity_of_pairs(flavour, address):
    made = flavour.run(flavour.client(address).similarity(TEXTS, MATRIX[::-1], "dot", pairs=True))
    np.testing.assert_array_equal(made.scores, (MATRIX * MATRIX[::-1]).sum(axis=1, keepdims=True))


def test_many_texts_are_embedded_first(flavour, address, script):
    texts = [f"text {i}" for i in range(20)]
    made = flavour.run(flavour.client(address).project(texts))
    np.testing.assert_array_equal(made.coordinates, [vector_of(text)[:2] for text in texts])
    assert (made.model, made.version) == ("reviews", 3)
    assert len(script.asked("Embed")) == 3
    assert not script.asked("Project")[0].source.HasField("texts")


def test_an_analysis_may_take_longer_than_the_timeout(flavour, address, script):
    client = flavour.client(address, timeout=0.2)
    flavour.run(client.embed(TEXTS))
    script.pause = 0.35
    with pytest.raises(DeadlineError):
        flavour.run(client.embed(TEXTS))
    for call in (client.neighbors, client.project):
        flavour.run(call(MATRIX))
    with pytest.raises(DeadlineError):
        flavour.run(client.project(MATRIX, deadline=0.2))


def test_what_cannot_be_taken_yet_is_sent_again(flavour, address, script):
    warming = status(grpc.StatusCode.UNAVAILABLE, "not warm", reason="ANALYSIS_WARMING", retry=0.02)
    full = status(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", reason="ANALYSIS_QUEUE_FULL", retry=0.02)
    client = flavour.client(address)
    script.fail("Cluster", warming, full, warming)
    assert flavour.run(client.cluster(MATRIX)).labels.size == 5
    assert len(script.asked("Cluster")) == 4
    script.fail("Cluster", *[full] * 100)
    with pytest.raises(ResourceExhaustedError) as caught:
        flavour.run(client.cluster(MATRIX, deadline=1.0))
    assert caught.value.reason == "ANALYSIS_QUEUE_FULL"


def test_what_is_too_large_is_not(flavour, address, script):
    told = {"estimated_seconds": "90", "max_analysis_seconds": "60"}
    large = status(
        grpc.StatusCode.FAILED_PRECONDITION, "about 90 s", reason="USE_START_ANALYSIS", metadata=told
    )
    script.fail("Project", large)
    with pytest.raises(PreconditionError) as caught:
        flavour.run(flavour.client(address).project(MATRIX))
    assert (caught.value.reason, caught.value.metadata) == ("USE_START_ANALYSIS", told)
    assert len(script.asked("Project")) == 1
