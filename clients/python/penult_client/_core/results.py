"""The replies to the parts of a call -> one result in the caller's order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from penult.v1 import common_pb2 as common
from penult.v1 import inference_service_pb2 as inference

from penult_client._core import arrays, dropout, errors
from penult_client._core.embedded import Embedded, of_message
from penult_client._core.enums import to_word
from penult_client._core.names import split_name
from penult_client._core.splitting import Part
from penult_client._exceptions import PreconditionError
from penult_client._results import (
    Classification,
    Embeddings,
    Prediction,
    RowError,
    TokenEmbeddings,
    Tokens,
)
from penult_client._uncertainty import Uncertainty

Reply = TypeVar("Reply")
Replies = Sequence[tuple[Part, Reply]]


def embeddings(replies: Replies[inference.EmbedResponse | Embedded]) -> Embeddings:
    """Embeddings of all parts; with one row a token, as `TokenEmbeddings`."""
    rows, found = _unzip(replies)
    parts = [of_message(each) for each in found]
    messages = [each.message for each in parts]
    source = _same_source(messages)
    asked = messages[0].HasField("probabilities")
    of_tokens = source.pooling == common.POOLING_TOKENS
    made: Any = TokenEmbeddings if of_tokens else Embeddings
    result: Embeddings = made(
        vectors=_token_vectors(parts, rows) if of_tokens else _vectors(parts, rows),
        probabilities=arrays.to_matrix([m.probabilities for m in messages], rows) if asked else None,
        labels=tuple(messages[0].labels),
        space=source.embedding_space,
        layer=source.layer,
        pooling=to_word(source.pooling, common.Pooling, "POOLING_"),
        normalized=source.normalized,
        **_by_text([(part, m) for (part, _), m in zip(replies, messages, strict=True)], source),
    )
    return result


def _vectors(parts: Sequence[Embedded], rows: Sequence[int]) -> NDArray[np.float32]:
    return arrays.to_matrix(
        [each.message.embeddings for each in parts], rows, (each.take() for each in parts)
    )


def _token_vectors(parts: Sequence[Embedded], rows: Sequence[int]) -> Any:
    """An array a text, each a view of one matrix."""
    counts = _per_row((each.message.token_counts for each in parts), rows, np.int32)
    if counts.min() < 0:
        raise arrays.bad_reply(f"a text of {counts.min()} tokens")
    whole = _vectors(parts, [sum(each.message.token_counts) for each in parts])
    return np.split(whole, np.cumsum(counts)[:-1])


def classification(replies: Replies[inference.ClassifyResponse]) -> Classification:
    """Classifications of all parts."""
    rows, messages = _unzip(replies)
    classes = tuple(messages[0].labels)
    predicted = _per_row((m.predicted for m in messages), rows, np.int32)
    if predicted.size and predicted.max() >= (len(classes) or messages[0].probabilities.columns):
        raise arrays.bad_reply(f"class {predicted.max()} of {len(classes)}")
    # The last entry is what a failed row, -1, gets.
    labels = np.array([*classes, ""])[predicted] if classes else predicted
    return Classification(
        probabilities=arrays.to_matrix([m.probabilities for m in messages], rows),
        labels=labels,
        predicted=predicted,
        classes=classes,
        **_by_text(replies, _same_source(messages)),
    )


def uncertainty(replies: Replies[inference.SampleDropoutResponse]) -> Uncertainty:
    """What the samples of all parts say."""
    rows, messages = _unzip(replies)
    first = messages[0]
    if any((m.seed, m.samples) != (first.seed, first.samples) for m in messages):
        raise arrays.bad_reply("parts of one call have other seeds, or other numbers of samples")

    def column(name: str, dtype: Any = np.float32) -> NDArray[Any]:
        return _per_row(
            (getattr(m, name) for m in messages), rows if first.classifier else [0] * len(rows), dtype
        )

    draws = None
    if first.HasField("draws"):
        draws = _join("draws", [arrays.to_array(m.draws) for m in messages], rows)
    return Uncertainty(
        mean=arrays.to_matrix([m.mean for m in messages], rows),
        std=arrays.to_matrix([m.std for m in messages], rows),
        clean=arrays.to_matrix([m.clean for m in messages], rows),
        classifier=first.classifier,
        labels=tuple(first.labels),
        entropy=column("entropy"),
        mutual_information=column("mutual_information"),
        variation_ratio=column("variation_ratio"),
        predicted=column("predicted", np.int32),
        draws=draws,
        samples=first.samples,
        seed=first.seed,
        active=dropout.active(first.active),
        **_by_text(replies, _same_source(messages)),
    )


def prediction(replies: Replies[inference.PredictResponse]) -> Prediction:
    """Outputs of all parts, one after the other along the first axis."""
    rows, messages = _unzip(replies)
    outputs = {
        name: _join(name, [arrays.to_array(m.outputs[name]) for m in messages], rows)
        for name in messages[0].outputs
    }
    return Prediction(outputs=outputs, **_from_model(_same_source(messages)))


def tokens(replies: Replies[inference.TokenizeResponse]) -> Tokens:
    """Token ids of all parts."""
    rows, messages = _unzip(replies)
    sequences = [sequence for m in messages for sequence in m.sequences]
    if len(sequences) != sum(rows):
        raise arrays.bad_reply(f"{len(sequences)} token sequences for {sum(rows)} texts")
    return Tokens(
        ids=[list(sequence.ids) for sequence in sequences],
        type_ids=[list(sequence.type_ids) for sequence in sequences],
        truncated=_truncated(sequence.truncation for sequence in sequences),
        **_from_model(_same_source(messages)),
    )


def _unzip(replies: Replies[Reply]) -> tuple[list[int], list[Reply]]:
    return [len(part) for part, _ in replies], [message for _, message in replies]


def _same_source(messages: Sequence[Any]) -> common.Provenance:
    """The provenance that all parts share: rows of two models must never stand in one matrix."""
    first: common.Provenance = messages[0].provenance
    for message in messages:
        other = message.provenance
        if (other.model_digest, other.embedding_space) != (first.model_digest, first.embedding_space):
            raise PreconditionError(
                f"the server changed from {first.model} to {other.model} in the middle of the call; call again, "
                "or name a version, such as 'reviews@3'",
                reason="MODEL_CHANGED",
                field="model",
            )
    return first


def _from_model(source: common.Provenance) -> dict[str, Any]:
    model, version = split_name(source.model)
    return {
        "model": model,
        "version": source.version or version,
        "digest": source.model_digest,
        "engine": source.engine,
        "precision": source.precision,
        "dropout_proven": source.dropout_proven_inactive,
        "warnings": tuple(source.warnings),
    }


def _by_text(replies: Replies[Any], source: common.Provenance) -> dict[str, Any]:
    rows, messages = _unzip(replies)
    truncations = _per_row((m.truncations for m in messages), rows, np.int32)
    return {
        "token_counts": _per_row((m.token_counts for m in messages), rows, np.int32),
        "truncated": _truncated(truncations.tolist()),
        "row_errors": tuple(_row_error(part, error) for part, m in replies for error in m.row_errors),
        **_from_model(source),
    }


def _truncated(values: Iterable[int]) -> NDArray[np.str_]:
    words = [to_word(value, common.Truncation, "TRUNCATION_") or "unknown" for value in values]
    return np.array(words, dtype="<U7")


def _row_error(part: Part, error: common.RowError) -> RowError:
    cause = errors.count_from(part.start, errors.error_from_row_status(error.status))
    return RowError(
        index=part.start + error.index,
        code=cause.code,
        reason=cause.reason,
        field=cause.field,
        message=cause.message,
    )


def _per_row(values: Iterable[Iterable[Any]], rows: Sequence[int], dtype: Any) -> NDArray[Any]:
    parts = [np.fromiter(each, dtype=dtype) for each in values]
    for part, count in zip(parts, rows, strict=True):
        if part.size != count:
            raise arrays.bad_reply(f"{part.size} values for {count} texts")
    return np.concatenate(parts)


def _join(name: str, parts: list[NDArray[Any]], rows: Sequence[int]) -> NDArray[Any]:
    for part, count in zip(parts, rows, strict=True):
        if not part.shape or part.shape[0] != count:
            raise arrays.bad_reply(f"output {name!r} of shape {list(part.shape)} for {count} texts")
    if len({part.shape[1:] for part in parts}) > 1:
        shapes = " and ".join(str(list(part.shape)) for part in parts[:2])
        raise PreconditionError(
            f"output {name!r} has another shape in each part of the call ({shapes}), so the parts do not make one "
            f"array; send at most {max(rows)} texts a call",
            reason="OUTPUT_SHAPES_DIFFER",
            field=name,
        )
    return np.concatenate(parts) if len(parts) > 1 else parts[0]
