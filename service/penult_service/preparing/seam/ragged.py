"""Token ids that a graph keeps ragged, as matrices: what is cut and batched is padded, and made ragged again behind it.

Ragged rows are two vectors, all values in a row and where each row ends. Where every way from the texts to the outputs
passes such a pair, operations are put there that pad them to a matrix of ids and one of ones, their mask, and that make
the same two vectors of these again. What the model computes does not change.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2

from penult_service.preparing import parts
from penult_service.preparing.graph import FlatGraph, Ref, node_of
from penult_service.preparing.opened import Opened
from penult_service.preparing.seam.paths import smallest_cut
from penult_service.preparing.seam.survey import PROBE, Survey

_PREFIX = "ragged_rows/"
_VALUES, _ENDS, _VALUES_AGAIN, _ENDS_AGAIN = (
    f"{_PREFIX}{n}" for n in ("values", "ends", "values_again", "ends_again")
)


def as_matrices(survey: Survey) -> Opened | None:
    """The model with its ragged ids padded and made ragged again; None when it has no such pair."""
    found = _pair(survey)
    if found is None:
        return None
    flat, (values, ends) = survey.flat, found
    added = _bridge(survey.tensors[values], survey.tensors[ends])
    front = flat.upstream(found)
    nodes = {name: node for name, node in flat.nodes.items() if name in front}
    for node in added:
        made = node_def_pb2.NodeDef()
        made.CopyFrom(node)
        made.input[:] = [
            {f"{_VALUES}:0": values, f"{_ENDS}:0": ends}.get(ref, ref) for ref in _full(node.input)
        ]
        if node.name not in (_VALUES, _ENDS):
            nodes[node.name] = made
    instead = {values: f"{_VALUES_AGAIN}:0", ends: f"{_ENDS_AGAIN}:0"}
    for name, node in flat.nodes.items():
        if name not in front:
            made = node_def_pb2.NodeDef()
            made.CopyFrom(node)
            made.input[:] = [instead.get(ref, ref) for ref in node.input]
            nodes[name] = made
    note = "its token ids are ragged: they are padded, and made ragged again where its encoder begins"
    rewritten = FlatGraph(nodes, flat.inputs, flat.outputs, flat.library, flat.captures)
    return replace(survey.opened, flat=rewritten, notes=(*survey.opened.notes, note))


def _pair(survey: Survey) -> tuple[Ref, Ref] | None:
    """The values and the ends of the rows that all ways pass."""
    vectors = [
        ref for ref, dtype in survey.tensors.items() if dtype.is_integer and len(survey.shapes[ref]) == 1
    ]
    if not survey.opened.texts or not vectors:
        return None
    given = survey.examples.arguments(survey.examples.rows(PROBE))
    found = {ref: value.numpy() for ref, value in parts.references(survey.opened, vectors)(*given).items()}
    ends = [ref for ref, value in found.items() if len(value) == len(PROBE) + 1 and _are_ends(value)]
    totals = {int(found[ref][-1]) for ref in ends}
    if len(totals) != 1:
        return None
    values = [ref for ref, value in found.items() if len(value) in totals]
    cut = smallest_cut(survey.flat, survey.opened.sources, survey.outputs, [*ends, *values], 2) or []
    chosen = [ref for ref in cut if ref in values], [ref for ref in cut if ref in ends]
    return (chosen[0][0], chosen[1][0]) if [len(one) for one in chosen] == [1, 1] else None


def _are_ends(value: np.ndarray) -> bool:
    return bool(value[0] == 0 and value[-1] > len(PROBE) and (np.diff(value) >= 0).all())


def _bridge(dtype: tf.DType, ends_dtype: tf.DType) -> list[node_def_pb2.NodeDef]:
    """Values and ends -> ids and mask -> the same again; in topological order."""
    with tf.Graph().as_default() as graph:
        values = tf.compat.v1.placeholder(dtype, [None], name=_VALUES)
        ends = tf.compat.v1.placeholder(ends_dtype, [None], name=_ENDS)
        ones = tf.ones_like(values, dtype=tf.int32)
        ids, mask = (
            tf.RaggedTensor.from_row_splits(one, ends, validate=False).to_tensor(0) for one in (values, ones)
        )
        tf.gather_nd(ids, tf.where(mask > 0), name=_VALUES_AGAIN)
        counts = tf.cast(tf.reduce_sum(mask, 1), ends_dtype)
        tf.concat([tf.zeros([1], ends_dtype), tf.cumsum(counts)], 0, name=_ENDS_AGAIN)
        made = graph.as_graph_def().node
    for node in made:
        if not node.name.startswith(_PREFIX):
            node.name = f"{_PREFIX}{node.name}"
            for attribute in ("_class", "_output_shapes"):
                node.attr.pop(attribute, None)
    return list(made)


def _full(inputs: object) -> list[Ref]:
    """Inputs of a GraphDef as references to outputs of the nodes renamed."""
    named = [ref for ref in inputs if not ref.startswith("^")]  # type: ignore[attr-defined]
    full = [ref if ":" in ref else f"{ref}:0" for ref in named]
    return [ref if node_of(ref).startswith(_PREFIX) else f"{_PREFIX}{ref}" for ref in full]
