"""What may be given to a call by name: for type checkers, so that each signature stands in one place alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypedDict

from penult_client._core.progress import Progress, Report

OnRowError = Literal["fail", "report"]
Count = int | Literal["auto"] | None
"""How many clusters."""


class EmbedOptions(TypedDict, total=False):
    """Of `embed`."""

    normalize: bool
    truncate: str
    layer: str | None
    probabilities: bool
    progress: bool | Report
    deadline: float | None
    on_row_error: OnRowError


class AnalysisOptions(TypedDict, total=False):
    """Of every analysis."""

    model: str | None
    pooling: str
    normalize: bool
    truncate: str
    layer: str | None
    progress: Progress
    deadline: float | None


class SimilarityOptions(AnalysisOptions, total=False):
    """Of `similarity`."""

    pairs: bool
    center: bool
    background: Any


class NeighborsOptions(AnalysisOptions, total=False):
    """Of `neighbors`."""

    exclude_self: bool
    radius: float | None
    center: bool
    approximate: bool


class DuplicatesOptions(AnalysisOptions, total=False):
    """Of `duplicates`."""

    max_pairs: int | None


class ClusterOptions(AnalysisOptions, total=False):
    """Of `cluster`."""

    reduction: str | None
    reduced_dimensions: int | None
    linkage: str | None
    min_cluster_size: int | None
    min_samples: int | None
    seed: int
    labels: Any
    bootstraps: int
    keywords: int
    name: str | None
    overwrite: bool


class DropoutOptions(TypedDict, total=False):
    """Of `compare_dropout`."""

    model: str | None
    labels: Any
    passes: int
    seed: int
    layers: str | Sequence[str] | None
    rate: float | None
    n_clusters: int | None
    map: bool
    truncate: str
    progress: Progress
    deadline: float | None


class ProjectOptions(AnalysisOptions, total=False):
    """Of `project`."""

    n_neighbors: int | None
    min_dist: float | None
    perplexity: float | None
    labels: Any
    supervised: bool
    target_weight: float | None
    density: bool
    aligned_to: str | None
    name: str | None
    overwrite: bool


class NewRowsOptions(TypedDict, total=False):
    """Of what is done with new rows of something stored: `assign` and `grow`."""

    model: str | None
    progress: Progress
    deadline: float | None


class TransformOptions(NewRowsOptions, total=False):
    """Of `transform`."""

    approximate: bool


class GrowOptions(NewRowsOptions, total=False):
    """Of `grow`."""

    min_cluster_size: int | None
