"""Seam 2 of a graph without layers, by what the file itself still tells of its dropouts; else nothing is read.

Two things are evidence. Keras 2 and TensorFlow 1 leave an `Identity` for a dropout: in a scope that is called as a
dropout layer is, or in which the function for training draws numbers, where the file has it. And `model.export` of
Keras 3 lists its variables in the order of its layers, with the state of a random generator for each dropout among the
weights; the last state tells between which weights the last dropout stands. It does not tell how often that layer is
called, what stands there without weights, or in which order code of the author's own calls its layers. So that place is
accepted only when every model of whole layers that fits the file is read at the same tensor.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from penult_service.preparing.graph import Ref, node_of
from penult_service.preparing.opened import Layer, Mark
from penult_service.preparing.seam.dropouts import Place, by_dropouts, checked, last_of, root_of
from penult_service.preparing.seam.survey import FLOATS, Survey, shown
from penult_service.preparing.seam.training import Training, scope_of
from penult_service.preparing.seam.weights import Use, in_front_of, last_groups, pooled, uses

_DROPOUT = re.compile(r"dropout(_\d+)*")
_STATE = re.compile(r"(?:.*/)?seed_generator(_\d+)?/seed_generator_state")
# What Keras calls models without a name of their own: what is in them runs in the order of its weights.
_IN_ORDER = re.compile(r"(functional|sequential)(_\d+)*")
# What an export calls the inputs of a model that is the author's own code.
_UNNAMED = re.compile(r"args_\d+(_\d+)*")


def find_place(survey: Survey) -> Place:
    """Where the model is read."""
    found = _by_names(survey) or _by_states(survey)
    return found or Place(unread="the graph does not tell where its last dropout stands")


def _by_names(survey: Survey) -> Place | None:
    """By the `Identity` of a dropout layer with its usual name; nothing where another `Identity` could be one too."""
    final = {survey.source_of(ref) for ref in survey.outputs}
    known = []
    for ref, dtype in survey.tensors.items():
        *scopes, last = shown(node_of(ref)).split("/")
        node = survey.flat.nodes[node_of(ref)]
        if node.op != "Identity" or not scopes or not last.startswith("Identity") or dtype not in FLOATS:
            continue
        if survey.rows(ref, 2) and survey.source_of(ref) not in final:
            known.append(Mark(node.input[0], ref, Layer(f"root.{scopes[-1]}", scopes[-1], "Dropout", {})))
    training = Training(survey.opened)
    if training.flat is not None:
        known = [one for one in known if training.draws(scope_of(node_of(one.after)))]
    elif any(not _DROPOUT.fullmatch(one.layer.name) for one in last_of(survey, known)):
        return None
    found = by_dropouts(survey, known)
    return None if found is None else checked(survey, found, known)


@dataclass(frozen=True)
class _Weight:
    """A variable: the layer that its name tells of, and where it is used."""

    layer: tuple[str, ...]
    uses: Sequence[Use]

    @property
    def in_order(self) -> bool:
        """Whether only Keras' own code stands around the layer: the models around it have the names that Keras gives.

        A layer that other code builds is named after what that code belongs to, or runs in a scope of it.
        """
        if not self.layer or not all(_IN_ORDER.fullmatch(outer) for outer in self.layer[:-1]):
            return False
        own = re.compile(re.escape(self.layer[-1]) + r"(_\d+)*")
        scopes = [_scopes(use.read) for use in self.uses]
        return all(own.fullmatch(inner) and all(map(_IN_ORDER.fullmatch, outer)) for *outer, inner in scopes)

    @property
    def name(self) -> str:
        """The layer's, for a person."""
        return "/".join(self.layer)


