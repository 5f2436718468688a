"""Text classifiers of KerasHub (`support.tiny_keras_hub`) in every format."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from support import tiny_keras_hub as tiny
from support.formats.case import BFLOAT16, REFUSED, Case, Made
from support.formats.keras_formats import ARCHIVE, H5, save
from support.formats.kit import KERAS, Kit, texts

_NAMES = {"bert": "BERT", "distilbert": "DistilBERT", "roberta": "RoBERTa", "albert": "ALBERT"}
PRESET = "preset"


def saved(family: str, kind: str, *, policy: str = "", **options: Any) -> Callable[[Path], Made]:
    """A builder; `policy`: what the layers compute in."""

    def build(place: Path) -> Made:
        with Kit(KERAS).policy(policy) if policy else nullcontext():
            model = tiny.classifier(family, **options)
            told = _expected(model)
        return Made(_save(model, place, kind), **told)

    return build


def without_head(family: str) -> Callable[[Path], Made]:
    """The preset of an encoder: a classifier of it would have a random head."""

    def build(place: Path) -> Made:
        model = tiny.classifier(family)
        told = _expected(model)
        for part in (model.backbone, model.preprocessor):
            part.save_to_preset(str(place / "model"))
        return Made(place / "model", **told)

    return build


def ids_alone(place: Path) -> Made:
    """A classifier without its preprocessor takes token ids and a mask."""
    told = _expected(tiny.classifier("bert"))
    given = tiny.tokens(tiny.classifier("bert"), tiny.TEXTS)
    model = tiny.classifier("bert", with_preprocessor=False)
    return Made(_save(model, place, ARCHIVE), **told | {"given": given, "ids": None})


def pairs(family: str) -> Callable[[Path], Made]:
    """Two texts a row, packed by its own preprocessor."""

    def build(place: Path) -> Made:
        import tensorflow as tf

        model = tiny.classifier(family)
        given = {"text": texts(), "text_pair": texts(8)}
        # As `fit` calls it: a tuple without targets would be taken for texts and their targets.
        targets = tf.zeros(len(given["text"]))
        packed = tf.function(lambda *both: model.preprocessor(both, targets)[0], autograph=False)
        tokens = {name: value.numpy() for name, value in packed(*map(tf.constant, given.values())).items()}
        source = _save(model, place, PRESET)
        if family != "roberta":  # nothing in a preset says how many texts a row has
            (place / "penult.toml").write_text('[inputs]\ntext = "text"\ntext_pair = "text"\n')
        return Made(source, **_said(model, tokens) | {"given": given})

    return build


def _expected(model: Any) -> dict[str, Any]:
    return _said(model, tiny.tokens(model, tiny.TEXTS)) | {"given": {"text": np.array(tiny.TEXTS)}}


def _said(model: Any, tokens: dict[str, Any]) -> dict[str, Any]:
    """As `predict` computes it: in bfloat16 layers called one by one are up to 4e-2 away from that."""
    import keras

    inner = keras.Model(model.input, [model.output_dropout.input, model.output])
    features, logits = inner.predict(tokens, verbose=0)
    kept = tokens["padding_mask"].astype(bool)
    return {
        "outputs": {"logits": logits.astype(np.float32)},
        "embedding": features.astype(np.float32),
        "ids": [row[used].tolist() for row, used in zip(tokens["token_ids"], kept, strict=True)],
    }


def _save(model: Any, place: Path, kind: str) -> Path:
    if kind != PRESET:
        return save(model, place, kind)
    model.save_to_preset(str(place / "model"))
    return place / "model"


def _of_each(shape: str, build: Callable[[str], Callable[[Path], Made]], **more: Any) -> list[Case]:
    return [Case(f"KerasHub {_NAMES[family]}", shape, build(family), **more) for family in tiny.FAMILIES]


CASES = (
    *_of_each(ARCHIVE, lambda family: saved(family, ARCHIVE), quick=True),
    *_of_each(PRESET, lambda family: saved(family, PRESET)),
    *_of_each(H5, lambda family: saved(family, H5), becomes=REFUSED, says="vocab"),
    *_of_each("preset of an encoder", without_head, becomes=REFUSED, says="head"),
    *_of_each("preset, pairs", pairs),
    Case("KerasHub BERT", "preset, softmax", saved("bert", PRESET, activation="softmax")),
    Case("KerasHub BERT", ".keras, one sigmoid", saved("bert", ARCHIVE, classes=1, activation="sigmoid")),
    Case("KerasHub BERT", ".keras, no preprocessor", ids_alone),
    Case(
        "KerasHub BERT",
        "preset, mixed_bfloat16",
        saved("bert", PRESET, policy="mixed_bfloat16"),
        limit=BFLOAT16,
    ),
)
