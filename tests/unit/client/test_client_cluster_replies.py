"""Clusters that say more, rows that are far, duplicates: replies and the records made of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from penult.v1 import analysis_service_pb2 as analysis
from penult_client import InternalError
from penult_client._core import cluster_results, placing_results, screening_results
from penult_client._core.arrays import to_tensor
from penult_client._core.result_parts import Gathered
from support.wire_numbers import packed


def ints(values: Any) -> Any:
    return to_tensor(np.asarray(values, np.int32))


def batch(**more: Any) -> analysis.ClusterBatch:
    made = analysis.ClusterBatch(
        event="split", new_labels=[9], gone_labels=[1], labels=[0, 9], sizes=[2, 1], drift=[0.5, 0.0], **more
    )
    made.create_time.FromSeconds(60)
    return made


def test_clusters_that_were_changed_keep_their_numbers() -> None:
    info = analysis.ClusterInfo(
        label=9,
        size=1,
        nearest_rows=[3],
        border_rows=[3],
        odd_rows=[3],
        keywords=[analysis.Keyword(word="card lost", weight=0.5)],
        labels=[analysis.LabelShare(label="b", rows=3), analysis.LabelShare(label="a", rows=1)],
        name="cards",
        silhouette=0.25,
    )
    reply = analysis.ClusterResponse(
        labels=ints([0, -1, 0, 9]),
        clusters=[analysis.ClusterInfo(label=0, size=2), info],
        davies_bouldin=1.5,
        calinski_harabasz=20.0,
        agreement=analysis.Agreement(normalized_mutual_information=0.5),
        stability=analysis.ClusterStability(adjusted_rand=0.5, low=0.25, high=0.75, samples=20),
        curve=[
            analysis.ClusterCount(n_clusters=4, score=0.5),
            analysis.ClusterCount(n_clusters=8, score=0.25),
        ],
        merges=[analysis.Merge(first=0, second=1, distance=0.5, size=3)],
        moved=[3],
        advice=[analysis.Advice(parameter="min_cluster_size", why="too large")],
        history=[batch(rows=4)],
    )
    made = cluster_results.clusters(reply)
    assert (made.labels.tolist(), made.sizes.tolist(), len(made)) == ([0, -1, 0, 9], [2, 1], 4)
    plain, told = made.clusters
    assert (plain.name, plain.keywords, plain.labels, plain.silhouette) == ("", (), {}, None)
    assert (told.label, told.name, told.silhouette) == (9, "cards", 0.25)
    assert told.keywords == (("card lost", 0.5),)
    assert list(told.labels.items()) == [("b", 3), ("a", 1)]
    assert [array.tolist() for array in (told.nearest, told.border, told.odd)] == [[3]] * 3
    assert (made.merges.dtype, made.merges.tolist()) == (np.float64, [[0, 1, 0.5, 3]])
    assert made.stability is not None
    assert made.stability._asdict() == {"adjusted_rand": 0.5, "low": 0.25, "high": 0.75, "samples": 20}
    assert [tuple(each) for each in made.curve] == [(4, 0.5), (8, 0.25)]
    assert (made.moved.tolist(), made.advice[0].parameter) == ([3], "min_cluster_size")
    quality = made.quality
    assert (quality.davies_bouldin, quality.calinski_harabasz) == (1.5, 20.0)
    assert quality.normalized_mutual_information == 0.5
    (event,) = made.history
    assert (event.created, event.event, event.rows) == (datetime(1970, 1, 1, 0, 1, tzinfo=UTC), "split", 4)
    assert (event.new_labels, event.gone_labels) == ((9,), (1,))
    assert (event.labels.tolist(), event.sizes.tolist(), event.drift.tolist()) == ([0, 9], [2, 1], [0.5, 0.0])


def test_what_is_not_told_is_none_or_empty() -> None:
    made = cluster_results.clusters(
        analysis.ClusterResponse(labels=ints([0]), clusters=[analysis.ClusterInfo(size=1)])
    )
    assert (made.merges.shape, made.moved.shape, made.curve, made.history) == ((0, 4), (0,), (), ())
    assert (made.stability, made.advice, made.stored) == (None, (), None)
    assert made.quality.davies_bouldin is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"labels": ints([0, 2])},
        {"labels": ints([[0, 1]])},
        {"merges": [analysis.Merge(), analysis.Merge()]},
        {"history": [analysis.ClusterBatch(labels=[0, 1], sizes=[1, 1], drift=[0.0])]},
    ],
    ids=["label", "shape", "merges", "batch"],
)
def test_replies_that_cannot_be_right(wrong: dict[str, Any]) -> None:
    right = {"labels": ints([0, 1]), "clusters": [{"label": 0}, {"label": 1}]}
    cluster_results.clusters(analysis.ClusterResponse(**right))
    with pytest.raises(InternalError) as caught:
        cluster_results.clusters(analysis.ClusterResponse(**{**right, **wrong}))
    assert caught.value.reason == "BAD_REPLY"


def test_new_rows() -> None:
    reply = analysis.TransformResponse(
        coordinates=packed([[1, 2], [3, 4], [0, 0]]),
        distances=packed([[0.0], [9.0], [1.0]]),
        nearest_rows=ints([5, 0, -1]),
        far_rows=[1],
        far_distance=0.5,
        zero_rows=[2],
    )
    made = placing_results.placed(reply)
    assert (made.distances.shape, made.distances.dtype) == ((3,), np.float32)
    assert (made.nearest_rows.tolist(), made.nearest_rows.dtype) == ([5, 0, -1], np.int32)
    assert (made.far.tolist(), made.far.dtype) == ([False, True, False], np.bool_)
    assert (made.far_distance, made.zero_rows.tolist(), len(made)) == (0.5, [2], 3)
    reply.ClearField("far_distance")
    assert placing_results.placed(reply).far_distance is None
    reply.far_rows[:] = [3]
    with pytest.raises(InternalError, match="far row 3 of 3"):
        placing_results.placed(reply)
    short = analysis.AssignClustersResponse(
        labels=ints([0, 1]), distances=packed([[0.5]]), shares=packed([[1.0], [1.0]])
    )
    with pytest.raises(InternalError, match="distances"):
        placing_results.assigned(short)


def duplicates(**more: Any) -> analysis.FindDuplicatesResponse:
    told = {
        "pairs": ints([[0, 3], [1, 2]]),
        "scores": packed([[1.0], [0.96]]),
        "groups": ints([0, 1, 1, 0, -1]),
        "keepers": [0, 2],
        **more,
    }
    return analysis.FindDuplicatesResponse(**told)


def test_duplicates_and_what_is_left_without_them() -> None:
    made = screening_results.duplicates(duplicates(total_pairs=2, equal_pairs=1, threshold=0.95))
    assert made.keep.tolist() == [True, False, True, False, True]
    assert made.groups.tolist() == [0, 1, 1, 0, -1]  # not changed by it
    assert (made.scores.shape, made.pairs.shape, len(made)) == ((2,), (2, 2), 5)
    none = screening_results.duplicates(
        duplicates(
            pairs=ints(np.empty((0, 2))), scores=packed(np.empty((0, 1))), groups=ints([-1]), keepers=[]
        )
    )
    assert (none.pairs.shape, none.scores.shape, none.keep.tolist()) == ((0, 2), (0,), [True])
    for wrong in ({"keepers": [5]}, {"pairs": ints([0, 1])}, {"scores": packed([[1.0]])}):
        with pytest.raises(InternalError):
            screening_results.duplicates(duplicates(**wrong))


@pytest.mark.parametrize("stops", [[5], [2, 5], [1, 2, 3, 4, 5]])
def test_pairs_that_are_spread_over_parts(stops: list[int]) -> None:
    """As the server spreads them: a share of the pairs with each share of the rows."""
    whole = screening_results.duplicates(duplicates(threshold=0.95))
    made = Gathered("operations/duplicates-1")
    for first, stop in zip([0, *stops], stops, strict=False):
        begin, end = 2 * first // 5, 2 * stop // 5
        part = analysis.FindDuplicatesResponse(
            pairs=ints(whole.pairs[begin:end]),
            scores=packed(whole.scores[begin:end, None]),
            groups=ints(whole.groups[first:stop]),
        )
        if first == 0:
            part.keepers.extend([0, 2])
            part.threshold = 0.95
        made.add(
            analysis.ReadResultResponse(find_duplicates=part, first_row=first, row_count=stop - first, rows=5)
        )
    record = made.record()
    np.testing.assert_array_equal(record.pairs, whole.pairs)
    np.testing.assert_array_equal(record.scores, whole.scores)
    np.testing.assert_array_equal(record.groups, whole.groups)


def test_what_an_analysis_would_take() -> None:
    told = analysis.EstimateAnalysisResponse(
        seconds=2.5,
        bytes=1000,
        way=analysis.ANALYSIS_WAY_REFUSED,
        problem="too large; send fewer rows",
        max_operation_bytes=0,
        rows_to_embed=3,
    )
    made = screening_results.estimate(told, 0)
    assert (made.seconds, made.bytes, made.way, made.problem) == (
        2.5,
        1000,
        "refused",
        "too large; send fewer rows",
    )
    assert (made.max_operation_bytes, made.rows_to_embed) == (None, 3)
    told.max_operation_bytes = 5
    assert screening_results.estimate(told, 4).rows_to_embed == 7
    assert screening_results.estimate(told, 0).max_operation_bytes == 5
