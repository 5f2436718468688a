"""Dropouts that the inference graph does not show, put back: against the function for training with our numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

tf = pytest.importorskip("tensorflow")

from penult_service.preparing import parts  # noqa: E402
from penult_service.preparing.seam.same_values import Numbering  # noqa: E402
from penult_service.preparing.seam.seams import find_seams  # noqa: E402
from support import seed_model as seeds  # noqa: E402
from support import text_models as tm  # noqa: E402
from support.keyed_training import PutBack, check, put_back  # noqa: E402

Layers = Any


@cache
def seed() -> PutBack:
    """The model of the question."""
    return put_back(seeds.seed_model())


@cache
def written() -> PutBack:
    """The one with the encoder that is written below."""
    return put_back(on_a_hub_encoder()[0])


def test_the_encoder_that_convert_makes() -> None:
    found = seed()
    assert [(site.rate, site.place) for site in found.sites] == [(0.1, "before")] * 7 + [(0.1, "at")]
    assert all(path.startswith("BERT_encoder/") for path in found.paths[:-1])
    assert "self_attention_layer" in found.paths[1]
    assert "self_attention_dropout" in found.paths[2]
    assert "feedforward_dropout" in found.paths[3]
    assert any("is the inference function but for what it drops" in note for note in found.seams.notes)
    check(found)


def drops(rate: float, name: str, how: Callable[[Any, float], Any]) -> Any:
    """A layer of the author's own that leaves nothing of its dropout in inference."""

    class Drops(tm.layers().Layer):
        def call(self, x: Any, training: Any = None) -> Any:
            return how(x, rate) if training else tf.identity(x)

    return Drops(name=name)


def of_tensorflow_1(x: Any, rate: float) -> Any:
    keep = 1 - rate
    return tf.realdiv(x, keep) * tf.floor(keep + tf.random.uniform(tf.shape(x)))


def scaled_behind(x: Any, rate: float) -> Any:
    return x * tf.cast(tf.random.uniform(tf.shape(x)) >= rate, x.dtype) * (1 / (1 - rate))


def whole_paths(x: Any, rate: float) -> Any:
    """Stochastic depth (Huang et al. 2016): one number a row."""
    kept = tf.random.uniform([tf.shape(x)[0], 1, 1]) > rate
    return tf.where(kept, x / (1 - rate), 0.0)


def encoder(layers: Layers) -> Any:
    """Token ids [n, length] -> [n, 8], dropouts of every kind in it; as somebody writes it with tf_keras."""
    ids = layers.Input(shape=(None,), dtype="int32", name="ids")
    x = layers.Embedding(1000, 8, embeddings_initializer=tm.normal(1), name="table")(ids)
    x = layers.Dropout(0.1, name="embedded")(x)
    heads = layers.MultiHeadAttention(2, 4, dropout=0.25, kernel_initializer=tm.normal(4), name="heads")
    seen = layers.Dropout(0.15, name="seen")(heads(x, x))
    x = layers.LayerNormalization(name="norm")(x + seen)
    x = layers.SpatialDropout1D(0.2, name="spatial")(x)
    x = tm.dense(8, "first", "tanh")(layers.Dropout(0.2, noise_shape=(1, None, 8), name="one_for_all")(x))
    x = x + tm.dense(8, "path", "tanh")(drops(0.3, "whole", whole_paths)(x))
    x = tm.dense(8, "second", "tanh")(drops(0.2, "old", of_tensorflow_1)(x))
    x = tm.dense(8, "third", "tanh")(drops(0.2, "behind", scaled_behind)(x))
    x = tm.dense(8, "pooled", "tanh")(layers.GlobalAveragePooling1D(name="average")(x))
    twice = layers.Dropout(0.3, name="twice")
    return seeds.keras().Model(ids, twice(twice(x)))


