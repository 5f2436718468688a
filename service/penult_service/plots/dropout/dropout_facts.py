"""All figures of a report on dropout, for machines."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from penult_service.plots.dropout.dropout_view import DropoutView, Effect, Floats


def facts(view: DropoutView) -> dict[str, Any]:
    """As JSON has them: the figures of each effect, then a record a row. The texts are in the file they came from."""
    return {
        "answer": view.answer,
        "source": view.title,
        "rows": len(view),
        "passes": view.passes,
        "seed": view.seed,
        "neighbors": view.neighbors,
        "n_clusters": view.n_clusters,
        "inference": [asdict(figure) for figure in view.inference],
        "sites": [{**asdict(site), "shared_axes": list(site.shared_axes)} for site in view.sites],
        "effects": [_effect(view, effect) for effect in view.effects],
        "cluster_agreement_reseeded": asdict(view.reseeded),
        "classes": list(view.classes),
        "label": None if view.row_labels is None else view.label_name,
        "each": [_row(view, row) for row in range(len(view))],
        "notes": list(view.notes),
        "provenance": dict(view.facts),
        "command": view.command,
    }


def _effect(view: DropoutView, effect: Effect) -> dict[str, Any]:
    """Its figures; what there is of each row stands in the record of the row."""
    moved = view.movement(effect)
    return {
        "scope": effect.scope,
        "active": [asdict(each) for each in effect.active],
        "cosine_to_clean": asdict(effect.cosine_to_clean),
        "expected_cosine_to_clean": effect.expected_cosine_to_clean,
        "cosine_between_draws": None
        if effect.cosine_between_draws is None
        else asdict(effect.cosine_between_draws),
        "expected_cosine_between_draws": effect.expected_cosine_between_draws,
        "neighbors_changed": effect.neighbors_changed,
        "nearest_kept": effect.nearest_kept,
        "cluster_agreement": asdict(effect.cluster_agreement),
        "pair_rank_correlation": effect.pair_rank_correlation,
        "predictions_flipped": effect.predictions_flipped,
        "rows_flipped": effect.rows_flipped,
        "map_movement": None if moved is None else asdict(moved),
    }


def _row(view: DropoutView, row: int) -> dict[str, Any]:
    found: dict[str, Any] = {"row": int(view.numbers[row])}
    if view.row_labels is not None:
        found["label"] = view.row_labels[row]
    if view.predicted is not None:
        found["predicted"] = view.class_name(row)
    if view.coordinates is not None:
        found["coordinates"] = _numbers(view.coordinates[row])
    for effect in view.effects:
        told: dict[str, Any] = {"neighbors_changed": _short(effect.row_neighbors_changed[row])}
        if effect.row_flipped is not None:
            told["flipped"] = _short(effect.row_flipped[row])
        if effect.coordinates is not None:
            told["coordinates"] = _numbers(effect.coordinates[row])
        found[effect.scope] = told
    return found


def _numbers(row: Floats) -> list[float]:
    return [_short(value) for value in row]


def _short(value: Any) -> float:
    """float32 in as few digits as say it."""
    return float(str(np.float32(value)))
