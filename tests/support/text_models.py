"""Small text classifiers without a BERT: a word table, an embedding, a pooling, and whatever head a test wants.

Saving and preparing one takes about two seconds, a tenth of what the seed's model takes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from penult_service.preparing.formats.tf_keras_saved_model import FORMAT
from penult_service.preparing.graph import flatten
from penult_service.preparing.opened import Input, Layer, Opened
from support import seed_model as seeds
from support.formats import kit
from support.formats.kit import TF_KERAS, Kit

TEXTS, WIDTH, LENGTH = list(kit.TEXTS), kit.WIDTH, kit.LENGTH
_KIT = Kit(TF_KERAS)


def layers() -> Any:
    """`tf_keras.layers`."""
    return seeds.keras().layers


def text_input() -> Any:
    """String [n], symbolic."""
    return _KIT.text()


def vectors(text: Any, *, masked: bool = True, length: int | None = LENGTH) -> Any:
    """Word vectors float32 [n, length, WIDTH]; padded to the longest text of a batch when `length` is None."""
    return _KIT.table(masked=masked)(_KIT.words(length)(text))


def pooled(text: Any, *, masked: bool = True, length: int | None = LENGTH) -> Any:
    """Their average float32 [n, WIDTH]; over the padding too when not masked."""
    return _KIT.average()(vectors(text, masked=masked, length=length))


def dense(units: int, name: str, activation: str | None = None) -> Any:
    """A dense layer with random weights and biases, the same every time."""
    return layers().Dense(
        units, activation, kernel_initializer=normal(2), bias_initializer=normal(3), name=name
    )


def normal(seed: int) -> Any:
    """Random weights far from 0."""
    return _KIT.normal(seed)


def save(model: Any, directory: Path) -> Path:
    """Saves it as a person would."""
    model.save(str(directory))
    return directory


def classifier(*, masked: bool = True, length: int | None = LENGTH, rate: float = 0.3) -> Any:
    """A tf_keras model: pooled text → `Dropout(name="dropout")` → softmax over 3."""
    text = text_input()
    dropped = layers().Dropout(rate, name="dropout")(pooled(text, masked=masked, length=length))
    return seeds.keras().Model(text, dense(3, "output", "softmax")(dropped))


def answers(model: Any, texts: list[str] = TEXTS) -> NDArray[Any]:
    """What the Keras model says of the texts, in inference."""
    import tensorflow as tf

    return np.asarray(model(tf.constant(texts), training=False))


def opened(function: Any, *noisy: tuple[str, str]) -> Opened:
    """A `tf.function` from string [n] to a dict, as if read from a file with these (name, class) of layers."""
    concrete = function.get_concrete_function()
    flat = flatten(concrete)
    found = tuple(Layer(f"root.{name}", name, kind, {"rate": 0.1}) for name, kind in noisy)
    ((name, text),) = flat.inputs.items()
    inputs = (Input(name, text, concrete.inputs[0].dtype, (None,)),)
    return Opened(Path("made-up"), FORMAT, None, concrete, flat, inputs, found)
