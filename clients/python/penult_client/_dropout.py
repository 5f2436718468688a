"""What dropout does to texts: the record of a comparison."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penult_client._about import ProofFigure
from penult_client._analysis import _Analysis
from penult_client._results import FloatMatrix, _Record
from penult_client._uncertainty import ActiveDropout


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Many numbers, told by some.

    Attributes:
        mean, std, min, max: Of these numbers; the standard deviation is divided by how many they are.
        counts: How many are in each of as many bins of equal width from `min` to `max`; empty when these are equal.
    """

    mean: float
    std: float
    min: float
    max: float
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DropoutEffect(_Record):
    """What active dropout does to n texts.

    Attributes:
        scope: ``head``: the dropouts between the embedding and the outputs were active; ``all``: those inside the
            encoder too; ``named``: those that were asked for by their paths.
        active: Each of them.
        cosine_to_clean: Cosine of a text's embedding behind the active dropout to its clean one, over texts and passes;
            0 with an all-zero row.
        expected_cosine_to_clean: sqrt(1 - p), what the theory says of it for plain dropout at rate p on an embedding of
            many numbers, none of which outweighs the others; None where it says nothing (dropouts inside the encoder,
            other noise).
        cosine_between_draws: Cosine of a text's embeddings in two passes that follow each other; None of one pass.
        expected_cosine_between_draws: 1 - p; None as above.
        neighbors_changed: Of a text's nearest neighbours by cosine (`DropoutComparison.neighbors` of them), how many
            are others; mean over texts and passes.
        nearest_kept: Share of texts and passes whose nearest neighbour stays the nearest.
        cluster_agreement: Adjusted Rand index of k-means of a pass with k-means of the clean embeddings, the same seed;
            over passes. To be held against `DropoutComparison.cluster_agreement_reseeded`.
        pair_rank_correlation: Spearman's, of the cosines of pairs of texts, clean against a pass; mean over passes.
            None where all pairs are alike.
        predictions_flipped: Share of texts and passes whose predicted class (of several labels a text: the set of
            labels with probabilities of at least a half) is another; None for no classifier.
        rows_flipped: Texts whose class was another one in any pass; None as above.
        accuracy: Share of texts and passes whose class is the text's label; None unless every label names a class.
        row_neighbors_changed: float32 [n], of `neighbors_changed` the mean over passes.
        row_flipped: float32 [n], share of the passes whose class is another; None for no classifier.
        coordinates: float32 [n, 2], the texts of the first pass on the map; None without a map.
    """

    scope: str
    active: tuple[ActiveDropout, ...]
    cosine_to_clean: Distribution
    expected_cosine_to_clean: float | None
    cosine_between_draws: Distribution | None
    expected_cosine_between_draws: float | None
    neighbors_changed: float
    nearest_kept: float
    cluster_agreement: Distribution
    pair_rank_correlation: float | None
    predictions_flipped: float | None
    rows_flipped: int | None
    accuracy: float | None = None
    row_neighbors_changed: NDArray[np.float32]
    row_flipped: NDArray[np.float32] | None
    coordinates: FloatMatrix | None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DropoutComparison(_Analysis):
    """n texts with and without dropout.

    Attributes:
        answer: The answer in a few sentences, made from the figures.
        inference: While the model predicts: the proof's figures before and after the dropout, and of these texts.
        effects: With active dropout, one a scope.
        rows: How many texts, n.
        passes: How many passes.
        seed: That made masks, clusters and the map.
        neighbors: How many neighbours a text: 15, or as many as there are.
        n_clusters: How many clusters.
        cluster_agreement_reseeded: Adjusted Rand index of k-means of the clean embeddings with another seed, over as
            many seeds as passes: what of `DropoutEffect.cluster_agreement` is k-means' own.
        coordinates: float32 [n, 2], the clean embeddings on the map, made together with those of the first pass of each
            effect; None without a map.
        predicted: int32 [n], the class of each text without dropout; None for no classifier.
        labels: Names of the classes; empty when none are known.
        accuracy: Share of texts whose class without dropout is their label; None unless every label names a class.
        adjustments: What was not used as asked, such as dropouts inside the encoder that the file does not tell of.
        model, version, digest, space: What embedded the texts.
    """

    answer: str
    inference: tuple[ProofFigure, ...]
    effects: tuple[DropoutEffect, ...]
    rows: int
    passes: int
    seed: int
    neighbors: int
    n_clusters: int
    cluster_agreement_reseeded: Distribution
    coordinates: FloatMatrix | None
    predicted: NDArray[np.int32] | None
    labels: tuple[str, ...]
    accuracy: float | None = None

    def __len__(self) -> int:
        return self.rows

    def __str__(self) -> str:
        """The answer."""
        return self.answer
