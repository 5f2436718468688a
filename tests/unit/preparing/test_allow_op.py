"""An operation that is not on the allow list: said when a model is prepared, and the operator's word, all the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from penult_service.cli.app import main
from penult_service.config import ServeConfig
from penult_service.engines.tensorflow import TensorFlowEngine, signatures
from penult_service.errors import ModelRefused
from penult_service.prepared import load_manifest
from penult_service.preparing import launch, pipeline
from penult_service.preparing.identity import cache_key
from penult_service.preparing.proof.dropout import effect_of
from support import seed_model as seeds
from support import text_models as tm

pytestmark = pytest.mark.tensorflow


def model_with(layer: Any) -> Any:
    """Text → pooled → `layer` → dropout → softmax."""
    text = tm.text_input()
    odd = tm.layers().Lambda(layer, name="odd")(tm.pooled(text))
    dropped = tm.layers().Dropout(0.1, name="dropout")(odd)
    return seeds.keras().Model(text, tm.dense(2, "output", "softmax")(dropped))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A Keras model with `Lgamma`, which no ordinary text model needs, and where it is saved."""
    keras_model = model_with(lambda x: tf.math.lgamma(x + 20.0))
    return keras_model, tm.save(keras_model, tmp_path_factory.mktemp("odd") / "model")


def test_it_is_refused_when_it_is_prepared(model: tuple[Any, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelRefused) as caught:
        pipeline.prepare(model[1], tmp_path / "prepared", None, lambda *_: None)
    assert caught.value.reason == "OP_NOT_ALLOWED"
    assert caught.value.metadata["ops"] == "Lgamma"
    assert "--allow-op Lgamma" in caught.value.message
    assert str(model[1]) in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_with_the_operators_word_it_is_prepared_and_served_where_the_word_is_given_too(
    model: tuple[Any, Path], tmp_path: Path
) -> None:
    place = tmp_path / "prepared"
    manifest = pipeline.prepare(model[1], place, None, lambda *_: None, allow_ops=["Lgamma"])
    assert manifest.proof.proven
    for load in (signatures, lambda place: effect_of(place, tm.TEXTS)):
        with pytest.raises(ModelRefused) as caught:
            load(place)
        assert caught.value.reason == "OP_NOT_ALLOWED"
    assert effect_of(place, tm.TEXTS, ["Lgamma"]) is not None
    engine = TensorFlowEngine(signatures(place, ["Lgamma"]), load_manifest(place))
    np.testing.assert_allclose(
        engine.whole({"text": np.array(tm.TEXTS, object)})["output"], tm.answers(model[0]), atol=1e-6
    )


def test_a_prepared_model_that_some_operator_allowed_is_not_taken_from_the_cache_by_another(
    model: tuple[Any, Path],
) -> None:
    keys = {cache_key(model[1], None, allow) for allow in ((), ("Lgamma",), ("Lgamma", "Erfinv"))}
    assert len(keys) == 3
    assert cache_key(model[1], None, ["A", "B", "B"]) == cache_key(model[1], None, ["B", "A"])


@pytest.mark.parametrize("command", ["prepare", "verify"])
def test_the_options_of_the_command_line_and_the_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    asked: list[Any] = []

    def take(_: Path, **given: Any) -> Any:
        asked.append(given["allow_ops"])
        raise ModelRefused("as a test", reason="TEST")

    monkeypatch.setattr(launch, command, take)
    assert main([command, str(tmp_path)]) == 1
    assert main([command, str(tmp_path), "--allow-op", "Lgamma", "--allow-op", "TFText>Other"]) == 1
    monkeypatch.setenv("PENULT_ALLOW_OPS", "Erfinv, Lgamma,")
    assert main([command, str(tmp_path)]) == 1
    assert main([command, str(tmp_path), "--allow-op", "Lgamma"]) == 1
    assert asked == [(), ("Lgamma", "TFText>Other"), ("Erfinv", "Lgamma"), ("Lgamma",)]


def test_the_settings_of_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENULT_ALLOW_OPS", "Lgamma")
    assert ServeConfig(paths=("m",)).allowed_ops == ("Lgamma",)
