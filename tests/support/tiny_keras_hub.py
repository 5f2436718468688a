"""Tiny KerasHub classifiers of four families, with random weights and vocabularies trained on the spot.

What they say of a text (`predicted`) and what stands in front of their last dropout (`features`) come from KerasHub
itself, by its own preprocessor as `fit` and `predict` run it: inside a function of TensorFlow. Called outside of one it
runs other code, which cuts a few texts otherwise.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from support.tiny_bert import VOCABULARY, sample_texts

FAMILIES = ("bert", "distilbert", "roberta", "albert")
LENGTH, WIDTH, CLASSES = 24, 16, 3
# The layer whose input is read.
SEAMS = {
    "bert": "classifier_dropout",
    "distilbert": "output_dropout",
    "roberta": "output_dropout",
    "albert": "output_dropout",
}
TEXTS = (
    "a good film",
    "The plot , and the MUSIC",
    "",
    "naïve café 日本語 don't",
    *sample_texts(6, seed=5, longest=30),
)
_NAMES = {"bert": "Bert", "distilbert": "DistilBert", "roberta": "Roberta", "albert": "Albert"}


def models() -> Any:
    """`keras_hub.models`."""
    import keras_hub

    return keras_hub.models


def classifier(
    family: str,
    *,
    classes: int = CLASSES,
    with_preprocessor: bool = True,
    length: int = LENGTH,
    seed: int = 0,
    tokenizer: Any = None,
    **settings: Any,
) -> Any:
    """A classifier; `settings` go to its constructor. Same arguments, same weights."""
    pieces = tokenizer or made_tokenizer(family)
    preprocessor = None
    if with_preprocessor:
        preprocessor = _made(family, "TextClassifierPreprocessor")(pieces, sequence_length=length)
    settings = {"dropout": 0.1} | settings
    model = _made(family, "TextClassifier")(
        made_backbone(family, pieces.vocabulary_size(), length),
        num_classes=classes,
        preprocessor=preprocessor,
        **settings,
    )
    randomize(model, seed)
    return model


def made_backbone(family: str, words: int, length: int = LENGTH) -> Any:
    """An encoder of two layers, its weights as Keras makes them."""
    sizes: dict[str, Any] = {
        "vocabulary_size": words,
        "num_layers": 2,
        "num_heads": 2,
        "hidden_dim": WIDTH,
        "intermediate_dim": 2 * WIDTH,
        "max_sequence_length": length,
    }
    if family == "albert":
        sizes["embedding_dim"] = WIDTH // 2
    return _made(family, "Backbone")(**sizes)


def randomize(model: Any, seed: int = 0) -> None:
    """Gives every weight values far from those that Keras begins with."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        values = rng.standard_normal(weight.shape) * 0.3
        weight.assign(values + 1 if weight.path.endswith("gamma") else values)


def made_tokenizer(family: str, **settings: Any) -> Any:
    """A tokenizer of the family; word pieces lower the case unless `settings` say otherwise."""
    kind = _made(family, "Tokenizer")
    if family == "roberta":
        vocabulary, merges = byte_pairs()
        return kind(dict(vocabulary), list(merges), **settings)
    if family == "albert":
        return kind(pieces(), **settings)
    return kind(list(VOCABULARY), **{"lowercase": True, **settings})


@cache
def byte_pairs() -> tuple[dict[str, int], tuple[str, ...]]:
    """A vocabulary of byte pairs and its merges."""
    from tokenizers import Tokenizer, pre_tokenizers, trainers
    from tokenizers import models as kinds

    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained = Tokenizer(kinds.BPE())
    trained.pre_tokenizer = level
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=special, initial_alphabet=level.alphabet(), show_progress=False
    )
    trained.train_from_iterator(sample_texts(200, seed=7), trainer)
    model = json.loads(trained.to_str())["model"]
    return model["vocab"], tuple(" ".join(merge) for merge in model["merges"])


@cache
def pieces() -> bytes:
    """A sentencepiece model."""
    import sentencepiece

    held = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sample_texts(200, seed=7)),
        model_writer=held,
        vocab_size=150,
        model_type="unigram",
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        pad_piece="<pad>",
        unk_piece="<unk>",
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        user_defined_symbols="[MASK]",
        minloglevel=2,
    )
    return held.getvalue()


def tokens(model: Any, texts: Sequence[str]) -> dict[str, NDArray[Any]]:
    """What its own preprocessor makes of the texts when `fit` and `predict` call it."""
    return tokens_of(model.preprocessor, texts)


def tokens_of(preprocessor: Any, texts: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The same of a preprocessor."""
    import tensorflow as tf

    traced = tf.function(preprocessor, autograph=False)
    return {name: value.numpy() for name, value in traced(tf.constant(list(texts))).items()}


def features(model: Any, given: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """Float32 [n, d]: the input of the head's last dropout."""
    import keras

    front = model.get_layer(SEAMS[_family(model)]).input
    return np.asarray(keras.Model(model.input, front)(given, training=False))


def predicted(model: Any, texts: Sequence[str]) -> NDArray[Any]:
    """What its `predict` says of the texts."""
    return np.asarray(model.predict(list(texts), verbose=0))


def _family(model: Any) -> str:
    return next(name for name, start in _NAMES.items() if type(model).__name__ == f"{start}TextClassifier")


def _made(family: str, ending: str) -> Any:
    return getattr(models(), _NAMES[family] + ending)
