"""Models that take token ids and their mask, with and without a tokenizer beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from support.formats.case import REFUSED, Array, Case, Made
from support.formats.keras_formats import saved
from support.formats.kit import KERAS, TEXTS, TF_KERAS, Kit, Network, by_hand, predicted
from support.tiny_bert import VOCABULARY

ROW = "ids and masks"
LONGEST = 20
DECLARED = f"max_length = {LONGEST}\n"


def network(
    kit: Kit,
    *,
    fixed: int | None = None,
    masked: bool = True,
    rows: int = len(VOCABULARY),
) -> Network:
    """Self-attention over `fixed` tokens, or any number, and their average, asked with ids of its vocabulary.

    `masked`: the mask is an input too.
    """
    layers = kit.layers
    ids = layers.Input((fixed,), dtype="int32", name="input_ids")
    mask = layers.Input((fixed,), dtype="int32", name="attention_mask")
    table = layers.Embedding(rows, 8, mask_zero=True, embeddings_initializer=kit.normal(1), name="vectors")
    vectors = table(ids)
    if masked:
        # The head's part of an encoder: every token sees those that the mask allows.
        seen = layers.Reshape((1, -1), name="seen")(mask)
        attention = layers.MultiHeadAttention(2, 4, name="attention", kernel_initializer=kit.normal(2))
        vectors = attention(vectors, vectors, attention_mask=seen)
    pooled = kit.average()(vectors)
    outputs = kit.dense(3, activation="softmax")(kit.dropout()(pooled))
    given = _padded(_random_ids(rows), fixed)
    if not masked:
        del given["attention_mask"]
    return Network(kit, kit.model([ids, mask] if masked else ids, outputs), pooled, None, given)


def _random_ids(rows: int) -> list[list[int]]:
    rng = np.random.default_rng(13)
    return [rng.integers(5, rows, size=length).tolist() for length in (3, 9, 1, 12, 6, 12)]


def _padded(ids: list[list[int]], length: int | None = None) -> dict[str, Array]:
    """Padded with 0 to `length`, or to the longest."""
    found = np.zeros((len(ids), length or max(map(len, ids))), np.int32)
    for row, given in zip(found, ids, strict=True):
        row[: len(given)] = given
    return {"input_ids": found, "attention_mask": (found > 0).astype(np.int32)}


def with_vocabulary(
    flavour: str, kind: str, *, as_json: bool = False, words: int = len(VOCABULARY), declared: str = DECLARED
) -> Callable[[Path], Made]:
    """A builder: `vocab.txt` of so many words (or `tokenizer.json`) lies beside the model, and it is asked texts."""

    def build(place: Path) -> Made:
        from tokenizers import BertWordPieceTokenizer

        live = network(Kit(flavour))
        source = saved(live, place, kind).source
        vocabulary = (source if source.is_dir() else place) / "vocab.txt"
        more = [f"[unused{number}]" for number in range(words - len(VOCABULARY))]
        vocabulary.write_text("".join(f"{word}\n" for word in [*VOCABULARY, *more]), encoding="utf-8")
        tokenizer = BertWordPieceTokenizer(str(vocabulary))
        if as_json:
            tokenizer.save(str(vocabulary.with_name("tokenizer.json")))
            vocabulary.unlink()
        if declared:
            (place / "penult.toml").write_text(declared, encoding="utf-8")
            tokenizer.enable_truncation(LONGEST)
        ids = [encoding.ids for encoding in tokenizer.encode_batch(list(TEXTS))]
        asked = replace(live, given=_padded(ids))
        features = by_hand(asked, asked.features)
        return Made(source, {"text": np.array(TEXTS)}, predicted(asked), features, ids)

    return build


def _by_ids(flavour: str, kind: str, **options: Any) -> Any:
    return lambda place: saved(network(Kit(flavour), **options), place, kind)


CASES = (
    Case(ROW, "tf_keras SavedModel, vocab.txt", with_vocabulary(TF_KERAS, "SavedModel"), quick=True),
    Case(ROW, "tf_keras SavedModel, tokenizer.json", with_vocabulary(TF_KERAS, "SavedModel", as_json=True)),
    Case(ROW, "Keras 3 export, vocab.txt", with_vocabulary(KERAS, "export")),
    Case(ROW, "Keras 3 .keras, vocab.txt", with_vocabulary(KERAS, ".keras")),
    Case(
        ROW,
        "tf_keras SavedModel, vocab.txt, no length",
        with_vocabulary(TF_KERAS, "SavedModel", declared=""),
    ),
    Case(ROW, "tf_keras SavedModel, no tokenizer", _by_ids(TF_KERAS, "SavedModel")),
    Case(ROW, "tf_keras .h5, no tokenizer", _by_ids(TF_KERAS, ".h5")),
    Case(ROW, "Keras 3 .keras, no tokenizer", _by_ids(KERAS, ".keras")),
    Case(ROW, "fixed (128,), tf_keras SavedModel", _by_ids(TF_KERAS, "SavedModel", fixed=128)),
    Case(ROW, "fixed (128,), Keras 3 .keras", _by_ids(KERAS, ".keras", fixed=128)),
    Case(ROW, "ids alone, tf_keras .keras", _by_ids(TF_KERAS, ".keras", masked=False)),
    Case(
        ROW,
        "a vocabulary larger than the table",
        with_vocabulary(TF_KERAS, "SavedModel", words=len(VOCABULARY) + 7),
        becomes=REFUSED,
        says=str(len(VOCABULARY)),
    ),
)
