"""Dropout masks as a function of a key: no generator, no state, the same on every machine.

A key is made by folding one number after the other into it: the seed, the sample's number and the row's, then, in the
graph, the number of the dropout and the place along each axis on which its mask is drawn. So a row's mask knows neither
the rows beside it nor their padding. `fold` is a step of SplitMix64 (Steele, Lea, Flood 2014, Fast Splittable
Pseudorandom Number Generators) whose state is the key and whose increment is the number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.int64]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, eq=False)
class Draw:
    """What makes the masks of n rows.

    Attributes:
        row_keys: int64 [n], of masks that each row has of its own.
        shared_keys: int64 [n], of masks that all rows of a sample share.
        rates: float32 [sites + 1], as `prepared` says; 0: not active.
    """

    row_keys: Keys
    shared_keys: Keys
    rates: NDArray[np.float32]


def fold(keys: NDArray[np.uint64], numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Keys with a number each put into them, uint64; shapes are broadcast."""
    mixed = keys + _GAMMA * (numbers + np.uint64(1))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def keys_of(seed: int, samples: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[Keys, Keys]:
    """The keys of rows in samples, by their numbers.

    Args:
        seed: Any 64-bit number.
        samples: int64 [n].
        rows: int64 [n].

    Returns:
        `row_keys` and `shared_keys`, as of `Draw`.
    """
    begin = fold(np.zeros(1, np.uint64), np.array([seed], np.int64).view(np.uint64))
    shared = fold(begin, samples.astype(np.int64).view(np.uint64))
    own = fold(shared, rows.astype(np.int64).view(np.uint64))
    return own.view(np.int64), shared.view(np.int64)


def hashes(
    keys: Keys, site: int, shape: tuple[int, ...] = (), shared: tuple[int, ...] = ()
) -> NDArray[np.uint64]:
    """What noise is made of, uint64 [n, *shape], 1 long along shared axes.

    Args:
        keys: int64 [n].
        site: The number of the dropout in `Manifest.sites`; of the embedding itself the one behind the last.
        shape: Of a row.
        shared: Axes along which one draw is shared, 1 the first behind the batch.
    """
    found = fold(keys.view(np.uint64), np.array([site], np.uint64))
    for axis, length in enumerate(shape, 1):
        places = np.arange(length, dtype=np.uint64)
        found = found[..., None] if axis in shared else fold(found[..., None], places)
    return found


def uniform(
    keys: Keys, site: int, shape: tuple[int, ...] = (), shared: tuple[int, ...] = ()
) -> NDArray[np.float32]:
    """Numbers in [0, 1) of 24 bits, float32, what a mask is made of; arguments and shape as of `hashes`."""
    return _of_bits(hashes(keys, site, shape, shared) >> np.uint64(40))


def normal(keys: Keys, site: int, shape: tuple[int, ...] = ()) -> NDArray[np.float32]:
    """Standard normal numbers float32 by Box and Muller (1958); arguments and shape as of `hashes`.

    The radius is made of a hash's upper 24 bits, the angle of its lower ones.
    """
    found = hashes(keys, site, shape)
    radius = _of_bits(found >> np.uint64(40)) + np.float32(2.0**-24)  # in (0, 1]
    angle = _of_bits(found & np.uint64((1 << 24) - 1)) * np.float32(2 * np.pi)
    return np.asarray(np.sqrt(-2 * np.log(radius)) * np.cos(angle), dtype=np.float32)


def dropped(values: NDArray[np.float32], keys: Keys, site: int, rate: float) -> NDArray[np.float32]:
    """Inverted dropout of rows float32 [n, d], every number by itself: 0 with probability `rate`, else / (1 - rate)."""
    kept = uniform(keys, site, values.shape[1:]) >= np.float32(rate)
    return np.where(kept, values / np.float32(1.0 - rate), np.float32(0.0)).astype(np.float32)


def _of_bits(whole: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Whole numbers of 24 bits as numbers in [0, 1)."""
    return np.asarray(whole.astype(np.float32) * np.float32(2.0**-24))
