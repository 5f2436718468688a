"""The same small layers in every Keras: a word table, an embedding, a pooling, a head.

Nothing of Penult, and Python 3.10: TensorFlow of years ago runs this too (`scripts/old_tensorflow`).
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from support.formats.case import Array
from support.tiny_bert import WORDS, sample_texts

# The modules: Keras 2 as it is installed today, Keras 3, and Keras 2 as TensorFlow before 2.16 brings it along.
TF_KERAS, KERAS, OLD_KERAS = "tf_keras", "keras", "tensorflow.keras"
WIDTH, LENGTH = 8, 16
TEXTS = ("a good film", "the plot , and the music", "Unknown words", *sample_texts(5, seed=3, longest=30))


def texts(seed: int | None = None) -> Array:
    """Eight texts, some longer than `LENGTH` words; others for each seed."""
    return np.array(TEXTS if seed is None else sample_texts(len(TEXTS), seed=seed, longest=20))


@dataclass(frozen=True)
class Kit:
    """What all flavours of Keras have, with weights that are the same every time."""

    flavour: str

    @property
    def keras(self) -> Any:
        """The module; the text operations are registered."""
        os.environ["KERAS_BACKEND"] = "tensorflow"
        importlib.import_module("tensorflow_text")
        if self.flavour == OLD_KERAS:
            return importlib.import_module("tensorflow").keras
        return importlib.import_module(self.flavour)

    @property
    def layers(self) -> Any:
        """Its layers."""
        return self.keras.layers

    def text(self, name: str = "text") -> Any:
        """String [n], symbolic."""
        return self.layers.Input(shape=(), dtype="string", name=name)

    def words(self, length: int | None = LENGTH, **options: Any) -> Any:
        """Texts → word ids [n, length]; padded to the longest of a batch when `length` is None."""
        options = {"output_sequence_length": length, "standardize": "lower", "name": "words", **options}
        return self.layers.TextVectorization(vocabulary=list(WORDS), **options)

    def table(self, *, masked: bool = True, name: str = "vectors") -> Any:
        """Word ids → vectors [n, length, WIDTH]."""
        initial = self.normal(1)
        return self.layers.Embedding(
            len(WORDS) + 2, WIDTH, mask_zero=masked, embeddings_initializer=initial, name=name
        )

    def average(self, name: str = "average") -> Any:
        """Vectors → their average [n, WIDTH]."""
        return self.layers.GlobalAveragePooling1D(name=name)

    def dense(self, units: int, name: str = "output", activation: str | None = None, **options: Any) -> Any:
        """A dense layer with random weights and biases, other ones for each name."""
        seed = sum(map(ord, name))
        initial = {"kernel_initializer": self.normal(seed), "bias_initializer": self.normal(seed + 1)}
        return self.layers.Dense(units, activation, **initial, name=name, **options)

    def dropout(self, rate: float = 0.3, name: str = "dropout") -> Any:
        """A dropout."""
        return self.layers.Dropout(rate, name=name)

    def normal(self, seed: int) -> Any:
        """Random weights far from 0."""
        return self.keras.initializers.RandomNormal(stddev=0.5, seed=seed)

    def model(self, inputs: Any, outputs: Any, name: str | None = None) -> Any:
        """A functional model."""
        return self.keras.Model(inputs, outputs, **({} if name is None else {"name": name}))

    @contextmanager
    def policy(self, name: str) -> Any:
        """Layers made meanwhile compute in half precision."""
        keras = self.keras
        new = self.flavour == KERAS
        setter = keras.config.set_dtype_policy if new else keras.mixed_precision.set_global_policy
        setter(name)
        try:
            yield
        finally:
            setter("float32")


@dataclass(frozen=True)
class Network:
    """A live model.

    Attributes:
        kit: Its flavour.
        model: As it is saved.
        features: The tensor in front of the last dropout before the head, symbolic; or what makes it of the inputs
            (of a subclassed model); None: there is none.
        ids: The tensor of the token ids, symbolic, or what makes it; None: no comparison.
        given: What it is asked, by input name.
    """

    kit: Kit
    model: Any
    features: Any = None
    ids: Any = None
    given: Mapping[str, Array] = field(default_factory=lambda: {"text": texts()})

    def fitted(self, *targets: Array, loss: Any = "mse", optimizer: Any = "adam") -> Network:
        """The same after one step of training; random targets where none are given."""
        import tensorflow as tf

        rows = len(next(iter(self.given.values())))
        rng = np.random.default_rng(5)
        shapes = [tuple(output.shape)[1:] for output in self.model.outputs]
        wanted: Sequence[Any] = targets or [rng.normal(size=(rows, *shape)) for shape in shapes]
        self.model.compile(optimizer, loss)
        asked = [tf.constant(value) for value in self.given.values()]
        one = len(asked) == 1
        self.model.fit(
            asked[0] if one else asked,
            wanted[0] if len(wanted) == 1 else list(wanted),
            batch_size=rows,
            epochs=1,
            verbose=0,
        )
        return self


def by_hand(network: Network, what: Any) -> Array:
    """What the live layers make of the inputs, in inference: `what` is symbolic, or a function of the inputs."""
    import tensorflow as tf

    asked = [tf.constant(value) for value in network.given.values()]
    if callable(what) and not hasattr(what, "shape"):
        found = what(*asked)
    else:
        inner = network.kit.keras.Model(network.model.inputs, what)
        found = inner(asked if len(asked) > 1 else asked[0], training=False)
    if isinstance(found, tf.RaggedTensor):
        found = found.to_tensor()
    return as_numpy(found)


def as_numpy(tensor: Any) -> Array:
    """Half precision as float32, which NumPy can hold whatever it was."""
    import tensorflow as tf

    tensor = tf.convert_to_tensor(tensor)
    return np.asarray(tf.cast(tensor, tf.float32) if tensor.dtype in (tf.float16, tf.bfloat16) else tensor)


def predicted(network: Network) -> dict[str, Array]:
    """The model's own outputs in inference, by name."""
    import tensorflow as tf

    asked = [tf.constant(value) for value in network.given.values()]
    found = network.model(asked if len(asked) > 1 else asked[0], training=False)
    if isinstance(found, dict):
        return {name: as_numpy(value) for name, value in found.items()}
    values = found if isinstance(found, list | tuple) else [found]
    names = getattr(network.model, "output_names", None) or [f"output_{i + 1}" for i in range(len(values))]
    return {name: as_numpy(value) for name, value in zip(names, values, strict=True)}


def without_padding(ids: Array) -> list[list[int]]:
    """Integer [n, length] -> each row up to its last id that is not 0."""
    ends = [int(np.max(np.nonzero(row)[0], initial=-1)) + 1 for row in ids]
    return [row[:end].tolist() for row, end in zip(ids, ends, strict=True)]
