"""What draws random numbers in training, where a file holds the model's function for training too, as of tf_keras.

An inference graph does not show a dropout that code of the author's own leaves out there. The function for training
shows where numbers are drawn, and its scopes are those of the inference graph but for the name of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import tensorflow as tf

from penult_service.errors import ModelRefused
from penult_service.preparing.audit import audit
from penult_service.preparing.cut import imported
from penult_service.preparing.formats.signatures import CALL, traces
from penult_service.preparing.graph import FlatGraph, Ref, flatten, node_of
from penult_service.preparing.opened import Opened

Scope = tuple[str, ...]
_CALLS = ("StatefulPartitionedCall", "PartitionedCall")


class Training:
    """The function for training of a model that was read; without one, nothing is known."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened

    @cached_property
    def flat(self) -> FlatGraph | None:
        """The function, flat; None without one that takes what the model takes."""
        for trace in self._traces():
            try:
                return flatten(trace())
            except (ModelRefused, ValueError, TypeError, KeyError, AttributeError):
                return None
        return None

    def _traces(self) -> Iterator[Callable[[], Any]]:
        """What gives the function, of those that take what the model takes."""
        if self._opened.trained is not None:
            yield self._opened.trained
        wanted = sorted((one.dtype.name, len(one.shape)) for one in self._opened.inputs)
        for found in traces(self._opened.root, CALL):
            specs = found.inputs.values()
            if found.trains and sorted((s.dtype.name, s.shape.rank or 1) for s in specs) == wanted:
                yield found.traced

    @property
    def inputs(self) -> list[Ref] | None:
        """Where the function is fed with the model's inputs, in their order; None when that is not certain."""
        if self.flat is None:
            return None
        there, wanted = self.flat.inputs, self._opened.inputs
        if len(there) == len(wanted) == 1:
            return list(there.values())
        names = [node_of(one.ref) for one in wanted]
        if set(names) == set(there):
            return [there[name] for name in names]
        nodes = {ref: self.flat.nodes[node_of(ref)] for ref in there.values()}
        kinds = {(n.attr["dtype"].type, len(n.attr["shape"].shape.dim)): ref for ref, n in nodes.items()}
        own = [(one.dtype.as_datatype_enum, len(one.shape)) for one in wanted]
        certain = len(kinds) == len(there) and len(own) == len(set(own)) and set(own) == set(kinds)
        return [kinds[kind] for kind in own] if certain else None

    @cached_property
    def drawn(self) -> dict[str, Scope]:
        """The operations that draw numbers, with their scopes."""
        if self.flat is None:
            return {}
        nodes = self.flat.nodes
        found = (_outermost(one.node, nodes) for one in audit(self.flat).random)
        return {name: scope_of(name) for name in found if name}

    def draws(self, scope: Scope) -> bool:
        """Whether numbers are drawn in that scope of the inference graph."""
        return any(_inside(drawn, self._here(scope)) for drawn in self.drawn.values())

    def shows_off(self, scope: Scope) -> bool:
        """Whether that scope of the inference graph is there in training, and draws no numbers."""
        here = self._here(scope)
        there = self.flat is not None and any(_inside(scope_of(name), here) for name in self.flat.nodes)
        return there and not self.draws(scope)

    def drawn_behind(self, scopes: Sequence[Scope], known: Sequence[Scope]) -> list[str]:
        """The scopes in which numbers are drawn that reach an output without passing one of `scopes`, of inference.

        But for those that are `known`. Empty when `scopes` are not found in the function for training.
        """
        if self.flat is None:
            return []
        here = [self._here(scope) for scope in scopes]
        of = {name: scope_of(name) for name in self.flat.nodes}
        if not all(any(_inside(own, scope) for own in of.values()) for scope in here):
            return []
        seen: set[str] = set()
        waiting = [node_of(ref) for ref in self.flat.outputs.values()]
        while waiting:
            name = waiting.pop()
            if name not in seen and not any(_inside(of[name], scope) for scope in here):
                seen.add(name)
                waiting += [node_of(ref) for ref in self.flat.nodes[name].input]
        left = self.but_for(known)
        return sorted({owner_of(scope) for name, scope in left.items() if name in seen})

    def drawn_for_rows(self, known: Sequence[Scope], inner: Container[str]) -> list[str]:
        """The scopes in which numbers are drawn for a row each, or so it may be; but for these scopes of inference,
        and those of the layers `inner`."""
        left = {
            name: scope
            for name, scope in self.but_for(known).items()
            if not any(part in inner for part in scope)
        }
        if self.flat is None or not left:
            return []
        with tf.Graph().as_default():
            tensors = imported(self.flat, [f"{name}:0" for name in left])
        ranks = zip(left.values(), (tensor.shape.rank for tensor in tensors), strict=True)
        return sorted({owner_of(scope) for scope, rank in ranks if rank in (None, 2)})

    def but_for(self, known: Sequence[Scope]) -> dict[str, Scope]:
        """`drawn` without what is drawn in these scopes of the inference graph."""
        here = [self._here(scope) for scope in known]
        return {n: scope for n, scope in self.drawn.items() if not any(_inside(scope, one) for one in here)}

    def _here(self, scope: Scope) -> Scope:
        """A scope of the inference graph in the function for training, which does not name the model."""
        known = {own[:1] for own in map(scope_of, self.flat.nodes)} if self.flat else set()
        return scope if scope[:1] in known else scope[1:]


def scope_of(node: str) -> Scope:
    """The scopes around an operation, but for calls."""
    return tuple(part for part in node.split("/")[:-1] if not part.startswith(_CALLS))


def owner_of(scope: Scope) -> str:
    """The layer, without what dropping itself adds."""
    depth = next(
        (i for i, part in enumerate(scope) if i and part.startswith(("dropout", "random_"))), len(scope)
    )
    return "/".join(scope[:depth])


def _outermost(node: str, nodes: Iterable[str]) -> str:
    """The operation of the graph itself in whose branch or loop one stands."""
    parts = node.split("/")
    names = ("/".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((name for name in names if name in nodes), "")


def _inside(scope: Scope, outer: Scope) -> bool:
    return bool(outer) and scope[: len(outer)] == outer
