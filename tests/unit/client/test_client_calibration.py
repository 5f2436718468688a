"""Calibration: against values by hand, scikit-learn, and the formula row by row."""

from __future__ import annotations

import numpy as np
import pytest
from penult_client import InputTypeError, InvalidInputError
from penult_client._core.calibration import area_under_roc, calibration, class_numbers
from sklearn.metrics import roc_auc_score

NAMES = ("negative", "neutral", "positive")


def sure(*confidences: float) -> np.ndarray:
    """Rows whose class 1 of 2 has these probabilities."""
    return np.array([[1 - c, c] for c in confidences], np.float32)


def of(mean: np.ndarray, labels: object, bins: int = 15, names: tuple[str, ...] = ()):
    entropy = -(mean * np.log(np.maximum(mean, 1e-9))).sum(axis=1)
    return calibration(
        mean, entropy.astype(np.float32), mean.argmax(axis=1).astype(np.int32), names, labels, bins
    )


def test_values_by_hand():
    """Four rows of confidence 0.75, two right: a gap of 0.25; one of 0.95, right: 0.05."""
    found = of(sure(0.75, 0.75, 0.75, 0.75, 0.95), [1, 1, 0, 0, 1], bins=10)
    assert found.counts.tolist() == [0, 0, 0, 0, 0, 0, 0, 4, 0, 1]
    np.testing.assert_allclose(found.accuracy[[7, 9]], [0.5, 1.0])
    np.testing.assert_allclose(found.confidence[[7, 9]], [0.75, 0.95], rtol=1e-6)
    assert np.isnan(found.accuracy[:7]).all()
    assert found.ece == pytest.approx((4 * 0.25 + 0.05) / 5, rel=1e-6)
    assert found.right.tolist() == [True, True, False, False, True]
    assert found.total_accuracy == 0.6


def test_a_bin_holds_its_upper_edge():
    """As Guo et al. (2017) have them: ((m - 1) / M, m / M]."""
    mean = np.array([[0.5, 0.5], [0.25, 0.75], [0.0, 1.0]], np.float32)
    assert of(mean, [0, 1, 1], bins=4).counts.tolist() == [0, 1, 1, 1]
    assert of(mean, [0, 1, 1], bins=1).counts.tolist() == [3]


def test_the_formula_row_by_row():
    rng = np.random.default_rng(4)
    mean = rng.dirichlet([0.4] * 3, size=500).astype(np.float32)
    labels = np.array([rng.choice(3, p=row / row.sum()) for row in mean.astype(np.float64)])
    found = of(mean, labels)
    confidence, right = mean.astype(np.float64).max(axis=1), mean.argmax(axis=1) == labels
    total = 0.0
    for m in range(15):
        inside = (confidence > m / 15) & (confidence <= (m + 1) / 15)
        if inside.any():
            total += inside.sum() / 500 * abs(right[inside].mean() - confidence[inside].mean())
            assert found.accuracy[m] == pytest.approx(right[inside].mean())
    assert found.ece == pytest.approx(total, rel=1e-9)
    entropy = -(mean * np.log(np.maximum(mean, 1e-9))).sum(axis=1).astype(np.float32)
    assert found.auroc == pytest.approx(roc_auc_score(~right, entropy), rel=1e-9)
    # Labels drawn from the probabilities themselves: calibrated but for chance.
    assert found.ece < 0.08
    assert found.auroc > 0.6


@pytest.mark.parametrize("digits", [0, 1, 6])
def test_ties_count_half(digits):
    rng = np.random.default_rng(digits)
    scores, positive = rng.uniform(size=300).round(digits), rng.uniform(size=300) < 0.3
    assert area_under_roc(scores, positive) == pytest.approx(roc_auc_score(positive, scores), rel=1e-12)


