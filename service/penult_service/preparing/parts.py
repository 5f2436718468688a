"""The functions of a prepared model, cut out of the flat graph and saved as one SavedModel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import tensorflow as tf

from penult_service.prepared import EMBEDDING, HEAD, TOKENIZE, WHOLE, WORDPIECES, Readout
from penult_service.preparing.cut import Part, cut, owned
from penult_service.preparing.graph import Ref
from penult_service.preparing.opened import Opened
from penult_service.preparing.seams import Seams


def build(opened: Opened, seams: Seams, names: dict[tuple[str, ...], str]) -> dict[str, Part]:
    """Signature name -> function.

    Args:
        opened: The model.
        seams: Where it is cut.
        names: Readouts (layers) -> the name of the `encode` signature that gives exactly these.
    """
    flat = opened.flat
    tokens = {token.name: ref for token, ref in seams.tokens}
    if seams.wordpieces is not None:
        tokens[WORDPIECES] = seams.wordpieces
    token_specs = {
        ref: tf.TensorSpec([None, None], tf.as_dtype(token.dtype), name=token.name)
        for token, ref in seams.tokens
    }
    dimension = next(readout.dimension for readout, _ in seams.read if readout.layer == seams.seam)
    embedding = {seams.before: tf.TensorSpec([None, dimension], tf.float32, name=EMBEDDING)}
    parts = {
        HEAD: cut(flat, embedding, flat.outputs, _output, lambda tensor: tf.cast(tensor, seams.dtype)),
        WHOLE: cut(flat, opened.feeds, flat.outputs, _output),
    }
    if opened.takes_text:
        parts[TOKENIZE] = cut(flat, opened.feeds, tokens, _count_wordpieces)
    for layers, name in names.items():
        wanted = {readout.layer: ref for readout, ref in seams.read if readout.layer in layers}
        parts[name] = cut(flat, token_specs, wanted, lambda _, tensor: tf.cast(tensor, tf.float32))
    return parts


def readout_sets(readouts: Sequence[Readout], seam: str) -> list[tuple[str, ...]]:
    """The sets of readouts that requests ask for: each alone, and each with the one that the head takes."""
    alone = [(readout.layer,) for readout in readouts]
    return alone + [tuple(dict.fromkeys((layer, seam))) for (layer,) in alone if layer != seam]


def save(parts: dict[str, Part], opened: Opened, directory: Path) -> None:
    """Writes the SavedModel: the functions as signatures, the variables and tables that they need."""
    module = owned(opened.root, list(parts.values()))
    signatures = {name: part.get_concrete_function() for name, part in parts.items()}  # type: ignore[attr-defined]
    tf.saved_model.save(module, str(directory), signatures=signatures)


def references(opened: Opened, refs: Iterable[Ref]) -> Part:
    """What the graph is fed with -> these tensors of the graph as saved, uncut, by their names."""
    return cut(opened.flat, opened.feeds, {ref: ref for ref in refs})


def _output(_: str, tensor: tf.Tensor) -> tf.Tensor:
    """As the model gives it; half precision, which NumPy and the wire do not have, as float32."""
    return tf.cast(tensor, tf.float32) if tensor.dtype in (tf.float16, tf.bfloat16) else tf.identity(tensor)


def _count_wordpieces(name: str, tensor: tf.Tensor) -> tf.Tensor:
    return tf.size(tensor) if name == WORDPIECES else tf.identity(tensor)
