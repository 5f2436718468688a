"""Reads `saved_model.pb` without loading it: every node, with the part of the file in which it stands.

TensorFlow 2 runs, at load, the functions that make and fill tables and those that restore objects of their own; later
the signatures and whatever else is called. The saver's functions it runs never: only these may name Save and Restore.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorflow.core.framework import function_pb2, node_def_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from penult_service.errors import InvalidInput, ModelRefused
from penult_service.guard.allowed import GRAPH, LOADING, SAVER, SERVING, Use
from penult_service.guard.damage import damaged
from penult_service.guard.registered import op_def

GRAPH_FILE = "saved_model.pb"
MAX_GRAPH_BYTES = 1 << 30  # half of what a protocol buffer may have; BERT-base takes 0.01 of it
_HANDLES = {types_pb2.DT_RESOURCE: "resource", types_pb2.DT_VARIANT: "variant"}
_AT_LOAD = frozenset({"_create_resource", "_initialize", "_destroy_resource"})


class SavedGraph:
    """The only graph of a SavedModel of TensorFlow 2, as it is in the file.

    Attributes:
        runs_as_it_stands: Whether TensorFlow runs the graph around the functions: not that of TensorFlow 2.
    """

    runs_as_it_stands = False

    def __init__(self, meta_graph: meta_graph_pb2.MetaGraphDef) -> None:
        self.meta_graph = meta_graph
        self.main = meta_graph.graph_def.node
        self.library = {f.signature.name: f for f in meta_graph.graph_def.library.function}

    @cached_property
    def calls(self) -> dict[str, list[tuple[node_def_pb2.NodeDef, tuple[str, ...]]]]:
        """Function ("": the graph around) -> its nodes that name functions, with the names; some may not be there."""
        bodies = {"": self.main} | {name: definition.node_def for name, definition in self.library.items()}
        return {
            function: [
                (node, names)
                for node in nodes
                if (names := (*((node.op,) if node.op in self.library else ()), *function_names(node)))
            ]
            for function, nodes in bodies.items()
        }

    @cached_property
    def places(self) -> dict[str, str]:
        """Function -> the part of the file that it belongs to; one that two parts call belongs to the first of
        serving, loading, saver."""
        answering = set(self.meta_graph.object_graph_def.concrete_functions) - self._loading_functions()
        around = {f for _, names in self.calls[""] for f in names} - answering - self._saver_functions()
        saver = self._reached(self._saver_functions())
        loading = self._reached(self._loading_functions() | around)
        answering |= set(self.library) - saver - loading  # also what nobody calls
        places = dict.fromkeys(saver, SAVER) | dict.fromkeys(loading, LOADING)
        return places | dict.fromkeys(self._reached(answering), SERVING)

    def uses(self) -> Iterator[Use]:
        """Every operation; calls of the library's functions are none, but those of functions not there are."""
        for place, function, node in self.nodes():
            if node.op not in self.library:
                yield Use(_named(node), name_of(node, function), place)
        for function, calls in self.calls.items():
            for node, names in calls:
                for name in names:
                    if name not in self.library:
                        yield Use(name, f"{name_of(node, function)} calls it", self.place_of(function))

    def nodes(self) -> Iterator[tuple[str, str, node_def_pb2.NodeDef]]:
        """(place, function, node) of all; the function is empty in the graph around."""
        for node in self.main:
            yield GRAPH, "", node
        for name, definition in self.library.items():
            for node in definition.node_def:
                yield self.places[name], name, node

    def place_of(self, function: str) -> str:
        """The part of the file that a function belongs to."""
        return self.places[function] if function else GRAPH

    def callees(self, function: str) -> list[str]:
        """The functions of the library that a function calls, or hands on; as often as it names them."""
        return [name for _, names in self.calls[function] for name in names if name in self.library]

    def _reached(self, starts: Iterable[str]) -> set[str]:
        """The functions that these call, however deep, themselves included."""
        waiting, seen = [name for name in starts if name in self.library], set()
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += self.callees(name)
        return seen

    def _saver_functions(self) -> set[str]:
        saver = self.meta_graph.saver_def
        entries = {saver.save_tensor_name.partition(":")[0], saver.restore_op_name.partition(":")[0]}
        return {name for node, names in self.calls[""] if node.name in entries for name in names}

    def _loading_functions(self) -> set[str]:
        objects = self.meta_graph.object_graph_def.nodes
        runs: list[int] = []
        for thing in objects:
            runs += (child.node_id for child in thing.children if child.local_name in _AT_LOAD)
            for saveable in thing.saveable_objects.values():
                runs += (saveable.save_function, saveable.restore_function)
        inside = [objects[i] for i in runs if 0 <= i < len(objects)]
        names = {name for thing in inside for name in thing.function.concrete_functions}
        return names | {thing.bare_concrete_function.concrete_function_name for thing in inside}


