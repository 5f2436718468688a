"""What samples with active dropout say: Monte Carlo dropout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_client._core.calibration import Calibration, calibration
from penult_client._exceptions import PreconditionError
from penult_client._results import FloatMatrix, _ByText


@dataclass(frozen=True, kw_only=True)
class ActiveDropout:
    """A dropout that was put back.

    Attributes:
        path: Of its layer; ``(embedding)`` when it is put on the embedding of a model in which none is known there.
        layer_class: Of its layer, such as ``Dropout``.
        rate: The one that was used; of ``GaussianNoise`` the standard deviation.
    """

    path: str
    layer_class: str
    rate: float


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Uncertainty(_ByText):
    """Samples with active dropout, one row a text. Fields not named here are as in `Embeddings`.

    Of a classifier the numbers are class probabilities, of another model one output, the first unless another is
    declared. Entropies are in nats, by Gal (2016), Uncertainty in Deep Learning, section 3.3.1; of several labels a row
    they are the sums of the labels'.

    Attributes:
        mean, std: float32 [n, classes], over the samples; NaN in rows that failed.
        clean: float32 [n, classes], without dropout: what `Client.classify` gives.
        classifier: Whether the numbers are class probabilities.
        labels: Names of the classes, in the order of the columns; empty when the model names none.
        entropy: float32 [n], of the mean: how unsure the model is in all. Empty, as the three that follow, when it is
            no classifier.
        mutual_information: float32 [n], the part of the entropy that is disagreement between the samples.
        variation_ratio: float32 [n], share of the samples that are not of the most frequent class (of several labels a
            row: whose set of labels is not the most frequent one).
        predicted: int32 [n], the class of the largest mean; -1 for a row that failed.
        draws: float32 [n, samples, classes] when asked for, else None.
        samples: How many a row.
        seed: That made the masks: with it, and the same rows, the numbers come again.
        active: The dropouts that were put back, in the order in which the model computes them.
    """

    mean: FloatMatrix
    std: FloatMatrix
    clean: FloatMatrix
    classifier: bool
    labels: tuple[str, ...]
    entropy: NDArray[np.float32]
    mutual_information: NDArray[np.float32]
    variation_ratio: NDArray[np.float32]
    predicted: NDArray[np.int32]
    draws: NDArray[np.float32] | None
    samples: int
    seed: int
    active: tuple[ActiveDropout, ...]

    def __len__(self) -> int:
        return len(self.mean)

    def calibration(self, labels: Any, bins: int = 15) -> Calibration:
        """How far the mean probabilities can be believed, and whether the entropy finds the errors.

        Args:
            labels: The true class of each row, n of them: names of classes, or their numbers. Labels that are names
                all of them are taken as names, also when they look like numbers.
            bins: How many bins of equal width the probabilities are put into.

        Raises:
            PreconditionError: the model is no classifier (NOT_A_CLASSIFIER).
            InputTypeError, InvalidInputError: the labels are not one class a row, or one is not known (UNKNOWN_LABEL).
        """
        if not self.classifier:
            raise PreconditionError(
                "the model is no classifier, so its numbers are no probabilities that could be calibrated",
                reason="NOT_A_CLASSIFIER",
                field="model",
            )
        return calibration(self.mean, self.entropy, self.predicted, self.labels, labels, bins)
