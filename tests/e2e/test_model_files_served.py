"""A model file and what is declared beside it, opened by a fresh process: its own vectors, the declared names."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_client import Client, ServerStartError
from support import text_models as tm

pytestmark = pytest.mark.tensorflow

DECLARED = """
labels = ["bad", "fair", "good"]
warm_up = ["a good film", "no"]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model file and its declaration; `data` is for prepared models."""
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def truth(home: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """What the live layers say in front of the dropout, and what the model says, before it is saved."""
    import tf_keras

    model = tm.classifier()
    features = tf_keras.Model(model.inputs, model.get_layer("dropout").input)
    model.save(str(home / "my_model.keras"))
    (home / "my_model.penult.toml").write_text(DECLARED)
    return tm.answers(features), tm.answers(model)


def assert_close(found: NDArray[Any], true: NDArray[Any]) -> None:
    assert (np.abs(found - true) <= 1e-5 + 1e-5 * np.abs(true)).all()


def test_a_file_and_then_the_same_as_a_version(home: Path, truth: tuple[NDArray[Any], NDArray[Any]]) -> None:
    features, probabilities = truth
    with Client.open(home / "my_model.keras", data=home / "data") as client:
        found = client.embed(tm.TEXTS)
        answer = client.classify(tm.TEXTS)
        (about,) = client.models()
    assert (found.model, found.version) == ("my_model", 1)
    assert_close(found.vectors, features)
    assert_close(answer.probabilities, probabilities)
    names = np.array(["bad", "fair", "good"])
    assert list(answer.labels) == list(names[probabilities.argmax(1)])
    assert tuple(about.labels) == ("bad", "fair", "good")

    version = home / "models" / "reviews" / "2"
    version.mkdir(parents=True)
    shutil.copy(home / "my_model.keras", version / "model.keras")
    (version.parent / "penult.toml").write_text(DECLARED)
    with Client.open(
        version.parent, data=home / "data", prepare_timeout=0.001
    ) as client:  # it is prepared already
        again = client.embed(tm.TEXTS)
    assert (again.model, again.version, again.digest) == ("reviews", 2, found.digest)
    assert (again.vectors == found.vectors).all()


def test_a_declaration_that_is_wrong_says_where(home: Path, truth: tuple[NDArray[Any], NDArray[Any]]) -> None:
    del truth
    place = home / "wrong"
    place.mkdir()
    shutil.copy(home / "my_model.keras", place / "model.keras")
    (place / "penult.toml").write_text('warm_up = ["a"]\n\nlabel = ["bad", "fair", "good"]\n')
    with pytest.raises(ServerStartError) as caught, Client.open(place / "model.keras", data=home / "data"):
        pass
    assert f"{place / 'penult.toml'}, line 3: there is no key 'label'; did you mean labels?" in str(
        caught.value
    )
