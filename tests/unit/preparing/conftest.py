from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from penult_service.preparing import launch
from support import seed_model as seeds


@pytest.fixture(scope="session")
def seed_model() -> Path:
    """The question's own model on a tiny BERT, saved by tf_keras. Not to be changed: copy it first."""
    return seeds.seed_model()


@pytest.fixture(scope="session")
def prepared_seed_model() -> Path:
    """The same, prepared. Not to be changed: copy it first."""
    return seeds.prepared_seed_model()


@pytest.fixture
def unread_model(tmp_path: Path) -> Path:
    """Files that nobody reads: the child of these tests is a stand-in."""
    place = tmp_path / "model"
    place.mkdir()
    (place / "saved_model.pb").write_bytes(b"a graph")
    return place


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "data" / "prepared"


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch, prepared_seed_model: Path) -> list[dict[str, Any]]:
    """The jobs that were given to a child; its work is done at once, by copying the prepared model."""
    given: list[dict[str, Any]] = []

    def work(job: dict[str, Any], *_: Any) -> dict[str, Any]:
        given.append(job)
        shutil.copytree(prepared_seed_model, job["target"])
        return {}

    monkeypatch.setattr(launch, "_in_child", work)
    return given
