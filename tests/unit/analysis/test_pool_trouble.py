"""Workers that do not start: what callers are told, and that it is tried again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from penult_service.analysis.calls import Neighbors
from penult_service.analysis.workers import crew, exchange
from penult_service.analysis.workers.process import memory_share
from penult_service.errors import PreconditionFailed
from support.pools import Running, running, some_rows
from support.serving import wait_until

CALL, ROWS = Neighbors(3), {"queries": some_rows(20)}


@pytest.fixture
def spoil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that every worker runs before anything else."""
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    return tmp_path / "sitecustomize.py"


def refusal(pool: Running, reason: str) -> PreconditionFailed:
    """The error, once it is said."""

    def said() -> PreconditionFailed | None:
        try:
            pool.run(CALL, ROWS)
        except PreconditionFailed as error:
            return error
        except Exception:  # noqa: BLE001 - ANALYSIS_WARMING, for a while
            return None
        raise AssertionError("it works")

    wait_until(lambda: said() is not None)
    error = said()
    assert error is not None
    assert error.reason == reason
    assert not pool.pool.ready
    return error


@pytest.mark.parametrize("package", ["umap", "sklearn"])
def test_a_package_that_is_missing_is_named_and_waited_for_in_vain(
    spoil: Path, tmp_path: Path, package: str
) -> None:
    spoil.write_text(f"import sys; sys.modules[{package!r}] = None\n")
    with running(tmp_path / "scratch", warm=0) as pool:
        error = refusal(pool, "ANALYSIS_NOT_INSTALLED")
        assert f"no {package}" in error.message
        assert "pip install 'penult[analysis]'" in error.message
        wait_until(lambda: not pool.workers())


def test_workers_that_die_at_the_start_are_told_of_and_tried_again(
    spoil: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(crew, "_BACKOFF", 0.05)
    spoil.write_text("import os, sys; sys.stderr.write('no such wheel'); sys.stderr.flush(); os._exit(9)\n")
    with running(tmp_path / "scratch", warm=0) as pool:
        error = refusal(pool, "ANALYSIS_FAILED")
        assert "do not start" in error.message
        assert "no such wheel" in caplog.text
        assert "exit code 9" in caplog.text
        spoil.unlink()
        pool.wait_for(1)
        pool.run(CALL, ROWS)
        assert pool.changes == [True]


def test_a_limit_below_what_an_idle_worker_needs_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "_BACKOFF", 0.05)
    with running(tmp_path / "scratch", warm=0, memory_limit=100 << 20) as pool:
        assert "--analysis-memory" in refusal(pool, "ANALYSIS_FAILED").message


def test_the_share_of_memory_of_one_worker() -> None:
    assert memory_share(1) >= memory_share(2) >= memory_share(1000) == 1 << 30


def test_without_any_place_for_files_there_is_no_analysis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(exchange.tempfile, "tempdir", str(tmp_path / "no such directory"))
    with running(tmp_path / "file" / "analysis", warm=0) as pool:
        assert "--data or TMPDIR" in refusal(pool, "SCRATCH_NOT_WRITABLE").message
