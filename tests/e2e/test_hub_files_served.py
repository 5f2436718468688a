"""A `.keras` file whose TF-Hub modules have moved since it was saved: declared where they are, it answers as before."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_client import Client, ServerStartError
from penult_service.preparing import convert
from support import seed_model as seeds

pytestmark = [pytest.mark.tensorflow, pytest.mark.full]

TEXTS = ["a good film", "no", "a bad film, and far too long", ""]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With `hub`, whose modules a file will name, and `data` for prepared models."""
    made = tmp_path_factory.mktemp("hub")
    shutil.copytree(seeds.converted(), made / "hub")
    return made


@pytest.fixture(scope="module")
def features(place: Path) -> NDArray[Any]:
    """What the live layers say in front of the dropout; the model is saved afterwards, and its modules moved."""
    modules = (str(place / "hub" / name) for name in (convert.PREPROCESSOR, convert.ENCODER))
    true = seeds.save_on_modules(place / "reviews.keras", *modules, TEXTS)
    (place / "hub").rename(place / "moved")
    return true


def test_moved_modules_are_declared(place: Path, features: NDArray[Any]) -> None:
    with pytest.raises(ServerStartError) as caught, Client.open(place / "reviews.keras", data=place / "data"):
        pass
    assert "modules = {" in str(caught.value)
    lines = [f'"{place / "hub" / name}" = "moved/{name}"' for name in (convert.PREPROCESSOR, convert.ENCODER)]
    (place / "reviews.penult.toml").write_text("\n".join(["[modules]", *lines, ""]))
    with Client.open(place / "reviews.keras", data=place / "data") as client:
        found = client.embed(TEXTS).vectors
    assert (np.abs(found - features) <= 1e-5 + 1e-5 * np.abs(features)).all()
