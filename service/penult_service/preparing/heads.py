"""What a model's output means: class probabilities, logits of them, or numbers. Found, or declared; never guessed.

A sigmoid or a softmax in front of the output says it, and the loss that the file records; of a linear output without
either, and of one among several, only a person can say it (`head` and `output` in `penult.toml`).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import ModelRefused
from penult_service.prepared import Head
from penult_service.preparing.cut import cut
from penult_service.preparing.declarations.declaration import Declaration
from penult_service.preparing.examples import feeds
from penult_service.preparing.graph import Ref, node_of
from penult_service.preparing.opened import Opened
from penult_service.preparing.seam.survey import FLOATS, PROBE, Survey

_PROBABILITIES = {"Sigmoid": "sigmoid", "Softmax": "softmax"}
_SEVERAL = "several softmax side by side"
_PASSING = frozenset(
    {"Identity", "Cast", "Reshape", "Squeeze", "EnsureShape", "StopGradient", "CheckNumerics"}
)
_PRODUCTS = frozenset({"MatMul", "BatchMatMul", "BatchMatMulV2", "Einsum"})
_SUMS = frozenset({"BiasAdd", "Add", "AddV2"})
_NEAR = 1e-3  # how far probabilities in half precision may be from summing to 1
# Declared head -> its kind here.
_KINDS = {
    "sigmoid": "sigmoid",
    "softmax": "softmax",
    "multi-label": "multilabel",
    "regression": "regression",
}


def head_of(opened: Opened, survey: Survey | None, declared: Declaration) -> Head:
    """What the head gives, with the names of its classes: those that are declared, else those that were found.

    Raises:
        ModelRefused: BAD_DECLARATION, the model contradicts what is declared; BAD_LABELS, more names than classes, or
            fewer.
    """
    if opened.known is not None:
        head = _declared_of_known(opened, opened.known.head, declared)
    else:
        assert survey is not None
        head = _searched(opened, survey, declared)
    return _named(head, opened, declared)


def _searched(opened: Opened, survey: Survey, declared: Declaration) -> Head:
    outputs = opened.flat.outputs
    name = declared.output or next(iter(outputs))
    if name not in outputs:
        near = difflib.get_close_matches(name, outputs, 1) or list(outputs)
        raise _wrong(opened, f"output = {name!r}", f"there is {', '.join(map(repr, near))}")
    ref = outputs[name]
    classes = _columns(survey, ref)
    if len(outputs) > 1 and not declared.output:
        if declared.head:
            one = ", ".join(map(repr, outputs))
            raise _wrong(
                opened, f"head = {declared.head!r}", f"it has several outputs; add output = one of {one}"
            )
        return Head("other", name, classes)
    if not classes:
        if declared.head:
            raise _wrong(
                opened, f"head = {declared.head!r}", f"its output {name!r} is no matrix of numbers a row"
            )
        return Head("other", name, classes)
    if declared.head:
        return _declared(opened, survey, declared.head, Head("other", name, classes))
    return _found(survey, ref, opened.loss.get(name, ""), Head("other", name, classes))


def _found(survey: Survey, ref: Ref, loss: str, head: Head) -> Head:
    """By the operation that makes the output; of a linear one by the loss that it was trained with."""
    many = "sigmoid" if head.classes == 1 else "multilabel"
    made = _made(survey, ref, head.classes)
    if made == _SEVERAL:
        return head
    if made:
        return replace(head, kind=many if made == "sigmoid" else made)
    if loss == "regression":
        return replace(head, kind=loss)
    if loss == "sigmoid" or (loss == "softmax" and head.classes > 1):
        return replace(head, kind=many if loss == "sigmoid" else loss, activation=loss)
    return head


def _declared(opened: Opened, survey: Survey, said: str, head: Head) -> Head:
    """As it is declared, where the graph does not contradict that."""
    ref = opened.flat.outputs[head.output]
    source = _behind(survey, ref)
    made, what = _made(survey, ref, head.classes), f"head = {said!r}"
    if said == "regression":
        return replace(head, kind=said)
    if made == _SEVERAL:
        raise _wrong(opened, what, f"its output {head.output!r} is {made}, not one of {head.classes} classes")
    if made and said == "logits":
        raise _wrong(opened, what, f"its output {head.output!r} is a {made} already")
    kind = _KINDS.get(said) or ("sigmoid" if head.classes == 1 else "softmax")
    activation = "softmax" if kind == "softmax" else "sigmoid"
    if kind == "sigmoid" and head.classes != 1:
        raise _wrong(
            opened, what, f"its output {head.output!r} has {head.classes} columns; several are multi-label"
        )
    if kind == "softmax" and head.classes == 1:
        raise _wrong(opened, what, f"its output {head.output!r} has one column; that is a sigmoid")
    if made and made != activation:
        raise _wrong(opened, what, f"its output {head.output!r} is a {made}")
    if made or (
        said != "logits" and not _is_linear(survey, source) and _are_probabilities(survey, ref, kind)
    ):
        activation = ""
    return replace(head, kind=kind, activation=activation)


def _declared_of_known(opened: Opened, head: Head, declared: Declaration) -> Head:
    """Of a model whose own files say what its head is."""
    if declared.output and declared.output != head.output:
        raise _wrong(opened, f"output = {declared.output!r}", f"its head is {head.output!r}")
    kind = _KINDS.get(declared.head)
    if not declared.head or kind == head.kind or (declared.head == "logits" and head.kind == "softmax"):
        return head
    if kind == "regression" and head.kind == "other":
        return replace(head, kind="regression")
    raise _wrong(
        opened,
        f"head = {declared.head!r}",
        f"config.json makes it {head.kind}; write problem_type there instead",
    )


def _named(head: Head, opened: Opened, declared: Declaration) -> Head:
    if head.kind == "regression":
        return replace(head, labels=())
    labels = declared.labels or head.labels or opened.labels
    classes = 2 if head.kind == "sigmoid" else head.classes
    if labels and head.kind != "other" and len(labels) != classes:
        whence = "penult.toml" if declared.labels else "labels.json"
        raise ModelRefused(
            f"{opened.source}: {whence} names {len(labels)} classes, the model has {classes}",
            reason="BAD_LABELS",
        )
    return replace(head, labels=labels, classes=classes)


# What the graph says


def _columns(survey: Survey, ref: Ref) -> int:
    """Numbers a row, of an output [n, columns] or [n]; 0 of another."""
    if survey.tensors.get(ref) not in FLOATS:
        return 0
    if survey.rows(ref, 2):
        return survey.shapes[ref][1]
    return 1 if survey.rows(ref, 1) else 0


def _op(survey: Survey, ref: Ref) -> str:
    return str(survey.flat.nodes[node_of(ref)].op)


def _made(survey: Survey, ref: Ref, classes: int) -> str:
    """The function of probabilities that an output of so many classes is; empty: none that is known."""
    source = _behind(survey, ref)
    made = _PROBABILITIES.get(_op(survey, source), "")
    return _SEVERAL if made == "softmax" and survey.shapes[source][-1] != classes else made


def _behind(survey: Survey, ref: Ref) -> Ref:
    """The tensor whose numbers these are, in another shape or type perhaps."""
    while (
        _op(survey, ref) in _PASSING
        and survey.tensors.get(survey.flat.nodes[node_of(ref)].input[0]) in FLOATS
    ):
        ref = survey.flat.nodes[node_of(ref)].input[0]
    return ref


def _is_linear(survey: Survey, ref: Ref) -> bool:
    """Whether a product of matrices makes it, with a bias or without, as of a dense layer without an activation."""
    if _op(survey, ref) in _SUMS:
        inputs = [one for one in survey.flat.nodes[node_of(ref)].input if one in survey.tensors]
        return any(_op(survey, _behind(survey, one)) in _PRODUCTS for one in inputs)
    return _op(survey, ref) in _PRODUCTS


def _are_probabilities(survey: Survey, ref: Ref, kind: str) -> bool:
    """By experiment, of what neither a known function of probabilities makes nor a linear layer."""
    run: Callable[..., dict[str, NDArray[np.generic]]] = cut(
        survey.flat, feeds(survey.opened), {"output": ref}
    )
    given = run(*survey.examples.arguments(survey.examples.rows(PROBE)))["output"]
    values = np.asarray(given).astype(np.float64).reshape(len(PROBE), -1)
    within = bool(((values >= -_NEAR) & (values <= 1 + _NEAR)).all())
    return within and (kind != "softmax" or bool((np.abs(values.sum(axis=1) - 1) <= _NEAR).all()))


def _wrong(opened: Opened, what: str, why: str) -> ModelRefused:
    return ModelRefused(
        f"{opened.source}: penult.toml declares {what}, which does not fit this model: {why}; change that line",
        reason="BAD_DECLARATION",
    )
