"""Embeddings, probabilities, outputs, tokens, and samples with active dropout."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from penult.v1 import inference_service_pb2 as pb

from penult_service.embedder import Embedder, EmbedOptions, LoadedModel
from penult_service.embedder.options import TOKENS, choose_readout
from penult_service.embedder.uncertainty import CLASSIFIERS, statistics
from penult_service.errors import PenultError
from penult_service.prepared import Manifest
from penult_service.repository.repository import Repository
from penult_service.rpc import replies
from penult_service.rpc.codec import Codec, EmbedCall, RowsCall, SampleCall
from penult_service.rpc.handlers import Call
from penult_service.rpc.laid import Laid
from penult_service.rpc.limits import check_fits, check_rows_fit, check_tokens_fit

R = TypeVar(
    "R",
    pb.EmbedRequest,
    pb.ClassifyRequest,
    pb.PredictRequest,
    pb.TokenizeRequest,
    pb.SampleDropoutRequest,
)
Asked = TypeVar("Asked", EmbedCall, RowsCall, SampleCall)
# A text's token count and truncation, at most: a varint of three bytes and one byte.
_ROW_EXTRAS = 4
# The number of the class is a varint; -1, for a failed row, takes ten bytes.
_FAILED_CLASS = 10
# Bytes of a reply that the event loop does not write itself.
_LARGE = 1 << 18


class InferenceService:
    """`penult.v1.InferenceService`."""

    def __init__(self, codec: Codec, repository: Repository[LoadedModel], embedder: Embedder) -> None:
        self._codec, self._repository, self._embedder = codec, repository, embedder

    async def embed(self, request: pb.EmbedRequest, call: Call) -> Laid:
        """The embedding in front of the dropout; probabilities from the same pass when asked for."""
        asked = await _read(self._codec.embed, request)
        model = self._model(asked.on, "options.model", call)
        options = asked.options.on(model.manifest)
        result = await self._embedder.embed(
            model,
            asked.on.given,
            options,
            probabilities=asked.probabilities,
            check=_fitting(model.manifest, options, asked),
            deadline=call.deadline,
        )
        _settle(result.row_errors, result.token_counts, asked.on, call)
        with call.stage("reply"):
            response = pb.EmbedResponse(
                token_counts=result.token_counts.tolist(),
                truncations=replies.truncations(result.truncations),
                provenance=replies.embedding_provenance(model, result, options),
                row_errors=replies.row_errors(result.row_errors),
            )
            if result.probabilities is not None:
                response.probabilities.CopyFrom(replies.vectors(result.probabilities))
                response.labels.extend(model.manifest.head.labels)
            rows = int(result.token_counts.sum()) if result.pooling == TOKENS else len(asked.on.given)
            shape = (rows, result.dimension)
            reply = Laid(response, "embeddings", shape, result.pieces, result.space)
            check_fits(reply, len(asked.on.given), asked.on.max_bytes)
            if reply.ByteSize() > _LARGE:
                await asyncio.to_thread(reply.SerializeToString)
        return reply

    async def classify(self, request: pb.ClassifyRequest, call: Call) -> pb.ClassifyResponse:
        """Class probabilities."""
        asked = await _read(self._codec.classify, request)
        model = self._model(asked, "model", call)
        row = 4 * model.manifest.head.classes + _ROW_EXTRAS + _FAILED_CLASS
        check_rows_fit(len(asked.given), row, asked.max_bytes)
        result = await self._embedder.classify(
            model, asked.given, truncate=asked.truncate, deadline=call.deadline
        )
        _settle(result.row_errors, result.token_counts, asked, call)
        with call.stage("reply"):
            response = pb.ClassifyResponse(
                probabilities=replies.vectors(result.probabilities),
                labels=result.labels,
                predicted=replies.predicted(result),
                token_counts=result.token_counts.tolist(),
                truncations=replies.truncations(result.truncations),
                provenance=replies.provenance(model),
                row_errors=replies.row_errors(result.row_errors),
            )
            check_fits(response, len(asked.given), asked.max_bytes)
        return response

    async def predict(self, request: pb.PredictRequest, call: Call) -> pb.PredictResponse:
        """What the model's own predict returns."""
        asked = await _read(self._codec.predict, request)
        model = self._model(asked, "model", call)
        outputs = await self._embedder.predict(model, asked.given, deadline=call.deadline)
        with call.stage("reply"):
            response = pb.PredictResponse(
                outputs={name: replies.tensor(array) for name, array in outputs.items()},
                provenance=replies.provenance(model),
            )
            check_fits(response, len(asked.given), asked.max_bytes)
        return response

    async def tokenize(self, request: pb.TokenizeRequest, call: Call) -> pb.TokenizeResponse:
        """Token ids as the model's own preprocessing makes them."""
        asked = await _read(self._codec.tokenize, request)
        model = self._model(asked, "model", call)
        result = await self._embedder.tokenize(model, asked.given, deadline=call.deadline)
        call.tokens = sum(len(ids) for ids in result.ids)
        with call.stage("reply"):
            cut = replies.truncations(result.truncations)
            response = pb.TokenizeResponse(
                sequences=[
                    pb.TokenSequence(
                        ids=ids.tolist(),
                        truncation=truncation,
                        type_ids=None if result.types is None else result.types[i].tolist(),
                    )
                    for i, (ids, truncation) in enumerate(zip(result.ids, cut, strict=True))
                ],
                provenance=replies.provenance(model),
            )
            check_fits(response, len(asked.given), asked.max_bytes)
        return response

    async def sample_dropout(self, request: pb.SampleDropoutRequest, call: Call) -> pb.SampleDropoutResponse:
        """How far the answers spread when dropout is put back."""
        asked = await _read(self._codec.sample, request)
        model = self._model(asked.on, "model", call)
        _check_samples_fit(model.manifest, asked)
        result = await self._embedder.sample(
            model, asked.on.given, asked.options, first_row=asked.first_row, deadline=call.deadline
        )
        _settle(result.row_errors, result.token_counts, asked.on, call)
        with call.stage("statistics"):
            found = await asyncio.to_thread(statistics, result.outputs, model.manifest.head)
        with call.stage("reply"):
            classifier = model.manifest.head.kind in CLASSIFIERS
            response = pb.SampleDropoutResponse(
                mean=replies.vectors(found.mean),
                std=replies.vectors(found.std),
                clean=replies.vectors(result.clean),
                classifier=classifier,
                labels=model.manifest.head.labels if classifier else (),
                entropy=found.entropy.tolist(),
                mutual_information=found.mutual_information.tolist(),
                variation_ratio=found.variation_ratio.tolist(),
                predicted=found.predicted.tolist(),
                samples=asked.options.samples,
                seed=asked.options.seed,
                active=replies.active(result.active),
                token_counts=result.token_counts.tolist(),
                truncations=replies.truncations(result.truncations),
                provenance=replies.provenance(model),
                row_errors=replies.row_errors(result.row_errors),
            )
            if asked.draws:
                response.draws.CopyFrom(replies.tensor(result.outputs))
            check_fits(response, len(asked.on.given), asked.on.max_bytes)
        return response

    def _model(self, asked: RowsCall, field: str, call: Call) -> LoadedModel:
        call.texts = len(asked.given)
        model = self._repository.resolve(asked.reference, field)
        call.model = f"models/{model.name}/versions/{model.version}"
        return model


