"""Dropout of chosen columns only, which Keras' own `Dropout` cannot do with any `noise_shape`.

Each chosen column is dropped by itself, with probability `rate`, from each sample of its own draw (Srivastava et al.,
JMLR 2014, dropout of input units; Vincent et al., ICML 2008, denoising autoencoders whose noise is a number that is
missing); the other columns pass unchanged. Rescaled, what is kept of the chosen columns is divided by 1 - rate, so that
their expectation stays, as in Keras' `Dropout`; not rescaled, a kept number stays as it is, as a sensor's is that did
not fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from operator import index
from typing import Any

import numpy as np

PACKAGE = "penult"


@cache
def feature_dropout(keras: Any) -> type:
    """The class `FeatureDropout` for `keras` or `tf_keras`, registered there as ``penult>FeatureDropout``.

    Call it once before `load_model` of a `.keras` file that holds such a layer; a SavedModel needs it for nothing.
    """

    @keras.saving.register_keras_serializable(package=PACKAGE, name="FeatureDropout")
    class FeatureDropout(_FeatureDropout, keras.layers.Layer):
        __doc__ = _FeatureDropout.__doc__
        _dropout_of = keras.layers.Dropout
        _ops = _operations(keras)

    return FeatureDropout


class _FeatureDropout:
    """Drops chosen columns of float [n, k], or [n, steps, k], in training; hands on what it gets otherwise.

    In a sequence a column is dropped at all steps of a sample or at none, unless `per_step`. A mask of the steps is
    passed on. What is dropped becomes 0, also where it was NaN. Behind `Masking`, not in front of it: a step whose
    columns are all dropped would look like padding.

    Args:
        columns: Which, counted from 0; from the end where negative.
        rate: The probability of each, at least 0 and below 1.
        rescale: Whether what is kept of the chosen columns is divided by 1 - rate.
        per_step: Whether each step of a sequence draws its own.
        seed: Of the draws, as of Keras' `Dropout`: in Keras 3 layers of equal seeds draw the same, call by call; in
            tf_keras they do after `tf_keras.utils.set_random_seed`. None: drawn anew.

    Raises:
        ValueError: An argument out of range; a column that the inputs have not.
    """

    _dropout_of: Any
    _ops: Any

    def __init__(
        self,
        columns: int | Sequence[int],
        rate: float,
        rescale: bool = True,
        per_step: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        chosen = [columns] if isinstance(columns, int | np.integer) else columns
        self.columns = tuple(sorted({index(column) for column in chosen}))
        if not self.columns:
            raise ValueError("FeatureDropout: columns is empty; name at least one")
        if not 0 <= rate < 1:
            raise ValueError(f"FeatureDropout: rate is {rate}; it must be at least 0 and below 1")
        self.rate, self.rescale, self.per_step, self.seed = rate, rescale, per_step, seed
        self.supports_masking = True
        # Keras' own keeps the state of the draws. It sees ones, never the inputs, and in float32: half precision
        # has too few different numbers to draw from.
        self.draws = self._dropout_of(rate, seed=seed, dtype="float32", name="draws")

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Looks the columns up."""
        width, rank = input_shape[-1], len(input_shape)
        if rank < 2 or width is None:
            what = f"FeatureDropout takes [n, k] or [n, steps, k] with a fixed k, not {tuple(input_shape)}"
            raise ValueError(what)
        for column in self.columns:
            if not -width <= column < width:
                raise ValueError(f"FeatureDropout: there is no column {column}; the inputs have {width}")
        chosen = np.zeros(width, bool)
        chosen[list(self.columns)] = True
        self._spared = ~chosen
        self._scale = np.where(chosen, 1 / (1 - self.rate if self.rescale else 1), 1).astype(np.float32)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The inputs, with columns dropped if `training`."""
        if not training or not self.rate:
            return inputs
        scaled = inputs * self._ops.cast(self._scale, inputs.dtype)
        return self._ops.where(self.kept(inputs), scaled, self._ops.zeros_like(inputs))

    def kept(self, inputs: Any) -> Any:
        """Draws what is kept: bool [n, k]; of sequences [n, 1, k], or [n, steps, k] if `per_step`."""
        ones = self._ops.ones_like(inputs, dtype="float32")
        if not self.per_step:
            ones = ones[(slice(None), *[slice(0, 1)] * (len(inputs.shape) - 2))]
        return self._ops.logical_or(self.draws(ones, training=True) > 0, self._spared)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """As the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """What `from_config` takes."""
        own = ("rate", "rescale", "per_step", "seed")
        config: dict[str, Any] = super().get_config()  # type: ignore[misc]
        return config | {name: getattr(self, name) for name in own} | {"columns": list(self.columns)}


def _operations(keras: Any) -> Any:
    """What Keras 3 calls `keras.ops`, and for tf_keras TensorFlow itself: the names used here are the same."""
    if hasattr(keras, "ops"):
        return keras.ops
    import tensorflow as tf

    return tf
