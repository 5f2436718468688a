"""A model that was prepared by hand, for the engines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from penult_service.prepared import Manifest, load_manifest
from support import prepared_by_hand


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_by_hand.write(tmp_path_factory.mktemp("by_hand") / "model")


@pytest.fixture(scope="module")
def limited(by_hand: Path) -> Manifest:
    """Its manifest, of a model that is never given more tokens than it has places for."""
    return replace(load_manifest(by_hand), max_length=prepared_by_hand.POSITIONS)
