"""Noise layers of which an inference graph shows nothing: the embedding is read in front of them all the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from penult_service.preparing import parts
from penult_service.preparing.formats.saved_model import open_model
from penult_service.preparing.seam.seams import Seams, find_seams
from penult_service.preparing.seam.survey import Survey
from penult_service.preparing.seam.unmarked import _in_front, _sources
from support import seed_model as seeds
from support import text_models as tm
from support.tiny_bert import WORDS

pytestmark = pytest.mark.tensorflow
KINDS = ("GaussianNoise", "GaussianDropout", "AlphaDropout")


def noise(kind: str, name: str = "noise") -> Any:
    return getattr(tm.layers(), kind)(0.2, name=name)


def found_in(model: Any, place: Path, front: Any) -> Seams:
    """The seams; what is read is Keras' tensor `front`."""
    survey = Survey(open_model(tm.save(model, place / "model")))
    seams = find_seams(survey)
    read = parts.references(survey.opened, [seams.before])(tf.constant(tm.TEXTS))[seams.before]
    np.testing.assert_allclose(read, tm.answers(seeds.keras().Model(model.inputs, front)), atol=1e-6)
    return seams


@pytest.mark.parametrize("kind", KINDS)
def test_in_front_of_the_head(tmp_path: Path, kind: str) -> None:
    text = tm.text_input()
    hidden = tm.dense(6, "hidden", "selu")(tm.pooled(text))
    model = seeds.keras().Model(text, tm.dense(2, "output", "softmax")(noise(kind)(hidden)))
    seams = found_in(model, tmp_path, hidden)
    assert seams.seam == "hidden"
    assert [(site.path, site.layer_class, site.rate, site.place) for site in seams.sites] == [
        ("noise", kind, 0.2, "at")
    ]


def test_behind_an_earlier_dropout(tmp_path: Path) -> None:
    """The last one counts, of whatever kind."""
    text = tm.text_input()
    dropped = tm.layers().Dropout(0.1, name="dropout")(tm.pooled(text))
    hidden = tm.dense(6, "hidden", "selu")(dropped)
    model = seeds.keras().Model(text, tm.dense(2, "output")(noise("AlphaDropout")(hidden)))
    seams = found_in(model, tmp_path, hidden)
    assert [(site.path, site.place) for site in seams.sites] == [("dropout", "before"), ("noise", "at")]


def test_one_behind_the_other(tmp_path: Path) -> None:
    text = tm.text_input()
    hidden = tm.dense(6, "hidden", "selu")(tm.pooled(text))
    both = noise("GaussianNoise", "second")(noise("AlphaDropout", "first")(hidden))
    model = seeds.keras().Model(text, tm.dense(2, "output")(both))
    assert found_in(model, tmp_path, hidden).seam == "hidden"


def test_an_earlier_one_does_not_move_the_seam(tmp_path: Path) -> None:
    text = tm.text_input()
    hidden = tm.dense(6, "hidden", "selu")(noise("GaussianNoise")(tm.pooled(text)))
    dropped = tm.layers().Dropout(0.1, name="dropout")(hidden)
    seams = found_in(seeds.keras().Model(text, tm.dense(2, "output")(dropped)), tmp_path, hidden)
    assert {site.path: site.place for site in seams.sites} == {"noise": "before", "dropout": "at"}


def test_a_sequential_model(tmp_path: Path) -> None:
    layers, keras = tm.layers(), seeds.keras()
    words = layers.TextVectorization(vocabulary=list(WORDS), output_sequence_length=6)
    average = layers.GlobalAveragePooling1D(name="average")
    model = keras.Sequential(
        [
            layers.Input(shape=(), dtype="string"),
            words,
            layers.Embedding(len(WORDS) + 2, 4, embeddings_initializer=tm.normal(1)),
            average,
            noise("GaussianNoise"),
            tm.dense(2, "output"),
        ]
    )
    assert found_in(model, tmp_path, average.output).seam == "average"


def beside_it(text: Any) -> Any:
    """A way around it: nothing says what the head would be fed with."""
    hidden = tm.dense(6, "hidden", "selu")(tm.pooled(text))
    return hidden + noise("AlphaDropout")(hidden)


def inside_a_layer(text: Any) -> Any:
    class Inside(tm.layers().Layer):
        def __init__(self) -> None:
            super().__init__(name="inside")
            self.noise = noise("AlphaDropout")

        def call(self, x: Any) -> Any:
            return self.noise(x)

    return Inside()(tm.pooled(text))


@pytest.mark.parametrize("body", [beside_it, inside_a_layer], ids=lambda body: body.__name__)
def test_where_the_layer_graph_does_not_say_it_is_asked_for(
    tmp_path: Path, body: Callable[[Any], Any]
) -> None:
    text = tm.text_input()
    model = seeds.keras().Model(text, tm.dense(2, "output")(body(text)))
    seams = find_seams(Survey(open_model(tm.save(model, tmp_path / "model"))))
    assert seams.read == ()
    assert "the place of noise (AlphaDropout) is not known" in seams.unread
    assert "--layer" in seams.unread


STRANGE = [
    {},
    {"layers": None},
    {"layers": 7},
    {"layers": ["noise", None, 3, {}, {"config": 5}, {"name": "noise", "config": {}, "inbound_nodes": 9}]},
    {
        "layers": [{"name": ["noise"], "config": {"name": {}}, "inbound_nodes": [[["noise", 0]]]}],
        "output_layers": 1,
    },
]


@pytest.mark.parametrize("config", STRANGE)
def test_configs_that_say_nothing_of_use(config: dict[str, Any]) -> None:
    assert all(isinstance(name, str) for name in _sources(config))


def test_a_layer_that_is_said_to_read_itself() -> None:
    assert _in_front("a", {"a", "b"}, {"a": ["b"], "b": ["a"]}) in {"a", "b"}
    assert _in_front("a", {"a"}, {"a": ["a"]}) == "a"