@cache
def on_a_hub_encoder() -> tuple[Path, Any]:
    """The saved model, and the tensor in front of its own dropout."""
    import tensorflow_hub as hub

    place = seeds.converted().parent / "inner"
    tm.save(encoder(tm.layers()), place / "encoder")
    text = tm.text_input()
    ids = tm._KIT.words()(text)
    inner = hub.KerasLayer(str(place / "encoder"), trainable=True, name="encoder")
    read = inner(tf.cast(ids, tf.int32))
    dropped = tm.layers().Dropout(0.5, name="dropout")(read)
    model = seeds.keras().Model(text, tm.dense(3, "output", "softmax")(dropped))
    return tm.save(model, place / "model"), seeds.keras().Model(text, read)


def test_an_encoder_written_with_tf_keras() -> None:
    """Its dropouts leave an `Identity` each, but no layer record: nothing says what they are in the inference graph."""
    found = written()
    own = (
        "embedded",
        "heads/dropout",
        "seen",
        "spatial",
        "one_for_all",
        "whole",
        "old",
        "behind",
    )
    # The first one at the seam is the model's own.
    assert found.paths == [
        *(f"encoder/{name}" for name in own),
        "dropout",
        "encoder/twice",
        "encoder/twice#2",
    ]
    rates = [0.1, 0.25, 0.15, 0.2, 0.2, 0.3, 0.2, 0.2, 0.5, 0.3, 0.3]
    assert [site.rate for site in found.sites] == rates
    assert [site.place for site in found.sites] == ["before"] * 8 + ["at"] * 3
    assert {site.path: site.shared for site in found.sites if site.shared} == {
        "encoder/spatial": (1,),
        "encoder/one_for_all": (0,),
        "encoder/whole": (1, 2),
    }
    check(found)


@pytest.mark.parametrize("model", [seed, written], ids=["keras 3", "tf_keras"])
def test_no_tensor_changes_and_neither_seam_moves(model: Callable[[], PutBack]) -> None:
    found = model()
    survey = found.survey
    plain = find_seams(survey)
    seams = found.seams
    assert (seams.tokens, seams.read, seams.seam, seams.before, seams.after) == (
        (plain.tokens, plain.read, plain.seam, plain.before, plain.after)
    )
    assert seams.shown == next(site for site in plain.sites if site.place == "at")
    numbering, fed = Numbering(), [one.ref for one in survey.opened.inputs]
    before, after = (numbering.values(flat, fed) for flat in (survey.flat, found.opened.flat))
    assert [before[ref] for ref in survey.outputs] == [
        after[ref] for ref in found.opened.flat.outputs.values()
    ]
    assert before.items() <= after.items()
    assert set(survey.flat.nodes) < set(found.opened.flat.nodes)


def test_the_embedding_read_is_keras_own() -> None:
    _, before = on_a_hub_encoder()
    found = written()
    read = parts.references(found.opened, [found.seams.before])(tf.constant(tm.TEXTS))
    np.testing.assert_allclose(read[found.seams.before], tm.answers(before), atol=1e-6)


@pytest.mark.full  # `check` holds each mask against that function; test_sampling_oracle is of a Keras loop
def test_masks_have_the_rate_and_the_mean_of_training() -> None:
    """Keras itself draws here: 400 passes of each, of the model's own function for training and of ours."""
    source, _ = on_a_hub_encoder()
    found, texts, passes = written(), tm.TEXTS[:4], 400
    live = seeds.keras().models.load_model(str(source))
    seeds.keras().utils.set_random_seed(7)
    step = tf.function(lambda: live(tf.constant(texts), training=True), autograph=False)
    drawn = np.stack([step().numpy() for _ in range(passes)])
    ours = np.stack([found.sampled(texts, found.draw(len(texts), sample=i)) for i in range(passes)])
    error = np.hypot(drawn.std(0), ours.std(0)) / np.sqrt(passes)
    assert (np.abs(drawn.mean(0) - ours.mean(0)) < 5 * error).all()
    np.testing.assert_allclose(ours.std(0), drawn.std(0), rtol=0.25)
