"""What the function for training tells of dropouts, which tf_keras saves beside the one for inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

tf = pytest.importorskip("tensorflow")

from penult_service.preparing.formats.saved_model import open_model  # noqa: E402
from penult_service.preparing.seam.seams import find_seams  # noqa: E402
from penult_service.preparing.seam.survey import Survey  # noqa: E402
from support import seed_model as seeds  # noqa: E402
from support import text_models as tm  # noqa: E402
from support.seam_heads import (  # noqa: E402
    Head,
    called_twice,
    sequential,
    tensors,
)


def own_noise(name: str, *, hidden: bool) -> Any:
    """A layer of the author's own that drops in training, and leaves nothing of it in inference."""

    class Own(tm.layers().Layer):
        def __init__(self) -> None:
            super().__init__(name=name)
            self.inner = tm.dense(6, "inner")

        def call(self, x: Any, training: Any = None) -> Any:
            x = self.inner(x) if hidden else x
            x = tf.nn.dropout(x, rate=0.3) if training else x
            return tf.tanh(x) if hidden else x

    return Own()


def drops_behind(layers: Any, x: Any) -> tuple[Any, Any]:
    return tm.dense(2, "output")(own_noise("own", hidden=True)(layers.Dropout(0.1, name="dropout")(x))), x


def drops_without_a_trace(layers: Any, x: Any) -> tuple[Any, Any]:
    hidden = tm.dense(6, "hidden", "tanh")(layers.Dropout(0.1, name="dropout")(x))
    return tm.dense(2, "output")(own_noise("own", hidden=False)(hidden)), hidden


def drops_alone(layers: Any, x: Any) -> tuple[Any, Any]:
    del layers
    return tm.dense(2, "output")(tm.dense(6, "hidden")(own_noise("own", hidden=False)(x))), x


def drops_in_front(layers: Any, x: Any) -> tuple[Any, Any]:
    before = own_noise("own", hidden=True)(x)
    return tm.dense(2, "output")(layers.Dropout(0.1, name="dropout")(before)), before


def save_plainly(model: Any, directory: Path) -> Path:
    tf.saved_model.save(model, str(directory))
    return directory


@pytest.mark.parametrize("save", [tm.save, save_plainly], ids=["model.save", "tf.saved_model.save"])
@pytest.mark.parametrize(
    "head", [drops_behind, drops_without_a_trace, drops_alone], ids=lambda head: head.__name__
)
def test_a_dropout_that_only_training_shows_is_found_out(tmp_path: Path, head: Head, save: Any) -> None:
    text = tm.text_input()
    outputs, _ = head(tm.layers(), tm.pooled(text))
    seams = find_seams(Survey(open_model(save(seeds.keras().Model(text, outputs), tmp_path / "model"))))
    assert seams.read == ()
    plain_without_mark = save is save_plainly and head is drops_alone
    why = (
        "does not tell where"
        if plain_without_mark
        else "in training own draws random numbers for whole texts"
    )
    assert why in seams.unread


@pytest.mark.parametrize("save", [tm.save, save_plainly], ids=["model.save", "tf.saved_model.save"])
@pytest.mark.parametrize("head", [drops_in_front, called_twice, sequential], ids=lambda head: head.__name__)
def test_one_in_front_moves_nothing(tmp_path: Path, head: Head, save: Any) -> None:
    text = tm.text_input()
    outputs, before = head(tm.layers(), tm.pooled(text))
    survey = Survey(open_model(save(seeds.keras().Model(text, outputs), tmp_path / "model")))
    seams = find_seams(survey)
    assert seams.unread == ""
    expected = tm.answers(seeds.keras().Model(text, before))
    np.testing.assert_allclose(tensors(survey, seams)[0], expected, atol=1e-6)


def test_training_tells_a_dropout_of_any_name_from_what_only_looks_like_one(tmp_path: Path) -> None:
    layers, text = tm.layers(), tm.text_input()
    hidden = tm.dense(6, "hidden", "tanh")(tm.pooled(text))
    dropped = tm.dense(5, "deep")(layers.Dropout(0.1, name="shaken")(hidden))
    same = layers.Lambda(lambda y: tf.identity(y), name="dropout")(dropped)
    model = seeds.keras().Model(text, tm.dense(2, "output")(same))
    survey = Survey(open_model(save_plainly(model, tmp_path / "model")))
    seams = find_seams(survey)
    expected = tm.answers(seeds.keras().Model(text, hidden))
    np.testing.assert_allclose(tensors(survey, seams)[0], expected, atol=1e-6)
