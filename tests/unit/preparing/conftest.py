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
