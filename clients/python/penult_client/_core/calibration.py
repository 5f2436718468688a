"""How far probabilities can be believed: expected calibration error, and whether doubt finds the errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_client._core import parameters
from penult_client._exceptions import InvalidInputError
from penult_client._results import FloatMatrix, _Record

_MOST_BINS = 10_000
_CLASSES_TOLD = 20
# Class probabilities may be of half precision: those of bfloat16, and so their sum, are off by up to 1/256.
_SUM_ERROR = 1e-2


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Calibration(_Record):
    """How sure the model was, held against how often it was right.

    The probabilities of a row are those of its largest mean, in bins of equal width: bin i holds those above
    i / bins, up to (i + 1) / bins.

    Attributes:
        ece: Expected calibration error: the mean over rows of |accuracy - confidence| of their bin, 0 to 1 (Guo et al.
            2017, On Calibration of Modern Neural Networks).
        accuracy: float64 [bins], share of right predictions; NaN in an empty bin.
        confidence: float64 [bins], mean probability; NaN in an empty bin.
        counts: int64 [bins], rows.
        auroc: Chance that a wrong prediction has the larger entropy than a right one, a tie counting half (area under
            the ROC curve): 0.5 when entropy says nothing, 1 when it finds every error. None when all or none are right.
        right: bool [rows], whether each row was predicted right.
        rows: int64 [rows], the numbers of these rows: those that failed are left out.
    """

    ece: float
    accuracy: NDArray[np.float64]
    confidence: NDArray[np.float64]
    counts: NDArray[np.int64]
    auroc: float | None
    right: NDArray[np.bool_]
    rows: NDArray[np.int64]

    @property
    def total_accuracy(self) -> float:
        """Share of the rows that were predicted right."""
        return float(self.right.mean())


def calibration(
    mean: FloatMatrix,
    entropy: NDArray[np.float32],
    predicted: NDArray[np.int32],
    names: Sequence[str],
    labels: Any,
    bins: Any,
) -> Calibration:
    """Of class probabilities float32 [n, classes], and a label a row.

    Raises:
        InputTypeError: a label is no str and no whole number (NOT_A_LABEL), `bins` no whole number (NOT_A_NUMBER).
        InvalidInputError: not one label a row (LABELS_MISMATCH), a label that is no class (UNKNOWN_LABEL), `bins` out
            of range (OUT_OF_RANGE), no row that did not fail (EMPTY_INPUT), or rows of several labels (NOT_ONE_CLASS).
    """
    count = parameters.required(bins, "bins", _MOST_BINS)
    if not count:
        raise InvalidInputError("bins=0; give at least 1", reason="OUT_OF_RANGE", field="bins")
    wanted = class_numbers(labels, names, len(mean), mean.shape[1])
    rows = np.flatnonzero(predicted >= 0)
    if not rows.size:
        raise InvalidInputError("no row has probabilities: all failed", reason="EMPTY_INPUT", field="texts")
    wide = mean[rows].astype(np.float64)
    if np.abs(wide.sum(axis=1) - 1.0).max() > _SUM_ERROR:
        raise InvalidInputError(
            "the probabilities of a row do not sum to 1: the model gives several labels a row, and calibration is of "
            "one class a row",
            reason="NOT_ONE_CLASS",
            field="labels",
        )
    right = predicted[rows] == wanted[rows]
    confidence = wide[np.arange(len(rows)), predicted[rows]]
    number = np.clip(np.ceil(confidence * count).astype(np.int64) - 1, 0, count - 1)
    counts = np.bincount(number, minlength=count)
    with np.errstate(invalid="ignore"):  # of an empty bin
        accuracies = np.bincount(number, weights=right, minlength=count) / counts
        confidences = np.bincount(number, weights=confidence, minlength=count) / counts
    gaps = np.abs(accuracies - confidences)[counts > 0]
    return Calibration(
        ece=float((gaps * counts[counts > 0]).sum() / len(rows)),
        accuracy=accuracies,
        confidence=confidences,
        counts=counts,
        auroc=area_under_roc(entropy[rows], ~right),
        right=right,
        rows=rows,
    )


def class_numbers(labels: Any, names: Sequence[str], rows: int, classes: int) -> NDArray[np.int64]:
    """The number of each label's class, int64 [rows]: labels are names of classes, or, when they are not, numbers.

    Raises:
        InputTypeError, InvalidInputError: as `calibration`.
    """
    given = labels.tolist() if isinstance(labels, np.ndarray) else labels
    found = parameters.labels(given, rows)
    if given is None:
        raise InvalidInputError(
            "labels is None; give the true class of each row", reason="LABELS_MISMATCH", field="labels"
        )
    # numpy.bool_ and bool, of a model of two classes.
    truths = {"False": "0", "True": "1"} if classes == 2 and not {"True", "False"} & set(names) else {}
    found = [truths.get(label, label) for label in found]
    by_name = {name: number for number, name in reversed(list(enumerate(names)))}
    by_number = {str(number): number for number in range(classes)}
    strange = [label for label in found if label not in by_name]
    of_numbers = len(strange) == len(found) or (strange and all(label in by_number for label in found))
    numbers = by_number if of_numbers else by_name
    unknown = next((i for i, label in enumerate(found) if label not in numbers), None)
    if unknown is not None:
        raise _unknown(found[unknown], unknown, names, classes)
    return np.array([numbers[label] for label in found], np.int64)


def _unknown(label: str, row: int, names: Sequence[str], classes: int) -> InvalidInputError:
    told = ", ".join(repr(name) for name in names[:_CLASSES_TOLD])
    more = f" and {len(names) - _CLASSES_TOLD} more" if len(names) > _CLASSES_TOLD else ""
    known = f"these are {told}{more}; give the name of each, or" if names else "they have no names; give"
    return InvalidInputError(
        f"labels[{row}] is {label[:200]!r}, none of the model's classes: {known} the number of each, from 0 to "
        f"{classes - 1}",
        reason="UNKNOWN_LABEL",
        field=f"labels[{row}]",
    )


def area_under_roc(scores: NDArray[Any], positive: NDArray[np.bool_]) -> float | None:
    """Area under the ROC curve by ranks (Mann and Whitney 1947), ties averaged; None when a side is empty."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return None
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse.reshape(-1)]
    above = ranks[positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))