def test_probabilities_of_half_precision_sum_to_one():
    """As bfloat16 holds them: the upper half of a float32."""
    mean = np.random.default_rng(0).dirichlet(np.ones(5), 200).astype(np.float32)
    half = (mean.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    assert np.abs(half.sum(axis=1) - 1).max() > 2e-3
    assert of(half, half.argmax(axis=1)).total_accuracy == 1.0


def test_no_area_where_all_are_right_or_none_is():
    assert of(sure(0.9, 0.8), [1, 1]).auroc is None
    assert of(sure(0.9, 0.8), [0, 0]).auroc is None


def test_failed_rows_are_left_out():
    mean = sure(0.9, 0.6, 0.8)
    mean[1] = np.nan
    found = calibration(mean, np.float32([0.1, np.nan, 0.2]), np.int32([1, -1, 1]), (), [1, 0, 0], 15)
    assert found.rows.tolist() == [0, 2]
    assert found.right.tolist() == [True, False]
    assert found.auroc == 1.0
    with pytest.raises(InvalidInputError) as caught:
        calibration(mean[1:2], np.float32([np.nan]), np.int32([-1]), (), [1], 15)
    assert caught.value.reason == "EMPTY_INPUT"


@pytest.mark.parametrize(
    ("labels", "names", "classes", "wanted"),
    [
        (["positive", "negative"], NAMES, 3, [2, 0]),
        ([2, 0], NAMES, 3, [2, 0]),
        (["2", "0"], NAMES, 3, [2, 0]),
        (np.array([2, 0], np.int64), (), 3, [2, 0]),
        ((2, 0), (), 3, [2, 0]),
        # Stars from 1 to 5 are names; 0 is none, so that these are numbers.
        ([1, 5], ("1", "2", "3", "4", "5"), 5, [0, 4]),
        ([0, 4], ("1", "2", "3", "4", "5"), 5, [0, 4]),
        ([True, False], (), 2, [1, 0]),
        (np.array([True, False]), ("no", "yes"), 2, [1, 0]),
        (["b", "a"], ("a", "b", "b"), 3, [1, 0]),
    ],
)
def test_labels_are_names_or_numbers(labels, names, classes, wanted):
    assert class_numbers(labels, names, 2, classes).tolist() == wanted


@pytest.mark.parametrize(
    ("labels", "names", "kind", "reason", "said"),
    [
        (["positive", "negativ"], NAMES, InvalidInputError, "UNKNOWN_LABEL", "labels[1] is 'negativ'"),
        ([0, 3], NAMES, InvalidInputError, "UNKNOWN_LABEL", "labels[1] is '3'"),
        (["positive", 0], NAMES, InvalidInputError, "UNKNOWN_LABEL", "labels[1] is '0'"),
        ([0, 3], (), InvalidInputError, "UNKNOWN_LABEL", "from 0 to 2"),
        (["x", 0], (), InvalidInputError, "UNKNOWN_LABEL", "they have no names"),
        ([True, False], NAMES, InvalidInputError, "UNKNOWN_LABEL", "'True'"),
        ([0], NAMES, InvalidInputError, "LABELS_MISMATCH", "1 labels for 2 rows"),
        (None, NAMES, InvalidInputError, "LABELS_MISMATCH", "None"),
        ([0, None], NAMES, InputTypeError, "NOT_A_LABEL", "labels[1]"),
        ([0.0, 1.0], NAMES, InputTypeError, "NOT_A_LABEL", "labels[0]"),
        ("negative", NAMES, InputTypeError, "NOT_A_LIST", "bare str"),
    ],
)
def test_what_is_no_label(labels, names, kind, reason, said):
    with pytest.raises(kind) as caught:
        class_numbers(labels, names, 2, 3)
    assert caught.value.reason == reason
    assert said in caught.value.message


@pytest.mark.parametrize("bins", [0, -1, 2.0, None, 1 << 20])
def test_bins_are_a_whole_number(bins):
    with pytest.raises((InputTypeError, InvalidInputError)):
        of(sure(0.9), [1], bins=bins)
