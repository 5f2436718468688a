"""Models whose names and shapes mislead: what looks like a dropout, or like token ids, and is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from penult_service.preparing import parts
from penult_service.preparing.formats.saved_model import open_model
from penult_service.preparing.seam.seams import find_seams
from penult_service.preparing.seam.survey import Survey
from support import seed_model as seeds
from support import text_models as tm

pytestmark = pytest.mark.tensorflow
WORDS, POSITIONS = (tf.Variable(tf.random.stateless_normal([n, 4], [n, 1])) for n in (97, 40))


def test_a_layer_named_like_a_second_call_of_the_dropout(tmp_path: Path) -> None:
    text = tm.text_input()
    pooled = tm.pooled(text)
    hidden = tm.dense(6, "hidden")(tm.layers().Dropout(0.1, name="dropout")(pooled))
    same = tm.layers().Lambda(lambda x: tf.identity(x), name="dropout_1")(hidden)
    model = seeds.keras().Model(text, tm.dense(2, "output")(same))
    survey = Survey(open_model(tm.save(model, tmp_path / "model")))
    seams = find_seams(survey)
    assert seams.seam == "average"
    assert [(site.path, site.place) for site in seams.sites] == [("dropout", "at")]
    found = parts.references(survey.opened, [seams.before])(tf.constant(tm.TEXTS))[seams.before]
    np.testing.assert_allclose(found, tm.answers(seeds.keras().Model(text, pooled)), atol=1e-6)


def test_a_second_dropout_with_a_number_and_a_third_call(tmp_path: Path) -> None:
    """`dropout_1` is a layer of its own here, `dropout_2` the second call of the first."""
    layers, text = tm.layers(), tm.text_input()
    first, second = layers.Dropout(0.1, name="dropout"), layers.Dropout(0.2, name="dropout_1")
    hidden = tm.dense(6, "hidden")(second(first(tm.pooled(text))))
    model = seeds.keras().Model(text, tm.dense(2, "output")(first(hidden)))
    survey = Survey(open_model(tm.save(model, tmp_path / "model")))
    seams = find_seams(survey)
    assert seams.seam == "hidden"
    assert [(site.path, site.rate, site.place) for site in seams.sites] == [
        ("dropout", 0.1, "before"),
        ("dropout_1", 0.2, "before"),
        ("dropout#2", 0.1, "at"),
    ]
    found = parts.references(survey.opened, [seams.before])(tf.constant(tm.TEXTS))[seams.before]
    np.testing.assert_allclose(found, tm.answers(seeds.keras().Model(text, hidden)), atol=1e-6)


def test_a_mask_along_which_positions_are_counted_is_no_ids() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def model(text: Any) -> dict[str, Any]:
        ragged = tf.strings.to_hash_bucket_fast(tf.strings.split(text), 96) + 1
        ids = tf.cast(ragged.to_tensor(shape=[None, 6]), tf.int32)
        mask = tf.cast(tf.ones_like(ragged).to_tensor(shape=[None, 6]), tf.int32)
        positions = tf.gather(POSITIONS, tf.range(tf.shape(mask)[1]))
        vectors = tf.gather(WORDS, ids) + positions
        pooled = tf.reduce_sum(vectors * tf.cast(mask, tf.float32)[:, :, None], 1)
        with tf.name_scope("dropout"):
            pooled = tf.identity(pooled, name="Identity")
        return {"y": tf.sigmoid(pooled)}

    opened = tm.opened(model, ("dropout", "Dropout"))
    seams = find_seams(Survey(opened))
    assert [token.role for token, _ in seams.tokens] == ["ids", "mask"]
    ids, mask = parts.references(opened, [ref for _, ref in seams.tokens])(tf.constant(tm.TEXTS)).values()
    assert ids.numpy().max() > 1
    assert set(mask.numpy().ravel()) == {0, 1}
