"""Seam 1: what an encoder takes, found by what consumes it."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

tf = pytest.importorskip("tensorflow")

from penult_service.preparing import parts  # noqa: E402
from penult_service.preparing.formats.saved_model import open_model  # noqa: E402
from penult_service.preparing.seam.seams import find_seams, surveyed  # noqa: E402
from penult_service.preparing.seam.survey import Survey  # noqa: E402
from support import seed_model as seeds  # noqa: E402
from support import text_models as tm  # noqa: E402
from support.seam_heads import (  # noqa: E402
    plain,
    saved,
    tensors,
)
from support.tiny_bert import WORDS  # noqa: E402


def test_the_seed_model_has_ids_mask_and_types(seed_model: Path) -> None:
    survey = Survey(open_model(seed_model))
    seams = find_seams(survey)
    assert [(token.name, token.role, token.dtype) for token, _ in seams.tokens] == [
        ("input_ids", "ids", "int32"),
        ("input_mask", "mask", "int32"),
        ("input_types", "types", "int32"),
    ]
    preprocess, encoder = seeds.hub_layers()
    texts = tf.constant(tm.TEXTS)
    expected = preprocess(texts)
    found = parts.references(survey.opened, [ref for _, ref in seams.tokens])(texts)
    names = ("input_word_ids", "input_mask", "input_type_ids")
    for (_, ref), name in zip(seams.tokens, names, strict=True):
        np.testing.assert_array_equal(found[ref], expected[name])
    kinds = [(readout.layer, readout.kind, readout.dimension) for readout, _ in seams.read]
    assert kinds == [
        ("BERT_encoder", "pooled", seeds.WIDTH),
        ("BERT_encoder/tokens", "tokens", seeds.WIDTH),
    ]
    outputs = encoder(expected)
    read = parts.references(survey.opened, [ref for _, ref in seams.read])(texts)
    for (_, ref), name in zip(seams.read, ("pooled_output", "sequence_output"), strict=True):
        np.testing.assert_allclose(read[ref], outputs[name], atol=1e-5)


TABLES = {"ids": tf.Variable(tf.random.normal([97, 4])), "types": tf.Variable(tf.random.normal([2, 4]))}


@tf.function
def tokenize(text: Any, order: tuple[str, ...]) -> list[Any]:
    """Ids, mask and types, made and given in any order, under names that say nothing."""
    ragged = tf.strings.to_hash_bucket_fast(tf.strings.split(text), 96)
    made = {
        "ids": ragged + 1,
        "mask": tf.ones_like(ragged),
        "types": tf.ragged.map_flat_values(lambda values: tf.cast(values > 48, tf.int64), ragged),
    }
    return [tf.cast(made[role].to_tensor(0, shape=[None, 6]), tf.int32, name="tokens") for role in order]


def classified(tokens: dict[str, Any], one_hot: bool) -> Any:
    hot = tf.one_hot(tokens["types"], 2) @ TABLES["types"]
    vectors = tf.gather(TABLES["ids"], tokens["ids"])
    vectors += hot if one_hot else tf.gather(TABLES["types"], tokens["types"])
    pooled = tf.reduce_sum(vectors * tf.cast(tokens["mask"], tf.float32)[:, :, None], 1)
    with tf.name_scope("dropout"):
        pooled = tf.identity(pooled, name="Identity")
    return tf.sigmoid(pooled)


@pytest.mark.parametrize("one_hot", [False, True], ids=["types gathered", "types one-hot"])
@pytest.mark.parametrize("order", list(permutations(["ids", "mask", "types"])), ids="-".join)
def test_roles_are_found_by_what_consumes_a_token_input(order: tuple[str, ...], one_hot: bool) -> None:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def model(text: Any) -> dict[str, Any]:
        tokens = dict(zip(order, tokenize(text, order), strict=True))
        return {"y": classified(tokens, one_hot)}

    opened = tm.opened(model, ("dropout", "Dropout"))
    seams = find_seams(Survey(opened))
    texts = tf.constant(tm.TEXTS)
    found = parts.references(opened, [ref for _, ref in seams.tokens])(texts)
    expected = dict(zip(order, tokenize(texts, order), strict=True))
    assert [token.role for token, _ in seams.tokens] == ["ids", "mask", "types"]
    for token, ref in seams.tokens:
        np.testing.assert_array_equal(found[ref], expected[token.role])


def test_a_word_table_gives_ids_only(tmp_path: Path) -> None:
    directory, _ = saved(tmp_path, plain)
    survey = Survey(open_model(directory))
    seams = find_seams(survey)
    ((token, ref),) = seams.tokens
    assert (token.name, token.role, token.dtype) == ("input_ids", "ids", "int64")
    found = parts.references(survey.opened, [ref])(tf.constant(tm.TEXTS))[ref]
    assert found.shape == (len(tm.TEXTS), tm.LENGTH)
    assert seams.wordpieces is None


def test_ragged_ids_are_padded_and_made_ragged_again(tmp_path: Path) -> None:
    layers, text = tm.layers(), tm.text_input()
    words = layers.TextVectorization(vocabulary=list(WORDS), standardize="lower", ragged=True, name="words")
    ids = words(text)
    vectors = layers.Embedding(len(WORDS) + 2, 4, embeddings_initializer=tm.normal(1), name="vectors")(ids)
    pooled = layers.GlobalAveragePooling1D(name="average")(vectors)
    model = seeds.keras().Model(text, tm.dense(2, "output")(layers.Dropout(0.1, name="dropout")(pooled)))
    opened = open_model(tm.save(model, tmp_path / "model"))
    assert find_seams(Survey(opened)).read == ()
    survey = surveyed(opened)
    seams = find_seams(survey)
    assert [token.role for token, _ in seams.tokens] == ["ids", "mask"]
    np.testing.assert_allclose(
        tensors(survey, seams)[0], tm.answers(seeds.keras().Model(text, pooled)), atol=1e-6
    )
    texts = tf.constant(tm.TEXTS)
    wanted = seeds.keras().Model(text, ids)(texts)
    found = parts.references(survey.opened, [ref for _, ref in seams.tokens])(texts)
    padded, mask = (found[ref].numpy() for _, ref in seams.tokens)
    assert [row[used > 0].tolist() for row, used in zip(padded, mask, strict=True)] == wanted.to_list()


def test_a_text_model_without_token_ids_is_not_read() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def lengths(text: Any) -> dict[str, Any]:
        x = tf.cast(tf.strings.length(text), tf.float32)[:, None] * tf.ones([1, 3])
        with tf.name_scope("dropout"):
            x = tf.identity(x, name="Identity")
        return {"y": tf.sigmoid(x)}

    seams = find_seams(Survey(tm.opened(lengths, ("dropout", "Dropout"))))
    assert seams.read == ()
    assert "no token ids were found" in seams.unread
