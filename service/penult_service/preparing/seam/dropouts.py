"""Seam 2: in front of the last dropout before the head, by where the dropouts stand.

The dropouts that count are those on whole texts (a row of numbers each). The last ones are those from which an output
is reached without meeting another. One alone is read at its input; several (a dropout for each output, samples of one)
at the nearest tensor in front of all of them that every path passes, when it is the input of one of them. Without any,
and where the layers are known, the input of the last layer with trained weights is read. Where a place cannot be told
from another one, nothing is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penult_service.preparing.graph import Ref, node_of
from penult_service.preparing.naming import layer_at
from penult_service.preparing.opened import Layer, Mark
from penult_service.preparing.seam.around import may_be_read, only_input
from penult_service.preparing.seam.survey import FLOATS, Survey
from penult_service.preparing.seam.training import Scope, Training, scope_of
from penult_service.preparing.seam.unmarked import fronts, in_front
from penult_service.preparing.seam.weights import in_front_of, last_groups, last_trained, pooled, uses

# Noise that leaves nothing in an inference graph.
_TRACELESS = frozenset({"GaussianNoise", "GaussianDropout", "AlphaDropout"})
# Layers that drop a part of what they work on, and nothing of what they give.
_DROP_INSIDE = frozenset(
    {"LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "MultiHeadAttention", "Attention", "KerasLayer"}
)
_DRAWS = "draws random numbers for whole texts, of which the inference graph holds nothing"
_PRODUCTS = frozenset({"MatMul", "BatchMatMul", "BatchMatMulV2", "Einsum"})
_CANDIDATES = 12  # that a message lists
_OTHER_WAYS = "and the head takes the model's inputs beside it: other ways lead around it"


@dataclass(frozen=True)
class Place:
    """Where a model is read: the tensors on both sides of its dropout, and how that was found; or why it is not."""

    before: Ref = ""
    after: Ref = ""
    how: str = ""
    unread: str = ""


def stands(survey: Survey) -> list[Mark]:
    """Every dropout whose place is known, in order."""
    calls = {mark.after: mark.call for mark in survey.opened.marks or ()}
    seen: dict[str, int] = {}
    found = []
    for after, layer in survey.marks.items():
        seen[layer.path] = seen.get(layer.path, 0) + 1
        call = calls.get(after, seen[layer.path])
        found.append(Mark(survey.ahead(after), after, layer, call))
    return found + [Mark(front, front, layer) for front, layer in fronts(survey)]


def last_of(survey: Survey, known: Sequence[Mark]) -> list[Mark]:
    """Those on whole texts from which an output is reached without meeting another of them."""
    whole = [one for one in known if survey.rows(one.after, 2) and survey.tensors.get(one.after) in FLOATS]
    reached = survey.flat.upstream(survey.outputs, stop=[one.after for one in whole])
    used = {ref for name in reached for ref in survey.flat.nodes[name].input} | set(survey.outputs)
    return [one for one in whole if one.after in used and node_of(one.after) in survey.path]


def by_dropouts(survey: Survey, known: Sequence[Mark]) -> Place | None:
    """Where the last of these dropouts stand; None when none of them is on whole texts, or leads to an output."""
    last = last_of(survey, known)
    if not last:
        return None
    names = ", ".join(dict.fromkeys(one.layer.name for one in last))
    in_front_of_all = set.intersection(
        *({root_of(survey, ref) for ref in survey.dominate(one.before)} for one in last)
    )
    common = [
        ref
        for ref in survey.line
        if root_of(survey, ref) in in_front_of_all and survey.tensors.get(ref) in FLOATS
    ]
    own = [one for one in last if common and root_of(survey, one.before) == root_of(survey, common[-1])]
    if not own or not survey.rows(common[-1], 2):
        if len(last) == 1 and may_be_read(survey, last[0].before):
            return Place(last[0].before, last[0].after, f"in front of the dropout {names}, {_OTHER_WAYS}")
        return Place(
            unread=f"the last dropouts ({names}) read different tensors, and in front of all of them stands none that "
            "one of them reads: no single tensor is the input of the head"
        )
    one = own[0]
    before = survey.in_full(one.before if one.before in survey.line else common[-1])
    if len(last) == 1 and one.after in survey.line:
        return Place(before, one.after, f"in front of the dropout {names}")
    shared = f"in front of the dropouts {names}, which all begin with this tensor"
    return Place(
        before, before, shared if len(last) > 1 else f"in front of the dropout {names}, beside other ways"
    )


def find_place(survey: Survey) -> Place:
    """Where a model is read whose layers are known."""
    found = by_dropouts(survey, stands(survey))
    lost = _lost(survey, found)
    if lost:
        return Place(
            unread=f"the place of {', '.join(f'{one.name} ({one.class_name})' for one in lost)} is not known: noise of "
            "this kind leaves nothing in the graph"
        )
    known = stands(survey)
    if found is None:
        inner = {layer.name for layer in survey.opened.layers if layer.class_name in _DROP_INSIDE}
        drawn = Training(survey.opened).drawn_for_rows([scope_in(survey, one) for one in known], inner)
        if drawn:
            return Place(unread=f"in training {', '.join(drawn)} {_DRAWS}")
    return checked(survey, found or by_weights(survey), known)


def checked(survey: Survey, place: Place, known: Sequence[Mark]) -> Place:
    """The same, unless the model's function for training draws numbers behind it."""
    if not place.before:
        return place
    last = last_of(survey, known) or [Mark(place.before, place.before, Layer("", "", "", {}))]
    scopes = [scope_in(survey, one) for one in last]
    if not all(scopes):
        return place
    behind = Training(survey.opened).drawn_behind(scopes, [scope_in(survey, one) for one in known])
    if not behind:
        return place
    return Place(
        unread=f"in training {', '.join(behind)} {_DRAWS}, and that is behind {survey.name_of(place.before)}"
    )


