"""The network of a Hugging Face classifier in TensorFlow operations: token ids in, logits out, dropout inactive.

As `convert` does for training, with Keras layers whose dropouts can act, this builds what is served: nothing in it is
random. Where a dropout acts in training stands an `Identity` by its name, as tf_keras leaves one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from penult_service.preparing.formats.hf_classifier import LOGITS, MULTILABEL, PROBABILITIES, SOFTMAX
from penult_service.preparing.formats.hf_files import ALIGNMENT, aligned
from penult_service.preparing.formats.hf_network import Network, Part

TOKENS = "last_hidden_state"
"""The name of the operation that gives the tokens' outputs, and of the readout."""
# Far below every score, so that padding gets no share at all: exp underflows to 0.
_MASKED = -1e9

_ACTIVATIONS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "gelu": lambda x: tf.nn.gelu(x, approximate=False),
    "gelu_new": lambda x: tf.nn.gelu(x, approximate=True),
    "gelu_pytorch_tanh": lambda x: tf.nn.gelu(x, approximate=True),
    "relu": tf.nn.relu,
    "tanh": tf.nn.tanh,
}


@dataclass(frozen=True)
class Mark:
    """Where a dropout acts in training: its name in the model, its rate, the operation that stands there.

    `rank` are the axes of what it drops; `stacked`: the first of them are the rows of tokens of all texts.
    """

    path: str
    rate: float
    operation: str
    rank: int
    stacked: bool


