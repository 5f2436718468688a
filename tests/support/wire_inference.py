"""What the scripted server makes of texts."""

from __future__ import annotations

import grpc
import numpy as np
from google.rpc.status_pb2 import Status
from penult.v1 import common_pb2 as common
from penult.v1 import inference_service_pb2 as inference
from penult.v1 import inference_service_pb2_grpc as inference_grpc
from support.wire_numbers import packed, probabilities_of, rows_of, token_vectors_of, vector_of
from support.wire_script import DIMENSION, LABELS, Script, status


class Inference(inference_grpc.InferenceServiceServicer):
    """Numbers of each text alone."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def Embed(self, request, context):  # noqa: N802
        with self._script.call("Embed", request, context):
            texts = rows_of(request)
            rows = [vector_of(text) for text in texts]
            bad = [i for i, text in enumerate(texts) if text == "bad row"]
            for i in bad:
                rows[i] = [np.nan] * DIMENSION
            if request.options.pooling == common.POOLING_TOKENS:
                rows = [row for text in texts for row in token_vectors_of(text)]
            reply = inference.EmbedResponse(
                embeddings=packed(rows),
                token_counts=[len(text.split()) + 2 for text in texts],
                truncations=[_cut(text) for text in texts],
                provenance=self._script.provenance(request.options),
                row_errors=[common.RowError(index=i, status=_bad_row(i)) for i in bad],
            )
            if request.probabilities:
                reply.probabilities.CopyFrom(packed([probabilities_of(text) for text in texts]))
                reply.labels.extend(LABELS)
            return reply

    def Classify(self, request, context):  # noqa: N802
        with self._script.call("Classify", request, context):
            texts = rows_of(request)
            rows = [probabilities_of(text) for text in texts]
            return inference.ClassifyResponse(
                probabilities=packed(rows),
                labels=self._script.labels,
                predicted=[int(np.argmax(row)) for row in rows],
                token_counts=[len(text.split()) + 2 for text in texts],
                truncations=[_cut(text) for text in texts],
                provenance=self._script.provenance(),
            )

    def Predict(self, request, context):  # noqa: N802
        with self._script.call("Predict", request, context):
            texts = rows_of(request)
            lengths = np.array([[len(text)] for text in texts], dtype="<i8")
            return inference.PredictResponse(
                outputs={
                    "length": common.Tensor(
                        shape=lengths.shape, data_type=common.DATA_TYPE_INT64, data=lengths.tobytes()
                    ),
                    "echo": common.Tensor(
                        shape=[len(texts)],
                        data_type=common.DATA_TYPE_STRING,
                        strings=common.ByteStrings(values=[text.encode() for text in texts]),
                    ),
                },
                provenance=self._script.provenance(),
            )

    def Tokenize(self, request, context):  # noqa: N802
        with self._script.call("Tokenize", request, context):
            return inference.TokenizeResponse(
                sequences=[
                    inference.TokenSequence(ids=[101, *map(len, text.split()), 102], truncation=_cut(text))
                    for text in rows_of(request)
                ],
                provenance=self._script.provenance(),
            )


def _cut(text: str) -> int:
    return common.TRUNCATION_CUT if len(text) > 100 else common.TRUNCATION_NONE


def _bad_row(index: int) -> Status:
    return status(
        grpc.StatusCode.INVALID_ARGUMENT,
        f"texts[{index}] is a bad row",
        reason="TEXT_TOO_LONG",
        field=f"texts[{index}]",
    )
