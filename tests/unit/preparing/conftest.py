from __future__ import annotations

from pathlib import Path

import pytest
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
