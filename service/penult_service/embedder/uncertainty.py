"""What samples with active dropout say of a row: mean, spread, and, of class probabilities, how unsure the model is.

The measures are those of Gal (2016), Uncertainty in Deep Learning, section 3.3.1, over T samples p_1 ... p_T of the
class probabilities of a row:

    predictive entropy   H[m] = - sum_c m_c log m_c,  where m = 1/T sum_t p_t
    mutual information   H[m] - 1/T sum_t H[p_t]      (BALD: Houlsby et al. 2011, Bayesian Active Learning)
    variation ratio      1 - f/T,  f the number of samples whose class is the most frequent one

Entropies are in nats. Of several labels, each of which is there or not, H is the sum of the entropies of the single
labels (as if they were independent), and the "class" of a sample is its set of labels with probabilities of at least
a half. What is summed is summed in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penult_service.prepared import Head
from penult_service.vectors import FloatMatrix

CLASSIFIERS = ("softmax", "sigmoid", "multilabel")
Column = NDArray[np.float32]
_BLOCK = 1 << 20  # numbers that are worked on at a time


@dataclass(frozen=True, eq=False)
class Statistics:
    """Of n rows; NaN, and class -1, of a row whose samples are NaN.

    `mean` and `std` (divided by the number of samples) float32 [n, k]; `entropy`, `mutual_information` and
    `variation_ratio` float32 [n], `predicted` int32 [n], the class of the largest mean: empty for no classifier.
    """

    mean: FloatMatrix
    std: FloatMatrix
    entropy: Column
    mutual_information: Column
    variation_ratio: Column
    predicted: NDArray[np.int32]


def statistics(samples: FloatMatrix, head: Head) -> Statistics:
    """Of samples float32 [n, s, k] of what such a head gives, n and s at least 1."""
    rows, count, classes = samples.shape
    step = max(1, _BLOCK // (count * classes))
    parts = [_of(samples[start : start + step], head.kind) for start in range(0, rows, step)]
    return Statistics(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _of(samples: FloatMatrix, kind: str) -> tuple[NDArray[np.generic], ...]:
    """The fields of `Statistics`, of some rows."""
    mean = samples.mean(axis=1, dtype=np.float64)
    std, own = _spread(samples, mean, kind)
    figures: tuple[NDArray[np.generic], ...] = (_narrow(mean), _narrow(std))
    if kind not in CLASSIFIERS:
        nothing = np.empty(0, np.float32)
        return (*figures, nothing, nothing, nothing, np.empty(0, np.int32))
    entropy = _entropy(mean, kind)
    # Entropy is concave, so that only rounding takes this below 0.
    information = np.maximum(entropy - own, 0.0)
    failed = np.isnan(mean).any(axis=1)
    ratio = np.where(failed, np.nan, 1.0 - _most_frequent(samples, kind) / samples.shape[1])
    predicted = np.where(failed, -1, mean.argmax(axis=1)).astype(np.int32)
    return (*figures, _narrow(entropy), _narrow(information), _narrow(ratio), predicted)


def _spread(
    samples: FloatMatrix, mean: NDArray[np.float64], kind: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Standard deviation [n, k] and, of a classifier, the mean entropy of a sample [n]; some samples at a time."""
    rows, count, classes = samples.shape
    squares, entropies = np.zeros((rows, classes)), np.zeros(rows)
    step = max(1, _BLOCK // (rows * classes))
    for start in range(0, count, step):
        wide = samples[:, start : start + step].astype(np.float64)
        squares += np.square(wide - mean[:, None]).sum(axis=1)
        if kind in CLASSIFIERS:
            entropies += _entropy(wide, kind).sum(axis=1)
    return np.sqrt(squares / count), entropies / count


def _entropy(probabilities: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    """Along the last axis, at least 0: rounding makes probabilities that are a little above 1."""
    inside = np.clip(probabilities, 0.0, 1.0)
    found = _surprise(inside) + (_surprise(1.0 - inside) if kind == "multilabel" else 0.0)
    return np.asarray(found.sum(axis=-1))


def _surprise(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """- p log p; 0 at 0."""
    logarithms = np.log(np.where(probabilities == 0.0, 1.0, probabilities))
    return np.asarray(-probabilities * logarithms)


def _most_frequent(samples: FloatMatrix, kind: str) -> NDArray[np.int64]:
    """How many samples of each row, int64 [n], have the class that most have."""
    rows, count, _ = samples.shape
    if kind == "multilabel":
        sets = np.packbits(samples >= 0.5, axis=2).reshape(rows * count, -1)
        votes = np.unique(sets, axis=0, return_inverse=True)[1].reshape(rows, count)
    else:
        votes = samples.argmax(axis=2)
    kinds = int(votes.max()) + 1
    found, numbers = np.unique(votes + np.arange(rows)[:, None] * kinds, return_counts=True)
    most = np.zeros(rows, np.int64)
    np.maximum.at(most, found // kinds, numbers)
    return most


def _narrow(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype(np.float32)
