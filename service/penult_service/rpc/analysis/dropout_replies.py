"""A comparison with and without dropout as a message."""

from __future__ import annotations

import math

from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2
from penult.v1 import model_service_pb2 as models

from penult_service.analysis import results
from penult_service.embedder.dropouts import ALL, HEAD
from penult_service.rpc import replies
from penult_service.rpc.analysis.dropout_plan import Scope
from penult_service.rpc.analysis.dropout_sampling import DropoutOrigin
from penult_service.rpc.analysis.dropout_words import answer
from penult_service.rpc.analysis.replies import adjustments

_SCOPES = {HEAD: common_pb2.DROPOUT_SCOPE_HEAD, ALL: common_pb2.DROPOUT_SCOPE_ALL}


def comparison(result: results.CompareDropoutResult, origin: DropoutOrigin) -> pb.CompareDropoutResponse:
    """The whole reply, with the answer in words."""
    options = origin.scopes[0].options
    message = pb.CompareDropoutResponse(
        inference=[
            models.ProofFigure(name=f.name, meaning=f.meaning, value=f.value, limit=f.limit)
            for f in origin.inference
        ],
        effects=[_effect(result, number, scope) for number, scope in enumerate(origin.scopes)],
        rows=result.row_neighbors_changed.shape[1],
        passes=options.samples,
        seed=options.seed,
        neighbors=result.neighbors,
        n_clusters=result.n_clusters,
        cluster_agreement_reseeded=_distribution(result.cluster_agreement_reseeded),
        predicted=origin.predicted.tolist(),
        labels=origin.labels,
        adjustments=adjustments((*origin.left_out, *result.adjustments)),
        provenance=origin.provenance,
        accuracy=origin.accuracies[0] if origin.accuracies else None,
    )
    for effect, accuracy in zip(message.effects, origin.accuracies[1:], strict=False):
        effect.accuracy = accuracy
    if len(result.coordinates):
        message.coordinates.CopyFrom(replies.vectors(result.coordinates[0]))
    message.answer = answer(message)
    return message


def _effect(result: results.CompareDropoutResult, number: int, scope: Scope) -> pb.DropoutEffect:
    effect, rate = result.effects[number], scope.plain_rate
    message = pb.DropoutEffect(
        scope=_SCOPES.get(scope.name),
        active=replies.active(scope.active),
        cosine_to_clean=_distribution(effect.cosine_to_clean),
        expected_cosine_to_clean=None if rate is None else math.sqrt(1 - rate),
        expected_cosine_between_draws=None if rate is None else 1 - rate,
        neighbors_changed=effect.neighbors_changed,
        nearest_kept=effect.nearest_kept,
        cluster_agreement=_distribution(effect.cluster_agreement),
        pair_rank_correlation=effect.pair_rank_correlation,
        predictions_flipped=effect.predictions_flipped,
        rows_flipped=effect.rows_flipped,
        row_neighbors_changed=result.row_neighbors_changed[number].tolist(),
        row_flipped=result.row_flipped[number].tolist() if len(result.row_flipped) else (),
    )
    if effect.cosine_between_draws is not None:
        message.cosine_between_draws.CopyFrom(_distribution(effect.cosine_between_draws))
    if len(result.coordinates):
        message.coordinates.CopyFrom(replies.vectors(result.coordinates[1 + number]))
    return message


def _distribution(told: results.Distribution) -> pb.Distribution:
    return pb.Distribution(mean=told.mean, std=told.std, min=told.min, max=told.max, counts=told.counts)
