"""A live Keras model in training mode, its noise layers given the numbers of `masks` instead of random ones.

Keras itself says what shape it draws and what it does with the numbers: the oracle of what is put back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from penult_service import masks
from penult_service.masks import Draw
from penult_service.prepared import Site
from penult_service.preparing.formats.keras_marks import is_noise, layers_of

Array = NDArray[Any]
_AGAIN = re.compile(r"_\d+(?=$|#)")


@contextmanager
def keyed_noise(model: Any, sites: Sequence[Site], draw: Draw) -> Iterator[None]:
    """While it lasts, `model(rows, training=True)`, run eagerly once, draws what the keys say.

    Layers are found among the sites by their paths, calls by their order.
    """
    placed = {"/".join(one.path): one.layer for one in layers_of(model) if is_noise(one.layer)}
    # A layer without a name of its own is numbered when it is built, and again when it is loaded.
    numbers = {_AGAIN.sub("", site.path): number for number, site in enumerate(sites)}
    numbers |= {site.path: number for number, site in enumerate(sites)}
    drawn = {id(layer): _Drawn(path, numbers, draw) for path, layer in placed.items()}
    noise = placed.values()
    with ExitStack() as stack:
        if any(type(layer).__module__.startswith("tf_keras") for layer in noise):
            for layer in noise:
                stack.enter_context(mock.patch.object(layer, "_random_generator", drawn[id(layer)]))
        else:
            seeds = {
                id(layer.seed_generator): drawn[id(layer)]
                for layer in noise
                if hasattr(layer, "seed_generator")
            }
            for name in ("dropout", "normal", "uniform"):
                stack.enter_context(mock.patch(f"keras.src.backend.random.{name}", _by_seed(seeds, name)))
        yield


@dataclass
class _Drawn:
    """Stands in for the generator of one layer, under the names that tf_keras calls."""

    path: str
    numbers: dict[str, int]
    draw: Draw
    calls: int = field(default=0)

    def dropout(self, inputs: Any, rate: float, noise_shape: Any = None) -> Any:
        kept = self._uniform(tuple(inputs.shape), noise_shape) >= np.float32(rate)
        scaled = tf.cast(inputs, tf.float32) / np.float32(1 - np.float32(rate))
        return tf.cast(tf.where(kept, scaled, 0.0), inputs.dtype)

    def random_uniform(self, shape: Any, **_: Any) -> Any:
        lengths = tuple(int(n) for n in shape)
        return tf.constant(self._uniform(lengths, lengths))

    def random_normal(
        self, shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, **_: Any
    ) -> Any:
        found = self._hashes(tuple(int(n) for n in shape), ())
        radius = ((found >> np.uint64(40)).astype(np.float64) + 1) / 2**24
        angle = 2 * np.pi * (found & np.uint64(2**24 - 1)).astype(np.float64) / 2**24
        normal = np.sqrt(-2 * np.log(radius)) * np.cos(angle)
        return tf.cast(tf.constant(mean + stddev * normal), dtype or tf.float32)

    def _uniform(self, shape: tuple[int, ...], noise_shape: Any) -> Array:
        lengths = [
            int(n) if n is not None else shape[i]
            for i, n in enumerate(shape if noise_shape is None else noise_shape)
        ]
        lengths = [1] * (len(shape) - len(lengths)) + lengths
        shared = tuple(axis for axis, length in enumerate(lengths) if length == 1)
        return np.asarray(
            (self._hashes(shape, shared) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
        )

    def _hashes(self, shape: tuple[int, ...], shared: tuple[int, ...]) -> NDArray[np.uint64]:
        """Broadcast to the shape."""
        self.calls += 1
        name = self.path + (f"#{self.calls}" if self.calls > 1 else "")
        number = self.numbers[name if name in self.numbers else _AGAIN.sub("", name)]
        keys = self.draw.shared_keys if 0 in shared and shape[0] > 1 else self.draw.row_keys
        inner = shape[1:]
        if shape[0] != len(keys):  # rows times something
            inner, shared = (shape[0] // len(keys), *inner), tuple(axis + 1 for axis in shared)
        found = masks.fold(keys.view(np.uint64), np.array([number], np.uint64))
        for axis, length in enumerate(inner, 1):
            found = found[..., None]
            if axis not in shared:
                found = masks.fold(found, np.arange(length, dtype=np.uint64))
        return np.broadcast_to(found, (len(keys), *inner)).reshape(shape)


def _by_seed(seeds: dict[int, _Drawn], name: str) -> Callable[..., Any]:
    """The function of Keras 3 that draws, by the seed of the layer that calls it."""

    def drawing(*args: Any, seed: Any = None, **options: Any) -> Any:
        drawn = seeds[id(seed)]
        return getattr(drawn, {"dropout": name}.get(name, f"random_{name}"))(*args, **options)

    return drawing
