"""How well new rows lie on a map, of each row, so that differences come with an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from bench_data import texts_of
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NEIGHBORS = 15
_BLOCK = 500
_RESAMPLES = 2_000


def mixed(count: int) -> NDArray[np.float32]:
    """Real rows [count, 384] of several kinds in a drawn order, of unit length; at most 26,000."""
    from penult_service.analysis.fitting import fitting

    names = ("banking77_train", "banking77_test", "sst2_train", "sst2_dev", "sms_spam")
    rows = np.concatenate([texts_of(name).vectors for name in names])
    rows = rows[np.random.default_rng(0).permutation(len(rows))[:count]]
    return np.ascontiguousarray(fitting(rows, "cosine").rows)


@dataclass(frozen=True, eq=False)
class Scores:
    """Of each new row [n]: how far its neighbours on the map, which are fitted rows, are its neighbours.

    `trust` is its part in the trustworthiness (Venna and Kaski 2001), `purity` the share of the neighbours on the map
    with its label, `kept` the share of its 15 nearest fitted rows among them.
    """

    trust: Floats
    purity: Floats
    kept: Floats


def scores(
    places: NDArray[Any],
    new: NDArray[np.float32],
    labels: NDArray[Any],
    map_places: NDArray[Any],
    fitted: NDArray[np.float32],
    fitted_labels: NDArray[Any],
) -> Scores:
    """Of new rows [n, d] at `places` on a map of fitted rows [m, d] at `map_places`; rows are of unit length."""
    parts = [
        _of_block(slice(at, at + _BLOCK), places, new, labels, map_places, fitted, fitted_labels)
        for at in range(0, len(new), _BLOCK)
    ]
    return Scores(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _of_block(
    block: slice,
    places: NDArray[Any],
    new: NDArray[np.float32],
    labels: NDArray[Any],
    map_places: NDArray[Any],
    fitted: NDArray[np.float32],
    fitted_labels: NDArray[Any],
) -> tuple[Floats, Floats, Floats]:
    k, m = NEIGHBORS, len(fitted)
    far = -(new[block] @ fitted.T)
    on_map = sum(
        (places[block, None, x].astype(float) - map_places[None, :, x]) ** 2 for x in range(places.shape[1])
    )
    near = np.argpartition(on_map, k, axis=1)[:, :k]
    nearest = np.argpartition(far, k, axis=1)[:, :k]
    own = np.take_along_axis(far, near, axis=1)
    ranks = np.stack([(far < own[:, [j]]).sum(axis=1) + 1 for j in range(k)], axis=1)
    trust = 1 - 2 * np.maximum(ranks - k, 0).sum(axis=1) / (k * (2 * m - 3 * k - 1))
    purity = (fitted_labels[near] == labels[block][:, None]).mean(axis=1)
    kept = np.array([len(np.intersect1d(*pair)) for pair in zip(near, nearest, strict=True)]) / k
    return trust, purity, kept


def difference(ours: Floats, theirs: Floats) -> str:
    """Mean of the differences, row by row, with its 95 % interval over bootstrap samples of the rows."""
    each = ours - theirs
    random = np.random.default_rng(0)
    means = [each[random.integers(0, len(each), len(each))].mean() for _ in range(_RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{each.mean():+.4f} ({low:+.4f} to {high:+.4f})"
