"""What the samples of a file's rows say: the order of the rows, calibration, the facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penult_service import __version__
from penult_service.cli.sampling.asked import BY_ROW, Sampled, Sampling, facts_of
from penult_service.cli.sampling.rows import LABEL_COLUMN, Rows
from penult_service.errors import InvalidInput
from penult_service.jobs.chunks import Problem

if TYPE_CHECKING:
    from penult_client import Calibration, Uncertainty

# What orders the rows: the measure, what it is called, and why it is a reason to label.
BY = {
    "mutual-information": (
        "mutual_information",
        "mutual information",
        "there the samples disagree, and a label settles something",
    ),
    "entropy": (
        "entropy",
        "entropy",
        "the least decided ones, and texts that nobody could decide among them",
    ),
    "variation-ratio": (
        "variation_ratio",
        "variation ratio",
        "there the most samples are of another class than the most frequent one",
    ),
}
SPREAD = ("std", "standard deviation", "there the samples lie farthest apart")
BINS = 15
# Of float32 probabilities, in their sum.
SUM_ERROR = 1e-3


@dataclass(frozen=True, eq=False)
class Measured:
    """The rows of a file with what their samples say.

    Attributes:
        rows: The rows.
        found: Of all n of them; some row has numbers.
        errors: Why the others have none.
        sampling: As it was asked for.
        truncate: Likewise.
        by: What orders the rows, of `BY`.
    """

    rows: Rows
    found: Sampled
    errors: Mapping[int, Problem]
    sampling: Sampling
    truncate: str
    by: str

    @property
    def first(self) -> Uncertainty:
        """The reply, for what is the same of all rows."""
        assert self.found.first is not None
        return self.found.first

    @property
    def classifier(self) -> bool:
        """Whether the numbers are class probabilities."""
        return self.first.classifier

    @cached_property
    def good(self) -> NDArray[np.intp]:
        """Numbers of the rows that have numbers."""
        return np.setdiff1d(np.arange(len(self.rows)), list(self.errors))

    @property
    def order(self) -> tuple[str, str, str]:
        """The measure that orders the rows, what it is called, and why."""
        return BY[self.by] if self.classifier else SPREAD

    @property
    def measure(self) -> NDArray[np.float32]:
        """What orders the rows, float32 [n]."""
        return getattr(self.found, self.order[0]) if self.classifier else self.found.spread

    @cached_property
    def listed(self) -> NDArray[np.intp]:
        """The rows that may be given a label: those that have none, where some have; else all."""
        labels = self.rows.labels
        without = [row for row in self.good if labels is not None and not labels[row]]
        return np.array(without, np.intp) if without else self.good

    def top(self, count: int) -> list[int]:
        """The first of them, by the measure; equal ones by their numbers."""
        order = np.argsort(-self.measure[self.listed], kind="stable")
        return [int(row) for row in self.listed[order[:count]]]

    def named(self, codes: NDArray[np.int32]) -> list[Any]:
        """The names of classes, or their numbers where the model names none; None for -1."""
        names = self.first.labels
        return [None if code < 0 else names[code] if names else int(code) for code in codes]

    @cached_property
    def clean(self) -> NDArray[np.int32]:
        """The class without dropout, int32 [n], -1 where there is none."""
        best = np.full(len(self.rows), -1, np.int32)
        best[self.good] = self.found.clean[self.good].argmax(axis=1)
        return best

    @cached_property
    def several(self) -> bool:
        """Whether a row may have several labels: each has a probability of its own."""
        sums = self.found.mean[self.good].astype(np.float64).sum(axis=1)
        return self.classifier and bool((np.abs(sums - 1) > SUM_ERROR).any())

    @property
    def changed(self) -> NDArray[np.intp]:
        """Rows whose class, or set of labels, is another one with dropout on."""
        mean, clean = self.found.mean[self.good], self.found.clean[self.good]
        if self.several:
            return self.good[((mean >= 0.5) != (clean >= 0.5)).any(axis=1)]
        return self.good[mean.argmax(axis=1) != clean.argmax(axis=1)]

    @cached_property
    def labelled(self) -> list[int]:
        """Rows that have numbers and a label."""
        labels = self.rows.labels
        return [] if labels is None else [int(row) for row in self.good if labels[row]]

    @cached_property
    def calibration(self) -> Calibration | None:
        """Of the labelled rows, in their order; None when there are none."""
        if not self.labelled or self.rows.labels is None:
            return None
        labels = [self.rows.labels[row] for row in self.labelled]
        return self.found.of_rows(self.labelled).calibration(labels, BINS)

    def auroc(self, name: str) -> float | None:
        """As `Calibration.auroc`, of another measure than entropy."""
        assert self.rows.labels is not None
        chosen = self.found.of_rows(self.labelled)
        labels = [self.rows.labels[row] for row in self.labelled]
        return replace(chosen, entropy=getattr(chosen, name)).calibration(labels, BINS).auroc

    @cached_property
    def wrong(self) -> frozenset[int]:
        """The labelled rows whose prediction is not their label."""
        right = self.calibration.right if self.calibration else ()
        return frozenset(row for row, good in zip(self.labelled, right, strict=True) if not good)

    def facts(self) -> dict[str, Any]:
        """How the rows were sampled, and what is true of all of them."""
        found, good = self.found, self.good
        told: dict[str, Any] = {
            **facts_of(self.first, self.sampling),
            "rows": len(self.rows),
            "sampled_rows": len(good),
            "classifier": self.classifier,
            "by": self.order[0],
            "source": self.rows.names[0] if len(self.rows.names) == 1 else self.rows.names,
            "penult": __version__,
        }
        if not self.classifier:
            return {**told, "mean_std": float(found.spread[good].mean())}
        for name in BY_ROW:
            told[f"mean_{name}"] = float(getattr(found, name)[good].mean())
        return {**told, "changed_rows": len(self.changed), **self._calibrated()}

    def _calibrated(self) -> dict[str, Any]:
        found = self.calibration
        if found is None:
            return {}
        bins = [
            {"rows": int(rows), "confidence": _number(confidence), "accuracy": _number(accuracy)}
            for rows, confidence, accuracy in zip(found.counts, found.confidence, found.accuracy, strict=True)
        ]
        return {
            "labelled_rows": len(self.labelled),
            "accuracy": found.total_accuracy,
            "ece": found.ece,
            "auroc": {name: self.auroc(name) for name in BY_ROW},
            "bins": bins,
        }


def check_labels(first: Uncertainty, labels: Sequence[str]) -> None:
    """Refuse, before the rows are sampled, labels that nothing could be said with.

    Args:
        first: The reply to one row.
        labels: Of all rows, "" where one has none.

    Raises:
        InvalidInput: one is no class of the model (NOT_A_CLASS), or a row has no one class (NOT_ONE_CLASS).
    """
    from penult_client import InvalidInputError

    if not first.classifier:
        raise InvalidInput(
            f"the model is no classifier, so it cannot be right or wrong about a label; leave {LABEL_COLUMN} out",
            reason="NOT_A_CLASSIFIER",
        )
    rows = [row for row, label in enumerate(labels) if label]
    alike: dict[str, Any] = {
        name: np.repeat(getattr(first, name)[:1], len(rows), axis=0) for name in ("mean", "entropy")
    }
    try:
        replace(first, **alike, predicted=np.zeros(len(rows), np.int32)).calibration(
            [labels[row] for row in rows]
        )
    except InvalidInputError as error:
        told = error.message
        if error.index is not None:
            told = told.replace(error.field, f"the label of row {rows[error.index]}")
        raise InvalidInput(told, reason=error.reason) from error


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
