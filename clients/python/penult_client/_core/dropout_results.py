"""The reply of a comparison with and without dropout -> its record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from penult.v1 import analysis_service_pb2 as analysis
from penult.v1 import common_pb2 as common

from penult_client._about import ProofFigure
from penult_client._core import arrays, dropout
from penult_client._core.analysis_results import Arrays, Origin, adjustments, optional, rows_of, source
from penult_client._dropout import Distribution, DropoutComparison, DropoutEffect

_SCOPES = {common.DROPOUT_SCOPE_HEAD: "head", common.DROPOUT_SCOPE_ALL: "all"}


def comparison(
    reply: analysis.CompareDropoutResponse,
    origin: Origin | None = None,
    read: Arrays | None = None,  # noqa: ARG001
) -> DropoutComparison:
    """What dropout does to texts."""
    rows = reply.rows
    return DropoutComparison(
        answer=reply.answer,
        inference=tuple(
            ProofFigure(name=each.name, meaning=each.meaning, value=each.value, limit=each.limit)
            for each in reply.inference
        ),
        effects=tuple(_effect(effect, rows) for effect in reply.effects),
        rows=rows,
        passes=reply.passes,
        seed=reply.seed,
        neighbors=reply.neighbors,
        n_clusters=reply.n_clusters,
        cluster_agreement_reseeded=_distribution(reply.cluster_agreement_reseeded),
        coordinates=_places(reply, rows),
        predicted=_per_row(reply.predicted, rows, np.int32, "predicted"),
        labels=tuple(reply.labels),
        accuracy=optional(reply, "accuracy"),
        adjustments=adjustments(reply.adjustments),
        **source(reply, origin),
    )


def _effect(told: analysis.DropoutEffect, rows: int) -> DropoutEffect:
    changed = _per_row(told.row_neighbors_changed, rows, np.float32, "row_neighbors_changed")
    if changed is None:
        raise arrays.bad_reply(f"no row_neighbors_changed of {rows} texts")
    return DropoutEffect(
        scope=_SCOPES.get(told.scope, "named"),
        active=dropout.active(told.active),
        cosine_to_clean=_distribution(told.cosine_to_clean),
        expected_cosine_to_clean=optional(told, "expected_cosine_to_clean"),
        cosine_between_draws=_distribution(told.cosine_between_draws)
        if told.HasField("cosine_between_draws")
        else None,
        expected_cosine_between_draws=optional(told, "expected_cosine_between_draws"),
        neighbors_changed=told.neighbors_changed,
        nearest_kept=told.nearest_kept,
        cluster_agreement=_distribution(told.cluster_agreement),
        pair_rank_correlation=optional(told, "pair_rank_correlation"),
        predictions_flipped=optional(told, "predictions_flipped"),
        rows_flipped=told.rows_flipped if told.HasField("rows_flipped") else None,
        accuracy=optional(told, "accuracy"),
        row_neighbors_changed=changed,
        row_flipped=_per_row(told.row_flipped, rows, np.float32, "row_flipped"),
        coordinates=_places(told, rows),
    )


def _distribution(told: analysis.Distribution) -> Distribution:
    return Distribution(mean=told.mean, std=told.std, min=told.min, max=told.max, counts=tuple(told.counts))


def _per_row(values: Sequence[Any], rows: int, dtype: Any, name: str) -> NDArray[Any] | None:
    """One value a row; None: there are none."""
    if not values:
        return None
    if len(values) != rows:
        raise arrays.bad_reply(f"{len(values)} values of {name} for {rows} texts")
    return np.fromiter(values, dtype=dtype, count=rows)


def _places(told: Any, rows: int) -> NDArray[np.float32] | None:
    if not told.HasField("coordinates"):
        return None
    places = rows_of(told, "coordinates")
    if places.shape != (rows, 2):
        raise arrays.bad_reply(f"coordinates {list(places.shape)} for {rows} texts")
    return places
