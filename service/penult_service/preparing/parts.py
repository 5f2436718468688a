"""The functions of a prepared model, cut out of the flat graph and saved as one SavedModel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import tensorflow as tf

from penult_service.prepared import (
    EMBEDDING,
    HEAD,
    SAMPLE_ENCODE,
    SAMPLE_HEAD,
    TOKENIZE,
    WHOLE,
    WORDPIECES,
    Field,
    Manifest,
    TokenInput,
)
from penult_service.preparing.cut import Part, cut, owned
from penult_service.preparing.examples import as_column, feeds, fields_of
from penult_service.preparing.graph import FlatGraph, Ref, node_of
from penult_service.preparing.opened import Opened
from penult_service.preparing.places import Seams
from penult_service.preparing.sampling.putting import Plan


def build(opened: Opened, seams: Seams, names: dict[tuple[str, ...], str], plan: Plan) -> dict[str, Part]:
    """Signature name -> function.

    Args:
        opened: The model.
        seams: Where it is cut.
        names: Readouts (layers) -> the name of the `encode` signature that gives exactly these.
        plan: The dropouts that are put back.
    """
    flat, inputs = opened.flat, {one.ref: one for one in opened.inputs}
    tokens = {token.name: ref for token, ref in seams.tokens if token.role != "value"}
    if seams.wordpieces is not None:
        tokens[WORDPIECES] = seams.wordpieces
    token_specs = {ref: spec_of(token) for token, ref in seams.tokens}
    parts: dict[str, Part] = {}

    def begin(ref: Ref, given: tf.Tensor) -> tf.Tensor:
        return as_column(given, inputs[ref]) if inputs[ref].is_text else tf.identity(given)

    if opened.texts:
        own = _own_specs(opened, fields_of(opened, [token for token, _ in seams.tokens]))
        texts = {ref: spec for ref, spec in own.items() if inputs[ref].is_text}
        parts[WHOLE] = cut(flat, own, flat.outputs, _output, begin)
        if tokens:
            parts[TOKENIZE] = cut(flat, texts, tokens, _count_wordpieces, begin)
    else:
        parts[WHOLE] = cut(flat, token_specs, flat.outputs, _output)
    for layers, name in names.items():
        wanted = {readout.layer: ref for readout, ref in seams.read if readout.layer in layers}
        parts[name] = cut(flat, token_specs, wanted, _readout)
    if seams.read:
        parts[HEAD] = _head(opened, seams, flat, {})
    if plan.flat is not None:
        parts[SAMPLE_HEAD] = _head(opened, seams, plan.flat, plan.feeds)
        if plan.inside:
            wanted = {seams.seam: seams.before}
            parts[SAMPLE_ENCODE] = cut(plan.flat, token_specs | plan.feeds, wanted, _readout)
    return parts


def head_values(opened: Opened, seams: Seams) -> tuple[str, ...]:
    """The inputs of role ``value`` that join behind the seam: names of `encode`'s inputs."""
    behind = opened.flat.upstream(opened.flat.outputs.values(), stop=[seams.before])
    return tuple(
        token.name for token, ref in seams.tokens if token.role == "value" and node_of(ref) in behind
    )


def _head(opened: Opened, seams: Seams, flat: FlatGraph, keys: dict[Ref, tf.TensorSpec]) -> Part:
    beside = head_values(opened, seams)
    dimension = next(readout.dimension for readout, _ in seams.read if readout.layer == seams.seam)
    specs = {seams.before: tf.TensorSpec([None, dimension], tf.float32, name=EMBEDDING)}
    specs |= {ref: spec_of(token) for token, ref in seams.tokens if token.name in beside}
    return cut(
        flat,
        specs | keys,
        flat.outputs,
        _output,
        lambda ref, given: tf.cast(given, seams.dtype) if ref == seams.before else tf.identity(given),
    )


def spec_of(token: TokenInput) -> tf.TensorSpec:
    """An input of `encode`: rows of any number."""
    shape = [None, *(None if length < 0 else length for length in token.shape)]
    return tf.TensorSpec(shape, tf.as_dtype(token.dtype), name=token.name)


def _own_specs(opened: Opened, fields: Sequence[Field]) -> dict[Ref, tf.TensorSpec]:
    """Where the function that takes texts is fed, by the names of its arguments."""
    specs = {}
    for one, field in zip(opened.inputs, fields, strict=True):
        shape = [None] if one.is_text else one.shape
        specs[one.ref] = tf.TensorSpec(shape, one.dtype, name=field.argument)
    return specs


def names_of(manifest: Manifest) -> dict[tuple[str, ...], str]:
    """The sets of readouts (layers) that requests ask for -> the name of the `encode` signature of each.

    Each readout alone, and each with the one that the head takes.
    """
    alone = [(readout.layer,) for readout in manifest.readouts]
    beside = [tuple(dict.fromkeys((layer, manifest.seam))) for (layer,) in alone if layer != manifest.seam]
    return {layers: manifest.encode_signature(layers) for layers in (*alone, *beside)}


def save(parts: dict[str, Part], opened: Opened, directory: Path) -> tf.Module:
    """Writes the SavedModel: the functions as signatures, the variables and tables that they need, which it returns."""
    module = owned(opened.root, list(parts.values()))
    signatures = {name: part.get_concrete_function() for name, part in parts.items()}  # type: ignore[attr-defined]
    tf.saved_model.save(module, str(directory), signatures=signatures)
    return module


def references(opened: Opened, refs: Iterable[Ref]) -> Part:
    """What the model's own function takes -> these tensors of the graph as saved, uncut, by their names."""
    return cut(opened.flat, feeds(opened), {ref: ref for ref in refs})


def _readout(_: str, tensor: tf.Tensor) -> tf.Tensor:
    return tf.cast(tensor, tf.float32)


def _output(_: str, tensor: tf.Tensor) -> tf.Tensor:
    """As the model gives it; half precision, which NumPy and the wire do not have, as float32."""
    return tf.cast(tensor, tf.float32) if tensor.dtype in (tf.float16, tf.bfloat16) else tf.identity(tensor)


def _count_wordpieces(name: str, tensor: tf.Tensor) -> tf.Tensor:
    return tf.size(tensor) if name == WORDPIECES else tf.identity(tensor)
