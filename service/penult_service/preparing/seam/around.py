"""Where other ways lead around what is read, and nothing on them was trained: a forecast that an LSTM only corrects.

Then the head takes the model's inputs beside what is read, as it takes numbers that stand beside a text.
"""

from __future__ import annotations

from collections.abc import Collection

from penult_service.preparing.graph import Ref, node_of
from penult_service.preparing.seam.survey import FLOATS, Survey
from penult_service.preparing.seam.weights import uses


def may_be_read(survey: Survey, ref: Ref) -> bool:
    """Whether the tensor is a row of numbers each, and all that was learned stands in front of it or behind it.

    Of a model of numbers alone: of texts and tokens the head is given none, since these are packed and padded for the
    encoder.
    """
    numbers = all(not one.is_text and one.dtype in FLOATS for one in survey.opened.inputs)
    if not numbers or survey.tensors.get(ref) not in FLOATS or not survey.rows(ref, 2):
        return False
    # A matrix was learned, even one that is frozen now; what standardises is a row.
    learned = {
        use.node for use in uses(survey) if use.variable.trainable or use.variable.shape.rank not in (0, 1)
    }
    return node_of(ref) in survey.path and not learned & _around(survey, ref)


def only_input(survey: Survey, nodes: Collection[str]) -> Ref | None:
    """What the operations of a layer take from outside of it: the one such tensor, when it may be read."""
    inside = set(nodes)
    for name in survey.path:  # from one of them to the next
        if any(node_of(ref) in inside for ref in survey.flat.nodes[name].input):
            inside.add(name)
    taken = {ref for name in nodes for ref in survey.flat.nodes[name].input}
    taken = {ref for ref in taken if node_of(ref) in survey.path and node_of(ref) not in inside}
    only = next(iter(taken)) if len(taken) == 1 else None
    return only if only is not None and may_be_read(survey, only) else None


def _around(survey: Survey, ref: Ref) -> set[str]:
    """The operations on ways from the inputs to the outputs that do not pass the tensor."""
    open_ = set(survey.opened.sources)
    reached = set()
    for name in survey.path:
        node = survey.flat.nodes[name]
        if any(one != ref and (one in open_ or node_of(one) in reached) for one in node.input):
            reached.add(name)
    return reached & set(survey.flat.upstream(survey.outputs, stop=[ref]))