def read(directory: Path) -> SavedGraph:
    """The graph in a directory that has a `saved_model.pb`; only one, and of TensorFlow 2.

    Raises:
        InvalidInput: DAMAGED, the file cannot be read.
        ModelRefused: TOO_LARGE; UNSUPPORTED_FORMAT for one of TensorFlow 1; AMBIGUOUS_FUNCTION for a function that
            stands there twice, or is called like an operation.
    """
    meta_graphs = parsed(directory)
    if not is_new(meta_graphs):
        raise ModelRefused(
            f"{directory} was written by TensorFlow 1, or holds several graphs; save the model with TensorFlow 2",
            reason="UNSUPPORTED_FORMAT",
        )
    return SavedGraph(meta_graphs[0])


def is_new(meta_graphs: Sequence[meta_graph_pb2.MetaGraphDef]) -> bool:
    """Whether TensorFlow loads them by their objects: one alone, of TensorFlow 2; else as they stand (`old_graph`)."""
    return len(meta_graphs) == 1 and meta_graphs[0].HasField("object_graph_def")


def parsed(directory: Path) -> list[meta_graph_pb2.MetaGraphDef]:
    """The graphs in a directory that has a `saved_model.pb`, at least one.

    Raises:
        InvalidInput: DAMAGED, the file cannot be read.
        ModelRefused: TOO_LARGE; AMBIGUOUS_FUNCTION for a function that stands there twice, or is called like an
            operation.
    """
    path = directory / GRAPH_FILE
    size = path.stat().st_size
    if size > MAX_GRAPH_BYTES:
        raise ModelRefused(
            f"{path} has {size / 2**30:.1f} GiB, more than {MAX_GRAPH_BYTES >> 30} GiB; keep the weights as variables",
            reason="TOO_LARGE",
        )
    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString(path.read_bytes())
    except (DecodeError, OSError, RuntimeError) as error:
        raise damaged(path, error) from error
    if not saved.meta_graphs:
        raise InvalidInput(
            f"{path} is damaged or half copied (it holds no graph); copy it again", reason="DAMAGED"
        )
    for meta_graph in saved.meta_graphs:
        _refuse_ambiguous(directory, meta_graph.graph_def.library.function)
    return list(saved.meta_graphs)


def _named(node: node_def_pb2.NodeDef) -> str:
    """The operation; a constant that is no number or text but a handle, such as another model's table, is its own."""
    if node.op == "Const" and (kind := _HANDLES.get(node.attr["value"].tensor.dtype)):
        return f"Const({kind})"
    return node.op


def name_of(node: node_def_pb2.NodeDef, function: str) -> str:
    """A node's name, with the function around it."""
    return f"{function}/{node.name}" if function else node.name


def function_names(node: node_def_pb2.NodeDef) -> Iterator[str]:
    """The functions that a node's attributes name: branches, bodies of loops, calls."""
    for attr in node.attr.values():
        kind = attr.WhichOneof("value")
        if kind == "func":
            yield attr.func.name
        elif kind == "list":
            yield from (function.name for function in attr.list.func)


def _refuse_ambiguous(directory: Path, functions: Iterable[function_pb2.FunctionDef]) -> None:
    """What is checked must be what runs: one body a name, and no name that is an operation's."""
    seen: set[str] = set()
    for definition in functions:
        name = definition.signature.name
        if name in seen or op_def(name) is not None:
            why = "twice" if name in seen else "under the name of an operation"
            raise ModelRefused(
                f"{directory} holds the function {name!r} {why}, so that what runs cannot be told; save it again",
                reason="AMBIGUOUS_FUNCTION",
            )
        seen.add(name)
