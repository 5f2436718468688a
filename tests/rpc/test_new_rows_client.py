"""New rows on stored maps and in stored clusters, edits, estimates: both clients over a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from penult.v1 import common_pb2 as common
from penult_client import (
    DeadlineError,
    Estimate,
    InputTypeError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from support import wire_server
from support.wire_numbers import vector_of
from support.wire_server import Script, status
from support.wire_stored import labels_of

TEXTS = ["one", "two words", "", "naïve café", "x" * 20]
MANY = [f"text {'x' * (i % 7)}" for i in range(20)]
MATRIX = np.array([vector_of(text) for text in TEXTS], dtype=np.float32)
BROKEN = status(grpc.StatusCode.UNAVAILABLE, "broken")


@pytest.fixture
def address(script: Script) -> Iterator[str]:
    server, where = wire_server.start(script)
    yield where
    server.stop(0).wait()


def rows(texts: list[str]) -> np.ndarray:
    return np.array([vector_of(text) for text in texts], dtype=np.float32)


def test_places_of_new_rows(flavour, address, script):
    client = flavour.client(address)
    made = flavour.run(client.transform(TEXTS, "map1"))
    np.testing.assert_array_equal(made.coordinates, MATRIX[:, :2])
    np.testing.assert_array_equal(made.distances, MATRIX[:, 0])
    assert made.far.tolist() == (MATRIX[:, 0] > 10).tolist()
    assert (made.projection.name, made.projection.rows, made.projection.durable) == ("map1", 6, True)
    assert (made.model, made.version, made.space_checked) == ("reviews", 3, True)
    asked = script.asked("Transform")[0]
    # Nothing is said of how texts are read: the server does it as the map's own rows were.
    assert asked.source.options == common.EmbedOptions()
    assert not asked.approximate
    flavour.run(client.transform(MATRIX, projection="projections/map1", approximate=True, model="other"))
    assert script.asked("Transform")[1].approximate
    with pytest.raises(NotFoundError):
        flavour.run(client.transform(MATRIX, "nothing"))


def test_clusters_of_new_rows(flavour, address, script):
    client = flavour.client(address)
    made = flavour.run(client.assign(TEXTS, clustering="topics", model="reviews@3"))
    np.testing.assert_array_equal(made.labels, labels_of(MATRIX))
    assert made.shares.tolist() == [0.75] * 5
    assert made.names == {1: "odd"}
    known = made.clustering
    assert (known.name, known.clusters, known.batches, known.cluster_names) == ("topics", 2, 2, {1: "odd"})
    assert known.updated.timestamp() == 60
    assert script.asked("AssignClusters")[0].source.options == common.EmbedOptions(model="reviews@3")


@pytest.mark.parametrize("model", [None, "reviews@4"])
def test_more_texts_than_a_request_holds_are_read_as_the_maps_own(flavour, address, script, model):
    client = flavour.client(address)
    made = flavour.run(client.transform(MANY, "map1", model=model))
    np.testing.assert_array_equal(made.coordinates, rows(MANY)[:, :2])
    assert [each.name for each in script.asked("ReadResult")] == ["projections/map1"]
    options = {asked.options.SerializeToString(deterministic=True) for asked in script.asked("Embed")}
    expected = common.EmbedOptions(
        model=model or "models/reviews/versions/3",
        layer="pooled_output",
        pooling=common.POOLING_MEAN,
        normalize=True,
    )
    assert options == {expected.SerializeToString(deterministic=True)}
    assert made.model == "reviews"
    flavour.run(client.assign(MANY, "topics", model=model))
    assert script.asked("ReadResult")[-1].name == "clusterings/topics"


def test_growth(flavour, address):
    client = flavour.client(address)
    made = flavour.run(client.grow(TEXTS, "topics", 3))
    np.testing.assert_array_equal(made.labels, labels_of(MATRIX))
    assert (made.batch.event, made.batch.rows, made.batch.new_labels) == ("grown", 5, (7,))
    assert made.batch.drift.tolist() == [0.5, 0.25, 0.0]
    assert [info.label for info in made.clusters] == [0, 1, 7]
    assert (made.used, made.clustering.name, len(made)) == ({"min_cluster_size": "3"}, "topics", 5)


def test_growth_that_is_sent_again_is_the_same_request(flavour, address, script):
    script.fail("GrowClustering", BROKEN, BROKEN, None)
    flavour.run(flavour.client(address).grow(MATRIX, "topics"))
    first, *others = script.asked("GrowClustering")
    assert len(first.request_id) == 32
    assert others == [first, first]


EDITS: dict[str, Any] = {
    "merged": lambda client: client.merge_clusters("topics", [1, 0]),
    "split": lambda client: client.split_cluster("topics", 1, 3),
    "names": lambda client: client.name_clusters("topics", {0: "even", np.int64(1): ""}),
}


@pytest.mark.parametrize("event", EDITS)
def test_changes_by_hand(flavour, address, script, event):
    client = flavour.client(address)
    made = flavour.run(EDITS[event](client))
    assert (made.history[0].event, made.stored.name) == (event, "topics")
    (asked,) = script.asked("EditClustering")
    told = {
        "merged": list(asked.merge.labels),
        "split": (asked.split.label, asked.split.n_clusters),
        "names": dict(asked.names.names),
    }
    assert told[event] == {"merged": [1, 0], "split": (1, 3), "names": {0: "even", 1: ""}}[event]
    assert asked.max_response_bytes == wire_server.LIMITS["max_response_bytes"]


@pytest.mark.parametrize("event", EDITS)
def test_what_may_have_been_done_is_not_sent_again(flavour, address, script, event):
    """Names say the same twice; a merge or split does not."""
    client = flavour.client(address)
    script.fail("EditClustering", BROKEN)
    if event == "names":
        flavour.run(EDITS[event](client))
        assert len(script.asked("EditClustering")) == 2
        return
    with pytest.raises(UnavailableError, match=r"perhaps .* client.clustering\('topics'\).history tells"):
        flavour.run(EDITS[event](client))
    assert len(script.asked("EditClustering")) == 1


@pytest.mark.parametrize("event", EDITS)
def test_what_the_server_could_not_take_is_sent_again(flavour, address, script, event):
    full = status(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", reason="ANALYSIS_QUEUE_FULL", retry=0.02)
    warming = status(grpc.StatusCode.UNAVAILABLE, "not warm", reason="ANALYSIS_WARMING", retry=0.02)
    script.fail("EditClustering", full, warming)
    flavour.run(EDITS[event](flavour.client(address)))
    assert len(script.asked("EditClustering")) == 3


def test_a_deadline_says_what_is_not_known(flavour, address, script):
    client = flavour.client(address)
    flavour.run(client.neighbors(MATRIX))  # asks for the limits
    script.pause = 0.5
    with pytest.raises(DeadlineError, match="perhaps the clusters were changed"):
        flavour.run(client.merge_clusters("topics", [0, 1], deadline=0.2))
    with pytest.raises(DeadlineError, match="perhaps the clusters were changed"):
        flavour.run(client.grow(MATRIX, "topics", deadline=0.2))


@pytest.mark.parametrize(
    ("call", "reason", "field"),
    [
        (lambda client: client.merge_clusters("topics", [1]), "TOO_FEW_LABELS", "labels"),
        (lambda client: client.merge_clusters("topics", [1, 1]), "TOO_FEW_LABELS", "labels"),
        (lambda client: client.merge_clusters("topics", [1, 2, 1]), "TOO_FEW_LABELS", "labels"),
        (lambda client: client.merge_clusters("topics", "01"), "NOT_LABELS", "labels"),
        (lambda client: client.merge_clusters("topics", 1), "NOT_LABELS", "labels"),
        (lambda client: client.merge_clusters("topics", [0, 1.5]), "NOT_A_NUMBER", "labels[1]"),
        (lambda client: client.merge_clusters("topics", [0, -1]), "OUT_OF_RANGE", "labels[1]"),
        (lambda client: client.merge_clusters("", [0, 1]), "BAD_NAME", "clustering"),
        (lambda client: client.split_cluster("topics", None), "NOT_A_NUMBER", "label"),
        (lambda client: client.split_cluster("topics", 0, 1), "OUT_OF_RANGE", "n_clusters"),
        (lambda client: client.name_clusters("topics", {}), "EMPTY_INPUT", "names"),
        (lambda client: client.name_clusters("topics", ["a"]), "NOT_NAMES", "names"),
        (lambda client: client.name_clusters("topics", {"0": "a"}), "NOT_A_NUMBER", "names['0']"),
        (lambda client: client.name_clusters("topics", {0: None}), "NOT_TEXT", "names[0]"),
        (lambda client: client.name_clusters("topics", {0: "é" * 129}), "NAME_TOO_LONG", "names[0]"),
        (lambda client: client.name_clusters("topics", {0: "\ud800"}), "NOT_UTF8", "names[0]"),
    ],
)
def test_wrong_changes_never_reach_the_wire(flavour, address, script, call, reason, field):
    with pytest.raises(InvalidInputError) as caught:
        flavour.run(call(flavour.client(address)))
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert isinstance(caught.value, InputTypeError) == (
        reason in ("NOT_LABELS", "NOT_A_NUMBER", "NOT_NAMES", "NOT_TEXT", "BAD_NAME")
    )
    assert script.requests == []


DRY = {
    "similarity": lambda client, given: client.similarity(given, dry_run=True),
    "neighbors": lambda client, given: client.neighbors(given, k=3, dry_run=True),
    "duplicates": lambda client, given: client.duplicates(given, dry_run=True),
    "outliers": lambda client, given: client.outliers(given, dry_run=True),
    "cluster": lambda client, given: client.cluster(given, name="topics", dry_run=True),
    "project": lambda client, given: client.project(given, dry_run=True),
    "transform": lambda client, given: client.transform(given, "map1", dry_run=True),
    "assign": lambda client, given: client.assign(given, "topics", dry_run=True),
    "grow": lambda client, given: client.grow(given, "topics", dry_run=True),
}


@pytest.mark.parametrize("method", DRY)
def test_a_dry_run_computes_nothing(flavour, address, script, method):
    client = flavour.client(address)
    made = flavour.run(DRY[method](client, MATRIX))
    assert isinstance(made, Estimate)
    assert (made.seconds, made.way, made.rows_to_embed, made.load) == (5.0, "call", 0, 1.5)
    assert (made.max_call_seconds, made.max_operation_bytes, made.measured_here) == (60.0, None, True)
    assert flavour.run(DRY[method](client, TEXTS)).rows_to_embed == 5
    assert {name for name, _ in script.requests} == {"GetServerInfo", "EstimateAnalysis"}


@pytest.mark.parametrize("method", ["project", "transform"])
def test_a_dry_run_of_many_texts_embeds_one(flavour, address, script, method):
    """To know how long a vector is; numbers stand for the others."""
    texts = [f"text {i}" for i in range(70)]
    made = flavour.run(DRY[method](flavour.client(address), texts))
    assert (made.seconds, made.way, made.rows_to_embed) == (70.0, "operation", 70)
    (embedded,) = script.asked("Embed")
    assert list(embedded.texts.texts) == texts[:1]
    asked = script.asked("EstimateAnalysis")[0].analysis
    vectors = getattr(asked, method).source.vectors
    assert (vectors.rows, vectors.columns) == (70, 4)


def test_duplicates_and_outliers(flavour, address, script):
    client = flavour.client(address)
    given = MATRIX[[0, 1, 0, 2, 1, 0]]
    made = flavour.run(client.duplicates(given, 0.5, max_pairs=10))
    assert made.pairs.tolist() == [[0, 2], [0, 5], [1, 4], [2, 5]]
    assert made.groups.tolist() == [0, 1, 0, -1, 1, 0]
    assert made.keep.tolist() == [True, True, False, True, False, False]
    assert (made.threshold, made.metric, made.zero_rows.tolist()) == (0.5, "cosine", [3])
    assert made.background.percentiles(made.scores).tolist() == pytest.approx([0.1] * 4)
    asked = script.asked("FindDuplicates")[0]
    assert (asked.threshold, asked.max_pairs) == (0.5, 10)
    flavour.run(client.duplicates(given))
    assert not script.asked("FindDuplicates")[1].HasField("threshold")
    far = flavour.run(client.outliers(MATRIX, 3))
    distances = np.linalg.norm(MATRIX[:, None].astype(np.float64) - MATRIX[None], axis=2)
    np.testing.assert_allclose(far.scores, distances.sum(axis=1) / 4, rtol=1e-6)
    assert (far.k, far.antihubs, far.hubness, far.order[0]) == (3, 1, 0.5, far.scores.argmax())


def test_maps_say_how_much_each_row_kept(flavour, address):
    client = flavour.client(address)
    made = flavour.run(client.project(MATRIX, aligned_to="map1"))
    np.testing.assert_array_equal(np.isnan(made.row_neighbors_kept), MATRIX[:, 0] > 5)
    assert np.nanmax(made.row_neighbors_kept) == 0.5
    assert (made.quality.neighbors_kept, made.quality.alignment_disparity) == (0.5, 0.125)
    assert made.quality.continuity is None