async def _read(codec: Callable[[R], Asked], request: R) -> Asked:
    """The request as domain values; of numbers there may be millions, and the event loop does not wait for them."""
    if request.WhichOneof("input") in ("records", "tensors"):
        return await asyncio.to_thread(codec, request)
    return codec(request)


def _fitting(
    manifest: Manifest, options: EmbedOptions, asked: EmbedCall
) -> Callable[[NDArray[np.int32]], None] | None:
    """Refuse what is too large for a reply: at once, or, where each token has a row, what to do once they are known."""
    numbers = 4 * choose_readout(manifest, options).dimension
    row = _ROW_EXTRAS + (4 * manifest.head.classes if asked.probabilities else 0)
    if options.pooling == TOKENS:
        return lambda counts: check_tokens_fit(counts, numbers, row, asked.on.max_bytes)
    check_rows_fit(len(asked.on.given), numbers + row, asked.on.max_bytes)
    return None


def _check_samples_fit(manifest: Manifest, asked: SampleCall) -> None:
    """Refuse what is too large for a reply, before it is computed."""
    matrices = 3 + (asked.options.samples if asked.draws else 0)
    row = 4 * manifest.head.classes * matrices + 3 * 4 + _FAILED_CLASS + _ROW_EXTRAS
    otherwise = "take fewer samples, or leave the draws out" if asked.draws else ""
    check_rows_fit(len(asked.on.given), row, asked.on.max_bytes, otherwise)


def _settle(
    errors: Mapping[int, PenultError], token_counts: NDArray[np.int32], asked: RowsCall, call: Call
) -> None:
    """Note the tokens; raise the first row's error unless the caller wants them reported."""
    call.tokens = int(token_counts.sum())
    if errors and not asked.reports:
        raise errors[min(errors)]