class HfNetwork(tf.Module):
    """The network with its weights; `function` is its inference function.

    Args:
        network: Sizes, rates and names.
        problem: What the logits mean, see `Classifier.problem`.
        tensors: Every weight by its name in the file. Those of dense layers are turned, to [inputs, outputs].
        types: Whether token types are given; else all are 0.
    """

    def __init__(
        self, network: Network, problem: str, tensors: Iterable[tuple[str, NDArray[np.float32]]], types: bool
    ) -> None:
        super().__init__()
        self._network = network
        self._problem = problem
        tables = {part.path for part in network.embeddings().values() if not part.bias}
        self._weights = {
            name: _table(name, value)
            if name.removesuffix(".weight") in tables
            else _variable(name, value.T if value.ndim == 2 else value)
            for name, value in tensors
        }
        self._trace = _Trace()
        names = ("input_ids", "input_mask", *(["input_types"] if types else []))
        specs = [tf.TensorSpec([None, None], tf.int32, name=name) for name in names]
        self.function = tf.function(
            self._call, input_signature=specs, autograph=False
        ).get_concrete_function()

    @property
    def network(self) -> Network:
        """Sizes, rates and names."""
        return self._network

    @property
    def marks(self) -> tuple[Mark, ...]:
        """Every dropout of the model, in order; the last one is the head's."""
        return tuple(self._trace.marks)

    def _call(self, ids: tf.Tensor, mask: tf.Tensor, types: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        self._trace = _Trace()
        network = self._network
        shape = tf.shape(ids)
        hidden = self._embedded(ids, types)
        masked = (1.0 - tf.cast(mask, tf.float32))[:, None, None, :] * _MASKED
        for path in network.layers:
            hidden = self._layer(path, hidden, masked, shape)
        width = network.encoder.width
        tokens = tf.identity(tf.reshape(hidden, [shape[0], shape[1], width]), name=TOKENS)
        logits = tf.identity(self._head(tokens[:, 0]), name=LOGITS)
        outputs = {LOGITS: logits}
        if self._problem == SOFTMAX:
            outputs[PROBABILITIES] = tf.nn.softmax(logits)
        elif self._problem == MULTILABEL:
            outputs[PROBABILITIES] = tf.nn.sigmoid(logits)
        return outputs

    def _embedded(self, ids: tf.Tensor, types: tf.Tensor | None) -> tf.Tensor:
        """Float32 [n * length, width]: rows of all texts below each other, as the layers take them."""
        network, parts = self._network, self._network.embeddings()
        config = network.encoder
        x = self._rows(parts["words"], ids) + self._rows(parts["positions"], self._positions(ids))
        if network.family.types:
            x += self._rows(parts["types"], tf.zeros_like(ids) if types is None else types)
        x = tf.reshape(x, [-1, network.embedding_width])
        x = self._norm(parts["norm"], x)
        x = self._site(x, f"{network.family.prefix}.embeddings.dropout", config.hidden_dropout, stacked=True)
        return self._dense(parts["project"], x) if network.project else x

    def _positions(self, ids: tf.Tensor) -> tf.Tensor:
        if not self._network.family.behind_padding:
            return tf.range(tf.shape(ids)[1])[None, :]
        padding = self._network.padding
        real = tf.cast(tf.not_equal(ids, padding), tf.int32)
        return tf.cumsum(real, axis=1) * real + padding

    def _layer(self, path: str, x: tf.Tensor, masked: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        parts, config = self._network.layer(path), self._network.encoder
        attended = self._dense(parts["attended"], self._attention(path, x, masked, shape))
        attended = self._layer_site(attended, path, "attended", config.hidden_dropout)
        x = self._norm(parts["attended_norm"], x + attended)
        inner = _ACTIVATIONS[config.activation](self._dense(parts["inner"], x))
        outer = self._dense(parts["outer"], inner)
        outer = self._layer_site(outer, path, "outer", config.hidden_dropout)
        return self._norm(parts["outer_norm"], x + outer)

    def _attention(self, path: str, x: tf.Tensor, masked: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        parts, config = self._network.layer(path), self._network.encoder
        size = config.width // config.heads

        def split(part: str) -> tf.Tensor:
            tensor = tf.reshape(self._dense(parts[part], x), [shape[0], shape[1], config.heads, size])
            return tf.transpose(tensor, [0, 2, 1, 3])

        scores = tf.matmul(split("query"), split("key"), transpose_b=True) * (1 / math.sqrt(size))
        shares = tf.nn.softmax(scores + masked)
        shares = self._layer_site(shares, path, "shares", config.attention_dropout)
        mixed = tf.transpose(tf.matmul(shares, split("value")), [0, 2, 1, 3])
        return tf.reshape(mixed, [-1, config.width])

    def _head(self, x: tf.Tensor) -> tf.Tensor:
        family, parts = self._network.family, self._network.head()
        rate = self._network.classifier_dropout
        if family.twice:
            x = self._site(x, family.dropout, rate)
        x = _ACTIVATIONS[family.activation](self._dense(parts["hidden"], x))
        return self._dense(parts["out"], self._site(x, family.dropout, rate))

    def _layer_site(self, x: tf.Tensor, path: str, name: str, rate: float) -> tf.Tensor:
        place = self._network.family.sites.get(name)
        return x if place is None else self._site(x, f"{path}.{place}", rate, stacked=x.shape.rank == 2)

    def _site(self, x: tf.Tensor, path: str, rate: float, *, stacked: bool = False) -> tf.Tensor:
        here = tf.identity(x, name=path.replace(".", "/"))
        self._trace.marks.append(Mark(path, rate, here.op.name, x.shape.rank, stacked))
        return here

    def _rows(self, part: Part, numbers: tf.Tensor) -> tf.Tensor:
        return tf.gather(self._weights[f"{part.path}.weight"], numbers)

    def _dense(self, part: Part, x: tf.Tensor) -> tf.Tensor:
        product = tf.matmul(x, self._weights[f"{part.path}.weight"])
        return tf.nn.bias_add(product, self._weights[f"{part.path}.bias"])

    def _norm(self, part: Part, x: tf.Tensor) -> tf.Tensor:
        mean, variance = tf.nn.moments(x, [-1], keepdims=True)
        shift, scale = (self._weights[f"{part.path}.{name}"] for name in ("bias", "weight"))
        return tf.nn.batch_normalization(x, mean, variance, shift, scale, self._network.encoder.epsilon)


@dataclass
class _Trace:
    marks: list[Mark] = field(default_factory=list)


def _table(name: str, value: NDArray[np.float32]) -> tf.Variable:
    """On memory of its own: to gather rows of a variable, TensorFlow would make a copy of any other at once."""
    return tf.Variable(tf.raw_ops.DeepCopy(x=_tensor(value)), name=name)


def _variable(name: str, value: NDArray[np.float32]) -> tf.Variable:
    """Weights of dense layers are given as a product with rows of inputs takes them."""
    return tf.Variable(_tensor(value), name=name)


def _tensor(value: NDArray[np.float32]) -> tf.Tensor:
    """On the memory of the values, when they are `aligned`; TensorFlow would make two copies of others."""
    if not value.flags.c_contiguous or value.ctypes.data % ALIGNMENT:
        value, given = aligned(value.shape), value
        value[...] = given
    return tf.experimental.dlpack.from_dlpack(value.__dlpack__())
