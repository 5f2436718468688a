"""What a report on dropout shows, whatever writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import InvalidInput

Floats = NDArray[np.float32]
HEAD, ALL, NAMED = "head", "all", "named"


@dataclass(frozen=True)
class Spread:
    """Many numbers: their mean, standard deviation, ends, and how many are in each of equal bins between the ends.

    `counts` is empty where the ends are equal.
    """

    mean: float
    std: float
    low: float
    high: float
    counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Active:
    """A dropout that was put back, with the rate that was used."""

    path: str
    layer_class: str
    rate: float


@dataclass(frozen=True)
class Site:
    """A dropout of the model.

    `place` is `before_embedding`, `at_seam` or `in_head`; empty: not known. `shared_axes`: along these, from 0 (the
    batch), one draw is shared. `sampled`: it can be put back. `read`: the embedding is read in front of it.
    """

    path: str
    layer_class: str
    rate: float | None
    place: str
    shared_axes: tuple[int, ...] = ()
    sampled: bool = False
    read: bool = False


@dataclass(frozen=True)
class ProofFigure:
    """A figure of the proof: the largest difference found, and the largest that is accepted."""

    name: str
    meaning: str
    value: float
    limit: float


@dataclass(frozen=True, eq=False)
class Effect:
    """What active dropout does to n rows, of one `scope`: `head`, `all` or `named`.

    The figures are those of the contract's `DropoutEffect`, under its names; `cosine_between_draws` is None of one
    pass. `row_neighbors_changed` float32 [n]; `row_flipped` float32 [n], None for no classifier; `coordinates`
    float32 [n, 2], None without a map.
    """

    scope: str
    active: tuple[Active, ...]
    cosine_to_clean: Spread
    cosine_between_draws: Spread | None
    neighbors_changed: float
    nearest_kept: float
    cluster_agreement: Spread
    row_neighbors_changed: Floats
    expected_cosine_to_clean: float | None = None
    expected_cosine_between_draws: float | None = None
    pair_rank_correlation: float | None = None
    predictions_flipped: float | None = None
    rows_flipped: int | None = None
    row_flipped: Floats | None = None
    coordinates: Floats | None = None


@dataclass(frozen=True)
class Movement:
    """How far rows move on a map: the median and the 90 % quantile as shares of its longer side.

    `beyond` is the share of the rows that move farther than a row is from its nearest one on the map, the median.
    """

    median: float
    most: float
    beyond: float


@dataclass(frozen=True, eq=False)
class DropoutView:
    """A comparison of n texts with and without dropout.

    Attributes:
        title: Whose words the report begins with.
        answer: The answer in words.
        inference: Before against after the dropout while the model predicts.
        sites: Every dropout of the model, in the order of computing.
        effects: With active dropout, one a scope.
        texts, numbers: n texts, and the number of each in the file that they came from.
        row_labels, label_name: n labels that came with the texts, and what they are called; None without.
        classes, predicted: Names of the model's classes; int [n], the class of each row without dropout, None for no
            classifier.
        coordinates: float32 [n, 2], the clean rows on the map; None without a map.
        reseeded: How far k-means of the clean rows agrees with itself from another seed.
        passes, seed, neighbors, n_clusters: What was used.
        notes: What was not used as asked, sentences.
        facts: Where it all came from: names and values.
        command: What makes this report again.

    Raises:
        InvalidInput: parts that are not of n rows.
    """

    title: str
    answer: str
    inference: tuple[ProofFigure, ...]
    sites: tuple[Site, ...]
    effects: tuple[Effect, ...]
    texts: Sequence[str]
    numbers: Sequence[int]
    reseeded: Spread
    passes: int
    seed: int
    neighbors: int
    n_clusters: int
    row_labels: Sequence[str] | None = None
    label_name: str = "label"
    classes: tuple[str, ...] = ()
    predicted: NDArray[np.int32] | None = None
    coordinates: Floats | None = None
    notes: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = field(default=())
    command: str = ""

    def __post_init__(self) -> None:
        rows = len(self.texts)
        parts: dict[str, Any] = {
            name: getattr(self, name) for name in ("numbers", "row_labels", "predicted", "coordinates")
        }
        for effect in self.effects:
            for name in ("row_neighbors_changed", "row_flipped", "coordinates"):
                parts[f"{name} of {effect.scope}"] = getattr(effect, name)
        for name, part in parts.items():
            if part is not None and len(part) != rows:
                raise InvalidInput(f"{rows} texts, but {len(part)} {name}", reason="WRONG_SHAPE")

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def classifies(self) -> bool:
        """Whether there are classes to flip."""
        return self.predicted is not None

    def class_name(self, row: int) -> str:
        """The class of a row without dropout; empty for no classifier."""
        if self.predicted is None:
            return ""
        place = int(self.predicted[row])
        return self.classes[place] if 0 <= place < len(self.classes) else f"class {place}"

    def colours(self) -> tuple[list[str] | None, str]:
        """What the rows of a map are coloured by, a word each, and what that is; None: there is nothing."""
        if self.row_labels is not None:
            return list(self.row_labels), self.label_name
        if self.predicted is not None:
            return [self.class_name(row) for row in range(len(self))], "predicted class"
        return None, ""

    def right(self) -> NDArray[np.bool_] | None:
        """Which rows are predicted as labelled, bool [n]; None where the labels do not name classes."""
        if self.row_labels is None or self.predicted is None:
            return None
        if not set(self.row_labels) <= set(self.classes):
            return None
        return np.array([self.class_name(row) == label for row, label in enumerate(self.row_labels)], bool)

    def most_flipped(self, most: int) -> list[int]:
        """The rows whose class flips in most passes, of all effects together; only those that flip at all."""
        flips = [effect.row_flipped for effect in self.effects if effect.row_flipped is not None]
        if not flips:
            return []
        total = np.sum(np.asarray(flips, np.float64), axis=0)
        order = np.argsort(-total, kind="stable")[:most]
        return [int(row) for row in order if total[row] > 0]

    def movement(self, effect: Effect) -> Movement | None:
        """How far rows move on the map; None without one, or where all places are one."""
        if self.coordinates is None or effect.coordinates is None or not len(self):
            return None
        before, after = (np.asarray(c, np.float64) for c in (self.coordinates, effect.coordinates))
        side = float(np.ptp(before, axis=0).max())
        if side == 0:
            return None
        moved = np.linalg.norm(after - before, axis=1)
        half, most = (float(value) for value in np.quantile(moved, (0.5, 0.9)))
        # Of many rows, of so many: the median needs no more.
        some = np.arange(min(len(before), 500)) * len(before) // min(len(before), 500)
        apart = [np.partition(np.linalg.norm(before - before[row], axis=1), 1)[1] for row in some]
        return Movement(half / side, most / side, float((moved > np.median(apart)).mean()))
