"""Where numba keeps what it compiles, and that nothing is left to compile when a worker is warm."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from penult_service.analysis import run as run_module
from penult_service.analysis.calls import Call
from penult_service.analysis.workers import warming
from support.pools import NUMBA_CACHE


@pytest.fixture(autouse=True)
def _own_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "unset"))


def test_the_cache_is_made_private(tmp_path: Path) -> None:
    directory = tmp_path / "data" / "numba"
    assert warming.use_numba_cache(directory)
    assert os.environ["NUMBA_CACHE_DIR"] == str(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o720, 0o702])
def test_a_cache_that_others_can_write_to_is_not_used(
    mode: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory, fallback = tmp_path / "numba", tmp_path / "fallback"
    directory.mkdir()
    directory.chmod(mode)
    assert not warming.use_numba_cache(directory, fallback)
    assert os.environ["NUMBA_CACHE_DIR"] == str(fallback)
    assert "others may write to it" in caplog.text
    assert "every start compiles" in caplog.text


def test_a_cache_that_cannot_be_made_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    assert not warming.use_numba_cache(tmp_path / "file" / "numba", tmp_path / "fallback")
    assert "every start compiles" in caplog.text


def test_without_a_cache_a_directory_lasts_as_long_as_the_process() -> None:
    program = (
        "import os; from penult_service.analysis.workers import warming; print(warming.use_numba_cache(None))"
    )
    program += "; d = os.environ['NUMBA_CACHE_DIR']; print(os.path.isdir(d)); print(d)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    kept, was_there, directory = done.stdout.split()
    assert (kept, was_there) == ("False", "True")
    assert not Path(directory).exists()


# Other sizes, widths, metrics and parameters than those that warm.
_PROGRAM = """
import json, logging, sys
sys.modules["tensorflow"] = None
from pathlib import Path
from penult_service.analysis import run as run_module
from penult_service.analysis.workers import warming
from penult_service.analysis.calls import Call
warming.use_numba_cache(Path(sys.argv[1]))
warming.cache_umap()
warming.warm()
import numpy as np
from penult_service.analysis.calls import Cluster, Neighbors, Project, Similarity
from penult_service.analysis.run import run
logging.basicConfig(stream=sys.stderr)
random = np.random.default_rng(1)
x, large = (random.standard_normal((n, d), dtype=np.float32) for n, d in ((333, 33), (4500, 12)))
labels = (np.arange(333) % 5).astype(np.int32)
twice = np.concatenate([x, x[:100], np.zeros((3, 33), np.float32)])
calls = [(Neighbors(7, metric), {"queries": a, "corpus": b}) for metric in ("cosine", "dot", "euclidean", "manhattan")
         for a, b in ((x, x[:40]), (x[:1], x), (large, large))]
calls += [(Neighbors(400, exclude_self=True), {"queries": twice})]
calls += [(Project(metric=metric, n_components=c, n_neighbors=30, seed=3), {"source": x, "labels": labels})
          for metric in ("cosine", "euclidean", "manhattan") for c in (2, 3)]
calls += [(Project(method), {"source": twice}) for method in ("umap", "pca", "tsne")]
calls += [(Project(metric="euclidean"), {"source": large})]
calls += [(Project(), {"source": x[:n]}) for n in (1, 2, 3, 5, 14, 16)]
calls += [(Cluster(m, reduction=r), {"source": twice}) for m in ("kmeans", "agglomerative", "hdbscan")
          for r in ("none", "umap")]
calls += [(Cluster("gaussian_mixture", n_clusters=3), {"source": x, "labels": labels})]
from penult_service.analysis.search import approximate
approximate.SMALLEST = 4000
calls += [(Neighbors(7, metric, approximate=True), {"queries": large}) for metric in ("cosine", "dot", "euclidean")]
for call, arrays in calls:
    with warming.noticing_compilation():
        run(call, arrays)
print(json.dumps(len(calls)))
"""


def test_a_warm_process_compiles_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", _PROGRAM, str(NUMBA_CACHE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) > 20
    assert "compiled in a request" not in done.stderr


def test_compiling_in_a_request_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    import numba

    @numba.njit
    def new(x: float) -> float:
        return x + 1

    with caplog.at_level(logging.WARNING), warming.noticing_compilation():
        assert new(1.0) == 2.0
    assert "compiled in a request: " in caplog.text
    assert "new" in caplog.text
    caplog.clear()
    with warming.noticing_compilation():
        new(2.0)
    assert caplog.text == ""


def test_an_analysis_that_does_not_work_keeps_the_others_from_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[str] = []

    def run(call: Call, _: object) -> None:
        ran.append(call.name)
        if call.name == "cluster":
            raise ValueError("no such solver")

    monkeypatch.setattr(run_module, "run", run)
    warming.warm()
    assert ran[-1] == "project"
    assert {record.getMessage().partition("(")[0] for record in caplog.records} == {"Cluster"}


@pytest.mark.parametrize("error", [ModuleNotFoundError("no umap", name="umap.layouts"), MemoryError()])
def test_without_a_package_or_memory_it_is_not_warm(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def run(*_: object) -> None:
        raise error

    monkeypatch.setattr(run_module, "run", run)
    with pytest.raises(type(error)):
        warming.warm()
