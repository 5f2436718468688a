"""What stands between the inputs and the outputs: types, shapes found by running the graph once, layers."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cached_property

import tensorflow as tf

from penult_service.errors import ModelRefused
from penult_service.preparing.cut import cut, imported
from penult_service.preparing.examples import Examples, feeds
from penult_service.preparing.graph import Ref, node_of
from penult_service.preparing.naming import layer_at
from penult_service.preparing.opened import NOISE_CLASSES, Layer, Opened
from penult_service.preparing.seam.paths import dominators, path_nodes

# Seven rows of different lengths: a number that is unlikely to be a width of the model.
PROBE = ("one", "two words", "and a few words more than two", "", "last", "a film, a good one!", "Ünïcode ok")
_NUMBERS = (tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.int32, tf.int64, tf.bool)
FLOATS = (tf.float16, tf.bfloat16, tf.float32, tf.float64)
INTEGERS = (tf.int32, tf.int64, tf.bool)
_AROUND = (
    "Graph execution error",
    "Detected at",
    "<stack traces",
    "[[",
    "File ",
)  # what goes before a message
_HUB_LAYER = "KerasLayer"
_CALLS = re.compile(r"^(?:(?:Stateful)?PartitionedCall(?:_\d+)?/)+")


class Survey:
    """A model's graph between the inputs that it reads (`Opened.sources`) and the outputs.

    Attributes:
        line: The tensors that every path from there to any output passes, in order.
        tensors: The numeric tensors on any path, in order: tensor -> dtype.
        shapes: The same -> shape for `PROBE`.
        marks: What comes out of a dropout -> its layer, in order: as the reader of the file knows it, else by the
            `Identity` that tf_keras leaves. With `noise_is_on` also what comes out of a dropout that is active.
    """

    def __init__(self, opened: Opened, *, noise_is_on: bool = False) -> None:
        self.opened = opened
        self._noise_is_on = noise_is_on
        self.flat = opened.flat
        self.outputs = list(opened.flat.outputs.values())
        self.line = dominators(opened.flat, opened.sources, self.outputs)

    @cached_property
    def examples(self) -> Examples:
        """Feeds the model before its inputs have roles: tokens are then nothing but padding."""
        return Examples(self.opened)

    @cached_property
    def path(self) -> dict[str, None]:
        """The operations on any path, in order."""
        return dict.fromkeys(path_nodes(self.flat, self.opened.sources, self.outputs))

    @cached_property
    def tensors(self) -> dict[Ref, tf.DType]:
        with tf.Graph().as_default() as graph:
            imported(self.flat, self.outputs)
            found = {t.name: t.dtype for name in self.path for t in graph.get_operation_by_name(name).outputs}
        # Of a model without texts the path begins at its tokens: they are where it may be cut.
        tokens = {one.ref: one.dtype for one in self.opened.inputs if one.ref in self.opened.sources}
        found = {ref: dtype for ref, dtype in tokens.items() if dtype in INTEGERS} | found
        return {ref: dtype for ref, dtype in found.items() if dtype in _NUMBERS}

    @cached_property
    def shapes(self) -> dict[Ref, tuple[int, ...]]:
        numbered = {str(i): ref for i, ref in enumerate(self.tensors)}
        measure = cut(self.flat, feeds(self.opened), numbered, lambda _, tensor: tf.shape(tensor))
        try:
            shapes = measure(*self.examples.arguments(self.examples.rows(PROBE)))
        except tf.errors.OpError as error:
            lines = [line.strip() for line in str(error.message).splitlines()]
            told = next(
                (line for line in lines if line and not line.startswith(_AROUND)), type(error).__name__
            )
            raise ModelRefused(
                f"{self.opened.source}: its own function cannot be run on texts ({told[:200]}); save it with the right "
                "input_signature, and try what was saved",
                reason="CANNOT_RUN",
            ) from error
        return {ref: tuple(int(n) for n in shapes[name]) for name, ref in numbered.items()}

    @cached_property
    def marks(self) -> dict[Ref, Layer]:
        if self.opened.marks is not None:
            return {mark.after: mark.layer for mark in self.opened.marks if mark.after in self.tensors}
        names = {layer.name for layer in self.opened.layers}
        marks = {}
        for ref, dtype in self.tensors.items():
            *_, scope, last = ["", *node_of(ref).split("/")]
            is_identity = self.flat.nodes[node_of(ref)].op == "Identity" and last.startswith("Identity")
            # `dropout_1` is the second call of `dropout`, unless it is a layer itself.
            name = scope if scope in names else scope.rpartition("_")[0]
            if is_identity and dtype in FLOATS and (layer := self._noise_of(name, ref)) is not None:
                marks[ref] = layer
        return marks | (self._active if self._noise_is_on else {})

    def _noise_of(self, name: str, ref: Ref) -> Layer | None:
        """The noise layer of that name; of several, of models within the model, the one in whose scope it is.

        None inside a hub layer: that has layers of its own, which may be called like the model's.
        """
        found = [one for one in self.opened.layers if one.name == name and one.class_name in NOISE_CLASSES]
        here = layer_at(node_of(ref), self.opened.layers)
        if len(found) > 1:
            return here if here in found else replace(found[0], config={})
        return found[0] if found and (here is None or here.class_name != _HUB_LAYER) else None

    @cached_property
    def _active(self) -> dict[Ref, Layer]:
        """The last tensor of the line inside the scope of a noise layer that leaves no `Identity` -> the layer."""
        found: dict[str, tuple[Ref, Layer]] = {}
        for ref in self.line:
            layer = layer_at(node_of(ref), self.opened.layers)
            if layer is not None and layer.class_name in NOISE_CLASSES and self.tensors.get(ref) in FLOATS:
                found[layer.name] = ref, layer
        return dict(found.values())

    def ahead(self, mark: Ref) -> Ref:
        """The tensor in front of a dropout, by its mark."""
        known = next((one.before for one in self.opened.marks or () if one.after == mark), None)
        if known is not None:
            return known
        layer = self._active.get(mark) if self._noise_is_on else None
        if layer is None:
            return self.flat.nodes[node_of(mark)].input[0]
        inside = [ref for ref in self.line if layer_at(node_of(ref), self.opened.layers) == layer]
        return self.line[self.line.index(inside[0]) - 1]

    def source_of(self, ref: Ref) -> Ref:
        """The tensor behind a chain of `Identity`."""
        while self.flat.nodes[node_of(ref)].op == "Identity":
            ref = self.flat.nodes[node_of(ref)].input[0]
        return ref

    def in_full(self, ref: Ref) -> Ref:
        """The tensor that was converted to another precision to become this one; itself, when it was not.

        In front of a dropout in half precision that is the tensor before it is rounded.
        """
        source = self.source_of(ref)
        node = self.flat.nodes[node_of(source)]
        converted = node.op == "Cast" and self.tensors.get(node.input[0]) in FLOATS
        return node.input[0] if converted and self.tensors.get(source) in FLOATS else ref

    def dominate(self, ref: Ref) -> list[Ref]:
        """The tensors that every path to this one passes, in order, itself the last."""
        return dominators(self.flat, self.opened.sources, [ref])

    def name_of(self, ref: Ref) -> str:
        """What a person calls the tensor: the layer that makes it, else the operation without the calls around it."""
        return self.layer_of(ref) or shown(node_of(self.source_of(ref)))

    def layer_of(self, ref: Ref) -> str | None:
        """The name of the outermost Keras layer in whose scope the tensor is made, or None."""
        names = {layer.name for layer in self.opened.layers if layer.path != "root"}
        return next((part for part in node_of(self.source_of(ref)).split("/")[:-1] if part in names), None)

    def rows(self, ref: Ref, rank: int) -> bool:
        """Whether the tensor has that rank, with the texts along its first axis."""
        shape = self.shapes.get(ref, ())
        return len(shape) == rank and shape[0] == len(PROBE)

    def readable(self) -> dict[str, Ref]:
        """Layers whose output is a float matrix that all paths pass, in order -> that output."""
        wanted = [ref for ref in self.line if self.tensors.get(ref) in FLOATS and self.rows(ref, 2)]
        sources = [self.source_of(ref) for ref in wanted]
        last = {self.layer_of(ref): ref for ref in sources}
        return {layer: ref for layer, ref in last.items() if layer is not None and ref not in self._final}

    @cached_property
    def _final(self) -> set[Ref]:
        return {self.source_of(ref) for ref in self.outputs}


def shown(node: str) -> str:
    """The name of an operation without those of the calls that it was inlined from."""
    return _CALLS.sub("", node)
