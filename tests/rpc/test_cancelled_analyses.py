"""Long analyses, as calls and as operations: they tell stages, and cancelled their process ends while others go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
from google.longrunning import operations_pb2 as lro
from google.protobuf.message import Message
from penult.v1 import analysis_service_pb2 as pb
from penult_service.config import Limits
from support.bad_input import rows as source_of
from support.calling import METHODS, call
from support.fakes import fake_model
from support.pools import data_that_is_warm, unwarmed_workers, workers_of
from support.serving import SERVING, health, open_channel, serving, wait_until

RANDOM = np.random.default_rng(8)
FEW = RANDOM.normal(size=(60, 8)).astype(np.float32)
STAGES = {
    "auto": "numbers of clusters",
    "bootstraps": "bootstraps",
    "duplicates": "pairs",
    "grow": "assigning",
    "density": "layout",
}
"""Of each analysis below one that takes seconds at least."""


OTHERS: set[int] = set()
"""Workers that were there before the server of these tests."""


def some(rows: int, width: int) -> Any:
    return source_of(*RANDOM.normal(size=(rows, width)).astype(np.float32))


@pytest.fixture(scope="module")
def requests() -> dict[str, tuple[str, str, Message]]:
    """The method, its field in StartAnalysisRequest, and what keeps a worker busy for longer than a test waits."""
    kmeans: dict[str, Any] = {"method": pb.CLUSTER_METHOD_KMEANS, "reduction": pb.REDUCTION_NONE}
    return {
        "auto": (
            "Cluster",
            "cluster",
            pb.ClusterRequest(
                source=some(6_000, 256), auto=True, bootstraps=100, **kmeans
            ),
        ),
        "bootstraps": (
            "Cluster", "cluster", pb.ClusterRequest(source=some(6_000, 64), n_clusters=100, bootstraps=100, **kmeans),
        ),
        "duplicates": (
            "FindDuplicates",
            "find_duplicates",
            pb.FindDuplicatesRequest(source=some(60_000, 64), metric=pb.METRIC_MANHATTAN, threshold=30.0),
        ),
        "grow": (
            "GrowClustering",
            "grow_clustering",
            pb.GrowClusteringRequest(source=some(60_000, 8), clustering="topics"),
        ),
        "density": (
            "Project",
            "project",
            pb.ProjectRequest(source=some(8_000, 8), density=True),
        ),
    }  # fmt: skip


@contextmanager
def clustered(data: Path, seconds: float) -> Iterator[grpc.Channel]:
    """To a server whose calls may take so long, with a clustering; what takes longer has a process of its own."""
    # Another server of this process has workers too.
    OTHERS.update(worker.pid for worker in workers_of(psutil.Process().pid))
    limits = Limits(max_analysis_seconds=seconds, max_analysis_bytes=1 << 40)
    model = fake_model("reviews", 3)
    with (
        unwarmed_workers(),
        serving(model, limits=limits, analysis_workers=1, data=data_that_is_warm(data)) as server,
        open_channel(server.address) as opened,
    ):
        wait_until(lambda: health(opened, "penult.v1.AnalysisService") == SERVING, 120)
        kept = pb.ClusterRequest(
            source=source_of(*FEW),
            n_clusters=3,
            method=pb.CLUSTER_METHOD_KMEANS,
            reduction=pb.REDUCTION_NONE,
            name="topics",
        )
        assert call(opened, "Cluster", kept, timeout=60).code == "OK"
        yield opened


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    with clustered(tmp_path_factory.mktemp("patient") / "data", 1e6) as opened:
        yield opened


@pytest.fixture(scope="module")
def brief(tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    with clustered(tmp_path_factory.mktemp("brief") / "data", 0.3) as opened:
        yield opened


def workers() -> list[psutil.Process]:
    """Those of the server of these tests."""
    return [worker for worker in workers_of(psutil.Process().pid) if worker.pid not in OTHERS]


def busy() -> list[psutil.Process]:
    """Workers that compute."""
    found = []
    for worker in workers():
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            if worker.cpu_percent(0.05) > 5:
                found.append(worker)
    return found


def is_gone(worker: psutil.Process) -> bool:
    return not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


def answers(channel: grpc.Channel) -> bool:
    neighbors = pb.SearchNeighborsRequest(queries=source_of(*FEW), k=3)
    outcome = call(channel, "SearchNeighbors", neighbors, timeout=60)
    assert outcome.code == "OK", outcome
    return True


@pytest.mark.parametrize("name", STAGES)
def test_a_call_that_is_cancelled_ends_its_process(
    patient: grpc.Channel, requests: dict[str, Any], name: str
) -> None:
    method, _, request = requests[name]
    # The one that is started in the place of another is busy, too.
    wait_until(lambda: len(workers()) == 2 and answers(patient) and not busy(), 60)
    path = f"/{METHODS[method].containing_service.full_name}/{method}"
    future = patient.unary_unary(path).future(request.SerializeToString(), timeout=300)
    working: list[psutil.Process] = []
    try:
        wait_until(lambda: future.done() or working.extend(busy()) or bool(working), 60)
        assert not future.done(), future.exception()
    finally:
        future.cancel()
    wait_until(lambda: all(map(is_gone, working)), 10)
    assert answers(patient)


@pytest.mark.parametrize("name", STAGES)
def test_an_operation_tells_its_stages_until_it_is_cancelled(
    brief: grpc.Channel, requests: dict[str, Any], name: str
) -> None:
    _, field, request = requests[name]
    before = {worker.pid for worker in workers()}
    started = call(brief, "StartAnalysis", pb.StartAnalysisRequest(**{field: request}))
    assert started.code == "OK", started
    metadata = pb.AnalysisMetadata()

    def told() -> bool:
        found = call(brief, "GetOperation", lro.GetOperationRequest(name=started.reply.name)).reply
        assert not found.done, found
        assert found.metadata.Unpack(metadata)
        return metadata.stage == STAGES[name]

    wait_until(told, 60)
    own = [worker for worker in workers() if worker.pid not in before]
    assert answers(brief)  # beside it
    cancel = lro.CancelOperationRequest(name=started.reply.name)
    assert call(brief, "CancelOperation", cancel).code == "OK"
    wait_until(lambda: all(is_gone(worker) for worker in own), 10)
    ended = call(brief, "GetOperation", lro.GetOperationRequest(name=started.reply.name)).reply
    assert ended.done
    assert ended.error.code == grpc.StatusCode.CANCELLED.value[0]
    assert answers(brief)
