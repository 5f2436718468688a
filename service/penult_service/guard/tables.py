"""Lookup tables are filled from files when a model is loaded: the files must be its own, in `assets/`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath, PureWindowsPath

from tensorflow.core.framework import node_def_pb2

from penult_service.errors import ModelRefused
from penult_service.guard.saved_model import SavedGraph, name_of

FILLS = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
_FILE_INPUT = 1  # the table, the name of the file


def refuse_outside_files(what: str, graph: SavedGraph) -> None:
    """Refuses a model whose tables, or whose list of assets, name a file that is not in its folder `assets/`.

    Raises:
        ModelRefused: READS_FILES, naming the node or the file.
    """
    for asset in graph.meta_graph.asset_file_def:
        if leads_out(asset.filename):
            raise ModelRefused(
                f"{what} names the file {asset.filename!r} among its assets, which is not in its folder assets/; "
                "save the model again",
                reason="READS_FILES",
            )
    for _, function, node in graph.nodes():
        if node.op in FILLS and not _Trace(graph).is_asset(function, (*node.input, "", "")[_FILE_INPUT]):
            raise ModelRefused(
                f"{what} fills a table from a file that is not one of its assets ({node.op}, "
                f"{name_of(node, function)}); make the table with tf.lookup.TextFileInitializer, which saves its file "
                "with the model",
                reason="READS_FILES",
            )


def leads_out(name: str) -> bool:
    """Whether a name in an archive, or among assets, is no plain path below its folder."""
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    return (
        not name or "\0" in name or "\\" in name or posix.is_absolute() or bool(windows.drive)
        or ".." in posix.parts or posix == PurePosixPath(".")
    )  # fmt: skip


class _Trace:
    """Where a file's name comes from, through calls to the objects that the functions were saved with."""

    def __init__(self, graph: SavedGraph) -> None:
        self._graph = graph
        self._assets = {asset.tensor_info.name.partition(":")[0] for asset in graph.meta_graph.asset_file_def}
        self._seen: set[tuple[str, str]] = set()

    def is_asset(self, function: str, ref: str) -> bool:
        """Whether this input, of a node in that function ("": in the graph around), is an asset wherever it runs."""
        if (function, ref) in self._seen:
            return True
        self._seen.add((function, ref))
        name = ref.partition(":")[0]
        if not function:
            return self._is_asset_around(name)
        definition = self._graph.library[function]
        arguments = [argument.name for argument in definition.signature.input_arg]
        if name in arguments:
            return self._is_asset_argument(function, arguments.index(name), len(arguments))
        node = next((node for node in definition.node_def if node.name == name), None)
        return node is not None and node.op == "Identity" and self.is_asset(function, node.input[0])

    def _is_asset_around(self, name: str) -> bool:
        """TensorFlow 2 does not run that graph; others feed the assets, so only a name that stands there is wrong."""
        node = next((node for node in self._graph.main if node.name == name), None)
        if self._graph.runs_as_it_stands:
            return node is not None and (
                name in self._assets or (node.op == "Identity" and self.is_asset("", node.input[0]))
            )
        return node is not None and (node.op != "Const" or name in self._assets)

    def _is_asset_argument(self, function: str, index: int, arguments: int) -> bool:
        objects = self._graph.meta_graph.object_graph_def
        if function in objects.concrete_functions:
            bound = objects.concrete_functions[function].bound_inputs
            place = index - (arguments - len(bound))
            if place < 0 or not 0 <= bound[place] < len(objects.nodes):
                return False
            if not self._is_asset_object(bound[place]):
                return False
        return all(
            node.op in (*_CALLS, function) and self.is_asset(caller, node.input[index])
            for caller, node in self._callers(function)
        )

    def _is_asset_object(self, number: int) -> bool:
        thing = self._graph.meta_graph.object_graph_def.nodes[number]
        assets = self._graph.meta_graph.asset_file_def
        return thing.WhichOneof("kind") == "asset" and 0 <= thing.asset.asset_file_def_index < len(assets)

    def _callers(self, function: str) -> Iterator[tuple[str, node_def_pb2.NodeDef]]:
        for caller, calls in self._graph.calls.items():
            for node, names in calls:
                if function in names:
                    yield caller, node
