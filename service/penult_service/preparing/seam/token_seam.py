"""Seam 1, behind the tokenizing: the smallest cut, the earliest on ties, of integer or boolean matrices."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import tensorflow as tf

from penult_service.prepared import TokenInput
from penult_service.preparing import tf_private
from penult_service.preparing.graph import FlatGraph, Ref, node_of
from penult_service.preparing.parts import references
from penult_service.preparing.seam.paths import smallest_cut
from penult_service.preparing.seam.survey import INTEGERS, PROBE, Survey

Tokens = tuple[tuple[TokenInput, Ref], ...]
"""Each input of `encode` with its tensor."""

_MOST_TOKEN_INPUTS = 6
_STEPS = 5  # of the rows that numbers beside tokens are tried with
_NO_NAME = r"\W"  # what no argument of a signature may have
_ROLES = {"ids": "input_ids", "mask": "input_mask", "types": "input_types", "other": "input_other"}
_GATHERS = frozenset({"GatherV2", "ResourceGather", "Gather"})
_CUTS_WORDS = ("WordpieceTokenizeWithOffsets", "FastWordpieceTokenizeWithOffsets", "SentencepieceTokenizeOp")
# What they give is of the size, not of the values: positions counted along a mask would look like ids.
_SIZES = frozenset({"Shape", "Size"})


def token_seam(survey: Survey, declared: Mapping[str, str]) -> Tokens:
    """The inputs of `encode`: tokens, by what consumes them, then what goes past the tokenizing as it is.

    No token among them when none were found.

    Args:
        survey: The model.
        declared: The model's own input -> role, as a person says it.
    """
    matrices = [r for r, dtype in survey.tensors.items() if dtype in INTEGERS and survey.rows(r, 2)]
    matrices += [one.ref for one in survey.opened.inputs if declared.get(one.name) in _ROLES]
    found = smallest_cut(survey.flat, survey.opened.sources, survey.outputs, matrices, _MOST_TOKEN_INPUTS)
    found = [past_assertions(survey, ref) for ref in found or []]
    fields = {past_assertions(survey, one.ref): one.name for one in survey.opened.inputs if not one.is_text}
    said = {ref: declared.get(fields.get(ref, ""), "") for ref in found}
    found = [ref for ref in found if said[ref] != "value"]
    roles = {ref: said[ref] if said[ref] in _ROLES else _role(survey, ref, found) for ref in found}
    _find_masks(survey, roles)
    # A mask that is made of the ids is behind the smallest cut, and says what of them is padding.
    if survey.opened.mask and "mask" not in roles.values():
        found, roles = [*found, survey.opened.mask], {**roles, survey.opened.mask: "mask"}
    looking_up = [ref for ref in found if roles[ref] == "types" and not said[ref]]
    if "ids" not in roles.values() and len(looking_up) == 1:
        roles[looking_up[0]] = "ids"  # of a small vocabulary
    if "ids" not in roles.values():
        return tuple(_values(survey, ()))
    tokens = []
    for role, name in _ROLES.items():
        for number, ref in enumerate(ref for ref in found if roles[ref] == role):
            numbered = name if number == 0 else f"{name}_{number + 1}"
            rows = _rows(survey, ref, found) if role == "ids" else 0
            dtype = survey.tensors[ref].name
            tokens.append((TokenInput(numbered, role, dtype, fields.get(ref, ""), rows=rows), ref))
    given = {token.field for token, _ in tokens}
    return (*tokens, *_along(survey, given, [*_values(survey, given)]))


def _find_masks(survey: Survey, roles: dict[Ref, str]) -> None:
    """Of several that lead to a lookup: what is 1 up to where its text ends, and then 0, only says which ids count."""
    ids = [ref for ref, role in roles.items() if role == "ids"]
    if len(ids) < 2 or not survey.opened.texts:
        return
    given = survey.examples.arguments(survey.examples.rows(PROBE))
    found = {ref: value.numpy() for ref, value in references(survey.opened, ids)(*given).items()}
    masks = [
        ref
        for ref, value in found.items()
        if value.max(initial=0) == 1 and (np.diff(value, axis=1) <= 0).all()
    ]
    if len(masks) < len(ids):
        roles |= dict.fromkeys(masks, "mask")


def vocabulary_of(tokens: Tokens) -> int:
    """How many token ids there are: the rows of the smallest table that ids look up; 0 when none was found."""
    return min((token.rows for token, _ in tokens if token.role == "ids"), default=0)


def wordpieces_of(flat: FlatGraph) -> Ref | None:
    """The pieces of the one tokenizer, of all texts in a row before any is cut off."""
    found = [node for node in flat.nodes.values() if node.op.startswith(_CUTS_WORDS)]
    if len(found) != 1:
        return None
    # The fast one gives words first, and none when ids are asked for.
    return f"{found[0].name}:{1 if found[0].op.startswith('Fast') else 0}"


def _values(survey: Survey, tokens: Collection[str]) -> Iterator[tuple[TokenInput, Ref]]:
    """The inputs that are neither text nor token: they go past the tokenizing as they are."""
    for number, one in enumerate(survey.opened.inputs):
        if not one.is_text and one.name not in tokens:
            shape = tuple(length or -1 for length in one.shape[1:])
            name = f"value_{number}_{re.sub(_NO_NAME, '_', one.name)}"
            yield TokenInput(name, "value", one.dtype.name, one.name, shape), one.ref


def _along(survey: Survey, tokens: Collection[str], values: Sequence[tuple[TokenInput, Ref]]) -> Tokens:
    """The values, and which of them are ``steps``: numbers for each token that a caller gives, of any length as these.

    Found by trying: the model runs where an input has as many steps as the others, and not where it has fewer.
    """
    free = {one.name for one in survey.opened.inputs if one.shape[1:2] == (None,)}
    candidates = [token.field for token, _ in values if token.field in free]
    if survey.opened.texts or not free.intersection(tokens) or not _runs(survey, {}):
        return tuple(values)
    steps = {name for name in candidates if not _runs(survey, {name: _STEPS - 1})}
    return tuple(
        (replace(token, role="steps"), ref) if token.field in steps else (token, ref) for token, ref in values
    )


def _runs(survey: Survey, steps: Mapping[str, int]) -> bool:
    """Whether the model runs on zeros of so many steps; where nothing is said, of all the same."""
    given = [
        tf.zeros([2, *(length or steps.get(one.name, _STEPS) for length in one.shape[1:])], one.dtype)
        for one in survey.opened.inputs
    ]
    try:
        survey.opened.function(*given)
    except (tf.errors.OpError, ValueError):  # ValueError: where it is a function without a fixed signature
        return False
    return True


def past_assertions(survey: Survey, ref: Ref) -> Ref:
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
        looks_up = node.op in _GATHERS and node.input[1] in reached
        if looks_up and (found := _table_rows(survey.flat, node.input[0])):
            rows = max(rows, found)
        elif node.op == "OneHot":
            rows = max(rows, _constant(survey.flat, node.input[1]))
        elif node.op not in _SIZES and survey.tensors.get(f"{node.name}:0") in INTEGERS:
            reached.add(f"{node.name}:0")
    return rows


def _table_rows(flat: FlatGraph, table: Ref) -> int:
    """Rows of the variable that a gather reads; 0 when it reads none."""
    handles = [flat.captures[name] for name in flat.upstream([table]) if name in flat.captures]
    shapes = [tf_private.variable_shape(handle) for handle in handles if handle.dtype == tf.resource]
    return max((shape[0] for shape in shapes if shape), default=0)


def _constant(flat: FlatGraph, ref: Ref) -> int:
    node = flat.nodes[node_of(ref)]
    return int(tf.make_ndarray(node.attr["value"].tensor)) if node.op == "Const" else 0
