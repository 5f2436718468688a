"""Operations through both clients and the command line against the server itself."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_client import (
    AsyncClient,
    CancelledError,
    Client,
    DeadlineError,
    InvalidInputError,
    NotFoundError,
    Operation,
    OperationStatus,
    PenultError,
    UnavailableError,
)
from penult_client._core import result_parts
from penult_service.cli.app import main
from penult_service.config import Limits
from support.analysis_calls import CALLS, ROWS, same
from support.fakes import fake_model
from support.pools import data_that_is_warm, unwarmed_workers
from support.served import PENULT
from support.serving import Serving, serving, wait_until

# Longer than any test waits.
LONG = np.random.default_rng(8).normal(size=(12_000, 8)).astype(np.float32)
LIMITS = Limits(max_analysis_seconds=1.0, max_scores=250_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Calls end within a second there, by estimate."""
    data = data_that_is_warm(tmp_path_factory.mktemp("data") / "data")
    model = fake_model("reviews", 3)
    with unwarmed_workers(), serving(model, analysis_workers=1, limits=LIMITS, data=data) as running:
        yield running


@pytest.mark.parametrize("method", CALLS)
def test_an_operation_gives_what_the_call_gives(flavour, server, method):
    call, _ = CALLS[method]
    client = flavour.client(server.address)
    at_once = flavour.run(call(client))
    operation = flavour.run(call(client, wait=False))
    assert same(flavour.run(operation.wait(deadline=60)), at_once)
    status = flavour.run(operation.status())
    assert (status.state, status.stage, status.rows, status.durable) == ("done", "done", 7, True)
    assert status.created <= status.ended <= status.expires
    flavour.run(operation.delete())
    with pytest.raises(NotFoundError):
        flavour.run(operation.status())


def test_more_scores_than_a_call_gives(flavour, server):
    rows = np.random.default_rng(9).normal(size=(700, 8)).astype(np.float32)
    client = flavour.client(server.address)
    made = flavour.run(client.similarity(rows, metric="dot"))
    np.testing.assert_allclose(made.scores, rows @ rows.T, atol=1e-5)
    started = flavour.run(client.operations())[0]
    assert (started.analysis, started.rows, started.state) == ("similarity", 700, "done")
    again = flavour.run(flavour.run(client.operation(started.name)).wait())
    assert again.scores.tobytes() == made.scores.tobytes()
    flavour.run(flavour.run(client.operation(started.name)).delete())


def test_stored_results_are_read_in_parts(flavour, server, monkeypatch):
    monkeypatch.setattr(result_parts, "PART_BYTES", 8192)
    client, name = flavour.client(server.address), f"large-{flavour.kind}"
    rows = np.random.default_rng(10).normal(size=(2_000, 3)).astype(np.float32)
    operation = flavour.run(client.project(rows, "pca", name=name, wait=False))
    made = flavour.run(operation.wait())
    for written in (name, f"projections/{name}"):
        assert same(flavour.run(client.projection(written)), made)
    flavour.run(client.project(rows[:9], "pca", name=name, overwrite=True))
    with pytest.raises(NotFoundError, match="was overwritten"):
        flavour.run(operation.wait())
    clusters = flavour.run(client.cluster(rows, name=name))
    assert same(flavour.run(client.clustering(name)), clusters)
    flavour.run(client.delete_projection(name))
    flavour.run(client.delete_clustering(name))
    flavour.run(operation.delete())


def test_fields_are_those_of_the_caller(flavour, server):
    client = flavour.client(server.address)
    with pytest.raises(InvalidInputError) as caught:
        flavour.run(client.neighbors(ROWS, k=0, wait=False))
    assert caught.value.field == "k"
    flavour.run(client.project(ROWS, "pca", name="taken", overwrite=True))
    with pytest.raises(PenultError) as refused:
        flavour.run(client.project(ROWS, "pca", name="taken", wait=False))
    assert (refused.value.code, refused.value.field) == ("ALREADY_EXISTS", "name")


class Watcher:
    """Notes the stages."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def status(self, status: OperationStatus) -> None:
        self.stages.append(status.stage)


def test_a_deadline_cancels_what_runs(flavour, server):
    client, watcher = flavour.client(server.address), Watcher()
    with pytest.raises(DeadlineError, match="was cancelled"):
        flavour.run(client.project(LONG, "tsne", progress=watcher, deadline=1.5))
    assert watcher.stages
    ended = flavour.run(client.operations())[0]
    assert (ended.analysis, ended.state) == ("project", "cancelled")
    assert isinstance(ended.error, CancelledError)


def test_ctrl_c_of_a_command_cancels_what_runs(server, tmp_path, capfd):
    np.save(tmp_path / "rows.npy", LONG)
    words = ["map", str(tmp_path / "rows.npy"), "--method", "tsne", "--json", "--server", server.address]
    with Client(server.address) as client:
        before = {each.name for each in client.operations()}
        process = subprocess.Popen([*PENULT, *words], stdout=subprocess.PIPE)
        wait_until(lambda: len(client.operations()) > len(before), 60)
        (name,) = {each.name for each in client.operations()} - before
        assert main(["operations", "list", "--server", server.address]) == 0
        assert name in capfd.readouterr().out
        time.sleep(0.3)  # it waits now
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert client.operation(name).status().state == "cancelled"
    assert main(["operations", "wait", name, "--server", server.address]) == 1
    assert capfd.readouterr().err.endswith(f"error: {name}: operation '{name}' was cancelled\n")


def test_a_server_that_is_restarted(tmp_path: Path) -> None:
    data, told, watcher = data_that_is_warm(tmp_path / "data"), [], Watcher()
    settings = {"limits": LIMITS, "data": data, "grace": 0.5}

    def wait_for(operation: Operation[Any]) -> None:
        with pytest.raises(UnavailableError) as caught:
            operation.wait(progress=watcher)
        told.append(caught.value)

    with unwarmed_workers(), serving(fake_model("reviews", 3), analysis_workers=1, **settings) as server:
        client = Client(server.address)
        done = client.project(ROWS, "pca", wait=False)
        made = done.wait()
        lost = client.project(LONG, "tsne", wait=False)
        waiting = threading.Thread(target=wait_for, args=(lost,))
        waiting.start()
        wait_until(lambda: len(watcher.stages) > 0)
    waiting.join(30)
    assert [error.metadata["operation"] for error in told] == [lost.name]

    async def afterwards(address: str) -> None:
        async with AsyncClient(address) as client:
            assert same(await (await client.operation(done.name)).wait(), made)
            operation = await client.operation(lost.name)
            with pytest.raises(UnavailableError, match="start it again") as caught:
                await operation.wait()
            assert caught.value.reason == "SERVER_RESTARTED"
            assert (await operation.status()).state == "failed"

    with serving(fake_model("reviews", 3), **settings) as server:
        asyncio.run(afterwards(server.address))
