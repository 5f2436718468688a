"""The masks of `penult_service.masks` in TensorFlow, bit by bit, and what each kind of layer does with them.

A row's mask is a function of its key and of the places along the axes; nothing here draws a number. Unsigned 64-bit
arithmetic wraps around in both. Of a tensor whose first axis is rows times something (`Recipe.stacked`), the place
within the row is the first of the axes: `masks.uniform(keys, site, (k, *rest))`, its first two axes one.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

import numpy as np
import tensorflow as tf

from penult_service.preparing.graph import FlatGraph, flatten

# Arguments and result of the function that `traced` gives.
VALUES, KEYS, SITE, RATES, DROPPED = "values", "keys", "site", "rates", "dropped"
_GAMMA, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_BITS = 24  # of a uniform number
# Of the self-normalizing activation that AlphaDropout keeps the mean and variance of (Klambauer et al. 2017).
_ALPHA = 1.6732632423543772848170429916717
_SCALE = 1.0507009873554804934193349852946


@dataclass(frozen=True)
class Recipe:
    """How one dropout is put back.

    Attributes:
        kind: The Keras class that it works as: Dropout (the spatial ones too), AlphaDropout, GaussianDropout or
            GaussianNoise, whose rate is its standard deviation.
        rank: Axes of what it drops.
        shared: Axes along which one draw is shared, 0 the batch.
        stacked: Whether the first axis is rows times something, row by row.
    """

    kind: str
    rank: int
    shared: tuple[int, ...] = ()
    stacked: bool = False


def fold(keys: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """As `masks.fold`: keys with a number each put into them, uint64; shapes are broadcast."""
    mixed = keys + _constant(_GAMMA) * (numbers + _constant(1))
    mixed = (mixed ^ _shifted(mixed, 30)) * _constant(_FIRST)
    mixed = (mixed ^ _shifted(mixed, 27)) * _constant(_SECOND)
    return mixed ^ _shifted(mixed, 31)


def hashes(
    keys: tf.Tensor, site: tf.Tensor, dims: tf.Tensor, rank: int, shared: Collection[int], stacked: bool
) -> tf.Tensor:
    """What `masks.uniform` makes its numbers of: uint64 of that rank, 1 long along shared axes.

    Args:
        keys: uint64 [n].
        site: uint64 [], the number of the dropout.
        dims: int32 [rank], of the tensor that is dropped.
        rank: Its axes.
        shared: Axes along which one draw is shared; that `keys` are shared ones then is up to the caller.
        stacked: Whether the first axis is n times something.
    """
    found = fold(keys, site)
    if stacked:
        count = dims[0] // tf.maximum(tf.size(keys), 1)
        column = found[:, tf.newaxis]
        column = tf.tile(column, [1, count]) if 0 in shared else fold(column, _places(count))
        found = tf.reshape(column, [-1])
    for axis in range(1, rank):
        found = tf.expand_dims(found, -1)
        if axis not in shared:
            found = fold(found, _places(dims[axis]))
    return found


def dropped(
    values: tf.Tensor, keys: tf.Tensor, site: tf.Tensor, rate: tf.Tensor, recipe: Recipe
) -> tf.Tensor:
    """The values with a dropout put on them, in their own dtype; at rate 0 they are what they were.

    Args:
        values: Float [n, ...], or [n * k, ...] when stacked.
        keys: uint64 [n].
        site: uint64 [].
        rate: float32 [].
        recipe: What the dropout does.
    """
    found = hashes(keys, site, tf.shape(values), recipe.rank, recipe.shared, recipe.stacked)
    if recipe.kind == "GaussianNoise":
        return values + tf.cast(rate * _normal(found), values.dtype)
    if recipe.kind == "GaussianDropout":
        return values * tf.cast(1 + tf.sqrt(rate / (1 - rate)) * _normal(found), values.dtype)
    # Whole numbers of 24 bits: at least rate * 2^24 exactly where the uniform number is at least the rate.
    least = tf.cast(tf.cast(tf.math.ceil(rate * 2.0**_BITS), tf.int64), tf.uint64)
    kept = _shifted(found, 64 - _BITS) >= least
    if recipe.kind == "AlphaDropout":
        return _alpha_dropped(values, kept, rate)
    return tf.where(kept, values / tf.cast(1 - rate, values.dtype), tf.zeros([], values.dtype))


@cache
def traced(recipe: Recipe, dtype: tf.DType) -> FlatGraph:
    """A graph of `dropped` with inputs `VALUES`, `KEYS` (int64), `SITE` (int32 []) and `RATES`, and output `DROPPED`.

    The rate is the one at the site's number among `RATES`.
    """
    specs = [
        tf.TensorSpec([None] * recipe.rank, dtype, VALUES),
        tf.TensorSpec([None], tf.int64, KEYS),
        tf.TensorSpec([], tf.int32, SITE),
        tf.TensorSpec([None], tf.float32, RATES),
    ]

    @tf.function(input_signature=specs, autograph=False)
    def put(values: tf.Tensor, keys: tf.Tensor, site: tf.Tensor, rates: tf.Tensor) -> dict[str, tf.Tensor]:
        number = tf.cast(site, tf.uint64)
        return {DROPPED: dropped(values, tf.cast(keys, tf.uint64), number, tf.gather(rates, site), recipe)}

    return flatten(put.get_concrete_function())


def _alpha_dropped(values: tf.Tensor, kept: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
    """What is dropped becomes the activation's lower end, and all is moved and scaled back to its mean and variance."""
    low = -_ALPHA * _SCALE
    scale = 1 / tf.sqrt((1 - rate) * (1 + rate * low**2))
    shift = -scale * low * rate
    there = tf.where(kept, values, tf.constant(low, values.dtype))
    return there * tf.cast(scale, values.dtype) + tf.cast(shift, values.dtype)


def _normal(found: tf.Tensor) -> tf.Tensor:
    """Standard normal numbers float32 by Box and Muller (1958), of two halves of a hash, 24 bits each."""
    radius = (tf.cast(_shifted(found, 64 - _BITS), tf.float32) + 1) * 2.0**-_BITS  # in (0, 1]
    low = found & _constant((1 << _BITS) - 1)
    angle = tf.cast(low, tf.float32) * (2 * math.pi * 2.0**-_BITS)
    return tf.sqrt(-2 * tf.math.log(radius)) * tf.cos(angle)


def _places(length: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.range(length), tf.uint64)


def _shifted(numbers: tf.Tensor, bits: int) -> tf.Tensor:
    return tf.bitwise.right_shift(numbers, _constant(bits))


def _constant(number: int) -> tf.Tensor:
    return tf.constant(np.uint64(number))
