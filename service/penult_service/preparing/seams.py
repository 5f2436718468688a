"""Where to cut: seam 1 behind the tokenizing, seam 2 in front of the last dropout before the head.

Both are found by structure. Seam 1 is the smallest cut, the earliest on ties, of integer or boolean matrices
between the text and the outputs. Seam 2 is the input of the last dropout that every path to every output passes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import tensorflow as tf

from penult_service.errors import ModelRefused
from penult_service.prepared import Readout, Site, TokenInput
from penult_service.preparing import tf_private
from penult_service.preparing.graph import FlatGraph, Ref, node_of
from penult_service.preparing.paths import dominators, smallest_cut
from penult_service.preparing.places import Seams
from penult_service.preparing.survey import FLOATS, INTEGERS, Survey
from penult_service.preparing.unmarked import fronts

_MOST_TOKEN_INPUTS = 6
_NO_NAME = r"\W"  # what no argument of a signature may have
_ROLES = {"ids": "input_ids", "mask": "input_mask", "types": "input_types", "other": "input_other"}
_GATHERS = frozenset({"GatherV2", "ResourceGather"})
# What they give is of the size, not of the values: positions counted along a mask would look like ids.
_SIZES = frozenset({"Shape", "Size"})


def find_seams(survey: Survey, layer: str | None = None) -> Seams:
    """Finds both seams, and what can be read.

    Args:
        survey: The model.
        layer: A layer to read instead of the one in front of the dropout; that one stays readable.

    Raises:
        ModelRefused: NO_TOKEN_SEAM, NO_DROPOUT (the message says which layers can be read), NO_SUCH_LAYER.
    """
    before, after = _dropout_seam(survey, layer)
    seam = survey.layer_of(before) or node_of(before)
    chosen: list[tuple[str, str, Ref]] = [(seam, "pooled", before)]
    if layer is not None and layer != seam:
        chosen.insert(0, (layer, "other", survey.readable()[layer]))
    tokens = _token_seam(survey)
    outputs = _token_outputs(survey, before)
    if outputs is not None:
        name = survey.layer_of(outputs) or node_of(outputs)
        taken = {other for other, _, _ in chosen}
        chosen.append((f"{name}/tokens" if name in taken else name, "tokens", outputs))
    read = tuple((Readout(name, survey.shapes[ref][-1], kind), ref) for name, kind, ref in chosen)
    return Seams(
        tokens=tokens,
        read=read,
        seam=seam,
        before=before,
        after=after,
        dtype=survey.tensors[before],
        sites=_sites(survey, after),
        wordpieces=_wordpieces(survey.flat),
        vocabulary=_vocabulary(survey, tokens),
    )


def _dropout_seam(survey: Survey, layer: str | None) -> tuple[Ref, Ref]:
    """The tensors before and after the last dropout that all paths pass; without one, the layer asked for."""
    layers, where = survey.readable(), survey.opened.source
    if layer is not None and layer not in layers:
        raise ModelRefused(
            f"{where} has no layer {layer!r} that can be read; these can: {', '.join(layers) or 'none'}",
            reason="NO_SUCH_LAYER",
        )
    marked = [ref for ref in survey.line if ref in survey.marks and survey.rows(ref, 2)]
    unmarked = [ref for ref, _ in fronts(survey)]
    if unmarked and (not marked or survey.line.index(unmarked[-1]) > survey.line.index(marked[-1])):
        return unmarked[-1], unmarked[-1]
    if marked:
        return survey.ahead(marked[-1]), marked[-1]
    if layer is None:
        raise ModelRefused(
            f"{where}: there is no dropout on every path to the outputs, so nothing to read in front of; "
            f"name a layer with --layer: {', '.join(layers) or 'none can be read'}",
            reason="NO_DROPOUT",
        )
    return layers[layer], layers[layer]


def _token_seam(survey: Survey) -> tuple[tuple[TokenInput, Ref], ...]:
    matrices = [r for r, dtype in survey.tensors.items() if dtype in INTEGERS and survey.rows(r, 2)]
    found = (
        smallest_cut(survey.flat, survey.opened.sources, survey.outputs, matrices, _MOST_TOKEN_INPUTS) or []
    )
    found = [_past_assertions(survey, ref) for ref in found]
    roles = {ref: _role(survey, ref, found) for ref in found}
    if "ids" not in roles.values():
        raise ModelRefused(
            f"{survey.opened.source}: no token ids were found between the text and the encoder (integer matrices "
            "that all paths pass and that look up an embedding), so its texts cannot be batched by length",
            reason="NO_TOKEN_SEAM",
        )
    fields = {_past_assertions(survey, one.ref): one.name for one in survey.opened.inputs if not one.is_text}
    tokens = []
    for role, name in _ROLES.items():
        for number, ref in enumerate(ref for ref in found if roles[ref] == role):
            numbered = name if number == 0 else f"{name}_{number + 1}"
            tokens.append((TokenInput(numbered, role, survey.tensors[ref].name, fields.get(ref, "")), ref))
    return (*tokens, *_values(survey, {token.field for token, _ in tokens}))


def _values(survey: Survey, tokens: Collection[str]) -> Iterator[tuple[TokenInput, Ref]]:
    """The inputs that are neither text nor token: they go past the tokenizing as they are."""
    for number, one in enumerate(survey.opened.inputs):
        if not one.is_text and one.name not in tokens:
            shape = tuple(length or -1 for length in one.shape[1:])
            name = f"value_{number}_{re.sub(_NO_NAME, '_', one.name)}"
            yield TokenInput(name, "value", one.dtype.name, one.name, shape), one.ref


def _past_assertions(survey: Survey, ref: Ref) -> Ref:
    """Forward over what only asserts the padded shape, which a trimmed batch would not have."""
    while True:
        consumers = [
            n for n in survey.flat.nodes.values() if ref in n.input and f"{n.name}:0" in survey.tensors
        ]
        if len(consumers) != 1 or consumers[0].op not in ("EnsureShape", "Identity"):
            return ref
        ref = f"{consumers[0].name}:0"


def _role(survey: Survey, ref: Ref, seam: Collection[Ref]) -> str:
    """By what consumes it: ids look up a table of many rows, types one of a few, the mask none.

    A one-hot of a few classes is how some encoders look up types.
    """
    rows = _rows(survey, ref, seam)
    return "mask" if rows == 0 else "types" if rows <= 16 else "ids"


def _rows(survey: Survey, ref: Ref, seam: Collection[Ref]) -> int:
    """Rows of the largest table that a tensor of the seam looks up, away from the others; 0 without one."""
    reached, rows = {ref}, 0
    others = set(seam) - {ref}
    for node in survey.flat.nodes.values():
        if not reached.intersection(node.input) or others.intersection(node.input):
            continue
        if node.op in _GATHERS and node.input[1] in reached:
            rows = max(rows, _table_rows(survey.flat, node.input[0]))
        elif node.op == "OneHot":
            rows = max(rows, _constant(survey.flat, node.input[1]))
        elif node.op not in _SIZES and survey.tensors.get(f"{node.name}:0") in INTEGERS:
            reached.add(f"{node.name}:0")
    return rows


def _vocabulary(survey: Survey, tokens: Sequence[tuple[TokenInput, Ref]]) -> int:
    """How many token ids there are: the rows of the smallest table that ids look up; 0 when none was found."""
    seam = [ref for token, ref in tokens if token.role != "value"]
    return min((_rows(survey, ref, seam) for token, ref in tokens if token.role == "ids"), default=0)


def _table_rows(flat: FlatGraph, table: Ref) -> int:
    """Rows of the variable that a gather reads; 0 when it reads none."""
    handles = [flat.captures[name] for name in flat.upstream([table]) if name in flat.captures]
    shapes = [tf_private.variable_shape(handle) for handle in handles if handle.dtype == tf.resource]
    return max((shape[0] for shape in shapes if shape), default=0)


def _constant(flat: FlatGraph, ref: Ref) -> int:
    node = flat.nodes[node_of(ref)]
    return int(tf.make_ndarray(node.attr["value"].tensor)) if node.op == "Const" else 0


def _token_outputs(survey: Survey, before: Ref) -> Ref | None:
    """The last float tensor [n, length, d] that all paths from the text to the embedding pass, or None."""
    line = dominators(survey.flat, survey.opened.sources, [before])
    threes = [r for r in line if survey.tensors.get(r) in FLOATS and survey.rows(r, 3)]
    lengths = {
        survey.shapes[r][1] for r in survey.tensors if survey.tensors[r] in INTEGERS and survey.rows(r, 2)
    }
    return next((ref for ref in reversed(threes) if survey.shapes[ref][1] in lengths), None)


def _sites(survey: Survey, after: Ref) -> tuple[Site, ...]:
    """Every dropout with a mark, and those that the layer graph tells of; what is inside a hub layer leaves neither."""
    order = {name: number for number, name in enumerate(survey.flat.nodes)}
    sites = []
    for ref, layer in survey.marks.items():
        before = order[node_of(ref)] < order[node_of(after)]
        place = "at" if ref == after else "before" if before else "after"
        sites.append(_site(layer.name, layer, node_of(ref), place))
    for ref, layer in fronts(survey):
        first, seam = order[node_of(ref)], order[node_of(after)]
        place = "at" if ref == after else "before" if first < seam else "after"
        sites.append(_site(layer.name, layer, node_of(ref), place))
    return tuple(sites)


def _site(path: str, layer: Any, tensor: str, place: str) -> Site:
    rate = layer.config.get("rate", layer.config.get("stddev"))
    shape = layer.config.get("noise_shape")
    items = shape.get("items") if isinstance(shape, dict) else shape
    noise_shape = None if items is None else tuple(-1 if n is None else int(n) for n in items)
    return Site(path, layer.class_name, None if rate is None else float(rate), noise_shape, tensor, place)


def _wordpieces(flat: FlatGraph) -> Ref | None:
    """The values of the one word-piece tokenizer, all texts' pieces in a row before any is cut off."""
    found = [n.name for n in flat.nodes.values() if n.op.startswith("WordpieceTokenizeWithOffsets")]
    return f"{found[0]}:0" if len(found) == 1 else None
