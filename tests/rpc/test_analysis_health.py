"""The analysis workers beside the serving: health, metrics, what the server process loads, how all of it ends."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from penult.v1 import analysis_service_pb2 as pb
from support.bad_input import embed, rows
from support.calling import call
from support.fakes import fake_model
from support.pools import WARM_SECONDS, some_rows, unwarmed_workers, workers_of
from support.processes import is_running
from support.served import figures_at, log_of, served
from support.serving import NOT_SERVING, SERVING, health, open_channel, serving, wait_until

ANALYSIS, INFERENCE = "penult.v1.AnalysisService", "penult.v1.InferenceService"
SEARCH = pb.SearchNeighborsRequest(queries=rows(*some_rows(20).tolist()), k=3)
MAP = pb.ProjectRequest(source=rows(*some_rows(1500, 8).tolist()), method=pb.PROJECTION_METHOD_TSNE)


def test_embedding_does_not_wait_for_analysis_and_health_says_which_is_ready() -> None:
    with serving(fake_model(), analysis_workers=1) as server, server.channel() as channel:
        assert health(channel, INFERENCE) == SERVING  # `serving` has waited for the overall health only
        assert call(channel, "Embed", embed("a")).code == "OK"
        early = call(channel, "SearchNeighbors", SEARCH)
        if health(channel, ANALYSIS) == NOT_SERVING:  # on any machine: importing takes longer than one call
            assert (early.code, early.reason) == ("UNAVAILABLE", "ANALYSIS_WARMING")
            assert early.retry_seconds is not None
        wait_until(lambda: health(channel, ANALYSIS) == SERVING, seconds=WARM_SECONDS)
        assert call(channel, "SearchNeighbors", SEARCH).code == "OK"


def test_without_workers_analysis_is_not_serving_and_the_rest_is() -> None:
    with serving(fake_model()) as server, server.channel() as channel:
        assert health(channel) == health(channel, INFERENCE) == SERVING
        assert health(channel, ANALYSIS) == NOT_SERVING
        refused = call(channel, "SearchNeighbors", SEARCH)
        assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "ANALYSIS_OFF")


def test_health_follows_the_workers() -> None:
    others = set(workers_of(os.getpid()))  # of other servers in this process

    def ours() -> set[psutil.Process]:
        return set(workers_of(os.getpid())) - others

    with unwarmed_workers(), serving(fake_model(), analysis_workers=1) as server, server.channel() as channel:
        wait_until(lambda: health(channel, ANALYSIS) == SERVING, seconds=WARM_SECONDS)
        wait_until(lambda: len(ours()) == 2, seconds=WARM_SECONDS)
        seen = set()

        def followed() -> bool:
            if NOT_SERVING not in seen:  # again, where all were there again before anybody looked
                for worker in ours():
                    worker.kill()
            seen.add(health(channel, ANALYSIS))
            assert health(channel, INFERENCE) == SERVING
            assert call(channel, "Embed", embed("a")).code == "OK"
            return seen == {SERVING, NOT_SERVING} and health(channel, ANALYSIS) == SERVING

        wait_until(followed, seconds=WARM_SECONDS)
        assert call(channel, "SearchNeighbors", SEARCH).code == "OK"


@pytest.fixture(scope="module")
def process_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


def test_a_server_process_and_its_workers(process_log: Path) -> None:
    """What it loads, what it counts, where its files are; killed, it leaves nobody behind."""
    data = process_log / "data"
    arguments = ("fake:demo", "--metrics-port", "0", "--analysis-workers", "1", "--analysis-memory", "3")
    cache = {"XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", ""), "TMPDIR": str(process_log)}
    with (
        served(process_log, *arguments, PENULT_ANALYSIS_WORKERS="7", **cache) as (process, address),
        open_channel(address) as channel,
    ):
        wait_until(lambda: health(channel, ANALYSIS) == SERVING, seconds=WARM_SECONDS)
        assert call(channel, "SearchNeighbors", SEARCH).code == "OK"
        wait_until(lambda: len(workers_of(process.pid)) == 2, seconds=WARM_SECONDS)
        workers = workers_of(process.pid)

        for library in ("sklearn", "scipy", "faiss", "numba", "llvmlite", "umap", "tensorflow"):
            assert not [m.path for m in psutil.Process(process.pid).memory_maps() if f"/{library}/" in m.path]
        assert [
            m.path for m in workers[0].memory_maps() if "/sklearn/" in m.path
        ]  # else the above says nothing

        url = next(word for word in log_of(process_log).split() if word.startswith("http://127.0.0.1:"))
        wait_until(
            lambda: figures_at(url)['penult_analysis_workers{state="idle"}'] == 2, seconds=WARM_SECONDS
        )
        figures = figures_at(url)
        assert figures['penult_analyses_total{analysis="neighbors",outcome="OK"}'] == 1
        assert figures['penult_analysis_seconds_count{analysis="neighbors"}'] == 1
        assert figures['penult_analysis_workers{state="busy"}'] == 0
        assert figures["penult_analysis_waiting"] == 0

        process.kill()
        process.wait()
        wait_until(lambda: not any(is_running(worker.pid) for worker in workers), seconds=5)
    assert not data.exists()
    assert len([place for place in process_log.iterdir() if place.name.startswith("penult-analysis-")]) == 1


@pytest.mark.parametrize(("grace", "code"), [("100", "OK"), ("0.5", "UNAVAILABLE")])
def test_draining_lets_an_analysis_finish_within_the_grace(grace: str, code: str, tmp_path: Path) -> None:
    arguments = ("fake:demo", "--grace", grace, "--analysis-workers", "1")
    with served(tmp_path, *arguments, TMPDIR=str(tmp_path)) as (process, address):
        with open_channel(address) as channel:
            wait_until(lambda: health(channel, ANALYSIS) == SERVING, seconds=WARM_SECONDS)
            worker = workers_of(process.pid)[0]
            begun = worker.cpu_times().user
            future = channel.unary_unary(f"/{ANALYSIS}/Project").future(MAP.SerializeToString(), timeout=120)
            wait_until(lambda: worker.cpu_times().user > begun + 0.2)
            process.send_signal(signal.SIGTERM)
            started = time.monotonic()
            assert process.wait(110) == 0
            outcome = future.exception(10)
            assert ("OK" if outcome is None else outcome.code().name) == code
            if code != "OK":
                assert time.monotonic() - started < 15
        assert not is_running(worker.pid)
    assert not [place for place in tmp_path.iterdir() if place.name.startswith("penult-analysis-")]