def scope_in(survey: Survey, one: Mark) -> Scope:
    """Where a dropout stands; of one that leaves nothing, its layer; without one, what makes the tensor read."""
    if one.layer.name and one.after == one.before:
        return (one.layer.name,)
    return scope_of(node_of(survey.source_of(one.after) if one.after == one.before else one.after))


def by_weights(survey: Survey, why: str = "no dropout stands on whole texts") -> Place:
    """In front of the last layer with trained weights."""
    names, ref, nodes = last_trained(survey)
    beside = only_input(survey, nodes) if ref is None and len(names) == 1 else None
    if beside is not None:
        what = f"{why}; what is read is the input of the last trained layer, {names[0]}, {_OTHER_WAYS}"
        return Place(beside, beside, what)
    if ref is None or not names:
        return Place(
            unread=f"{why}, and no single tensor stands in front of the last layers that were trained"
        )
    before = survey.in_full(ref)
    return Place(
        before, before, f"{why}; what is read is the input of the last trained layer, {', '.join(names)}"
    )


def candidates(survey: Survey) -> str:
    """What a person can choose from, the last first: name, width, place."""
    wanted, found = pooled(survey), dict[str, int]()
    products = {use.node: use.node for use in uses(survey) if survey.flat.nodes[use.node].op in _PRODUCTS}
    last = in_front_of(survey, last_groups(survey, products), wanted)
    line = survey.line if last is None else survey.line[: survey.line.index(last) + 1]
    for ref in reversed(line):
        if wanted(ref) and survey.flat.nodes[node_of(ref)].op not in ("Identity", "Cast"):
            found.setdefault(survey.name_of(ref), survey.shapes[ref][-1])
    named = [
        f"{name} ({width} numbers a row{', the input of the last layer' if number == 0 and last else ''})"
        for number, (name, width) in enumerate(found.items())
    ]
    more = f" and {len(named) - _CANDIDATES} more" if len(named) > _CANDIDATES else ""
    return ", ".join(named[:_CANDIDATES]) + more


def _lost(survey: Survey, found: Place | None) -> list[Layer]:
    """Noise layers that leave no trace, and may stand behind what is read."""
    if survey.opened.marks is not None:
        return []
    layers = survey.opened.layers
    placed = {layer.path for _, layer in fronts(survey)} | {layer.path for layer in survey.marks.values()}
    behind = None
    if found is not None and found.before:
        before = survey.flat.upstream([found.before])
        behind = [name for name in survey.path if name not in before]
    lost = []
    for layer in layers:
        if layer.class_name in _TRACELESS and layer.path not in placed and _is_on(layer):
            around = _around(survey, layer)
            if around is None or behind is None or any(_inside(survey, name, around) for name in behind):
                lost.append(layer)
    return lost


def _around(survey: Survey, layer: Layer) -> Layer | None:
    """The layer that tells where another one stands: the one around it, or the one in front of it; None: not known."""
    outer = [
        one for one in survey.opened.layers if one.path != "root" and layer.path.startswith(f"{one.path}.")
    ]
    if outer:
        return max(outer, key=lambda one: len(one.path))
    name = in_front(survey, layer)
    return next((one for one in survey.opened.layers if one.name == name and one.path.count(".") == 1), None)


def _inside(survey: Survey, node: str, around: Layer) -> bool:
    found = layer_at(node, survey.opened.layers)
    return found is not None and (found == around or found.path.startswith(f"{around.path}."))


def root_of(survey: Survey, ref: Ref) -> Ref:
    """The tensor that this one hands on, or rounds."""
    return survey.source_of(survey.in_full(ref))


def _is_on(layer: Layer) -> bool:
    return bool(layer.config.get("stddev", layer.config.get("rate", 1)))
