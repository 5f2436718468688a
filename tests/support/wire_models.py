"""The models of the scripted server."""

from __future__ import annotations

import grpc
from grpc_status.rpc_status import to_status
from penult.v1 import common_pb2 as common
from penult.v1 import model_service_pb2 as models
from penult.v1 import model_service_pb2_grpc as models_grpc
from support.wire_script import DIMENSION, LABELS, Script, status


class Models(models_grpc.ModelServiceServicer):
    """Two versions of one model."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def ListModels(self, request, context):  # noqa: N802
        with self._script.call("ListModels", request, context):
            if not request.page_token:
                return models.ListModelsResponse(models=[_model(3)], next_page_token="more")
            return models.ListModelsResponse(models=[_model(2)])

    def GetModel(self, request, context):  # noqa: N802
        with self._script.call("GetModel", request, context):
            if request.name not in ("", "reviews", "reviews@3"):
                failure = status(
                    grpc.StatusCode.NOT_FOUND,
                    f"there is no model {request.name!r}; loaded: reviews",
                    reason="MODEL_NOT_FOUND",
                    field="name",
                )
                context.abort_with_status(to_status(failure))
            return models.GetModelResponse(model=_model(3))

    def InspectDropout(self, request, context):  # noqa: N802
        with self._script.call("InspectDropout", request, context):
            return models.InspectDropoutResponse(
                name="models/reviews/versions/3",
                model_digest="d1",
                sites=[
                    models.DropoutSite(
                        path="dropout",
                        rate=0.1,
                        place=models.DROPOUT_PLACE_AT_SEAM,
                        layer_class="Dropout",
                        read=True,
                        sampled=True,
                    ),
                    models.DropoutSite(
                        path="encoder/noise", noise_shape=[1, 4], layer_class="GaussianNoise", shared_axes=[0]
                    ),
                ],
                proof=models.DropoutProof(
                    proven=True,
                    findings=["no random operation is reachable"],
                    figures=[models.ProofFigure(name="repeats", meaning="20 repeats", value=0.0, limit=0.0)],
                    preparer="0.1.0",
                ),
                unsampled="it was too far away",
                layers=[
                    models.ModelLayer(path="encoder", layer_class="Functional"),
                    models.ModelLayer(
                        path="encoder/lstm",
                        layer_class="LSTM",
                        output_shape=[-1, 4],
                        parameters=144,
                        units=4,
                        dropout=0.0,
                        recurrent_dropout=0.5,
                    ),
                ],
            )


def _model(version: int) -> models.Model:
    return models.Model(
        name=f"models/reviews/versions/{version}",
        version=version,
        state=models.MODEL_STATE_READY,
        default_version=version == 3,
        model_digest=f"d{version}",
        format="tf_keras SavedModel",
        readouts=[
            models.Readout(layer="pooled_output", dimension=DIMENSION, kind=models.READOUT_KIND_POOLED)
        ],
        poolings=[common.POOLING_POOLED, common.POOLING_MEAN],
        labels=LABELS,
        head_kind=models.HEAD_KIND_SIGMOID,
        max_length=128,
        trims_padding=True,
        engine="wire",
        precision="float32",
        dropout_proven_inactive=True,
        inputs=[
            models.ModelInput(name="text", data_type=common.DATA_TYPE_STRING, role=models.INPUT_ROLE_TEXT),
            models.ModelInput(
                name="input_ids",
                data_type=common.DATA_TYPE_INT32,
                shape=[-1],
                role=models.INPUT_ROLE_IDS,
                limit=30_522,
                made_by_tokenizing=True,
            ),
        ],
        tokenizer=models.TOKENIZER_KIND_GRAPH,
        default_pooling=common.POOLING_POOLED,
        outputs=["output"],
    )
