"""How the server's process prepares and loads, with stand-ins for the halves that need TensorFlow."""

from __future__ import annotations

import logging
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from penult_service import process
from penult_service.config import serve_config
from penult_service.errors import InvalidInput
from penult_service.repository.sources import Source


@pytest.fixture
def halves(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the two halves were asked for."""
    asked: list[object] = []

    def prepare(
        source: Path, *, cache: Path, timeout: float, progress: Callable[[str, float | None], None]
    ) -> Path:
        for share in (0.0, 0.5):
            progress("reading", share)
        progress("proving", None)
        asked.append((source, timeout))
        return cache / "done"

    def load(directory: Path, name: str, version: int) -> str:
        asked.append((directory, name, version))
        return "a model"

    for name, function in (("preparing.launch", prepare), ("engines.tensorflow", load)):
        module = ModuleType(f"penult_service.{name}")
        setattr(module, function.__name__, function)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return asked


def test_a_model_is_prepared_in_a_private_cache_and_loaded(
    tmp_path: Path, halves: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    config = serve_config(paths=("m",), data=tmp_path / "data", prepare_timeout=7.0)
    with caplog.at_level(logging.INFO):
        assert process.loader(config)(Source("reviews", 4, Path("/raw"))) == "a model"
    cache = tmp_path / "data" / "prepared"
    assert halves == [(Path("/raw"), 7.0), (cache / "done", "reviews", 4)]
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert [record.getMessage() for record in caplog.records] == [
        "preparing /raw: reading",
        "preparing /raw: proving",
    ]


@pytest.mark.usefixtures("halves")
def test_a_cache_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    config = serve_config(paths=("m",), data=tmp_path / "file")
    with pytest.raises(InvalidInput) as caught:
        process.loader(config)(Source("reviews", 1, Path("/raw")))
    assert caught.value.reason == "CACHE_NOT_WRITABLE"
    assert "--data DIR" in caught.value.message


def test_threads_are_set_before_tensorflow_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    environment: dict[str, str] = {}
    monkeypatch.setattr(process.os, "environ", environment)
    process._limit_threads(3)
    assert environment == dict.fromkeys(
        ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "3"
    )