def _by_states(survey: Survey) -> Place | None:
    weights = _weights(survey)
    if weights is None or any(_UNNAMED.fullmatch(one.name) for one in survey.opened.inputs):
        return None
    before, behind, drops = weights
    only = _only_one(survey, [*before, *behind])
    if only is not None:
        return only
    if not all(one.in_order for one in (behind if drops else (*before, *behind))):
        return None
    groups = {use.node: one.name for one in behind for use in one.uses}
    last = last_groups(survey, groups)
    if drops and last != set(groups.values()):
        return None  # layers one behind the other: the dropout may be called again between them
    front = in_front_of(survey, [node for node, group in groups.items() if group in last], pooled(survey))
    if front is None:
        return None
    ref, names = survey.in_full(front), ", ".join(sorted(last))
    if not drops:
        return Place(ref, ref, f"no dropout; what is read is the input of the last trained layer, {names}")
    here = root_of(survey, front)
    if any(root_of(survey, other) != here for other in _could_be_dropped(survey, front, before)):
        return None
    how = f"by the order of the variables: the state of the last dropout stands in front of the weights of {names}"
    return Place(ref, ref, f"{how}; what these read is read")


def _only_one(survey: Survey, weights: Sequence[_Weight]) -> Place | None:
    """In front of the last layers, when no other matrix with a row a text is handed from scope to scope at all."""
    groups = {use.node: "/".join(_scopes(use.read)) for one in weights for use in one.uses}
    last = last_groups(survey, groups)
    front = in_front_of(survey, [node for node, group in groups.items() if group in last], pooled(survey))
    if front is None or {root_of(survey, ref) for ref in _handed_on(survey, front, _around)} != {
        root_of(survey, front)
    }:
        return None
    ref = survey.in_full(front)
    return Place(
        ref,
        ref,
        "no other tensor is passed on between layers with one row a text, so that a dropout is there",
    )


def _weights(survey: Survey) -> tuple[list[_Weight], list[_Weight], bool] | None:
    """The weights before the last state of a dropout, those behind it, and whether there is one; None: not listed."""
    root = survey.opened.root
    listed = list(getattr(root, "variables", None) or ())
    if not listed or not hasattr(root, "_misc_assets") or hasattr(root, "_endpoint_signatures"):
        return None  # not written by Keras 3
    used: dict[int, list[Use]] = {}
    for use in uses(survey):
        used.setdefault(id(use.variable), []).append(use)
    names = [str(one.name).partition(":")[0] for one in listed]
    states = [number for number, name in enumerate(names) if _STATE.fullmatch(name)]
    found = [
        (number, _Weight(tuple(name.split("/")[:-1]), used[id(one)]))
        for number, (name, one) in enumerate(zip(names, listed, strict=True))
        if id(one) in used
    ]
    last = states[-1] if states else -1
    before, behind = ([w for number, w in found if (number > last) is late] for late in (False, True))
    return (before, behind, bool(states)) if behind else None


def _could_be_dropped(survey: Survey, front: Ref, before: Sequence[_Weight]) -> Iterator[Ref]:
    """What a layer hands to another one between the weights before the last state and `front`."""
    earlier = survey.flat.upstream(
        ref for one in before for use in one.uses for ref in survey.flat.nodes[use.node].input
    )
    return (ref for ref in _handed_on(survey, front, _layer) if node_of(ref) not in earlier)


def _handed_on(survey: Survey, front: Ref, scope: Callable[[str], str]) -> Iterator[Ref]:
    """What goes from one scope to another up to `front`.

    Only matrices with a row a text: a dropout on anything else stands inside of the encoder.
    """
    up = survey.flat.upstream([front])
    readers: dict[Ref, set[str]] = {}
    for name in survey.path:
        for ref in survey.flat.nodes[name].input:
            readers.setdefault(ref, set()).add(scope(name))
    for ref, dtype in survey.tensors.items():
        handed_on = readers.get(ref, set()) - {scope(node_of(ref))}
        if handed_on and node_of(ref) in up and dtype in FLOATS and survey.rows(ref, 2):
            yield ref


def _around(node: str) -> str:
    """All scopes of an operation."""
    return shown(node).rpartition("/")[0]


def _layer(node: str) -> str:
    """The scopes of an operation, down to the layer."""
    scopes = shown(node).split("/")[:-1]
    outer = next((depth for depth, scope in enumerate(scopes) if not _IN_ORDER.fullmatch(scope)), len(scopes))
    return "/".join(scopes[: outer + 1])


def _scopes(read: str) -> list[str]:
    """The scopes around the operation that a variable is read for: `layer/MatMul/ReadVariableOp`."""
    scopes = shown(read).split("/")
    return (scopes[:-2] if scopes[-1].startswith("ReadVariableOp") else scopes[:-1]) or [""]
