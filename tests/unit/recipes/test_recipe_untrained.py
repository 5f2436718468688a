"""`untrained`: the model as it was before the first step, and a training that is the same with and without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.errors import InvalidInput
from penult_service.preparing.convert import ConvertReport
from penult_service.recipes.bert import train as recipe
from penult_service.recipes.bert.settings import BertSettings, Handles
from penult_service.recipes.data import LabelledTexts
from support.tiny_bert import sample_texts

pytestmark = pytest.mark.tensorflow

SETTINGS = BertSettings(epochs=1, learning_rate=3e-3, max_length=32, batch_size=16)
TEXTS = [f"{('good', 'bad')[row % 2]} {text}" for row, text in enumerate(sample_texts(48, seed=3, longest=6))]
TASK = LabelledTexts("task.csv", "0" * 64, tuple(TEXTS), tuple(str(row % 2) for row in range(48)), None)


def train(hub: ConvertReport, output: Path, untrained: Path | None = None) -> recipe.TrainingReport:
    handles = Handles(str(hub.preprocessor), str(hub.encoder), {"weights": "tiny"})
    return recipe.train(TASK, TASK, handles, output, SETTINGS, lambda *_: None, untrained)


def probabilities(version: Path) -> Any:
    import tensorflow_text  # noqa: F401
    import tf_keras

    return tf_keras.models.load_model(str(version)).predict(np.array(TEXTS), verbose=0)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("untrained")


@pytest.fixture(scope="module")
def report(tiny_hub: ConvertReport, models: Path) -> recipe.TrainingReport:
    return train(tiny_hub, models / "trained", models / "untrained")


def test_the_model_before_the_first_step(
    tiny_hub: ConvertReport, models: Path, report: recipe.TrainingReport
) -> None:
    from penult_service.recipes.bert.network import BertClassifier

    before = models / "untrained" / "1"
    handles = Handles(str(tiny_hub.preprocessor), str(tiny_hub.encoder), {})
    fresh = BertClassifier(handles, report.labels, SETTINGS)
    expected = fresh.model.predict(np.array(TEXTS), verbose=0)
    np.testing.assert_allclose(probabilities(before), expected, atol=1e-6)
    assert np.abs(probabilities(report.path) - expected).max() > 0.01
    record = json.loads((before / "training.json").read_text())
    assert record["settings"]["epochs"] == 0
    assert not {"metrics", "curve"} & record.keys()
    assert json.loads((before / "labels.json").read_text()) == ["0", "1"]


def test_the_training_is_the_same_without_it(
    tiny_hub: ConvertReport, tmp_path: Path, report: recipe.TrainingReport
) -> None:
    alone = train(tiny_hub, tmp_path / "trained")
    assert [epoch["loss"] for epoch in alone.curve] == [epoch["loss"] for epoch in report.curve]


def test_where_nothing_can_be_saved_nothing_is_trained(tiny_hub: ConvertReport, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="file is a file"):
        train(tiny_hub, tmp_path / "trained", tmp_path / "file")
    assert not (tmp_path / "trained").exists()
