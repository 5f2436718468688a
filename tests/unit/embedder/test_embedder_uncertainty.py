"""Statistics of samples: against values by hand, and scipy's entropy."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from penult_service.embedder import uncertainty
from penult_service.embedder.uncertainty import statistics
from penult_service.prepared import Head
from scipy.stats import entropy as scipy_entropy

SOFTMAX = Head("softmax", "output", 3)
LN2 = float(np.log(2.0))


def softmax_samples(rows: int, samples: int, classes: int, seed: int = 5) -> np.ndarray:
    draws = np.random.default_rng(seed).dirichlet(np.full(classes, 0.5), size=(rows, samples))
    return draws.astype(np.float32)


def test_values_by_hand() -> None:
    """Two sure samples that disagree: all of the entropy is mutual information; two that agree in doubt: none."""
    samples = np.array([[[1, 0], [0, 1]], [[0.5, 0.5], [0.5, 0.5]], [[1, 0], [1, 0]]], np.float32)
    found = statistics(samples, Head("sigmoid", "output", 2))
    np.testing.assert_array_equal(found.mean, [[0.5, 0.5], [0.5, 0.5], [1, 0]])
    np.testing.assert_array_equal(found.std, [[0.5, 0.5], [0, 0], [0, 0]])
    np.testing.assert_allclose(found.entropy, [LN2, LN2, 0], atol=1e-7)
    np.testing.assert_allclose(found.mutual_information, [LN2, 0, 0], atol=1e-7)
    np.testing.assert_array_equal(found.variation_ratio, [0.5, 0, 0])
    np.testing.assert_array_equal(found.predicted, [0, 0, 0])


def test_against_scipy() -> None:
    samples = softmax_samples(40, 25, 4)
    found = statistics(samples, Head("softmax", "output", 4))
    mean = samples.astype(np.float64).mean(axis=1)
    each = scipy_entropy(samples.astype(np.float64), axis=2)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(found.std, samples.astype(np.float64).std(axis=1), rtol=1e-6)
    np.testing.assert_allclose(found.entropy, scipy_entropy(mean, axis=1), rtol=1e-5)
    np.testing.assert_allclose(
        found.mutual_information, scipy_entropy(mean, axis=1) - each.mean(axis=1), rtol=1e-4, atol=1e-6
    )
    votes = samples.argmax(axis=2)
    ratios = [1 - np.bincount(row).max() / 25 for row in votes]
    np.testing.assert_allclose(found.variation_ratio, ratios, rtol=1e-6)
    np.testing.assert_array_equal(found.predicted, mean.argmax(axis=1))


def test_several_labels_are_as_many_yes_or_no() -> None:
    rng = np.random.default_rng(8)
    samples = rng.uniform(size=(30, 20, 10)).astype(np.float32)
    found = statistics(samples, Head("multilabel", "output", 10))
    wide = samples.astype(np.float64)

    def binary(p: np.ndarray) -> np.ndarray:
        return scipy_entropy(np.stack([p, 1 - p]), axis=0).sum(axis=-1)

    np.testing.assert_allclose(found.entropy, binary(wide.mean(axis=1)), rtol=1e-5)
    np.testing.assert_allclose(
        found.mutual_information, binary(wide.mean(axis=1)) - binary(wide).mean(axis=1), rtol=1e-4
    )


def test_of_several_labels_a_set_of_them_is_a_class() -> None:
    samples = np.array([[[0.9, 0.6], [0.5, 0.7], [0.9, 0.1]], [[0.1, 0.2]] * 3], np.float32)
    found = statistics(samples, Head("multilabel", "output", 2))
    np.testing.assert_allclose(found.variation_ratio, [1 / 3, 0], rtol=1e-6)


@pytest.mark.parametrize("kind", ["regression", "other"])
def test_what_is_no_classifier_has_mean_and_spread_alone(kind: str) -> None:
    samples = np.array([[[1.0], [3.0]], [[2.0], [2.0]]], np.float32)
    found = statistics(samples, Head(kind, "output", 1))
    np.testing.assert_array_equal(found.mean, [[2], [2]])
    np.testing.assert_array_equal(found.std, [[1], [0]])
    for empty in (found.entropy, found.mutual_information, found.variation_ratio, found.predicted):
        assert empty.shape == (0,)


def test_mutual_information_is_never_negative() -> None:
    samples = np.repeat(softmax_samples(2000, 1, 7), 11, axis=1)
    found = statistics(samples, Head("softmax", "output", 7))
    assert found.mutual_information.min() >= 0
    assert found.mutual_information.max() < 1e-7
    above = np.full((1, 3, 1), np.nextafter(np.float32(1), np.float32(2)), np.float32)
    assert statistics(above, Head("multilabel", "output", 1)).entropy.min() >= 0


def test_numbers_near_each_other_keep_their_spread() -> None:
    """In float32 the mean of squares less the square of the mean would be noise here."""
    samples = (1000 + np.array([[[0.0], [0.001], [0.002]]])).astype(np.float32)
    found = statistics(samples, Head("regression", "output", 1))
    np.testing.assert_allclose(found.std, samples.astype(np.float64).std(axis=1), rtol=1e-5)


def test_a_row_that_failed_is_nan_and_has_no_class() -> None:
    samples = softmax_samples(3, 5, 3)
    whole = statistics(samples, SOFTMAX)
    samples[1] = np.nan
    found = statistics(samples, SOFTMAX)
    assert found.predicted[1] == -1
    for name in ("mean", "std", "entropy", "mutual_information", "variation_ratio"):
        column = getattr(found, name)
        assert np.isnan(column[1]).all()
        np.testing.assert_array_equal(column[[0, 2]], getattr(whole, name)[[0, 2]])


@pytest.mark.parametrize("kind", ["softmax", "multilabel", "regression"])
def test_many_classes_of_one_row_are_worked_on_in_parts(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held beside the samples is smaller than they are."""
    samples, head = np.random.default_rng(1).random((1, 500, 4000), dtype=np.float32), Head(kind, "o", 4000)
    whole = statistics(samples, head)
    monkeypatch.setattr(uncertainty, "_BLOCK", 1 << 16)
    tracemalloc.start()
    parts = statistics(samples, head)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < samples.nbytes
    for name in ("mean", "std", "entropy", "mutual_information", "variation_ratio", "predicted"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-5)


def test_many_rows_are_worked_on_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = softmax_samples(50, 6, 3)
    whole = statistics(samples, SOFTMAX)
    monkeypatch.setattr(uncertainty, "_BLOCK", 6 * 3 * 7)
    parts = statistics(samples, SOFTMAX)
    for name, column in vars(whole).items():
        np.testing.assert_array_equal(getattr(parts, name), column)
