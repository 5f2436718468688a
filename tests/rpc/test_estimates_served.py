"""Dry runs against the server itself: the figures are those of the costs, by the speeds of this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.analysis import speeds
from penult_service.analysis.calls import Call, Cluster, Duplicates, Neighbors, Project
from penult_service.analysis.costs import cost
from penult_service.cli.app import main
from penult_service.config import Limits
from support.fakes import fake_model
from support.pools import GIB, NUMBA_CACHE, data_that_is_warm, unwarmed_workers
from support.serving import SERVING, health, open_channel, serving, wait_until

ROWS = np.random.default_rng(4).normal(size=(2_000, 64)).astype("<f4")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose calls are short and whose workers have 2 GiB; one is warm."""
    data = data_that_is_warm(tmp_path_factory.mktemp("estimates") / "data")
    limits = Limits(max_analysis_seconds=0.3)
    with (
        unwarmed_workers(),
        serving(
            fake_model("reviews", 3), limits=limits, analysis_workers=1, analysis_memory=2, data=data
        ) as server,
        open_channel(server.address) as channel,
    ):
        wait_until(lambda: health(channel, "penult.v1.AnalysisService") == SERVING, 120)
        yield server.address


CALLS: dict[str, tuple[Any, Call, str]] = {
    "cluster": (
        lambda client: client.cluster(ROWS, "kmeans", 5, dry_run=True),
        Cluster("kmeans", 5),
        "source",
    ),
    "bootstraps": (
        lambda client: client.cluster(ROWS, "kmeans", 5, bootstraps=50, dry_run=True),
        Cluster("kmeans", 5, bootstraps=50),
        "source",
    ),
    "project": (
        lambda client: client.project(ROWS, density=True, dry_run=True),
        Project(density=True),
        "source",
    ),
    "neighbors": (lambda client: client.neighbors(ROWS, k=7, dry_run=True), Neighbors(7), "queries"),
    "duplicates": (lambda client: client.duplicates(ROWS, dry_run=True), Duplicates(), "source"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_dry_run_has_the_figures_of_the_costs(flavour: Any, address: str, name: str) -> None:
    ask, asked, side = CALLS[name]
    told = flavour.run(ask(flavour.client(address)))
    kept = speeds.read(NUMBA_CACHE)
    assert kept is not None  # a worker has measured
    expected = cost(asked, {side: ROWS.shape}, kept)
    assert (told.seconds, told.bytes) == (pytest.approx(expected.seconds, abs=1e-9), expected.bytes)
    assert told.measured_here
    assert told.way == ("call" if expected.seconds <= 0.3 else "operation")
    assert told.processors == kept.processors
    assert 1.2 * GIB < told.max_operation_bytes < 2 * GIB  # what is idle already is no room


def test_a_refusal_says_what_fits(flavour: Any, address: str) -> None:
    many = np.zeros((40_000, 8), "<f4")
    told = flavour.run(flavour.client(address).cluster(many, "agglomerative", 5, dry_run=True))
    assert told.way == "refused"
    for part in (
        "12 GiB",
        "may take 2 GiB",
        "idle: take method kmeans (about ",
        "at most about 1",
        "--analysis-memory",
    ):
        assert part in told.problem, told.problem


def test_the_command_prints_a_line(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.npy"
    np.save(file, ROWS)
    words = ["cluster", str(file), "--method", "kmeans", "--n-clusters", "5", "--dry-run"]
    assert main([*words, "--server", address]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("about 0.")
    assert f"MiB of memory, on {address} (load " in first
    assert first.endswith("its speeds were measured)")
    assert second == "it would be answered at once"
    assert main([*words, "--data", str(tmp_path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["measured_here"], facts["server"]) == (False, None)
    expected = cost(Cluster("kmeans", 5), {"source": ROWS.shape})
    assert (facts["seconds"], facts["bytes"]) == (pytest.approx(expected.seconds), expected.bytes)
