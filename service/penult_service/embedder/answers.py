"""What came back from the executor -> what the embedder's methods return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.embedder.given import Given
from penult_service.embedder.options import EmbedOptions, space_of
from penult_service.embedder.protocols import LoadedModel
from penult_service.embedder.results import (
    ClassifyResult,
    EmbedResult,
    Readings,
    first_not_finite,
    not_finite_error,
)
from penult_service.errors import PenultError
from penult_service.prepared import Readout
from penult_service.vectors import l2_normalize


def embed_result(
    model: LoadedModel, readings: Readings, readout: Readout, options: EmbedOptions, probabilities: bool
) -> EmbedResult:
    """What `Embedder.embed` returns."""
    pooling = options.pooling or ""
    classes = readings.probabilities(model.manifest.head.classes) if probabilities else None
    errors: Mapping[int, PenultError] = {}
    known = classes is None or bool(np.isfinite(classes).all())
    pieces = readings.pieces() if known and not options.normalize else None
    if pieces is None:
        vectors, counts = readings.vectors(readout.dimension, pooling)
        one_each = np.ones(len(readings.table.lengths), np.int32)
        errors = readings.mark_not_finite((vectors, counts), None if classes is None else (classes, one_each))
        pieces = [l2_normalize(vectors) if options.normalize else vectors]
    return EmbedResult(
        pieces=pieces,
        dimension=readout.dimension,
        probabilities=classes,
        token_counts=readings.table.lengths,
        truncations=readings.table.truncations,
        space=space_of(model.manifest, readout, options).digest,
        layer=readout.layer,
        pooling=pooling,
        row_errors=errors,
    )


def classify_result(model: LoadedModel, readings: Readings) -> ClassifyResult:
    """What `Embedder.classify` returns."""
    probabilities = readings.probabilities(model.manifest.head.classes)
    one_each = np.ones(len(probabilities), np.int32)
    return ClassifyResult(
        probabilities=probabilities,
        row_errors=readings.mark_not_finite((probabilities, one_each)),
        labels=model.manifest.head.labels,
        token_counts=readings.table.lengths,
        truncations=readings.table.truncations,
    )


def joined(rows: Sequence[dict[str, NDArray[Any]]], given: Given) -> dict[str, NDArray[Any]]:
    """What `Embedder.predict` returns, and raises where a row is not finite."""
    outputs = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    bad = first_not_finite(outputs)
    if bad is not None:
        raise not_finite_error(bad, given)
    return outputs
