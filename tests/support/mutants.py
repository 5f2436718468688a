"""Mutants of a graph: a random operation, behind a kind of control flow, on one of its tensors.

What a mutant computes is looked at by running it: the audit has no say in whether it is one. Other ways to make some:
`dropout_sites` and `body_edits`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf
from penult_service.preparing.cut import imported
from penult_service.preparing.graph import FlatGraph, Ref, flatten, node_of
from penult_service.preparing.opened import Opened
from penult_service.preparing.seam.seams import find_seams
from penult_service.preparing.seam.survey import FLOATS, Survey
from support import text_models as tm
from support.dropout_sites import SPEC

Gadget = Callable[[Any], Any]


# Random operations


def stateful(x: Any) -> Any:
    """As Keras 2 draws."""
    return tf.random.uniform(tf.shape(x), 0.25, 1.0)


def constant_seed(x: Any) -> Any:
    """The same numbers in every run."""
    return tf.random.stateless_uniform(tf.shape(x), [7, 9], 0.25, 1.0)


def seed_generator(x: Any) -> Any:
    """As Keras 3 draws."""
    import keras

    return keras.random.uniform(tf.shape(x), 0.25, 1.0, seed=_keras_3_seed())


def generator(x: Any) -> Any:
    """By a `tf.random.Generator`."""
    return _generator().uniform(tf.shape(x), 0.25, 1.0)


@cache
def _keras_3_seed() -> Any:
    import keras

    return keras.random.SeedGenerator(5)


@cache
def _generator() -> Any:
    return tf.random.Generator.from_seed(3)


DRAWS: dict[str, tuple[Gadget, str]] = {
    "stateful": (stateful, "RandomUniform"),
    "a constant seed": (constant_seed, "StatelessRandom"),
    "Keras 3's SeedGenerator": (seed_generator, "StatelessRandom"),
    "a Generator": (generator, "Rng|Stateful|Stateless"),
}
"""How numbers are drawn -> the function, and what the name of an operation that the audit must name begins with."""


def noisy(draw: Gadget) -> Gadget:
    """What is drawn mixed into a tensor: numbers are moved, ids become others, texts get another word."""

    def mix(x: Any) -> Any:
        if x.dtype == tf.string:
            words = tf.gather(["good", "bad", "rain", "sun"], tf.cast(draw(x) * 4.0, tf.int32) % 4)
            return tf.strings.join([words, x], " ")
        if x.dtype.is_integer:
            return tf.where(x > 0, 1 + (x + tf.cast(draw(x) * 20.0, x.dtype)) % 20, x)
        return x + tf.cast(draw(x), x.dtype)

    return mix


# Control flow around it


def _called(body: Gadget) -> Gadget:
    return lambda x: tf.function(body)(x)


def _nested(body: Gadget) -> Gadget:
    return _called(_called(_called(body)))


def _if(body: Gadget) -> Gadget:
    return lambda x: tf.cond(tf.shape(x)[0] > 0, lambda: body(x), lambda: tf.identity(x))


def _case(body: Gadget) -> Gadget:
    def choose(x: Any) -> Any:
        branches = [lambda: tf.identity(x), lambda: body(x), lambda: tf.identity(x)]
        return tf.switch_case(tf.minimum(tf.shape(x)[0], 1), branches)

    return choose


def _while(body: Gadget) -> Gadget:
    def loop(x: Any) -> Any:
        shapes = (tf.TensorShape([]), x.shape)
        turns = tf.while_loop(
            lambda i, _: i < 2, lambda i, y: (i + 1, _like(body(y), x)), (tf.constant(0), x), shapes
        )
        return turns[1]

    return loop


def _if_in_while(body: Gadget) -> Gadget:
    return _while(lambda y: tf.cond(tf.size(y) > 0, lambda: body(y), lambda: tf.identity(y)))


def _mapped(body: Gadget) -> Gadget:
    return lambda x: tf.map_fn(
        lambda row: body(row[None])[0], x, fn_output_signature=tf.TensorSpec(x.shape[1:], x.dtype)
    )


def _compiled(body: Gadget) -> Gadget:
    return lambda x: tf.function(body, jit_compile=True)(x)


def _own_gradient(body: Gadget) -> Gadget:
    return lambda x: tf.custom_gradient(lambda y: (body(y), lambda upstream: upstream))(x)


def _recomputed(body: Gadget) -> Gadget:
    return lambda x: tf.recompute_grad(body)(x)


FLOWS: dict[str, Callable[[Gadget], Gadget]] = {
    "bare": lambda body: body,
    "PartitionedCall": _called,
    "nested calls": _nested,
    "If": _if,
    "Case": _case,
    "While": _while,
    "If in While": _if_in_while,
    "map_fn": _mapped,
    "jit_compile": _compiled,
    "custom gradient": _own_gradient,
    "recompute_grad": _recomputed,
}
"""Kind of control flow -> puts a body behind it."""


def _like(x: Any, other: Any) -> Any:
    x.set_shape(other.shape)
    return x


# Places


def places(opened: Opened, *, many: bool) -> dict[str, Ref]:
    """Tensors that matter: the text, ids, one inside the encoder (up to five with `many`), two in the head.

    On the way to an output stand tensors of which only the shape is used; what matters is found by moving it.
    """
    survey = Survey(opened)
    seams = find_seams(survey)
    (ids,) = (ref for token, ref in seams.tokens if token.role == "ids")
    inside = _floats_between(survey, ids, seams.before)
    wanted = 5 if many else 1
    plain = answers(opened.function)
    chosen: list[Ref] = []
    for ref in inside[len(inside) // 3 :: max(1, len(inside) // (3 * wanted))] + inside[::-1]:
        if (
            len(chosen) < wanted
            and ref not in chosen
            and changed(answers(spliced(opened, ref, _moved)), plain)
        ):
            chosen.append(ref)
    behind = [ref for ref in survey.line if survey.tensors.get(ref) in FLOATS]
    head = behind[behind.index(seams.after) :]
    return {
        "the text": opened.sources[0],
        "the ids": ids,
        **{f"the encoder at {ref}": ref for ref in chosen},
        "behind the dropout": head[0],
        "inside the head": head[len(head) // 2],
    }


def _moved(x: Any) -> Any:
    return x + 0.5


def _floats_between(survey: Survey, ids: Ref, before: Ref) -> list[Ref]:
    behind_ids = survey.flat.downstream([ids])
    leads_on = survey.flat.upstream([before])
    return [
        ref
        for ref, dtype in survey.tensors.items()
        if dtype in FLOATS and node_of(ref) in behind_ids & leads_on and len(survey.shapes[ref]) >= 2
    ]


@dataclass(frozen=True)
class Splice:
    """A mutant to be made: where, behind what, and how the numbers are drawn."""

    place: str
    at: Ref
    flow: str
    draw: str

    def make(self, opened: Opened) -> Any:
        """The mutant, a function: text -> outputs by name."""
        return spliced(opened, self.at, FLOWS[self.flow](noisy(DRAWS[self.draw][0])))

    @property
    def named(self) -> tuple[str, ...]:
        """What the name of an operation that the audit must name begins with."""
        return tuple(DRAWS[self.draw][1].split("|"))


def splices(opened: Opened, *, many: bool) -> list[Splice]:
    """Every place with every kind of control flow and every way to draw; XLA compiles nothing that takes texts."""
    return [
        Splice(place, at, flow, draw)
        for place, at in places(opened, many=many).items()
        for flow in FLOWS
        for draw in DRAWS
        if (place, flow) != ("the text", "jit_compile")
    ]


def spliced(opened: Opened, at: Ref, gadget: Gadget) -> Any:
    """The model with the gadget on that tensor, traced anew: text -> outputs by name."""
    flat = opened.flat

    @tf.function(input_signature=[SPEC], autograph=False)
    def mutant(text: Any) -> dict[str, Any]:
        if at == opened.sources[0]:
            fed = {at: _like(gadget(text), text)}
        else:
            (x,) = imported(flat, [at], {opened.sources[0]: text})
            fed = {opened.sources[0]: text, at: _like(gadget(x), x)}
        found = imported(flat, list(flat.outputs.values()), fed)
        return {name: tf.identity(tensor) for name, tensor in zip(flat.outputs, found, strict=True)}

    return mutant


def answers(function: Any) -> np.ndarray[Any, Any]:
    """What comes out for the texts of the tests, all outputs in a row."""
    found = function(tf.constant(tm.TEXTS))
    return np.concatenate([np.asarray(value, np.float64).ravel() for _, value in sorted(found.items())])


def changed(found: np.ndarray[Any, Any], plain: np.ndarray[Any, Any]) -> bool:
    """Whether other answers came out."""
    return not np.allclose(found, plain, rtol=1e-6, atol=1e-6, equal_nan=True)


def flat_of(function: Any) -> FlatGraph:
    """A traced function, flat."""
    return flatten(function.get_concrete_function())
