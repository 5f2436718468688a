"""What a server tells about itself: messages -> records."""

from __future__ import annotations

from penult.v1 import common_pb2 as common
from penult.v1 import model_service_pb2 as models
from penult.v1 import server_service_pb2 as server

from penult_client._about import (
    DropoutReport,
    DropoutSite,
    Limits,
    Model,
    ModelInput,
    ModelLayer,
    ProofFigure,
    Readout,
    ServerInfo,
)
from penult_client._core.enums import to_word
from penult_client._core.names import split_name
from penult_client._serving import MeasuredSetting, PrecisionPrice, Serving, ServingSetting


def server_info(reply: server.GetServerInfoResponse) -> ServerInfo:
    """Version, limits, default model, abilities."""
    told = reply.limits
    return ServerInfo(
        version=reply.version,
        limits=Limits(
            max_request_bytes=told.max_request_bytes,
            default_response_bytes=told.default_response_bytes,
            max_response_bytes=told.max_response_bytes,
            max_texts=told.max_texts,
            max_text_bytes=told.max_text_bytes,
            max_queued_tokens=told.max_queued_tokens,
            max_scores=told.max_scores,
            max_analysis_seconds=told.max_analysis_seconds,
            max_analysis_bytes=told.max_analysis_bytes,
        ),
        default_model=split_name(reply.default_model)[0],
        features=tuple(reply.features),
    )


def model(told: models.Model) -> Model:
    """A version of a model."""
    name, version = split_name(told.name)
    return Model(
        name=name,
        version=told.version or version,
        state=to_word(told.state, models.ModelState, "MODEL_STATE_"),
        state_message=told.state_message,
        default=told.default_version,
        digest=told.model_digest,
        format=told.format,
        readouts=tuple(
            Readout(
                layer=each.layer,
                dimension=each.dimension,
                kind=to_word(each.kind, models.ReadoutKind, "READOUT_KIND_"),
            )
            for each in told.readouts
        ),
        poolings=tuple(to_word(each, common.Pooling, "POOLING_") for each in told.poolings),
        labels=tuple(told.labels),
        head=to_word(told.head_kind, models.HeadKind, "HEAD_KIND_"),
        max_length=told.max_length,
        trims_padding=told.trims_padding,
        engine=told.engine,
        precision=told.precision,
        dropout_proven=told.dropout_proven_inactive,
        inputs=tuple(_input(each) for each in told.inputs),
        tokenizer=to_word(told.tokenizer, models.TokenizerKind, "TOKENIZER_KIND_"),
        pooling=to_word(told.default_pooling, common.Pooling, "POOLING_"),
        unread=told.unread,
        logits=told.logits,
        outputs=tuple(told.outputs),
        serving=serving(told.serving) if told.HasField("serving") else None,
    )


def serving(told: models.Serving) -> Serving:
    """How it is run, and why."""
    return Serving(
        setting=_setting(told.setting),
        measured=tuple(
            MeasuredSetting(
                setting=_setting(each.setting),
                tokens_per_second=each.tokens_per_second,
                one_seconds=each.one_seconds,
                problem=each.problem,
            )
            for each in told.measured
        ),
        price=_price(told.price) if told.HasField("price") else None,
        processor=told.processor,
        load=told.load,
    )


def _setting(told: models.ServingSetting) -> ServingSetting:
    return ServingSetting(
        engine=told.engine,
        precision=told.precision,
        threads=told.threads,
        token_budget=told.token_budget,
        max_rows=told.max_rows,
        streams=told.streams or 1,
    )


def _price(told: models.PrecisionPrice) -> PrecisionPrice:
    return PrecisionPrice(
        texts=told.texts,
        lowest_cosine=told.lowest_cosine,
        mean_cosine=told.mean_cosine,
        largest_difference=told.largest_difference,
        flipped=told.flipped if told.HasField("flipped") else None,
        neighbors_kept=told.neighbors_kept if told.HasField("neighbors_kept") else None,
    )


def _input(told: models.ModelInput) -> ModelInput:
    return ModelInput(
        name=told.name,
        dtype=to_word(told.data_type, common.DataType, "DATA_TYPE_"),
        shape=tuple(told.shape),
        role=to_word(told.role, models.InputRole, "INPUT_ROLE_"),
        limit=told.limit,
        made_by_tokenizing=told.made_by_tokenizing,
    )


def dropout_report(reply: models.InspectDropoutResponse) -> DropoutReport:
    """Dropout layers and the proof."""
    name, version = split_name(reply.name)
    return DropoutReport(
        model=name,
        version=version,
        digest=reply.model_digest,
        sites=tuple(
            DropoutSite(
                path=site.path,
                rate=site.rate if site.HasField("rate") else None,
                noise_shape=tuple(site.noise_shape),
                place=to_word(site.place, models.DropoutPlace, "DROPOUT_PLACE_"),
                layer_class=site.layer_class,
                shared_axes=tuple(site.shared_axes),
                read=site.read,
                sampled=site.sampled,
            )
            for site in reply.sites
        ),
        proven=reply.proof.proven,
        findings=tuple(reply.proof.findings),
        figures=tuple(
            ProofFigure(name=each.name, meaning=each.meaning, value=each.value, limit=each.limit)
            for each in reply.proof.figures
        ),
        preparer=reply.proof.preparer,
        unread=reply.unread,
        unsampled=reply.unsampled,
        layers=tuple(_layer(each) for each in reply.layers),
    )


def _layer(told: models.ModelLayer) -> ModelLayer:
    return ModelLayer(
        path=told.path,
        layer_class=told.layer_class,
        output_shape=tuple(told.output_shape),
        parameters=told.parameters,
        units=told.units,
        dropout=told.dropout if told.HasField("dropout") else None,
        recurrent_dropout=told.recurrent_dropout if told.HasField("recurrent_dropout") else None,
    )
