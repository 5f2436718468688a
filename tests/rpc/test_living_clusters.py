"""Clusterings that live on, over a socket with real workers: rows assigned, taken in, clusters changed by hand."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.longrunning import operations_pb2 as lro
from google.protobuf.duration_pb2 import Duration
from numpy.typing import NDArray
from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2
from penult_service.analysis.workers.pool import WorkerPool
from penult_service.analysis.workers.process import WorkerProcess
from support.bad_input import rows as source_of
from support.calling import Outcome, call, call_stream
from support.pools import data_that_is_warm
from support.served import served
from support.serving import SERVING, health, open_channel, wait_until

pytestmark = pytest.mark.usefixtures("keeping")
RANDOM = np.random.default_rng(3)
CORNERS = np.eye(8, dtype=np.float32) * 20


def blob(corner: int, rows: int, scale: float = 1.0) -> NDArray[np.float32]:
    return (CORNERS[corner] + scale * RANDOM.normal(size=(rows, 8))).astype(np.float32)


OLD = np.concatenate([blob(0, 50), blob(1, 40), blob(2, 30)])
KNOWN, UNKNOWN = blob(1, 10, 0.5), blob(5, 25)
NEW = np.concatenate([KNOWN, UNKNOWN])
GIVEN = ["a"] * 50 + ["b"] * 40 + ["c"] * 30


@pytest.fixture
def channel(analysing: str) -> Iterator[grpc.Channel]:
    with open_channel(analysing) as opened:
        wait_until(lambda: health(opened, "penult.v1.AnalysisService") == SERVING, 120)
        yield opened


def made(channel: grpc.Channel, name: str, rows: NDArray[np.float32] = OLD, **more: Any) -> Any:
    asked = {
        "method": pb.CLUSTER_METHOD_HDBSCAN,
        "reduction": pb.REDUCTION_NONE,
        "metric": pb.METRIC_EUCLIDEAN,
        "labels": GIVEN if len(rows) == len(OLD) else [],
    }
    request = pb.ClusterRequest(
        source=source_of(*rows, space="s"), name=name, overwrite=True, **{**asked, **more}
    )
    done = call(channel, "Cluster", request)
    assert done.code == "OK", done
    return done.reply


def got(channel: grpc.Channel, name: str) -> Any:
    found = call(channel, "GetClustering", pb.GetClusteringRequest(name=name))
    assert found.code == "OK", found
    return found.reply.result


def grow(channel: grpc.Channel, name: str, rows: NDArray[np.float32] = NEW, **more: Any) -> Outcome:
    request = pb.GrowClusteringRequest(source=source_of(*rows, space="s"), clustering=name, **more)
    return call(channel, "GrowClustering", request, timeout=60)


def assign(channel: grpc.Channel, name: str, rows: NDArray[np.float32], space: str = "s") -> Outcome:
    request = pb.AssignClustersRequest(source=source_of(*rows, space=space), clustering=name)
    return call(channel, "AssignClusters", request)


def edit(channel: grpc.Channel, name: str, **change: Any) -> Outcome:
    return call(channel, "EditClustering", pb.EditClusteringRequest(clustering=name, **change))


def numbers(message: Any) -> list[Any]:
    kind = {common_pb2.DATA_TYPE_INT32: "<i4", common_pb2.DATA_TYPE_FLOAT32: "<f4"}[message.data_type]
    found: list[Any] = np.frombuffer(message.data, kind).tolist()
    return found


def test_rows_get_the_label_of_their_cluster_alone_as_together(channel: grpc.Channel) -> None:
    before = made(channel, "topics")
    labels = numbers(before.labels)
    together = assign(channel, "clusterings/topics", np.concatenate([OLD[:60:20], NEW])).reply
    known = labels[50]
    assert numbers(together.labels) == [*labels[:60:20], *[known] * 10, *[-1] * 25]
    assert list(together.far_rows) == list(range(13, 38))
    assert together.far_distance > 0
    assert (
        min(numbers(together.distances)[13:]) > together.far_distance > max(numbers(together.distances)[:3])
    )
    assert (together.clustering.name, together.space_check) == ("clusterings/topics", pb.SPACE_CHECK_EQUAL)
    alone = assign(channel, "topics", NEW[:1]).reply
    for field in ("labels", "distances", "shares"):
        assert numbers(getattr(alone, field)) == numbers(getattr(together, field))[3:4]
    assert assign(channel, "topics", NEW[:1], space="").reply.space_check == pb.SPACE_CHECK_UNCHECKED


def test_growth_leaves_old_labels_and_tells_its_history(channel: grpc.Channel) -> None:
    before = made(channel, "growing")
    named = edit(channel, "growing", names=pb.NameClusters(names={0: "nought", 1: "one"}))
    assert [each.name for each in named.reply.result.clusters] == ["nought", "one", ""]
    grown = grow(channel, "growing").reply
    old, labels = numbers(before.labels), numbers(grown.labels)
    assert (set(labels[:10]), set(labels[10:])) == ({old[50]}, {3})
    assert [(each.label, each.size) for each in grown.clusters] == [(0, 50), (1, 50), (2, 30), (3, 25)]
    assert (grown.batch.event, grown.batch.rows, grown.batch.unassigned) == ("grown", 35, 0)
    assert (list(grown.batch.new_labels), list(grown.batch.gone_labels)) == ([3], [])
    assert (list(grown.batch.labels), list(grown.batch.sizes)) == ([0, 1, 2, 3], [50, 50, 30, 25])
    assert grown.batch.drift[0] == grown.batch.drift[3] == 0 < grown.batch.drift[1]
    assert (grown.space_check, grown.clustering.source.rows) == (pb.SPACE_CHECK_EQUAL, 155)
    now = got(channel, "growing")
    assert numbers(now.labels) == old + labels
    assert [each.event for each in now.history] == ["made", "named", "grown"]
    assert now.history[0].rows == 120
    assert now.history[2] == grown.batch
    assert list(now.clusters) == list(grown.clusters)
    assert now.stored == grown.clustering
    # What belongs to the old rows is gone, and the description of the cluster that grew.
    assert before.HasField("silhouette")
    assert not now.HasField("silhouette")
    assert not now.HasField("agreement")
    assert [[share.label for share in each.labels] for each in now.clusters] == [["a"], [], ["c"], []]
    assert [each.name for each in now.clusters] == ["nought", "one", "", ""]
    for each in now.clusters:
        inside = np.flatnonzero(np.array(old + labels) == each.label)
        assert set(each.nearest_rows) | set(each.border_rows) | set(each.odd_rows) <= set(inside.tolist())
    # The rows that came are rows of the clustering now.
    again = assign(channel, "growing", NEW).reply
    assert numbers(again.labels) == labels
    assert not again.far_rows
    assert dict(again.names) == {0: "nought", 1: "one"}
    listed = {each.name: each for each in call(channel, "ListClusterings").reply.clusterings}
    told = listed["clusterings/growing"]
    assert (told.cluster_count, told.batch_count, dict(told.cluster_names)) == (4, 3, {0: "nought", 1: "one"})
    assert told.update_time.ToNanoseconds() > told.create_time.ToNanoseconds()
    parts, outcome = call_stream(
        channel, "ReadResult", pb.ReadResultRequest(name="clusterings/growing", max_part_bytes=4600)
    )
    assert (outcome.code, len(parts) > 1) == ("OK", True)
    assert list(parts[0].cluster.history) == list(now.history)
    assert [label for part in parts for label in numbers(part.cluster.labels)] == old + labels


def test_merged_split_and_named_by_hand(channel: grpc.Channel) -> None:
    before = numbers(made(channel, "edited").labels)
    merged = edit(channel, "edited", merge=pb.MergeClusters(labels=[2, 1])).reply.result
    assert [(each.label, each.size) for each in merged.clusters] == [(0, 50), (1, 70)]
    assert numbers(merged.labels) == [1 if label == 2 else label for label in before]
    assert (merged.history[-1].event, list(merged.history[-1].gone_labels)) == ("merged", [2])
    assert [[share.label for share in each.labels] for each in merged.clusters] == [["a"], []]
    split = edit(channel, "clusterings/edited", split=pb.SplitCluster(label=1)).reply.result
    # A label that was there once is never given again.
    assert [(each.label, each.size) for each in split.clusters] == [(0, 50), (1, 40), (3, 30)]
    assert numbers(split.labels) == [{2: 3}.get(label, label) for label in before]
    assert split.history[-1].event == "split"
    assert list(split.history[-1].new_labels) == [3]
    assert numbers(grow(channel, "edited").reply.labels) == [1] * 10 + [4] * 25
    gone = edit(channel, "edited", names=pb.NameClusters(names={4: "new"})).reply.result
    assert gone.stored.cluster_names[4] == "new"
    gone = edit(channel, "edited", names=pb.NameClusters(names={4: ""})).reply.result
    assert not gone.stored.cluster_names
    assert got(channel, "edited") == gone


def test_a_split_into_more_parts_than_rows_is_told(channel: grpc.Channel) -> None:
    """And what was not as asked for when the clusters were made is not told again."""
    made(channel, "much")
    split = edit(channel, "much", split=pb.SplitCluster(label=2, n_clusters=400)).reply.result
    told = [(each.parameter, each.asked, int(each.used)) for each in split.adjustments]
    assert told == [("n_clusters", "400", len(split.clusters) - 2)]
    assert not edit(channel, "much", merge=pb.MergeClusters(labels=[0, 1])).reply.result.adjustments


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({}, "EMPTY_INPUT", "edit"),
        ({"names": pb.NameClusters()}, "EMPTY_INPUT", "edit"),
        ({"merge": pb.MergeClusters(labels=[1, 1])}, "OUT_OF_RANGE", "merge.labels"),
        ({"merge": pb.MergeClusters(labels=[1, 9])}, "UNKNOWN_LABEL", "merge.labels"),
        ({"split": pb.SplitCluster(label=-1)}, "UNKNOWN_LABEL", "split.label"),
        ({"split": pb.SplitCluster(label=1, n_clusters=1)}, "OUT_OF_RANGE", "split.n_clusters"),
        ({"names": pb.NameClusters(names={7: "x"})}, "UNKNOWN_LABEL", "names.names"),
        ({"names": pb.NameClusters(names={1: "x" * 257})}, "OUT_OF_RANGE", "names.names"),
        ({"names": pb.NameClusters(names={1: "x"}), "max_response_bytes": 100}, "RESPONSE_TOO_LARGE", None),
        ({"merge": pb.MergeClusters(labels=[0, 1]), "max_response_bytes": 100}, "RESPONSE_TOO_LARGE", None),
    ],
)
def test_changes_that_cannot_be_made_change_nothing(
    channel: grpc.Channel, change: dict[str, Any], reason: str, field: str | None
) -> None:
    if not any(e.name == "clusterings/fixed" for e in call(channel, "ListClusterings").reply.clusterings):
        made(channel, "fixed")
    before = got(channel, "fixed")
    refused = edit(channel, "fixed", **change)
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", reason), refused
    assert field is None or refused.field == field
    assert got(channel, "fixed") == before


def test_what_is_wrong_with_new_rows(channel: grpc.Channel) -> None:
    made(channel, "asked")
    for method, kind in (
        ("AssignClusters", pb.AssignClustersRequest),
        ("GrowClustering", pb.GrowClusteringRequest),
    ):
        cases = [
            (kind(clustering="asked"), "INVALID_ARGUMENT", "EMPTY_INPUT", "source"),
            (kind(source=source_of(*NEW)), "INVALID_ARGUMENT", "NAME_INVALID", "clustering"),
            (
                kind(source=source_of(*NEW), clustering="projections/x"),
                "INVALID_ARGUMENT",
                "NAME_INVALID",
                "clustering",
            ),
            (
                kind(source=source_of(*NEW), clustering="none"),
                "NOT_FOUND",
                "CLUSTERING_NOT_FOUND",
                "clustering",
            ),
            (
                kind(source=source_of(*NEW[:, :4]), clustering="asked"),
                "INVALID_ARGUMENT",
                "DIMENSION_MISMATCH",
                "source",
            ),
            (
                kind(source=source_of(*NEW, space="other"), clustering="asked"),
                "FAILED_PRECONDITION",
                "SPACE_MISMATCH",
                "source",
            ),
            (
                kind(source=source_of(*NEW), clustering="asked", max_response_bytes=200),
                "INVALID_ARGUMENT",
                "RESPONSE_TOO_LARGE",
                "max_response_bytes",
            ),
        ]
        for request, code, reason, field in cases:
            outcome = call(channel, method, request)
            assert (outcome.code, outcome.reason, outcome.field) == (code, reason, field), outcome
    for more, field in (
        ({"min_cluster_size": 1}, "min_cluster_size"),
        ({"request_id": "x" * 257}, "request_id"),
    ):
        outcome = grow(channel, "asked", **more)
        assert (outcome.code, outcome.reason, outcome.field) == ("INVALID_ARGUMENT", "OUT_OF_RANGE", field)
    assert [each.event for each in got(channel, "asked").history] == ["made"]


def test_the_same_request_again_is_answered_as_before(channel: grpc.Channel) -> None:
    made(channel, "again")
    first = grow(channel, "again", request_id="r-1").reply
    assert grow(channel, "again", request_id="r-1").reply == first
    assert got(channel, "again").stored.source.rows == 155
    second = grow(channel, "again", NEW[:5], request_id="r-2").reply
    assert numbers(second.labels) == numbers(first.labels)[:5]
    assert got(channel, "again").stored.source.rows == 160
    # Only that of the last batch is known.
    assert grow(channel, "again", request_id="r-1").reply.clustering.source.rows == 195


def test_several_at_once_come_one_after_the_other(channel: grpc.Channel) -> None:
    made(channel, "busy")
    parts = [blob(6, 20), blob(7, 15), blob(5, 12), blob(0, 4, 0.5)]
    with ThreadPoolExecutor(5) as pool:
        growing = [pool.submit(grow, channel, "busy", part) for part in parts]
        naming = pool.submit(edit, channel, "busy", names=pb.NameClusters(names={0: "zero"}))
        replies = [each.result() for each in growing]
        assert naming.result().code == "OK"
    assert [each.code for each in replies] == ["OK"] * 4
    now = got(channel, "busy")
    assert sorted(each.event for each in now.history) == ["grown"] * 4 + ["made", "named"]
    assert now.stored.source.rows == 120 + 51
    new = [numbers(each.reply.labels)[0] for each in replies]
    assert sorted(new[:3]) == [3, 4, 5]
    assert new[3] == 0
    sizes = {each.label: each.size for each in now.clusters}
    assert [sizes[label] for label in new[:3]] == [20, 15, 12]
    assert now.clusters[0].name == "zero"


@pytest.mark.parametrize("end", ["delete", "overwrite"])
def test_one_that_is_gone_meanwhile_is_not_brought_back(
    channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    made(channel, "gone")
    run, computed = WorkerPool.run, threading.Event()

    async def slow(pool: WorkerPool, asked: Any, arrays: Any, **more: Any) -> Any:
        result = await run(pool, asked, arrays, **more)
        if asked.name == "grow":
            await asyncio.to_thread(computed.wait, 20)
        return result

    monkeypatch.setattr(WorkerPool, "run", slow)
    with ThreadPoolExecutor(1) as pool:
        growing = pool.submit(grow, channel, "gone")
        if end == "delete":
            assert call(channel, "DeleteClustering", pb.DeleteClusteringRequest(name="gone")).code == "OK"
        else:
            made(channel, "gone", OLD[:50])
        computed.set()
        outcome = growing.result()
    if outcome.code == "NOT_FOUND":  # it had not begun
        assert end == "delete"
        return
    assert (outcome.code, outcome.reason) == ("FAILED_PRECONDITION", "CLUSTERING_CHANGED")
    found = call(channel, "GetClustering", pb.GetClusteringRequest(name="gone"))
    assert found.code == ("NOT_FOUND" if end == "delete" else "OK")
    if end == "overwrite":
        assert found.reply.result.stored.source.rows == 50


def test_grown_by_an_operation(channel: grpc.Channel) -> None:
    made(channel, "long")
    request = pb.GrowClusteringRequest(
        source=source_of(*NEW, space="s"), clustering="long", max_response_bytes=1, request_id="g-1"
    )
    started = call(channel, "StartAnalysis", pb.StartAnalysisRequest(grow_clustering=request))
    wait = lro.WaitOperationRequest(name=started.reply.name, timeout=Duration(seconds=60))
    done = call(channel, "WaitOperation", wait, timeout=65).reply
    reply, metadata = pb.GrowClusteringResponse(), pb.AnalysisMetadata()
    assert done.response.Unpack(reply), done
    assert done.metadata.Unpack(metadata)
    assert (metadata.analysis, metadata.rows) == ("grow", 35)
    assert set(numbers(reply.labels)[10:]) == {3}
    assert got(channel, "long").history[-1] == reply.batch
    parts, outcome = call_stream(
        channel, "ReadResult", pb.ReadResultRequest(name=started.reply.name, first_row=30)
    )
    assert outcome.code == "OK"
    (part,) = parts
    assert numbers(part.grow_clustering.labels) == numbers(reply.labels)[30:]
    assert part.grow_clustering.clusters == reply.clusters
    # The request was answered: the call is told the same.
    assert grow(channel, "long", request_id="g-1").reply == reply


def test_a_worker_that_dies_in_the_middle_changes_nothing(
    channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(channel, "dying")
    before = got(channel, "dying")
    run = WorkerProcess.run

    async def killed(worker: Any, *asked: Any) -> Any:
        asyncio.get_running_loop().call_later(0.6, os.kill, worker.pid, signal.SIGKILL)
        return await run(worker, *asked)

    monkeypatch.setattr(WorkerProcess, "run", killed)
    outcome = grow(
        channel, "dying", RANDOM.normal(size=(9_000, 8)).astype(np.float32), max_response_bytes=1 << 24
    )
    assert (outcome.code, outcome.reason) == ("INTERNAL", "WORKER_DIED")
    assert got(channel, "dying") == before
    monkeypatch.undo()
    wait_until(lambda: grow(channel, "dying", request_id="k").code == "OK", 60)
    assert got(channel, "dying").stored.source.rows == 155


def test_a_server_that_is_killed_in_the_middle_has_lost_nothing(tmp_path: Path) -> None:
    data = data_that_is_warm(tmp_path / "data")
    arguments = ("fake:reviews", "--data", str(data))
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
    answered: list[int] = []

    def keep_growing(channel: grpc.Channel) -> None:
        while True:
            outcome = grow(channel, "killed", blob(len(answered) % 8, 12))
            if outcome.code != "OK":
                return
            answered.append(outcome.reply.clustering.source.rows)

    with (
        served(tmp_path / "first", *arguments, PENULT_ANALYSIS_WORKERS="1") as (process, address),
        open_channel(address) as channel,
    ):
        wait_until(lambda: health(channel, "penult.v1.AnalysisService") == SERVING, 120)
        made(channel, "killed")
        growing = threading.Thread(target=keep_growing, args=(channel,))
        growing.start()
        wait_until(lambda: len(answered) >= 4, 60)
        process.kill()
        growing.join(30)
    with served(tmp_path / "second", *arguments) as (_, address), open_channel(address) as channel:
        now = got(channel, "killed")
    assert now.stored.source.rows in (answered[-1], answered[-1] + 12)
    assert len(numbers(now.labels)) == now.stored.source.rows
    assert [each.event for each in now.history] == ["made"] + ["grown"] * (len(now.history) - 1)
    assert sum(each.rows for each in now.history) == now.stored.source.rows
    assert len(list((data / "clusterings" / "killed").iterdir())) == 2  # the manifest, and one life
