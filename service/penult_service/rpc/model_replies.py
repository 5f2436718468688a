"""Models, and the proofs of their dropouts, as messages."""

from __future__ import annotations

from penult.v1 import common_pb2, model_service_pb2

from penult_service.embedder import LoadedModel
from penult_service.embedder.slots import TEXT_ROLE, VALUE, Slot, slots
from penult_service.prepared import CALLER, GRAPH, LIBRARY, LayerRecord, Manifest, Proof, Site
from penult_service.repository.repository import State, Version
from penult_service.rpc.replies import POOLINGS, TENSOR_TYPES
from penult_service.tuned import Price, Setting, Tuned

_STATES = {
    State.LOADING: model_service_pb2.MODEL_STATE_LOADING,
    State.READY: model_service_pb2.MODEL_STATE_READY,
    State.FAILED: model_service_pb2.MODEL_STATE_FAILED,
}
_READOUT_KINDS = {
    "pooled": model_service_pb2.READOUT_KIND_POOLED,
    "tokens": model_service_pb2.READOUT_KIND_TOKENS,
    "other": model_service_pb2.READOUT_KIND_OTHER,
}
_HEAD_KINDS = {
    "sigmoid": model_service_pb2.HEAD_KIND_SIGMOID,
    "softmax": model_service_pb2.HEAD_KIND_SOFTMAX,
    "multilabel": model_service_pb2.HEAD_KIND_MULTILABEL,
    "regression": model_service_pb2.HEAD_KIND_REGRESSION,
    "other": model_service_pb2.HEAD_KIND_UNSPECIFIED,
}
_ROLES = {
    TEXT_ROLE: model_service_pb2.INPUT_ROLE_TEXT,
    "ids": model_service_pb2.INPUT_ROLE_IDS,
    "mask": model_service_pb2.INPUT_ROLE_MASK,
    "types": model_service_pb2.INPUT_ROLE_TYPES,
    VALUE: model_service_pb2.INPUT_ROLE_VALUE,
}
_TOKENIZERS = {
    GRAPH: model_service_pb2.TOKENIZER_KIND_GRAPH,
    LIBRARY: model_service_pb2.TOKENIZER_KIND_FILE,
    CALLER: model_service_pb2.TOKENIZER_KIND_NONE,
}
# As the inputs travel: those of the tensors of a reply, and those that they have not.
_INPUT_TYPES = {name: kind for name, (kind, _) in TENSOR_TYPES.items()} | {
    "string": common_pb2.DATA_TYPE_STRING,
    "bfloat16": common_pb2.DATA_TYPE_FLOAT32,
    "uint64": common_pb2.DATA_TYPE_INT64,
}
_PLACES = {
    "before": model_service_pb2.DROPOUT_PLACE_BEFORE_EMBEDDING,
    "at": model_service_pb2.DROPOUT_PLACE_AT_SEAM,
    "after": model_service_pb2.DROPOUT_PLACE_IN_HEAD,
}


def model(version: Version[LoadedModel], *, default: bool) -> model_service_pb2.Model:
    """A version of a model, as far as it is known in its state."""
    message = model_service_pb2.Model(
        name=version.resource,
        version=version.number,
        state=_STATES[version.state],
        state_message=version.message,
        default_version=default,
    )
    if version.model is not None:
        message.engine, message.precision = version.model.engine.name, version.model.engine.precision
        _describe(message, version.model.manifest)
        message.serving.CopyFrom(_serving(version.model.tuned))
    return message


def _serving(tuned: Tuned) -> model_service_pb2.Serving:
    message = model_service_pb2.Serving(
        setting=_setting(tuned.setting), processor=tuned.processor, load=tuned.load
    )
    for each in tuned.measured:
        message.measured.add(
            setting=_setting(each.setting),
            tokens_per_second=each.tokens_per_second,
            one_seconds=each.one_seconds,
            problem=each.problem,
        )
    if tuned.price is not None:
        message.price.CopyFrom(_price(tuned.price))
    return message


def _setting(setting: Setting) -> model_service_pb2.ServingSetting:
    return model_service_pb2.ServingSetting(**vars(setting))


def _price(price: Price) -> model_service_pb2.PrecisionPrice:
    return model_service_pb2.PrecisionPrice(**vars(price))  # what is None is absent


def _describe(message: model_service_pb2.Model, manifest: Manifest) -> None:
    message.model_digest = manifest.model_digest
    message.format = manifest.source_format
    for readout in manifest.readouts:
        message.readouts.add(
            layer=readout.layer, dimension=readout.dimension, kind=_READOUT_KINDS[readout.kind]
        )
    message.poolings.extend(POOLINGS[pooling] for pooling in manifest.poolings)
    message.default_pooling = POOLINGS[manifest.pooling]
    message.unread = manifest.unread
    message.inputs.extend(_input(slot) for slot in slots(manifest))
    message.tokenizer = _TOKENIZERS[manifest.tokenizer]
    message.labels.extend(manifest.head.labels)
    message.head_kind = _HEAD_KINDS[manifest.head.kind]
    message.logits = bool(manifest.head.activation)
    message.outputs.extend(manifest.outputs)
    message.max_length = manifest.max_length
    message.trims_padding = manifest.trims
    message.dropout_proven_inactive = manifest.proof.proven


def _input(slot: Slot) -> model_service_pb2.ModelInput:
    return model_service_pb2.ModelInput(
        name=slot.name,
        data_type=_INPUT_TYPES.get(slot.dtype),
        shape=slot.shape,
        role=_ROLES.get(slot.role),
        limit=slot.limit,
        made_by_tokenizing=slot.made,
    )


def dropout_report(model: LoadedModel) -> model_service_pb2.InspectDropoutResponse:
    """The dropouts found, the proof, and the layers that the file tells of."""
    manifest = model.manifest
    return model_service_pb2.InspectDropoutResponse(
        name=f"models/{model.name}/versions/{model.version}",
        model_digest=manifest.model_digest,
        sites=[_site(site) for site in manifest.sites],
        proof=_proof(manifest.proof, manifest.preparer),
        unread=manifest.unread,
        unsampled=manifest.unsampled,
        layers=[_layer(layer) for layer in manifest.layers],
    )


def _site(site: Site) -> model_service_pb2.DropoutSite:
    shape = site.noise_shape or ()
    message = model_service_pb2.DropoutSite(
        path=site.path,
        noise_shape=shape,
        place=_PLACES.get(site.place),
        layer_class=site.layer_class,
        read=site.place == "at",
        shared_axes=site.shared or [axis for axis, length in enumerate(shape) if length == 1],
        sampled=site.sampled,
    )
    if site.rate is not None:
        message.rate = site.rate
    return message


def _layer(layer: LayerRecord) -> model_service_pb2.ModelLayer:
    return model_service_pb2.ModelLayer(
        path=layer.path,
        layer_class=layer.layer_class,
        output_shape=layer.output_shape,
        parameters=layer.parameters,
        units=layer.units,
        dropout=layer.dropout,
        recurrent_dropout=layer.recurrent_dropout,
    )


def _proof(proof: Proof, preparer: str) -> model_service_pb2.DropoutProof:
    figures = [
        model_service_pb2.ProofFigure(name=f.name, meaning=f.meaning, value=f.value, limit=f.limit)
        for f in proof.figures
    ]
    return model_service_pb2.DropoutProof(
        proven=proof.proven, findings=proof.findings, figures=figures, preparer=preparer
    )
