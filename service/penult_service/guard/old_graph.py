"""A graph of TensorFlow 1, or one of several in a file: TensorFlow runs it as it stands, without the functions around.

At load it runs what fills the tables, and what restores the variables from the file's own checkpoint; later what the
signatures give. What else is there (how variables are made at first, how they are saved) it does not run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from penult_service.errors import ModelRefused
from penult_service.guard.allowed import GRAPH, LOADING, SAVER, SERVING
from penult_service.guard.saved_model import SavedGraph, function_names

_INITIAL = ("saved_model_main_op", "legacy_init_op")
_INITIAL_SIGNATURE = "__saved_model_init_op"
_ASSETS = "saved_model_assets"
_RESTORES = "RestoreV2"
_RESTORED_BY = frozenset(
    {_RESTORES, "Assign", "AssignVariableOp", "Const", "Identity", "NoOp"}
    | {"Placeholder", "PlaceholderWithDefault", "VariableV2", "VarHandleOp"}
)


class OldGraph(SavedGraph):
    """One such graph: the place of a node is what runs it."""

    runs_as_it_stands = True

    def __init__(self, meta_graph: meta_graph_pb2.MetaGraphDef) -> None:
        super().__init__(meta_graph)
        if not meta_graph.asset_file_def and _ASSETS in meta_graph.collection_def:  # as TensorFlow reads it
            for packed in meta_graph.collection_def[_ASSETS].any_list.value:
                packed.Unpack(meta_graph.asset_file_def.add())
        self._by_name = {node.name: node for node in self.main}

    def nodes(self) -> Iterator[tuple[str, str, node_def_pb2.NodeDef]]:
        """(place, function, node) of all."""
        for node in self.main:
            yield self._place(node.name), "", node
        for name, definition in self.library.items():
            for node in definition.node_def:
                yield self.places[name], name, node

    @cached_property
    def places(self) -> dict[str, str]:
        """Function -> what runs it: at load, or else serving."""
        loading = self._reached(f for name in self._loading for f in function_names(self._by_name[name]))
        return {name: LOADING if name in loading else SERVING for name in self.library}

    def place_of(self, function: str) -> str:
        """What runs a function; of a node outside of one, the strictest."""
        return self.places[function] if function else SERVING

    def refuse_other_restores(self, what: str) -> None:
        """Refuses what does more than to restore variables from the file's own checkpoint, when the graph is loaded.

        Raises:
            ModelRefused: READS_FILES; metadata ``op``, ``node``.
        """
        own = self.meta_graph.saver_def.filename_tensor_name.partition(":")[0]
        for name in sorted(self._restoring):
            node = self._by_name[name]
            of_another = node.op == _RESTORES and self._source_of((*node.input, "")[0]) != own
            if node.op not in _RESTORED_BY or of_another:
                raise ModelRefused(
                    f"{what} reads other files than its own weights when it is loaded ({node.op}, {name}); save the "
                    "model again",
                    reason="READS_FILES",
                    metadata={"op": node.op, "node": name},
                )

    def _place(self, name: str) -> str:
        if name in self._loading:
            return LOADING
        if name in self._serving:
            return SERVING
        return SAVER if name in self._saving else GRAPH

    @cached_property
    def _serving(self) -> set[str]:
        signatures = self.meta_graph.signature_def
        return self._behind(
            ref for key in signatures if key != _INITIAL_SIGNATURE for ref in self._results(key)
        )

    @cached_property
    def _loading(self) -> set[str]:
        collections = self.meta_graph.collection_def
        listed = [ref for key in _INITIAL if key in collections for ref in collections[key].node_list.value]
        return self._behind([*listed, *self._results(_INITIAL_SIGNATURE)])

    @cached_property
    def _restoring(self) -> set[str]:
        return self._behind([self.meta_graph.saver_def.restore_op_name])

    @cached_property
    def _saving(self) -> set[str]:
        return self._restoring | self._behind([self.meta_graph.saver_def.save_tensor_name])

    def _results(self, signature: str) -> list[str]:
        """The tensors that a signature gives; none when it is not there."""
        signatures = self.meta_graph.signature_def
        return [one.name for one in signatures[signature].outputs.values()] if signature in signatures else []

    def _behind(self, refs: Iterable[str]) -> set[str]:
        """The nodes that run when these are asked for, those tied by control edges too."""
        seen: set[str] = set()
        waiting = [_node(ref) for ref in refs]
        while waiting:
            name = waiting.pop()
            if name in self._by_name and name not in seen:
                seen.add(name)
                waiting += map(_node, self._by_name[name].input)
        return seen

    def _source_of(self, ref: str) -> str:
        name = _node(ref)
        while name in self._by_name and self._by_name[name].op == "Identity":
            name = _node(self._by_name[name].input[0])
        return name


def _node(ref: str) -> str:
    return ref.removeprefix("^").partition(":")[0]
